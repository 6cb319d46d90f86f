//! The registry: the directory's picture in memory, which the data path reads. Never waits for anything.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::Registration;
use crate::domain::{ContractId, CredentialState, Identity, Reason, Refusal, Role, SuspensionCause};

/// What the registry says of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The directory doesn't know it.
    Unknown,
    /// A user with this role, in good standing.
    Known(Role),
    /// The user or the contract is suspended.
    Suspended,
    /// Nobody can say: the directory hasn't answered for longer than `directory.max_age`.
    Stale,
}

/// Contracts, users and suspensions, as of a moment ago. At first it knows nobody.
#[derive(Default)]
pub struct Registry {
    /// Whether wrong PINs that were typed without the certificate stop its holder too.
    stops_certificates: AtomicBool,
    /// Whether a certificate must be registered.
    requires_registration: AtomicBool,
    /// The number of the last change in the picture, readable without waiting for anybody.
    change: AtomicI64,
    /// Whether the picture is too old to be believed.
    is_stale: AtomicBool,
    picture: RwLock<Picture>,
}

#[derive(Default)]
struct Picture {
    as_of: Option<Timestamp>,
    users: HashMap<Identity, Entry>,
    suspended_contracts: HashSet<ContractId>,
    credentials: HashMap<[u8; 32], CredentialEntry>,
}

/// One credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CredentialEntry {
    pub(super) stage: Stage,
    /// notAfter, in seconds since 1970.
    pub(super) until: i64,
}

/// How far a credential has come, its end aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Issued,
    /// Its holder has it, and has not used it yet.
    Unused,
    Used,
    Retired,
    Revoked,
}

/// What the registry says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisteredCredential {
    /// The directory has none of this fingerprint.
    Unknown,
    /// It was signed, and nobody has proven to have it.
    Issued,
    /// It is its holder's.
    Live {
        /// Whether it was used before.
        is_used: bool,
    },
    /// A newer one took its place.
    Retired,
    /// It was revoked.
    Revoked,
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) role: Role,
    pub(super) suspensions: Vec<SuspensionCause>,
    /// notAfter of the live credential that lasts longest.
    pub(super) credential_until: Option<Timestamp>,
}

/// What changed in the directory.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether this is everything, and nothing known before holds any longer.
    pub(super) is_whole: bool,
    /// The number of the last change.
    pub(super) change: i64,
    pub(super) users: Vec<(Identity, Entry)>,
    /// Contracts with whether they are suspended.
    pub(super) contracts: Vec<(ContractId, bool)>,
    /// Credentials by fingerprint.
    pub(super) credentials: Vec<([u8; 32], CredentialEntry)>,
}

impl Registry {
    /// An empty registry that goes by these rules.
    pub fn new(stops_certificates: bool, registration: Registration) -> Self {
        let registry = Self::default();
        registry.rule(stops_certificates, registration);
        registry
    }

    /// What to go by from now on: whether wrong PINs that were typed without the certificate stop its holder too, and
    /// whether a certificate must be registered.
    pub fn rule(&self, stops_certificates: bool, registration: Registration) {
        self.stops_certificates.store(stops_certificates, Ordering::Release);
        self.requires_registration.store(registration == Registration::Required, Ordering::Release);
    }

    /// What is known of `identity` when it is proven by a certificate, by a session that was made with one, or (with
    /// `by_pin`) by a session that was made with the PIN alone.
    pub fn find(&self, identity: &Identity, by_pin: bool) -> Registered {
        if self.is_stale.load(Ordering::Acquire) {
            return Registered::Stale;
        }
        let picture = self.picture.read().unwrap_or_else(PoisonError::into_inner);
        if picture.suspended_contracts.contains(&identity.contract) {
            return Registered::Suspended;
        }
        let Some(entry) = picture.users.get(identity) else { return Registered::Unknown };
        let stops = |cause: &SuspensionCause| match cause {
            SuspensionCause::WrongPins => by_pin || self.stops_certificates.load(Ordering::Acquire),
            SuspensionCause::WrongPinsWithCertificate
            | SuspensionCause::Staff
            | SuspensionCause::Administrator => true,
        };
        if entry.suspensions.iter().any(stops) {
            Registered::Suspended
        } else {
            Registered::Known(entry.role)
        }
    }

    /// What is known of the certificate with this SHA-256. Its end is the judge's business.
    pub fn credential(&self, fingerprint: &[u8; 32]) -> RegisteredCredential {
        let picture = self.picture.read().unwrap_or_else(PoisonError::into_inner);
        match picture.credentials.get(fingerprint).map(|entry| entry.stage) {
            None => RegisteredCredential::Unknown,
            Some(Stage::Issued) => RegisteredCredential::Issued,
            Some(Stage::Unused) => RegisteredCredential::Live { is_used: false },
            Some(Stage::Used) => RegisteredCredential::Live { is_used: true },
            Some(Stage::Retired) => RegisteredCredential::Retired,
            Some(Stage::Revoked) => RegisteredCredential::Revoked,
        }
    }

    /// What speaks against a certificate that the judge finds good.
    pub fn objection(&self, fingerprint: &[u8; 32]) -> Option<Refusal> {
        let (reason, detail) = match self.credential(fingerprint) {
            RegisteredCredential::Live { .. } => return None,
            RegisteredCredential::Unknown if !self.requires_registration.load(Ordering::Acquire) => {
                return None;
            }
            RegisteredCredential::Unknown => (Reason::Unregistered, "the directory has no such credential"),
            RegisteredCredential::Issued => (Reason::Unregistered, "its acquisition was not completed"),
            RegisteredCredential::Retired => (Reason::Retired, "a newer credential took its place"),
            RegisteredCredential::Revoked => (Reason::Revoked, "the directory has it as revoked"),
        };
        Some(Refusal::new(reason, detail))
    }

    /// How many credentials there are in which state.
    pub fn count_credentials(&self, now: Timestamp) -> Vec<(CredentialState, u64)> {
        let mut counts = vec![0; CredentialState::ALL.len()];
        let picture = self.picture.read().unwrap_or_else(PoisonError::into_inner);
        for entry in picture.credentials.values() {
            let state = entry.state(now.as_second());
            let index = CredentialState::ALL.iter().position(|other| *other == state).unwrap_or_default();
            counts[index] += 1;
        }
        CredentialState::ALL.iter().copied().zip(counts).collect()
    }

    /// How long each live credential has to go, in seconds.
    pub fn times_to_expiry(&self, now: Timestamp) -> Vec<i64> {
        let (now, picture) = (now.as_second(), self.picture.read().unwrap_or_else(PoisonError::into_inner));
        let live = picture.credentials.values().filter(|entry| entry.state(now) == CredentialState::Live);
        live.map(|entry| entry.until - now).collect()
    }

    /// Whether the user holds a credential that is live at `now`.
    pub fn has_live_credential(&self, identity: &Identity, now: Timestamp) -> bool {
        let picture = self.picture.read().unwrap_or_else(PoisonError::into_inner);
        let until = picture.users.get(identity).and_then(|entry| entry.credential_until);
        until.is_some_and(|until| now <= until)
    }

    /// When it last agreed with the directory.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.picture.read().unwrap_or_else(PoisonError::into_inner).as_of
    }

    /// The number of the last change that it knows; 0 at first. Whoever saw another one may have to look again.
    pub fn change(&self) -> i64 {
        self.change.load(Ordering::Acquire)
    }

    /// Another number whenever somebody's standing may be another.
    pub fn version(&self) -> i64 {
        if self.is_stale.load(Ordering::Acquire) { -1 } else { self.change() }
    }

    /// Looks how old the picture is at `now`: beyond `max_age` nobody is known any more (invariant 6).
    pub fn age(&self, now: Timestamp, max_age: Duration) {
        let limit = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let is_stale = self.as_of().is_none_or(|as_of| now.duration_since(as_of) > limit);
        self.is_stale.store(is_stale, Ordering::Release);
    }

    /// Takes in what changed up to `now`.
    pub(super) fn apply(&self, changes: Changes, now: Timestamp) {
        let mut picture = self.picture.write().unwrap_or_else(PoisonError::into_inner);
        if changes.is_whole {
            *picture = Picture::default();
        } else if changes.change < self.change() {
            // Another refresh came in between, with what is newer.
            return;
        }
        picture.as_of = Some(now);
        picture.users.extend(changes.users);
        picture.credentials.extend(changes.credentials);
        for (contract, is_suspended) in changes.contracts {
            if is_suspended {
                picture.suspended_contracts.insert(contract);
            } else {
                picture.suspended_contracts.remove(&contract);
            }
        }
        // While the picture is still held: whoever sees the number finds the change.
        self.change.store(changes.change, Ordering::Release);
    }
}

impl CredentialEntry {
    const fn state(self, now: i64) -> CredentialState {
        match self.stage {
            Stage::Revoked => CredentialState::Revoked,
            Stage::Retired => CredentialState::Retired,
            _ if self.until < now => CredentialState::Expired,
            Stage::Issued => CredentialState::Issued,
            Stage::Unused | Stage::Used => CredentialState::Live,
        }
    }
}
