//! `sekisho ca`: a development PKI in a folder. Not for a bank's own certificates: the key is a plain file.

mod arguments;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;

use super::failure::{CANNOT_CREATE, DATA, Failure, NO_INPUT, USAGE, print};
use crate::clock::Clock;
use crate::domain::Identity;
use crate::pki::development::{
    Authority, AuthorityName, Credential, Crl, Error, Existing, FileStem, Issued, KeyKind, Kind, Password,
    Revocation, Serial, list, stored_serial,
};

pub use arguments::Arguments;
use arguments::{Client, Command, Init, Revoke, Server};

/// Runs the command and says what it made.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match perform(arguments, clock.now()).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("ca"),
    }
}

/// The command itself: what there is to say of it, or why it failed.
fn perform(arguments: &Arguments, now: Timestamp) -> Result<String, Failure> {
    let dir = arguments.dir.as_path();
    match &arguments.command {
        Command::Init(options) => init(dir, options, now),
        Command::Server(options) => server(dir, options, now),
        Command::Client(options) => client(dir, options, now),
        Command::Revoke(options) => revoke(dir, options, now),
        Command::Crl { days } => crl(dir, *days, now),
        Command::List => list(dir).map_err(missing).map(|issued| table(&issued, now)),
    }
}

fn init(dir: &Path, options: &Init, now: Timestamp) -> Result<String, Failure> {
    let name =
        AuthorityName::new(&options.organization, &options.name).map_err(|why| Failure::new(USAGE, why))?;
    let existing = if options.force { Existing::Replace } else { Existing::Keep };
    let authority = Authority::create(dir, &name, existing, now).map_err(|error| match error {
        Error::Exists(_) => Failure::from(error)
            .hint("`--force` makes a new one in its place; what the old one issued is then worth nothing"),
        _ => error.into(),
    })?;
    Ok(format!(
        "Made the CA \"{}\" of {}, valid until {}.\n\
         certificate  {}\n\
         key          {}\n\
         CRL          {}\n",
        name.generation(),
        name.organization(),
        authority.not_after(),
        dir.join("ca.pem").display(),
        dir.join("ca.key").display(),
        dir.join("ca.crl").display(),
    ))
}

fn server(dir: &Path, options: &Server, now: Timestamp) -> Result<String, Failure> {
    let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
    let name = match (&options.name, hosts.first()) {
        (Some(name), _) => name.clone(),
        (None, first) => stem(first.map_or("", String::as_str))?,
    };
    let folder = dir.join("servers");
    let mut authority = open(dir)?;
    keep_existing(&folder, &name, options.force)?;
    let kind = if options.rsa { KeyKind::Rsa3072 } else { KeyKind::EcdsaP256 };
    let credential = authority.issue_server(&name, &hosts, kind, options.days, now)?;
    credential.write(&folder, &name, None)?;
    Ok(issued(&credential, &folder, &name, &["pem", "key"]))
}

fn client(dir: &Path, options: &Client, now: Timestamp) -> Result<String, Failure> {
    let identity = Identity { contract: options.contract.clone(), user: options.user.clone() };
    let name = match &options.name {
        Some(name) => name.clone(),
        None => stem(identity.user.as_str())?,
    };
    let (password, generated) = match given_password(options)? {
        Some(password) => (password, false),
        None => (Password::generate()?, true),
    };
    let folder = dir.join("clients");
    let mut authority = open(dir)?;
    keep_existing(&folder, &name, options.force)?;
    let credential = authority.issue_client(&name, &identity, options.days, now)?;
    credential.write(&folder, &name, Some(&password))?;
    let mut text = issued(&credential, &folder, &name, &["pem", "key", "p12"]);
    if generated {
        // The one time that it is shown: it is stored nowhere.
        let _ =
            writeln!(text, "password     {}   (of the .p12 file; it is not shown again)", password.reveal());
    }
    Ok(text)
}

fn given_password(options: &Client) -> Result<Option<Password>, Failure> {
    let text = match (&options.password, &options.password_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::new(NO_INPUT, format!("cannot read {}: {error}", path.display()))
            })?;
            // Editors end a file with a line break that nobody means.
            text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r')).to_owned()
        }
        (None, None) => return Ok(None),
    };
    Password::new(&text).map(Some).map_err(|why| Failure::new(USAGE, why))
}

fn revoke(dir: &Path, options: &Revoke, now: Timestamp) -> Result<String, Failure> {
    let serial = serial(&options.certificate)?;
    let mut authority = open(dir)?;
    let done = authority.revoke(&serial, now)?;
    // Also if it was revoked before: the list may have been left behind by an interruption.
    let list = authority.write_crl(Authority::CRL_DAYS, now)?;
    let mut text = match done {
        Revocation::Done => format!("Revoked {serial}.\n"),
        Revocation::AlreadyAt(since) => format!("{serial} is revoked since {since} already.\n"),
    };
    text.push_str(&describe(&list));
    Ok(text)
}

/// A file if there is one of that name, else a serial number.
fn serial(certificate: &str) -> Result<Serial, Failure> {
    let path = PathBuf::from(certificate);
    if path.exists() {
        return Ok(stored_serial(&path)?);
    }
    Serial::parse(certificate).ok_or_else(|| {
        let shown = certificate.escape_debug();
        Failure::new(
            DATA,
            format!("`{shown}` is neither a certificate file nor a serial number in hexadecimal"),
        )
    })
}

fn crl(dir: &Path, days: u32, now: Timestamp) -> Result<String, Failure> {
    Ok(describe(&open(dir)?.write_crl(days, now)?))
}

fn describe(list: &Crl) -> String {
    format!(
        "CRL          {} (number {}, {} revoked, due again by {})\n",
        list.path.display(),
        list.number,
        list.revoked,
        list.next_update
    )
}

fn table(issued: &[Issued], now: Timestamp) -> String {
    if issued.is_empty() {
        return "No certificates were issued yet.\n".to_owned();
    }
    let names = issued.iter().map(|entry| entry.name.len()).max().unwrap_or(0).max("NAME".len());
    let mut text = format!(
        "{:40}  {:6}  {:names$}  {:20}  {:29}  SUBJECT\n",
        "SERIAL", "KIND", "NAME", "NOT AFTER", "STATE"
    );
    for entry in issued {
        let kind = match entry.kind {
            Kind::Server => "server",
            Kind::Client => "client",
        };
        let state = match entry.revoked_at {
            Some(since) => format!("revoked {since}"),
            None if entry.not_after < now => "expired".to_owned(),
            None => "good".to_owned(),
        };
        let Issued { serial, name, not_after, subject, .. } = entry;
        let (serial, not_after) = (serial.to_string(), not_after.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{serial:40}  {kind:6}  {name:names$}  {not_after:20}  {state:29}  {subject}");
    }
    text
}

fn issued(credential: &Credential, folder: &Path, name: &FileStem, endings: &[&str]) -> String {
    let entry = credential.issued();
    let mut text = format!(
        "Issued       {}\nserial       {}\nvalid until  {}\n",
        entry.subject, entry.serial, entry.not_after
    );
    for ending in endings {
        let _ = writeln!(
            text,
            "{:11}  {}",
            format!(".{ending}"),
            folder.join(format!("{name}.{ending}")).display()
        );
    }
    text
}

fn open(dir: &Path) -> Result<Authority, Failure> {
    Authority::open(dir).map_err(missing)
}

fn missing(error: Error) -> Failure {
    match error {
        Error::Missing(_) => {
            Failure::from(error).hint("`sekisho ca init` makes one; `--dir` names another folder")
        }
        Error::Broken { .. } => {
            Failure::from(error).hint("`sekisho ca init --force` makes a new CA in place of a damaged one")
        }
        _ => error.into(),
    }
}

fn keep_existing(folder: &Path, name: &FileStem, force: bool) -> Result<(), Failure> {
    let taken = ["pem", "key", "p12"].map(|ending| folder.join(format!("{name}.{ending}")));
    match taken.iter().find(|path| path.exists()) {
        Some(path) if !force => {
            Err(Failure::new(CANNOT_CREATE, format!("{} exists already", path.display()))
                .hint("`--name` gives the files another name; `--force` replaces them"))
        }
        _ => Ok(()),
    }
}

fn stem(text: &str) -> Result<FileStem, Failure> {
    FileStem::new(text).map_err(|why| Failure::new(USAGE, why))
}

#[cfg(test)]
mod tests;
