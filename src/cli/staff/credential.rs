//! `sekisho credential`: certificates that the bank's CA issued before are made known to the directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::table::table;
use super::{Answer, Common, Desk, Failure, Who, failed, name, no_user, not_added};
use crate::app;
use crate::cli::failure::{DATA, NO_INPUT};
use crate::clock::Clock;
use crate::stores::{AddError, Credential};

/// Register certificates that were issued before, and look at them
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register certificates as their users': from then on no PIN alone lets them in
    Add {
        #[command(flatten)]
        common: Common,
        /// PEM files with one certificate each, and its chain if need be
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show a user's live certificates
    List {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        who: Who,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match &arguments.command {
        Command::Add { common, files } => {
            super::run("credential", common, clock, async |desk| add(desk, files).await)
        }
        Command::List { common, who } => {
            super::run("credential", common, clock, async |desk| all(desk, who).await)
        }
    }
}

/// One line of the answer.
#[derive(Serialize)]
struct Registered {
    #[serde(flatten)]
    credential: Credential,
    /// Whether it is so only since now.
    new: bool,
}

async fn add(desk: &Desk, files: &[PathBuf]) -> Result<Answer, Failure> {
    // All are looked at before the first is registered.
    let credentials = files.iter().map(|file| read(desk, file)).collect::<Result<Vec<_>, _>>()?;
    for credential in &credentials {
        let identity = &credential.identity;
        let user = desk.stores.directory.user(identity, desk.now()).await.map_err(|error| failed(&error))?;
        user.ok_or_else(|| no_user(identity))?;
    }
    let mut registered = Vec::new();
    for credential in credentials {
        let identity = &credential.identity;
        let work = desk.stores.directory.add_credential(&credential, desk.now());
        let serial = Some(credential.serial.as_str());
        let new = match desk.change("credential_registered", Some(identity), serial, work).await? {
            Ok(()) => true,
            Err(AddError::Exists) => false,
            Err(error) => return Err(not_added(&error, &name(identity), &identity.contract)),
        };
        registered.push(Registered { credential, new });
    }
    let rows: Vec<_> = registered
        .iter()
        .map(|Registered { credential, new }| {
            [
                credential.identity.contract.to_string(),
                credential.identity.user.to_string(),
                credential.serial.clone(),
                credential.not_after.to_string(),
                if *new { "registered" } else { "registered before" }.to_owned(),
            ]
        })
        .collect();
    Answer::new(table(["CONTRACT", "USER", "SERIAL", "VALID UNTIL", ""], &rows, ""), &registered)
}

fn read(desk: &Desk, file: &Path) -> Result<Credential, Failure> {
    if !file.exists() {
        return Err(Failure::new(NO_INPUT, format!("{}: there is no such file", file.display())));
    }
    app::credential(&desk.document, file, desk.now()).map_err(|problem| Failure::new(DATA, problem))
}

async fn all(desk: &Desk, who: &Who) -> Result<Answer, Failure> {
    let identity = who.identity();
    let directory = &desk.stores.directory;
    let user = directory.user(&identity, desk.now()).await.map_err(|error| failed(&error))?;
    user.ok_or_else(|| no_user(&identity))?;
    let credentials = directory.credentials(&identity, desk.now()).await.map_err(|error| failed(&error))?;
    let rows: Vec<_> = credentials
        .iter()
        .map(|it| {
            [it.serial.clone(), it.not_before.to_string(), it.not_after.to_string(), it.fingerprint.clone()]
        })
        .collect();
    let heads = ["SERIAL", "VALID FROM", "VALID UNTIL", "SHA-256"];
    Answer::new(table(heads, &rows, "There are no live certificates."), &credentials)
}
