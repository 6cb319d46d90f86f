//! The state: attempts, sessions, one-time codes and ticket secrets. Embedded for gateways of one machine, Redis for many.
//!
//! Every operation is atomic. Both stores give the same answers to the same operations, and forget at the same times:
//! `now` is an argument.

mod embedded;
mod redis;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::embedded::Embedded;
use self::redis::Redis;
use super::{LastSignIn, Unavailable};
use crate::clock::Clock;
use crate::domain::{AuthMethod, Identity, Pace, Purpose, SessionEnd, SessionKey, UserTag};

/// Where the state is, with its secrets read.
#[derive(Clone)]
pub enum StateSettings {
    /// A file, which is made if it isn't there.
    Embedded(PathBuf),
    /// Redis.
    Redis {
        /// Where.
        url: crate::config::RedisUrl,
        /// The password.
        password: Option<zeroize::Zeroizing<String>>,
        /// PEM with the authorities of the servers' certificates; the system's if absent.
        authorities: Option<Vec<u8>>,
        /// How many replicas must have a counted attempt before it counts as reserved.
        replicas: u32,
    },
}

/// Whose attempts are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The user's tag, of the IDs as typed.
    pub tag: UserTag,
    /// Whether they are typed behind the user's own certificate: those are counted for themselves.
    pub proven: bool,
}

/// The answer to a request for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// It may be made, and is the nth in a row.
    Reserved(u32),
    /// As many as may be made in a row have been made. It is not counted.
    Exhausted,
}

/// The answer of a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttled {
    /// It may go on.
    Allowed,
    /// Too many; the next may come after this long.
    Denied(Duration),
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Who signed in.
    pub identity: Identity,
    /// How.
    pub method: AuthMethod,
    /// What it is good for.
    pub purpose: Purpose,
    /// When they signed in.
    pub created_at: Timestamp,
    /// The sign-in before this one.
    pub previous: Option<LastSignIn>,
    /// The certificate that it was made with, and its chain, each in base64 (DER): judged anew at every look (T3).
    pub chain: Vec<String>,
}

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// It ends when it wasn't used for this long.
    pub idle: Duration,
    /// It ends after this long in any case.
    pub absolute: Duration,
}

/// The answer to a request for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenedSession {
    /// It is open.
    Opened,
    /// The user has another one, which may not be replaced.
    Occupied,
    /// The one that it was to renew is over: renewing must not bring it back to life.
    Gone,
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundSession {
    /// It lasts.
    Live(Box<SessionRecord>),
    /// It is over. Known for an hour; then it is unknown.
    Over(SessionEnd),
    /// Never heard of, or forgotten.
    Unknown,
}

/// A secret of session tickets as the state keeps it: sealed, so that whoever reads the state can open no ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTicketSecret {
    /// Names it: hexadecimal digits.
    pub id: String,
    /// What is known of it, and the secret itself, sealed: printable ASCII. Empty where the state holds rubbish.
    pub sealed: String,
}

/// A new ticket secret, and what its gateway knows.
#[derive(Debug, Clone, Copy)]
pub struct TicketSecretOffer<'a> {
    /// The secret.
    pub secret: &'a StoredTicketSecret,
    /// How long it is kept.
    pub lasts: Duration,
    /// The IDs of those that it takes the place of.
    pub replaces: &'a [String],
    /// How long these are kept from now on, at most.
    pub replaced_last: Duration,
    /// The IDs of others that its gateway has seen.
    pub others: &'a [String],
}

/// The state. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct State {
    store: Store,
}

#[derive(Clone)]
enum Store {
    Embedded(Embedded),
    Redis(Redis),
}

/// How many ticket secrets there may be. Gateways of one configuration need half as many at most.
const MOST_TICKET_SECRETS: i64 = 64;

/// How long the end of a session stays known.
const KNOWN_FOR: i64 = 3_600_000;

impl State {
    /// Prepares the store. A Redis that can't be reached now is no error: it is asked again with every operation.
    pub async fn open(settings: &StateSettings, timeout: Duration) -> Result<Self, Unavailable> {
        Self::open_on(settings, timeout, Clock::System).await
    }

    /// The same on a machine with another clock.
    pub async fn open_on(
        settings: &StateSettings,
        timeout: Duration,
        machine: Clock,
    ) -> Result<Self, Unavailable> {
        let store = match settings {
            StateSettings::Embedded(path) => Store::Embedded(Embedded::open(path, timeout).await?),
            StateSettings::Redis { url, password, authorities, replicas } => Store::Redis(Redis::new(
                url,
                password.as_deref(),
                authorities.as_deref(),
                *replicas,
                timeout,
                machine,
            )?),
        };
        Ok(Self { store })
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), Unavailable> {
        match &self.store {
            Store::Embedded(store) => store.ping().await,
            Store::Redis(store) => store.ping().await,
        }
    }

    /// Whether the state takes what is written, by something that nobody asks for.
    pub async fn try_to_write(&self, now: Timestamp) -> Result<(), Unavailable> {
        self.throttle("try_to_write", u32::MAX, Duration::from_secs(1), now).await.map(drop)
    }

    /// Lets `attempts` through in `per`, evenly refilled (GCRA), for everybody who uses the same `key`.
    pub async fn throttle(
        &self,
        key: &str,
        attempts: u32,
        per: Duration,
        now: Timestamp,
    ) -> Result<Throttled, Unavailable> {
        let now = now.as_millisecond();
        // Nothing may come: there is no next.
        let Some(pace) = Pace::new(attempts, per, attempts) else { return Ok(Throttled::Denied(per)) };
        match &self.store {
            Store::Embedded(store) => store.throttle(key, pace, now).await,
            Store::Redis(store) => store.throttle(key, pace, now).await,
        }
    }

    /// Adds what was let through elsewhere already (`spent`: for whom, and how many) to what everybody counts by `pace` under
    /// this `limit`: when the next of each is due, in microseconds. `None` from the embedded state: it has nobody to
    /// share it with.
    pub async fn spend(
        &self,
        limit: &str,
        pace: Pace,
        spent: &[(&str, u32)],
        now: Timestamp,
    ) -> Result<Option<Vec<i64>>, Unavailable> {
        match &self.store {
            Store::Embedded(_) => Ok(None),
            Store::Redis(store) => store.spend(limit, pace, spent, now.as_millisecond()).await.map(Some),
        }
    }

    /// Reserves an attempt: counts it before a PIN is looked at, if fewer than `limit` were counted in a row. After
    /// `quiet` without another the count is forgotten.
    pub async fn reserve_attempt(
        &self,
        key: &AttemptKey,
        limit: u32,
        quiet: Duration,
        now: Timestamp,
    ) -> Result<Reservation, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.reserve_attempt(key, limit, millis(quiet), now).await,
            Store::Redis(store) => store.reserve_attempt(key, limit, millis(quiet), now).await,
        }
    }

    /// Takes one reservation back: no PIN was looked at after all. Never below none.
    pub async fn release_attempt(&self, key: &AttemptKey, now: Timestamp) -> Result<(), Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.release_attempt(key, now).await,
            Store::Redis(store) => store.release_attempt(key, now).await,
        }
    }

    /// Forgets the attempts: the PIN was right, or somebody lifted the suspension.
    pub async fn clear_attempts(&self, key: &AttemptKey) -> Result<(), Unavailable> {
        match &self.store {
            Store::Embedded(store) => store.clear_attempts(key).await,
            Store::Redis(store) => store.clear_attempts(key).await,
        }
    }

    /// Opens a session. A live one of the same user becomes `Replaced` if `may_replace`, else nothing is opened. The one
    /// that it `renews`, if any, must be live, and is forgotten and never in the way; one of another user is left alone. `limits.absolute`
    /// counts from the record's `created_at`.
    pub async fn open_session(
        &self,
        key: &SessionKey,
        session: &SessionRecord,
        limits: SessionLimits,
        may_replace: bool,
        renews: Option<&SessionKey>,
        now: Timestamp,
    ) -> Result<OpenedSession, Unavailable> {
        let record = serde_json::to_string(session)
            .map_err(|_| Unavailable::new("state", "a session that can't be written"))?;
        let renews = renews.filter(|renewed| renewed.tag == key.tag);
        let opening = Opening {
            record: &record,
            created: session.created_at.as_millisecond(),
            lasts: Lasts::from(limits),
            may_replace,
            renews,
        };
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.open_session(key, &opening, now).await,
            Store::Redis(store) => store.open_session(key, &opening, now).await,
        }
    }

    /// Finds a session and, if it is live, counts this as its use.
    pub async fn use_session(
        &self,
        key: &SessionKey,
        limits: SessionLimits,
        now: Timestamp,
    ) -> Result<FoundSession, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.use_session(key, Lasts::from(limits), true, now).await,
            Store::Redis(store) => store.use_session(key, Lasts::from(limits), true, now).await,
        }
    }

    /// Finds a session without counting this as its use.
    pub async fn look_at_session(
        &self,
        key: &SessionKey,
        limits: SessionLimits,
        now: Timestamp,
    ) -> Result<FoundSession, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.use_session(key, Lasts::from(limits), false, now).await,
            Store::Redis(store) => store.use_session(key, Lasts::from(limits), false, now).await,
        }
    }

    /// Ends a session, if it hasn't ended.
    pub async fn end_session(
        &self,
        key: &SessionKey,
        end: SessionEnd,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.end_session(key, end, now).await,
            Store::Redis(store) => store.end_session(key, end, now).await,
        }
    }

    /// Ends the user's session, if there is a live one.
    pub async fn end_user(&self, tag: &UserTag, end: SessionEnd, now: Timestamp) -> Result<(), Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.end_user(tag, end, now).await,
            Store::Redis(store) => store.end_user(tag, end, now).await,
        }
    }

    /// Keeps a value under a code (its hash) for `lasts`.
    pub async fn put_code(
        &self,
        hash: &str,
        value: &str,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.put_code(hash, value, millis(lasts), now).await,
            Store::Redis(store) => store.put_code(hash, value, millis(lasts), now).await,
        }
    }

    /// Takes the value of a code, which is gone afterwards: of two who ask, one gets it.
    pub async fn take_code(&self, hash: &str, now: Timestamp) -> Result<Option<String>, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.take_code(hash, now).await,
            Store::Redis(store) => store.take_code(hash, now).await,
        }
    }

    /// The ticket secrets, by their IDs.
    pub async fn ticket_secrets(&self, now: Timestamp) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.ticket_secrets(now).await,
            Store::Redis(store) => store.ticket_secrets(now).await,
        }
    }

    /// Adds a ticket secret, unless there is one that its gateway doesn't know, or no room for another: of many gateways
    /// that know the same and offer one each, one succeeds. Answers with what there is afterwards.
    pub async fn offer_ticket_secret(
        &self,
        offer: &TicketSecretOffer<'_>,
        now: Timestamp,
    ) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let now = now.as_millisecond();
        match &self.store {
            Store::Embedded(store) => store.offer_ticket_secret(offer, now).await,
            Store::Redis(store) => store.offer_ticket_secret(offer, now).await,
        }
    }
}

/// What is needed to open a session, in the stores' own terms.
struct Opening<'a> {
    record: &'a str,
    created: i64,
    lasts: Lasts,
    may_replace: bool,
    /// Of the same user.
    renews: Option<&'a SessionKey>,
}

/// `SessionLimits` in milliseconds.
#[derive(Clone, Copy)]
struct Lasts {
    idle: i64,
    absolute: i64,
}

impl From<SessionLimits> for Lasts {
    fn from(limits: SessionLimits) -> Self {
        Self { idle: millis(limits.idle), absolute: millis(limits.absolute) }
    }
}

/// At most a hundred years, so that sums stay exact also where numbers are floating (Lua's).
fn millis(duration: Duration) -> i64 {
    const CENTURY: i64 = 100 * 366 * 86_400_000;
    i64::try_from(duration.as_millis()).map_or(CENTURY, |millis| millis.min(CENTURY))
}

/// The session of a record as the stores keep it.
fn read_record(record: &str) -> Result<FoundSession, Unavailable> {
    // The error would quote what it can't read.
    serde_json::from_str(record)
        .map(|record| FoundSession::Live(Box::new(record)))
        .map_err(|_| Unavailable::new("state", "holds a session that can't be read"))
}

/// The end of a code as the stores keep it.
fn read_end(code: &str) -> Result<FoundSession, Unavailable> {
    SessionEnd::from_code(code)
        .map(FoundSession::Over)
        .ok_or_else(|| Unavailable::new("state", "holds an end of a session that nobody knows"))
}
