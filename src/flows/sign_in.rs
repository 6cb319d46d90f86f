//! Signing in: by PIN, by certificate, by both; what a session is worth now; signing out; a new PIN.

mod attempt;
mod by_certificate;
mod by_pin;
mod change_pin;
mod pin_again;
mod sessions;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

pub(super) use by_pin::NotRight;
pub(super) use pin_again::NotAgain;

use super::Pins;
use crate::clock::Clock;
use crate::config::{Concurrent, Lockout};
use crate::domain::{
    AuthMethod, Identity, Language, PIN_LENGTH, PinRules, Purpose, Role, SessionEnd, SessionToken, Visitor,
    WeakPin,
};
use crate::pki::Judge;
use crate::stores::{
    AuditEvent, AuditLog, Directory, LastSignIn, Registry, SessionLimits, State, Unavailable,
};

/// What somebody typed, as they typed it.
pub struct TypedIds {
    /// The contract ID.
    pub contract: String,
    /// The user ID.
    pub user: String,
    /// The PIN.
    pub pin: Zeroizing<String>,
}

/// What signing in is built from.
pub struct SignInSettings {
    /// The durable store.
    pub directory: Directory,
    /// The fast store.
    pub state: State,
    /// The picture in memory.
    pub registry: Arc<Registry>,
    /// Where decisions are written down.
    pub audit: Arc<AuditLog>,
    /// Checks PINs.
    pub pins: Pins,
    /// Whether people can sign in by PIN alone.
    pub pin_enabled: bool,
    /// Whether a certificate needs the PIN after it.
    pub certificate_needs_pin: bool,
    /// Rules for new PINs; `None` if the bank's own system holds the PINs.
    pub rules: Option<PinRules>,
    /// Counting and throttling.
    pub lockout: Lockout,
    /// How long sessions last.
    pub limits: SessionLimits,
    /// What a second sign-in does.
    pub concurrent: Concurrent,
    /// Judges the chains of sessions; `None` where nobody has a certificate.
    pub judge: Option<Judge>,
    /// The time.
    pub clock: Clock,
    /// Told of every outcome, for the metrics.
    pub observer: Observer,
}

/// Told how somebody tried to sign in, and the code of what became of it.
pub type Observer = Box<dyn Fn(AuthMethod, &'static str) + Send + Sync>;

/// Signing in, and all that belongs to it.
pub struct SignIn {
    pub(super) settings: SignInSettings,
}

/// A session that was just opened.
#[derive(Debug)]
pub struct NewSession {
    /// For the browser's cookie.
    pub token: SessionToken,
    /// Who they are, and so on.
    pub signed_in: SignedIn,
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// What they may do, as of now.
    pub role: Role,
    /// How they signed in.
    pub method: AuthMethod,
    /// Whether they may do anything but change a temporary PIN.
    pub purpose: Purpose,
    /// When.
    pub at: Timestamp,
    /// The sign-in before.
    pub previous: Option<LastSignIn>,
    /// The SHA-256 of the certificate that they showed, if they did.
    pub certificate: Option<[u8; 32]>,
}

/// What became of a sign-in by PIN.
#[derive(Debug)]
pub enum PinOutcome {
    /// They are in, if only to change their temporary PIN (`Purpose::PinChange`).
    SignedIn(Box<NewSession>),
    /// IDs or PIN are wrong, or it isn't to be said what (T40, T44). The same page for all of it.
    Refused,
    /// For these IDs, existing or not, too many wrong PINs were typed lately.
    Suspended,
    /// Too many attempts from there, or in all.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The user is signed in elsewhere, and the bank wants that to end first.
    Occupied,
    /// Too many people are signing in just now.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// What became of a sign-in by certificate.
#[derive(Debug)]
pub enum CertificateOutcome {
    /// The connection has no good certificate.
    NoCertificate,
    /// They are in.
    SignedIn(Box<NewSession>),
    /// The PIN is needed too.
    PinNeeded,
    /// The certificate is good, but the directory doesn't know its user.
    UnknownUser,
    /// The user or the contract is suspended. The certificate proves who asks, so it may be said.
    Suspended,
    /// The PIN was wrong.
    Refused,
    /// Too many attempts.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Signed in elsewhere, and the bank wants that to end first.
    Occupied,
    /// Too many people are signing in just now.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// What a session is worth now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// It holds.
    SignedIn(Box<SignedIn>),
    /// It held once.
    Over(SessionEnd),
    /// There never was one, or it is long forgotten.
    Nobody,
}

/// What became of a change of the PIN.
#[derive(Debug)]
pub enum PinChange {
    /// Changed; the session has a new token.
    Changed(Box<NewSession>),
    /// The present PIN is wrong. It counted as an attempt.
    Wrong,
    /// The new one isn't good enough, or isn't a PIN at all (`Length`).
    Weak(WeakPin),
    /// Too many wrong ones: the user is suspended now, and the session is over.
    Suspended,
    /// There is no session (any more).
    Nobody,
    /// PINs aren't held here.
    NotHere,
    /// Too many attempts.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Too many people at once.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

impl SignIn {
    /// Puts it together.
    pub const fn new(settings: SignInSettings) -> Self {
        Self { settings }
    }

    /// The language that a user reads, once they have signed in.
    pub async fn language(&self, identity: &Identity) -> Result<Option<Language>, Unavailable> {
        let candidate = self.settings.directory.candidate(identity, self.settings.clock.now()).await?;
        Ok(candidate.map(|candidate| candidate.language))
    }

    /// Whether people can sign in by PIN alone.
    pub const fn pin_enabled(&self) -> bool {
        self.settings.pin_enabled
    }

    /// Whether PINs are held, and so can be changed, here.
    pub const fn holds_pins(&self) -> bool {
        self.settings.rules.is_some()
    }

    /// Fewest and most characters of a PIN, for the pages that say so.
    pub fn pin_length(&self) -> (usize, usize) {
        let length = self.settings.rules.as_ref().map_or(PIN_LENGTH, |rules| rules.length.clone());
        (*length.start(), *length.end())
    }

    /// How many wrong PINs in a row suspend a user, for the page that says so.
    pub const fn attempts(&self) -> u32 {
        self.settings.lockout.attempts.get()
    }

    pub(super) fn observe(&self, method: AuthMethod, outcome: &'static str) {
        (self.settings.observer)(method, outcome);
    }

    /// Writes a decision down, and waits until it is on disk.
    pub(super) async fn write_down(
        &self,
        decision: Decision<'_>,
        visitor: &Visitor,
    ) -> Result<(), Unavailable> {
        self.write_down_of(decision, visitor.source, Some(&visitor.request_id)).await
    }

    /// The same of what no request stands behind, but a connection.
    pub(super) async fn write_down_of(
        &self,
        decision: Decision<'_>,
        source: IpAddr,
        request_id: Option<&str>,
    ) -> Result<(), Unavailable> {
        let event = AuditEvent {
            time: self.settings.clock.now(),
            kind: decision.kind,
            about: decision.identity.map(Into::into),
            by: decision.by,
            source: Some(source),
            request_id,
            detail: decision.detail,
        };
        let (log, line) = (self.settings.audit.clone(), event.line()?);
        let written = tokio::task::spawn_blocking(move || log.append(&line)).await;
        written.unwrap_or_else(|error| Err(Unavailable::new("audit", error)))
    }
}

/// What is written down.
pub(super) struct Decision<'a> {
    pub(super) kind: &'static str,
    pub(super) identity: Option<&'a Identity>,
    pub(super) by: &'a str,
    pub(super) detail: Option<&'a str>,
}
