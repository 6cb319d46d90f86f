//! The directory: contracts, users, PIN hashes, credentials, suspensions, and attempts that must not be forgotten.
//! SQL through sqlx, the same for SQLite and PostgreSQL.
//!
//! Here are its nouns; its verbs lie in the files below, by what they are about. Times are kept in whole seconds. IDs
//! are compared by their bytes, so whoever typed them has to bring them into their one form before (T45).

mod acquisitions;
mod connect;
mod contracts;
mod credentials;
mod lease;
mod lists;
mod members;
mod news;
mod notices;
mod permits;
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
use crate::domain::{
    AuthMethod, ContractId, CredentialState, Identity, Language, NoticeKind, RevocationCause, Role,
    SuspensionCause,
};
use lease::Store;

pub use news::News;

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

/// A credential with all that became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialRecord {
    /// The certificate.
    #[serde(flatten)]
    pub credential: Credential,
    /// Where it stands at the time asked for.
    pub state: CredentialState,
    /// When it was registered: signed here, or first seen.
    pub registered_at: Timestamp,
    /// Since when its holder has it.
    pub acquired_at: Option<Timestamp>,
    /// When it was first used.
    pub used_at: Option<Timestamp>,
    /// When a newer one took its place.
    pub retired_at: Option<Timestamp>,
    /// When and why it was revoked.
    pub revoked: Option<(Timestamp, RevocationCause)>,
    /// Of a renewal: the fingerprint of the one that it renews.
    pub renews: Option<String>,
    /// What ties it to the browser that fetched it, if it was fetched as a file.
    #[serde(skip)]
    pub browser: Option<String>,
}

/// The right to acquire a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Since when.
    pub permitted_at: Timestamp,
    /// By whom: `staff:` and the login name, or the administrator's user ID.
    pub permitted_by: String,
    /// Until when it can be used.
    pub lapses_at: Timestamp,
}

/// What became of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitOutcome {
    /// It is there.
    Permitted,
    /// There is no such user.
    NoUser,
    /// They hold a live credential.
    HoldsCredential,
}

/// What became of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// These were revoked; none if there were none.
    Revoked(Vec<Credential>),
    /// There is no such user.
    NoUser,
}

/// By which right a credential is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// A permit that has not lapsed.
    Permit,
    /// A live credential of the same user, which it renews.
    Renewal {
        /// That one's fingerprint.
        of: String,
    },
    /// An acquisition that is taken up again: a live credential of the same user that was never used, and was acquired at
    /// `not_before` or later, whose place it takes.
    Instead {
        /// That one's fingerprint.
        of: String,
        /// The earliest that it may have been acquired.
        not_before: Timestamp,
    },
}

/// A certificate that was just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    /// The certificate.
    pub credential: Credential,
    /// The issuer, by its key's ID.
    pub issuer: String,
    /// By which right.
    pub right: Right,
    /// Whether its holder has it at once: it goes out as a file with its key. SHA-256 of the secret of the browser that fetches it.
    pub acquired: Option<String>,
}

/// What became of issuing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueOutcome {
    /// It is registered.
    Issued,
    /// There is no such right (any more).
    NoRight,
    /// The user or the contract is suspended.
    Suspended,
}

/// What became of making a credential live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// It is live now.
    Acquired(Identity),
    /// It was live before.
    AlreadyLive(Identity),
    /// It is not there, or no longer to be had.
    Gone,
    /// The user or the contract is suspended.
    Suspended,
}

/// A user as the contract's administrator sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Their permit, lapsed or not.
    pub permit: Option<Permission>,
    /// The credential that says most: the live one that lasts longest, else the issued one, else the one that ended last.
    pub credential: Option<CredentialRecord>,
}

/// Some of a contract's users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Members {
    /// How many there are in all.
    pub total: u64,
    /// Those of the page.
    pub members: Vec<Member>,
}

/// Which part of a long list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many come before.
    pub offset: u32,
    /// How many at most.
    pub limit: u32,
}

/// A mail that is to be sent, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Its number, which no other notice has.
    pub number: i64,
    /// What it is about.
    pub kind: NoticeKind,
    /// Whom it is about.
    #[serde(flatten)]
    pub identity: Identity,
    /// Where it goes.
    pub mail: String,
    /// In which language.
    pub language: Language,
    /// Of a notice about expiry: when the credential ends.
    pub not_after: Option<Timestamp>,
    /// Of a notice about a credential: its serial number, in lower-case hexadecimal.
    pub serial: Option<String>,
    /// When its reason came up.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: NoticeState,
    /// How often the mail server was tried.
    pub attempts: u32,
    /// Until when a gateway has claimed it.
    #[serde(skip)]
    pub claimed_until: Option<Timestamp>,
    /// When it is due next, if it is.
    pub due_at: Option<Timestamp>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// Where a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// It waits for its time, or for a gateway.
    Waiting,
    /// It was being sent when whoever sent it died or lost the mail server: nobody can say whether it arrived. It isn't
    /// sent again by itself; bank staff decide.
    Uncertain,
    /// It was sent.
    Sent,
    /// It was given up: the mail server doesn't want it, or its reason is gone.
    Dropped,
}

/// Which notices a command asks for.
#[derive(Debug, Clone, Default)]
pub struct NoticeQuery {
    /// Only of this contract.
    pub contract: Option<ContractId>,
    /// Only those that are not sent yet.
    pub unsent: bool,
    /// How many at most.
    pub limit: u32,
}

/// The outbox in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoticeCounts {
    /// Waiting.
    pub waiting: u64,
    /// Uncertain.
    pub uncertain: u64,
    /// Dropped because the mail server doesn't want them.
    pub dropped: u64,
    /// When the oldest that waits was written.
    pub oldest: Option<Timestamp>,
}

/// A credential for a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCredential {
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub cause: RevocationCause,
}

/// A revocation list that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedList {
    /// Its number: 1, 2, and so on.
    pub number: u64,
    /// The last change that it knows.
    pub change: i64,
    /// thisUpdate.
    pub this_update: Timestamp,
    /// nextUpdate.
    pub next_update: Timestamp,
    /// The list (DER).
    pub der: Vec<u8>,
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
