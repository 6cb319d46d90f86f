//! `sekisho import`: contracts and users out of a CSV file, all or nothing.

mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::pins::{Maker, TemporaryPin};
use super::table::table;
use super::{Answer, Common, Desk, Failure, failed, name};
use crate::cli::failure::{DATA, IO, NO_INPUT};
use crate::clock::Clock;
use crate::domain::{ContractId, Identity};
use crate::stores::{AddError, Contract, NewContract, NewUser};
use lines::{Line, Lines, Mistake};

/// Import contracts and users from a CSV file: all of them, or none if one line is bad
///
/// The first line is `contract,contract_name,user,role,mail,language` or the same with `,pin` at its end. Without that
/// column every user gets a random temporary PIN, which is shown once; with it the PINs are the file's, as temporary
/// ones, and an empty field is none. `contract_name` may be left empty where the contract is known.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// The CSV file, in UTF-8
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Give nobody a PIN: they use nothing but certificates
    #[arg(long)]
    no_pin: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    super::run("import", &arguments.common, clock, async |desk| import(desk, arguments).await)
}

/// What the answer says of a user.
#[derive(Serialize)]
struct Imported<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_pin: Option<&'a str>,
}

async fn import(desk: &Desk, arguments: &Arguments) -> Result<Answer, Failure> {
    let file = &arguments.file;
    let bytes = fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(NO_INPUT, format!("{}: there is no such file", file.display())),
        _ => Failure::new(IO, format!("{}: {error}", file.display())),
    })?;
    let rules = if arguments.no_pin { None } else { desk.stores.rules.as_ref() };
    let Lines { lines, mut mistakes, has_pins } = lines::read(&bytes, rules);
    let known = known(desk, &lines).await?;
    mistakes.extend(clashes(&lines, &known));
    if !mistakes.is_empty() {
        return Err(refusal(arguments, mistakes));
    }
    let contracts = new_contracts(&lines, &known);
    let pins = pins(desk, arguments, &lines, has_pins).await?;
    let users: Vec<NewUser> = lines
        .iter()
        .zip(&pins)
        .map(|(line, pin)| NewUser {
            identity: line.identity.clone(),
            role: line.role,
            mail: line.mail.clone(),
            language: line.language,
            pin: pin.as_ref().map(|pin| (pin.hash.clone(), pin.until)),
        })
        .collect();
    write(desk, arguments, &contracts, &users, &lines).await?;
    answer(contracts.len(), &lines, &pins)
}

/// What the directory knows already of the file's contracts.
async fn known(
    desk: &Desk,
    lines: &[Line],
) -> Result<BTreeMap<ContractId, (Contract, BTreeSet<Identity>)>, Failure> {
    let directory = &desk.stores.directory;
    let mut known = BTreeMap::new();
    for id in lines.iter().map(|line| &line.identity.contract).collect::<BTreeSet<_>>() {
        if let Some(contract) = directory.contract(id).await.map_err(|error| failed(&error))? {
            let users = directory.users(id, desk.now()).await.map_err(|error| failed(&error))?;
            let users = users.into_iter().map(|user| user.identity).collect();
            known.insert(id.clone(), (contract, users));
        }
    }
    Ok(known)
}

/// What can't be because of what is there.
fn clashes(lines: &[Line], known: &BTreeMap<ContractId, (Contract, BTreeSet<Identity>)>) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut names: BTreeMap<&ContractId, (&str, u64)> = BTreeMap::new();
    for line in lines {
        let id = &line.identity.contract;
        let mut wrong = |what: String| mistakes.push(Mistake { line: line.number, what });
        match known.get(id) {
            Some((_, users)) if users.contains(&line.identity) => {
                wrong(format!("{} is there already", name(&line.identity)));
            }
            Some((contract, _)) => {
                if line.contract_name.as_ref().is_some_and(|name| *name != contract.name) {
                    wrong(format!("contract {id} is there already, with another name"));
                }
            }
            None => match (&line.contract_name, names.get(id)) {
                (Some(name), Some((first, number))) if name != first => {
                    wrong(format!("contract {id} has another name on line {number}"));
                }
                (Some(name), None) => {
                    names.insert(id, (name, line.number));
                }
                (None, None) => wrong(format!("contract {id} is new and needs a name")),
                _ => {}
            },
        }
    }
    mistakes
}

fn new_contracts(
    lines: &[Line],
    known: &BTreeMap<ContractId, (Contract, BTreeSet<Identity>)>,
) -> Vec<NewContract> {
    let mut contracts = BTreeMap::new();
    for line in lines {
        let id = &line.identity.contract;
        if let (false, Some(name)) = (known.contains_key(id), &line.contract_name) {
            contracts.entry(id).or_insert_with(|| NewContract { id: id.clone(), name: name.clone() });
        }
    }
    contracts.into_values().collect()
}

/// A PIN for each line, as far as it gets one.
async fn pins(
    desk: &Desk,
    arguments: &Arguments,
    lines: &[Line],
    has_pins: bool,
) -> Result<Vec<Option<TemporaryPin>>, Failure> {
    if arguments.no_pin || (has_pins && lines.iter().all(|line| line.pin.is_none())) {
        return Ok(lines.iter().map(|_| None).collect());
    }
    let maker = &Maker::new(desk)?;
    stream::iter(lines)
        .map(|line| async move {
            match &line.pin {
                Some(pin) => maker.of(pin.clone()).await.map(Some),
                None if has_pins => Ok(None),
                None => maker.random().await.map(Some),
            }
        })
        .buffered(maker.concurrency)
        .try_collect()
        .await
}

async fn write(
    desk: &Desk,
    arguments: &Arguments,
    contracts: &[NewContract],
    users: &[NewUser],
    lines: &[Line],
) -> Result<(), Failure> {
    let contracts_added = contracts.iter().map(|it| ("contract_added", Some((&it.id).into()), None));
    let users_added =
        users.iter().map(|it| ("user_added", Some((&it.identity).into()), Some(it.role.code())));
    desk.record_all(contracts_added.chain(users_added))?;
    let work = desk.stores.directory.import(contracts, users, desk.now());
    let detail = format!("{} contracts, {} users", contracts.len(), users.len());
    match desk.change("imported", None, Some(&detail), work).await? {
        Ok(()) => Ok(()),
        Err((_, AddError::Unavailable(unavailable))) => Err(failed(&unavailable)),
        // Somebody else was faster.
        Err((index, _)) => {
            let line = index.and_then(|index| lines.get(index)).map_or(1, |line| line.number);
            let what = "the user was added by somebody else just now".to_owned();
            Err(refusal(arguments, vec![Mistake { line, what }]))
        }
    }
}

/// Every mistake with its line.
fn refusal(arguments: &Arguments, mut mistakes: Vec<Mistake>) -> Failure {
    mistakes.sort_by_key(|mistake| mistake.line);
    let file = arguments.file.display();
    let mut text = String::new();
    for Mistake { line, what } in &mistakes {
        text.push_str(&format!("\n{file}:{line}: {what}"));
    }
    let count = match mistakes.len() {
        1 => "1 mistake".to_owned(),
        more => format!("{more} mistakes"),
    };
    Failure::new(DATA, format!("{text}\n{count}: nothing was imported"))
}

fn answer(contracts: usize, lines: &[Line], pins: &[Option<TemporaryPin>]) -> Result<Answer, Failure> {
    let users: Vec<_> = lines
        .iter()
        .zip(pins)
        .map(|(line, pin)| Imported {
            identity: &line.identity,
            temporary_pin: pin.as_ref().map(|pin| pin.pin.expose()),
        })
        .collect();
    let rows: Vec<_> = users
        .iter()
        .map(|Imported { identity, temporary_pin }| {
            let (contract, user) = (identity.contract.to_string(), identity.user.to_string());
            [contract, user, temporary_pin.unwrap_or("-").to_owned()]
        })
        .collect();
    let mut text = format!("Imported {} users and {contracts} new contracts.\n", users.len());
    text.push_str(&table(["CONTRACT", "USER", "TEMPORARY PIN"], &rows, ""));
    if pins.iter().any(Option::is_some) {
        text.push_str("The PINs are not shown again.\n");
    }
    Answer::new(text, &serde_json::json!({ "new_contracts": contracts, "users": users }))
}
