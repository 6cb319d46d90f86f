//! What can go wrong with a development PKI, in words for the person at the terminal.

use std::path::PathBuf;
use std::{fmt, io};

use jiff::Timestamp;

use super::Serial;

/// Why a development PKI did not do as it was told.
#[derive(Debug)]
pub enum Error {
    /// There is a CA already.
    Exists(PathBuf),
    /// There is no CA.
    Missing(PathBuf),
    /// A file does not hold what it should, or does not belong to the others.
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The CA itself is past its validity.
    Ended(Timestamp),
    /// The CA did not issue the certificate.
    NotIssued(Serial),
    /// A value that a certificate cannot hold.
    Invalid(String),
    /// A file could not be read or written.
    Io {
        /// What was tried, such as `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Cryptography failed, which is not the caller's fault.
    Crypto(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(f, "there is a CA already: {}", path.display()),
            Self::Missing(path) => write!(f, "there is no CA: {} does not exist", path.display()),
            Self::Broken { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Ended(when) => write!(f, "the CA's own certificate ended at {when}"),
            Self::NotIssued(serial) => {
                write!(f, "this CA issued no certificate with the serial number {serial}")
            }
            Self::Invalid(why) => f.write_str(why),
            Self::Io { doing, path, source } => write!(f, "cannot {doing} {}: {source}", path.display()),
            Self::Crypto(why) => write!(f, "cryptography failed: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Crypto(format!("no randomness from the system: {error}"))
    }
}
