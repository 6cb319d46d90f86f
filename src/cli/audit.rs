//! `sekisho audit`: whether the log is what was written, what is in it, a new segment, and the key that signs it.

mod show;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::{CONFIG, DATA, Failure, IO, NO_INPUT, SOFTWARE, print};
use super::pepper::close_to_others;
use super::serve;
use super::staff::{self, Output};
use crate::app::{self, StartError};
use crate::clock::Clock;
use crate::config::{self, Audit};
use crate::stores::{AuditKey, AuditPublicKey, AuditReport, is_audit_log, verify_audit};

/// Verify, search and rotate the audit log, and make the key that signs it
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether the log is what was written; ends with 65 if it isn't, and with 66 if it isn't there
    Verify {
        #[command(flatten)]
        log: Log,
        /// File with the public key (`sekisho audit key --public`); that of the configured `key_file` if absent
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// Only this file: neither the segments before it nor its head
        #[arg(long)]
        alone: bool,
        /// Take for a problem what a crash would explain: half-written lines, records that no head names, a segment
        /// without its end
        #[arg(long)]
        strict: bool,
        /// How to answer
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Print the records, oldest first
    Show(show::Show),
    /// Begin a new segment
    Rotate(staff::audit::Rotate),
    /// Print a new key for `audit.key_file`: `sekisho audit key > secrets/audit.key`
    Key {
        /// Print the public half of this key instead
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
}

/// Which log.
#[derive(Debug, Args)]
pub(super) struct Log {
    /// The log
    #[arg(value_name = "FILE", required_unless_present_any = ["config", "dir"])]
    file: Option<PathBuf>,
    /// The gateway's configuration file, which names the log and its key
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    config: Option<PathBuf>,
    /// The folder of `sekisho demo`
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Log {
    fn configured(&self) -> Result<Option<Audit>, Failure> {
        let config = match (&self.config, &self.dir) {
            (Some(config), _) => config.clone(),
            (None, Some(dir)) => dir.join("sekisho.yaml"),
            (None, None) => return Ok(None),
        };
        let document =
            config::load(&config).map_err(|problems| serve::failure(&StartError::Config(problems)))?;
        let audit = document.config.audit;
        audit.map(Some).ok_or_else(|| Failure::new(CONFIG, "this configuration has no `audit`"))
    }

    /// The log that was typed, else the configured one.
    fn path<'a>(&'a self, configured: Option<&'a Audit>) -> Result<&'a Path, Failure> {
        let path = self.file.as_deref().or_else(|| configured.map(|audit| audit.file.as_path()));
        let path = path.ok_or_else(|| Failure::new(NO_INPUT, "there is no log"))?;
        if is_audit_log(path) {
            Ok(path)
        } else {
            Err(Failure::new(NO_INPUT, format!("{}: there is no such file", path.display())))
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    let done = match &arguments.command {
        Command::Verify { log, public_key, alone, strict, output } => {
            verify(log, public_key.as_deref(), (*alone, *strict), *output)
        }
        Command::Show(show) => show.run(),
        Command::Rotate(rotate) => return rotate.run(clock),
        Command::Key { public } => key(public.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("audit"),
    }
}

fn verify(
    log: &Log,
    public_key: Option<&Path>,
    (alone, strict): (bool, bool),
    output: Output,
) -> Result<(), Failure> {
    let configured = log.configured()?;
    let path = log.path(configured.as_ref())?;
    let key = match (public_key, &configured) {
        (Some(file), _) => Some(AuditPublicKey::read(file).map_err(|error| Failure::new(NO_INPUT, error))?),
        (None, Some(audit)) => {
            app::audit_key(audit).map_err(|error| Failure::new(NO_INPUT, error))?.map(|key| key.public())
        }
        (None, None) => None,
    };
    let mut report = verify_audit(path, key.as_ref(), alone).map_err(|error| unreadable(path, &error))?;
    if strict {
        let doubts = std::mem::take(&mut report.doubts);
        report.problems.extend(doubts);
    }
    match output {
        Output::Text => print(&text(path, &report, key.is_some()))?,
        Output::Json => {
            let json = serde_json::to_string_pretty(&report)
                .map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
            print(&(json + "\n"))?;
        }
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::new(DATA, "the log is not what was written: 1 problem")),
        many => Err(Failure::new(DATA, format!("the log is not what was written: {many} problems"))),
    }
}

fn text(path: &Path, report: &AuditReport, signed: bool) -> String {
    let mut text: String = report.problems.iter().map(|problem| show::visible(problem) + "\n").collect();
    let AuditReport { records, segments, signatures, signed_to, .. } = report;
    if report.problems.is_empty() {
        text += &format!("{}: good.\n", path.display());
    }
    text += &format!("{records} records in {segments} files.\n");
    text.extend(report.doubts.iter().map(|doubt| show::visible(doubt) + ".\n"));
    if signed {
        text += &format!("{signatures} good signatures, of all up to record {signed_to}.\n");
    } else {
        text += "No signature was checked: whoever may write the files could have written the whole chain anew.\n";
    }
    text + &format!("The last record is {} {}.\n", report.last, report.last_hash)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::NotFound { NO_INPUT } else { IO };
    Failure::new(code, format!("{}: {error}", path.display()))
}

fn key(public: Option<&Path>) -> Result<(), Failure> {
    match public {
        Some(file) => {
            let key = AuditKey::read(file).map_err(|error| Failure::new(NO_INPUT, error))?;
            print(&key.public_pem())
        }
        None => {
            let text = AuditKey::generate().map_err(|error| Failure::new(SOFTWARE, error))?;
            close_to_others();
            print(&text)
        }
    }
}
