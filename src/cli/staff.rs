//! The commands of bank staff: what they have in common. Each opens the stores that the gateway's own file names,
//! writes an audit record before it changes anything, and prints text for people or JSON for programs.

pub(super) mod audit;
pub mod contract;
pub mod credential;
pub mod import;
pub mod issuer;
pub mod notice;
mod pins;
pub(super) mod table;
pub mod user;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use rustix::process::{geteuid, getuid};
use serde::Serialize;

use super::failure::{CANNOT_CREATE, Failure, NO_PERMISSION, NO_USER, SOFTWARE, UNAVAILABLE, print};
use super::serve;
use crate::app::{OpenError, StaffStores, StartError};
use crate::clock::Clock;
use crate::config::{self, Config, DirectoryUrl, Document};
use crate::domain::{ContractId, Identity, UserId, mail_address};
use crate::stores::{AddError, AuditEvent, AuditSubject, Unavailable};

/// What every command of bank staff takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The gateway's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// A user, as the words of a command.
#[derive(Debug, Args)]
struct Who {
    /// Contract ID
    #[arg(value_name = "CONTRACT", value_parser = ContractId::typed)]
    contract: ContractId,
    /// User ID
    #[arg(value_name = "USER", value_parser = UserId::typed)]
    user: UserId,
}

impl Who {
    fn identity(&self) -> Identity {
        Identity { contract: self.contract.clone(), user: self.user.clone() }
    }
}

/// Everything that a command works with.
struct Desk {
    document: Document,
    stores: StaffStores,
    clock: Clock,
    /// Who sits there, for the audit log.
    by: String,
}

/// What a command has to say: the same for people and for programs.
struct Answer {
    text: String,
    json: serde_json::Value,
    /// What didn't work although the directory was changed.
    trouble: Option<Failure>,
}

impl Answer {
    fn new(text: String, json: &impl Serialize) -> Result<Self, Failure> {
        let json = serde_json::to_value(json).map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
        Ok(Self { text, json, trouble: None })
    }

    fn but(self, trouble: Option<Failure>) -> Self {
        Self { trouble, ..self }
    }
}

/// Opens the stores, has `work` done and prints its answer.
fn run(
    command: &str,
    common: &Common,
    clock: &Clock,
    work: impl AsyncFnOnce(&Desk) -> Result<Answer, Failure>,
) -> ExitCode {
    match perform(common, clock, work) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failure)) | Err(failure) => failure.report(command),
    }
}

fn perform(
    common: &Common,
    clock: &Clock,
    work: impl AsyncFnOnce(&Desk) -> Result<Answer, Failure>,
) -> Result<Option<Failure>, Failure> {
    let document =
        config::load(&common.config).map_err(|problems| serve::failure(&StartError::Config(problems)))?;
    if geteuid().is_root() {
        as_owner(&document.config)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
    let answer = runtime.block_on(async {
        let stores = StaffStores::open(&document).await.map_err(|error| match error {
            OpenError::Config(problems) => serve::failure(&StartError::Config(problems)),
            OpenError::Unavailable(unavailable) => failed(&unavailable),
        })?;
        let by = format!("staff:{}", login_name());
        let desk = Desk { document, stores, clock: clock.clone(), by };
        let answer = work(&desk).await;
        desk.stores.directory.close().await;
        answer
    })?;
    match common.output {
        Output::Text => print(&answer.text)?,
        Output::Json => print(&format!("{:#}\n", answer.json))?,
    }
    Ok(answer.trouble)
}

/// Root may write where the gate's user does. What root makes there, an audit log or a store, that user can't open, and the gate
/// doesn't start any more.
fn as_owner(config: &Config) -> Result<(), Failure> {
    let directory = config.directory.as_ref().and_then(|directory| match &directory.url {
        DirectoryUrl::Sqlite(file) => Some(file),
        DirectoryUrl::Postgres(_) => None,
    });
    let audit = config.audit.as_ref().map(|audit| &audit.file);
    for folder in directory.into_iter().chain(audit).filter_map(|file| file.parent()) {
        let owner = fs::metadata(folder).map_or(0, |metadata| metadata.uid());
        if owner != 0 {
            let message =
                format!("{} is not root's: the gate could not open what root makes there", folder.display());
            let hint = format!("do it as its owner: sudo -u '#{owner}' sekisho …");
            return Err(Failure::new(NO_PERMISSION, message).hint(&hint));
        }
    }
    Ok(())
}

/// Who is at the terminal, also behind sudo. It is what the environment says: whoever may run this command may also
/// write into the directory's file.
#[expect(clippy::disallowed_methods, reason = "cli reads the environment")]
fn login_name() -> String {
    ["SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| format!("uid {}", getuid().as_raw()))
}

impl Desk {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes down what is about to happen, has it done, and writes down if it wasn't.
    async fn change<T, E>(
        &self,
        kind: &'static str,
        about: Option<AuditSubject<'_>>,
        detail: Option<&str>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Failure> {
        self.record(kind, about, detail)?;
        let done = work.await;
        if done.is_err() {
            // What is about nobody is named by its detail.
            let undone = match (about, detail) {
                (None, Some(detail)) => format!("{kind}: {detail}"),
                _ => kind.to_owned(),
            };
            self.record("not_done", about, Some(&undone))?;
        }
        Ok(done)
    }

    fn record(
        &self,
        kind: &'static str,
        about: Option<AuditSubject<'_>>,
        detail: Option<&str>,
    ) -> Result<(), Failure> {
        self.record_all([(kind, about, detail)])
    }

    /// The same for many at once, on disk together.
    fn record_all<'a>(
        &self,
        decisions: impl IntoIterator<Item = (&'static str, Option<AuditSubject<'a>>, Option<&'a str>)>,
    ) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for (kind, about, detail) in decisions {
            let event = AuditEvent {
                time: self.now(),
                kind,
                about,
                by: &self.by,
                source: None,
                request_id: None,
                detail,
            };
            lines.extend(event.line().map_err(|error| failed(&error))?);
        }
        self.stores.audit.append(&lines).map_err(|error| failed(&error))
    }
}

/// The failure of something that wasn't added.
fn not_added(error: &AddError, what: &str, contract: &ContractId) -> Failure {
    match error {
        AddError::Exists => Failure::new(CANNOT_CREATE, format!("{what} is there already")),
        AddError::NoContract => no_contract(contract),
        AddError::NoUser => Failure::new(NO_USER, format!("there is no user for {what}")),
        AddError::Unavailable(unavailable) => failed(unavailable),
    }
}

fn no_contract(id: &ContractId) -> Failure {
    Failure::new(NO_USER, format!("there is no contract {id}"))
}

fn no_user(identity: &Identity) -> Failure {
    Failure::new(NO_USER, format!("there is no {}", name(identity)))
}

/// A user in a sentence.
fn name(identity: &Identity) -> String {
    format!("user {} of contract {}", identity.user, identity.contract)
}

fn failed(unavailable: &Unavailable) -> Failure {
    Failure::new(UNAVAILABLE, unavailable.to_string())
}

/// Says something on stderr that doesn't change how the command ends.
pub(super) fn note(text: &str) {
    // Nobody is left to be told if stderr is closed.
    let _ = writeln!(io::stderr(), "note: {text}");
}

/// The name of a company.
fn company(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err("expected a name of 1 to 100 characters".to_owned());
    }
    Ok(name.to_owned())
}

fn mail(text: &str) -> Result<String, String> {
    mail_address(text).ok_or_else(|| "expected a mail address such as `sato@mihon-shoji.example`".to_owned())
}

fn role(text: &str) -> Result<crate::domain::Role, String> {
    crate::domain::Role::from_code(text).ok_or_else(|| "expected `administrator` or `user`".to_owned())
}

fn language(text: &str) -> Result<crate::domain::Language, String> {
    crate::domain::Language::from_code(text).ok_or_else(|| "expected `ja` or `en`".to_owned())
}
