//! What is kept: the directory (durable), the state (fast), the registry (the directory's picture in memory), and the
//! audit log.
//!
//! Nothing here knows HTTP or decides anything: the verbs are `flows`'.

mod audit;
mod directory;
mod files;
mod registry;
mod state;

use std::fmt;

pub use audit::{
    AuditEvent, AuditKey, AuditLog, AuditPublicKey, AuditRecord, AuditReport, AuditSettings, AuditSubject,
    Syslog, audit_head, audit_segments, escaped, is_audit_log, verify_audit,
};
pub use directory::{
    AcquireOutcome, AddError, Attempts, Candidate, Contract, Credential, CredentialRecord, Directory,
    DirectorySettings, IssueOutcome, LastSignIn, Member, Members, NewContract, NewCredential, NewUser, News,
    Notice, NoticeCounts, NoticeQuery, NoticeState, Page, Permission, PermitOutcome, PublishedList,
    RevokeOutcome, RevokedCredential, Right, Suspension, User,
};
pub use registry::{Registered, RegisteredCredential, Registry};
pub use state::{
    AttemptKey, FoundSession, OpenedSession, Reservation, SessionLimits, SessionRecord, State, StateSettings,
    StoredTicketSecret, Throttled, TicketSecretOffer,
};

/// A store that can't be asked now. Whoever sees this fails closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// `directory`, `state`, `audit` or `verifier`.
    pub store: &'static str,
    /// What happened, for the log. Holds no secret.
    pub problem: String,
}

impl Unavailable {
    /// A store that failed with `problem`.
    pub fn new(store: &'static str, problem: impl fmt::Display) -> Self {
        Self { store, problem: problem.to_string() }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is not available: {}", self.store, self.problem)
    }
}

impl std::error::Error for Unavailable {}
