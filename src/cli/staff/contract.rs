//! `sekisho contract`: contracts are opened, looked at, suspended and resumed.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::table::{list, or_dash, table};
use super::{Answer, Common, Desk, Failure, company, failed, no_contract, not_added};
use crate::clock::Clock;
use crate::domain::ContractId;
use crate::stores::{Contract, NewContract};

/// Open contracts, look at them, suspend and resume them
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a contract
    Add {
        #[command(flatten)]
        common: Common,
        /// Contract ID: 1 to 30 half-width letters and digits
        #[arg(value_name = "CONTRACT", value_parser = ContractId::typed)]
        id: ContractId,
        /// The company's name
        #[arg(value_name = "NAME", value_parser = company)]
        name: String,
    },
    /// Show every contract
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show one contract
    Show(One),
    /// Suspend a contract: none of its users gets in any more
    Suspend(One),
    /// Lift the suspension of a contract; what suspends its users stays
    Resume(One),
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    common: Common,
    /// Contract ID
    #[arg(value_name = "CONTRACT", value_parser = ContractId::typed)]
    id: ContractId,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match &arguments.command {
        Command::Add { common, id, name } => {
            super::run("contract", common, clock, async |desk| add(desk, id, name).await)
        }
        Command::List { common } => super::run("contract", common, clock, async |desk| all(desk).await),
        Command::Show(One { common, id }) => {
            super::run("contract", common, clock, async |desk| answer(&find(desk, id).await?))
        }
        Command::Suspend(One { common, id }) => {
            super::run("contract", common, clock, async |desk| suspend(desk, id, true).await)
        }
        Command::Resume(One { common, id }) => {
            super::run("contract", common, clock, async |desk| suspend(desk, id, false).await)
        }
    }
}

async fn add(desk: &Desk, id: &ContractId, name: &str) -> Result<Answer, Failure> {
    let contract = NewContract { id: id.clone(), name: name.to_owned() };
    let work = desk.stores.directory.add_contract(&contract, desk.now());
    desk.change("contract_added", Some(id.into()), None, work)
        .await?
        .map_err(|error| not_added(&error, &format!("contract {id}"), id))?;
    answer(&find(desk, id).await?)
}

async fn all(desk: &Desk) -> Result<Answer, Failure> {
    let contracts = desk.stores.directory.contracts().await.map_err(|error| failed(&error))?;
    let rows: Vec<_> = contracts
        .iter()
        .map(|contract| [contract.id.to_string(), or_dash(contract.suspended_at), contract.name.clone()])
        .collect();
    Answer::new(table(["CONTRACT", "SUSPENDED SINCE", "NAME"], &rows, "There are no contracts."), &contracts)
}

async fn suspend(desk: &Desk, id: &ContractId, suspend: bool) -> Result<Answer, Failure> {
    find(desk, id).await?;
    let kind = if suspend { "contract_suspended" } else { "contract_resumed" };
    let work = desk.stores.directory.suspend_contract(id, suspend.then(|| desk.now()));
    desk.change(kind, Some(id.into()), None, work).await?.map_err(|error| failed(&error))?;
    answer(&find(desk, id).await?)
}

async fn find(desk: &Desk, id: &ContractId) -> Result<Contract, Failure> {
    let found = desk.stores.directory.contract(id).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_contract(id))
}

fn answer(contract: &Contract) -> Result<Answer, Failure> {
    let text = list(&[
        ("contract", contract.id.to_string()),
        ("name", contract.name.clone()),
        ("added", contract.created_at.to_string()),
        ("suspended since", or_dash(contract.suspended_at)),
    ]);
    Answer::new(text, contract)
}
