//! `sekisho issuer`: its revocation list, and whether what it issued is what was permitted.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::table::{list, table};
use super::{Answer, Common, Desk, Failure, failed};
use crate::app::{self, StartError};
use crate::cli::failure::{CONFIG, DATA, IO, NO_INPUT};
use crate::cli::serve;
use crate::clock::Clock;
use crate::flows::{AuditTrail, Discrepancy, Finding};
use crate::pki::Issuer;
use crate::stores::audit_segments;

/// Publish the revocation list, and hold what was issued against what was permitted
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new revocation list if one is due, and write the newest to its file
    Publish {
        #[command(flatten)]
        common: Common,
        /// Make one in any case, with a number greater than any before: after the directory was restored from a backup
        #[arg(long)]
        anew: bool,
    },
    /// Hold the audit logs of all gateways against the directory; ends with 65 if something doesn't fit
    Reconcile {
        #[command(flatten)]
        common: Common,
        /// Audit logs of other gateways; the configured one is always read, with its older segments
        #[arg(value_name = "FILE")]
        logs: Vec<PathBuf>,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match &arguments.command {
        Command::Publish { common, anew } => {
            super::run("issuer", common, clock, async |desk| publish(desk, *anew).await)
        }
        Command::Reconcile { common, logs } => {
            super::run("issuer", common, clock, async |desk| reconcile(desk, logs).await)
        }
    }
}

fn issuer(desk: &Desk) -> Result<std::sync::Arc<Issuer>, Failure> {
    app::issuer(&desk.document, desk.now())
        .map_err(|problems| serve::failure(&StartError::Config(problems)))?
        .ok_or_else(|| Failure::new(CONFIG, "this configuration has no `issuer`"))
}

/// A list that was published.
#[derive(Serialize)]
struct Published {
    number: u64,
    this_update: jiff::Timestamp,
    next_update: jiff::Timestamp,
    file: Option<PathBuf>,
}

async fn publish(desk: &Desk, anew: bool) -> Result<Answer, Failure> {
    let issuer = issuer(desk)?;
    let config = &desk.document.config;
    let lists = app::revocation_lists(config, &desk.stores.directory, &issuer);
    let newest = if anew { lists.anew(desk.now()).await } else { lists.current(desk.now()).await };
    let newest = newest.map_err(|error| failed(&error))?;
    let file = config.issuer.as_ref().and_then(|issuer| issuer.crl.file.clone());
    if let Some(file) = &file {
        app::write_list(file, &newest.der).map_err(|problem| Failure::new(IO, problem))?;
    }
    let published = Published {
        number: newest.number,
        this_update: newest.this_update,
        next_update: newest.next_update,
        file,
    };
    let text = list(&[
        ("number", published.number.to_string()),
        ("made", published.this_update.to_string()),
        ("next due", published.next_update.to_string()),
        ("file", super::table::or_dash(published.file.as_ref().map(|file| file.display().to_string()))),
    ]);
    Answer::new(text, &published)
}

/// What a reconciliation found.
#[derive(Serialize)]
struct Reconciled {
    credentials: usize,
    audit_records: u64,
    unreadable_records: u64,
    findings: Vec<Finding>,
}

async fn reconcile(desk: &Desk, logs: &[PathBuf]) -> Result<Answer, Failure> {
    let issuer = issuer(desk)?;
    let mut trail = AuditTrail::default();
    let own = match &desk.document.config.audit {
        Some(audit) => audit_segments(&audit.file)
            .map_err(|error| Failure::new(NO_INPUT, format!("{}: {error}", audit.file.display())))?,
        None => Vec::new(),
    };
    for file in own.iter().chain(logs) {
        let failed =
            |code, error: &std::io::Error| Failure::new(code, format!("{}: {error}", file.display()));
        let log = File::open(file).map_err(|error| failed(NO_INPUT, &error))?;
        for line in BufReader::new(log).lines() {
            trail.read(&line.map_err(|error| failed(IO, &error))?);
        }
    }
    let directory = &desk.stores.directory;
    let credentials = directory.issued(issuer.id(), desk.now()).await.map_err(|error| failed(&error))?;
    let findings = trail.hold_against(&credentials);
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let what = match finding.discrepancy {
                Discrepancy::NotAudited => "in the directory, in no audit log",
                Discrepancy::NotRegistered => "in an audit log, not in the directory",
                Discrepancy::NotPermitted => "nobody had permitted it",
            };
            [
                finding.identity.contract.to_string(),
                finding.identity.user.to_string(),
                finding.serial.clone(),
                what.to_owned(),
            ]
        })
        .collect();
    let mut text =
        table(["CONTRACT", "USER", "SERIAL", ""], &rows, "Everything that was issued was permitted.");
    text.push_str(&format!("{} certificates, {} audit records.\n", credentials.len(), trail.lines));
    let trouble = (!findings.is_empty() || trail.unreadable > 0).then(|| {
        Failure::new(DATA, format!("{} findings, {} unreadable records", findings.len(), trail.unreadable))
    });
    let reconciled = Reconciled {
        credentials: credentials.len(),
        audit_records: trail.lines,
        unreadable_records: trail.unreadable,
        findings,
    };
    Ok(Answer::new(text, &reconciled)?.but(trouble))
}
