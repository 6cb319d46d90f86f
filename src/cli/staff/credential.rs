//! `sekisho credential`: who may acquire a certificate, whose is taken back, and certificates that the bank's CA issued
//! before and that are made known to the directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::table::table;
use super::{Answer, Common, Desk, Failure, Who, failed, name, no_user, not_added};
use crate::app;
use crate::cli::failure::{CANNOT_CREATE, CONFIG, DATA, NO_INPUT};
use crate::clock::Clock;
use crate::domain::{Identity, RevocationCause, SessionEnd, UserTag};
use crate::stores::{AddError, Credential, CredentialRecord, Permission, PermitOutcome, RevokeOutcome};

/// Permit, reissue and revoke certificates, look at them, and register those that were issued before
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
    /// Permit a user to acquire a certificate
    Permit(One),
    /// Revoke a user's certificate and permit another
    Reissue(One),
    /// Revoke a user's certificate, and take back their permit
    Revoke(One),
    /// Show a user's certificates, and their permit
    List(One),
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match &arguments.command {
        Command::Add { common, files } => {
            super::run("credential", common, clock, async |desk| add(desk, files).await)
        }
        Command::Permit(One { common, who }) => {
            super::run("credential", common, clock, async |desk| permit(desk, &who.identity()).await)
        }
        Command::Reissue(One { common, who }) => super::run("credential", common, clock, async |desk| {
            revoke(desk, &who.identity(), RevocationCause::Reissued).await
        }),
        Command::Revoke(One { common, who }) => super::run("credential", common, clock, async |desk| {
            revoke(desk, &who.identity(), RevocationCause::Withdrawn).await
        }),
        Command::List(One { common, who }) => {
            super::run("credential", common, clock, async |desk| all(desk, &who.identity()).await)
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
    for (credential, _) in &credentials {
        let identity = &credential.identity;
        let user = desk.stores.directory.user(identity, desk.now()).await.map_err(|error| failed(&error))?;
        user.ok_or_else(|| no_user(identity))?;
    }
    let mut registered = Vec::new();
    for (credential, signer) in credentials {
        let identity = &credential.identity;
        let work = desk.stores.directory.add_credential(&credential, signer.as_deref(), desk.now());
        let serial = Some(credential.serial.as_str());
        let new = match desk.change("credential_registered", Some(identity.into()), serial, work).await? {
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

fn read(desk: &Desk, file: &Path) -> Result<(Credential, Option<String>), Failure> {
    if !file.exists() {
        return Err(Failure::new(NO_INPUT, format!("{}: there is no such file", file.display())));
    }
    app::credential(&desk.document, file, desk.now()).map_err(|problem| Failure::new(DATA, problem))
}

/// What there is of a user, for people and for programs.
#[derive(Serialize)]
struct Held {
    permit: Option<Permission>,
    credentials: Vec<CredentialRecord>,
}

async fn all(desk: &Desk, identity: &Identity) -> Result<Answer, Failure> {
    let directory = &desk.stores.directory;
    let user = directory.user(identity, desk.now()).await.map_err(|error| failed(&error))?;
    user.ok_or_else(|| no_user(identity))?;
    let permit = directory.permit_of(identity).await.map_err(|error| failed(&error))?;
    let credentials =
        directory.credential_history(identity, desk.now()).await.map_err(|error| failed(&error))?;
    let rows: Vec<_> = credentials
        .iter()
        .map(|CredentialRecord { credential, state, .. }| {
            [
                credential.serial.clone(),
                state.to_string(),
                credential.not_before.to_string(),
                credential.not_after.to_string(),
                credential.fingerprint.clone(),
            ]
        })
        .collect();
    let heads = ["SERIAL", "STATE", "VALID FROM", "VALID UNTIL", "SHA-256"];
    let mut text = table(heads, &rows, "There are no certificates.");
    if let Some(permit) = &permit {
        let lapsed = if permit.lapses_at < desk.now() { "lapsed" } else { "lapses" };
        text.push_str(&format!(
            "Permitted at {} by {}; {lapsed} at {}.\n",
            permit.permitted_at, permit.permitted_by, permit.lapses_at
        ));
    }
    Answer::new(text, &Held { permit, credentials })
}

async fn permit(desk: &Desk, identity: &Identity) -> Result<Answer, Failure> {
    let until = permit_until(desk)?;
    let work = desk.stores.directory.permit(identity, &desk.by, until, desk.now());
    match desk
        .change("permitted", Some(identity.into()), None, work)
        .await?
        .map_err(|error| failed(&error))?
    {
        PermitOutcome::Permitted => all(desk, identity).await,
        PermitOutcome::NoUser => Err(no_user(identity)),
        PermitOutcome::HoldsCredential => {
            Err(Failure::new(CANNOT_CREATE, format!("{} holds a certificate", name(identity)))
                .hint("`sekisho credential reissue` revokes it and permits another"))
        }
    }
}

async fn revoke(desk: &Desk, identity: &Identity, cause: RevocationCause) -> Result<Answer, Failure> {
    let (kind, until) = match cause {
        RevocationCause::Reissued => ("reissued", Some(permit_until(desk)?)),
        RevocationCause::Withdrawn | RevocationCause::Superseded => ("revoked", None),
    };
    let work = desk.stores.directory.revoke(identity, cause, &desk.by, until, desk.now());
    let outcome =
        desk.change(kind, Some(identity.into()), None, work).await?.map_err(|error| failed(&error))?;
    if outcome == RevokeOutcome::NoUser {
        return Err(no_user(identity));
    }
    // Best effort: every gateway hears of it through its registry and ends the session by itself.
    if let Ok(state) = &desk.stores.state {
        let _ = state.end_user(&UserTag::of(identity), SessionEnd::Withdrawn, desk.now()).await;
    }
    all(desk, identity).await
}

/// Refused where nobody could use the permit.
fn permit_until(desk: &Desk) -> Result<Timestamp, Failure> {
    let config = &desk.document.config;
    if config.issuer.is_none() {
        return Err(Failure::new(CONFIG, "this configuration issues no certificates: it has no `issuer`"));
    }
    let lasts = SignedDuration::try_from(config.acquisition.permit.get()).unwrap_or(SignedDuration::MAX);
    Ok(desk.now().checked_add(lasts).unwrap_or(Timestamp::MAX))
}
