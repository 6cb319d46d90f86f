//! The directory: contracts, users, PIN hashes, credentials, suspensions, and attempts that must not be forgotten.
//! SQL through sqlx, the same for SQLite and PostgreSQL.
//!
//! Here are its nouns; its verbs lie in the files below, by what they are about. Times are kept in whole seconds. IDs
//! are compared by their bytes, so whoever typed them has to bring them into their one form before (T45).

mod connect;
mod contracts;
mod credentials;
mod lease;
mod pictures;
mod pins;
mod suspensions;
mod users;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::Unavailable;
use crate::domain::{AuthMethod, ContractId, Identity, Language, Role, SuspensionCause};
use lease::Store;

/// Where the directory is, with its secrets read.
#[derive(Clone)]
pub enum DirectorySettings {
    /// An SQLite file, which is made if it isn't there.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres {
        /// The URL, without a password.
        url: String,
        /// The password.
        password: Option<zeroize::Zeroizing<String>>,
    },
}

/// A contract that is to be added.
#[derive(Debug, Clone)]
pub struct NewContract {
    /// Its ID.
    pub id: ContractId,
    /// The company's name.
    pub name: String,
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contract {
    /// Its ID.
    pub id: ContractId,
    /// The company's name.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// Since when it is suspended.
    pub suspended_at: Option<Timestamp>,
}

/// A user that is to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Contract and user ID.
    pub identity: Identity,
    /// What they may do.
    pub role: Role,
    /// Where mails go.
    pub mail: Option<String>,
    /// What they read.
    pub language: Language,
    /// Hash of a temporary PIN, and until when it can be used.
    pub pin: Option<(String, Timestamp)>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Contract and user ID.
    #[serde(flatten)]
    pub identity: Identity,
    /// What they may do.
    pub role: Role,
    /// Where mails go.
    pub mail: Option<String>,
    /// What they read.
    pub language: Language,
    /// Whether there is a PIN.
    pub has_pin: bool,
    /// If the PIN is a temporary one: until when it can be used.
    pub pin_temporary_until: Option<Timestamp>,
    /// The last sign-in.
    pub last_sign_in: Option<LastSignIn>,
    /// What suspends them.
    pub suspensions: Vec<Suspension>,
    /// notAfter of the live credential that lasts longest.
    pub credential_until: Option<Timestamp>,
    /// When they were added.
    pub created_at: Timestamp,
}

/// A sign-in that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct LastSignIn {
    /// When.
    pub at: Timestamp,
    /// How.
    pub method: AuthMethod,
}

/// A suspension in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Suspension {
    /// Why.
    pub cause: SuspensionCause,
    /// Since when.
    pub at: Timestamp,
}

/// A client certificate that was issued to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Whose it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What a sign-in needs to know of a user, from one query.
#[derive(Clone)]
pub struct Candidate {
    /// What they may do.
    pub role: Role,
    /// What they read.
    pub language: Language,
    /// Hash of the PIN (PHC string format).
    pub pin_hash: Option<String>,
    /// If the PIN is a temporary one: until when it can be used.
    pub pin_temporary_until: Option<Timestamp>,
    /// Whether the contract is suspended.
    pub contract_suspended: bool,
    /// What suspends the user.
    pub suspensions: Vec<Suspension>,
    /// Whether a credential of theirs is live at the time asked for: then no PIN alone lets them in (T40).
    pub has_live_credential: bool,
    /// The last sign-in.
    pub last_sign_in: Option<LastSignIn>,
}

/// Why something was not added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddError {
    /// It is there already.
    Exists,
    /// The contract that it belongs to isn't.
    NoContract,
    /// The user that it belongs to isn't.
    NoUser,
    /// The store can't be asked.
    Unavailable(Unavailable),
}

impl From<Unavailable> for AddError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl From<sqlx::Error> for AddError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

/// How many attempts were made for the IDs that somebody typed, and how many may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// The most.
    pub limit: u32,
    /// After this long without an attempt they are forgotten.
    pub quiet: Duration,
}

/// The directory. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Directory(Arc<Store>);
