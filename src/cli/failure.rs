//! What ends a command: a sentence for the person at the terminal and an exit code of sysexits(3).

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::pki::development::Error;

/// The command line is wrong.
pub(super) const USAGE: u8 = 64;
/// A file does not hold what it should.
pub(super) const DATA: u8 = 65;
/// A file that is needed is not there.
pub(super) const NO_INPUT: u8 = 66;
/// Whom it is about doesn't exist.
pub(super) const NO_USER: u8 = 67;
/// An address cannot be listened on, or a part does not come up.
pub(super) const UNAVAILABLE: u8 = 69;
/// Our own fault.
pub(super) const SOFTWARE: u8 = 70;
/// A file cannot be made, or must not be replaced.
pub(super) const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed.
pub(super) const IO: u8 = 74;
/// Something is wrong, and may be right again later.
pub(super) const TEMPORARY: u8 = 75;
/// It is not for this user to do.
pub(super) const NO_PERMISSION: u8 = 77;
/// The configuration is wrong.
pub(super) const CONFIG: u8 = 78;

/// Why a command ended early.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Adds what the person can do about it.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        self.message.push_str("\n  ");
        self.message.push_str(hint);
        self
    }

    /// Says it on stderr.
    pub(super) fn report(&self, command: &str) -> ExitCode {
        // What has lines of its own begins on one.
        let space = if self.message.starts_with('\n') { "" } else { " " };
        // Nobody is left to be told if stderr is closed.
        let _ = writeln!(io::stderr(), "sekisho {command}:{space}{}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Exists(_) | Error::Io { doing: "create", .. } => CANNOT_CREATE,
            Error::Missing(_) => NO_INPUT,
            Error::Broken { .. } | Error::Ended(_) | Error::NotIssued(_) => DATA,
            Error::Invalid(_) => USAGE,
            Error::Io { doing: "read", source, .. } if source.kind() == ErrorKind::NotFound => NO_INPUT,
            Error::Io { doing: "write" | "lock", source, .. } if forbids(source.kind()) => CANNOT_CREATE,
            Error::Io { .. } => IO,
            Error::Crypto(_) => SOFTWARE,
        };
        Self::new(code, error.to_string())
    }
}

/// Whether no file can be made there, however often it is tried.
const fn forbids(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
    )
}

/// Prints and flushes. A reader that has heard enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(IO, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
