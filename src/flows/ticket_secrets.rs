//! The secrets of session tickets that gateways share through the state: made, told to each other and replaced by
//! themselves. The protocol, which docs/tls.md has in the operator's words:
//!
//! 1. Every gateway asks the state again and again. What it can open, it knows from then on, whatever becomes of the
//!    state.
//! 2. When the newest secret in the state is about to have sealed for `rotate`, or there is none, each gateway offers
//!    another. The state takes one of them: an offer names all that its gateway has seen, and fails if there is more.
//! 3. A new secret opens everywhere as soon as it is read, and seals after `LEAD`, by when every gateway that can reach
//!    the state has read it. Which one seals follows from the times in the records: the gateways needn't talk of it.
//! 4. Without a successor it seals for another `rotate` at most. Where there is no other, one seals before its turn.
//! 5. One is over when no ticket can live that was sealed with it: then gateways drop it. The state is told of that time
//!    with the offer of its successor. No gateway removes another's secrets by the word of its own clock.

mod envelope;

use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use self::envelope::SECRET;
use crate::stores::{State, StoredTicketSecret, TicketSecretOffer, Unavailable};

pub use self::envelope::TicketSecretKey;

/// Seconds from when a secret is in the state until it seals: many looks at it, and clocks that differ by a little.
const LEAD: i64 = 60;
/// Seconds by which another gateway's clock may be ahead. A secret from further ahead would keep everybody from making
/// the next one.
const AHEAD: i64 = 300;
/// How many are known at once, of which gateways of one configuration need half at most.
const MOST: usize = 64;

/// A secret that this gateway shares with others.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedTicketSecret {
    /// Names it.
    pub id: String,
    /// The secret.
    pub bytes: Arc<Zeroizing<Vec<u8>>>,
    /// It seals tickets from this second since 1970 on, unless there is one whose turn came later.
    pub seals_from: i64,
    /// It seals none from this second on.
    pub seals_until: i64,
    /// How long the tickets live that are sealed with it, in seconds.
    pub lifetime: i64,
}

impl fmt::Debug for SharedTicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTicketSecret").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What sharing is built from.
#[derive(Clone)]
pub struct TicketSecretSettings {
    /// Where they are shared.
    pub state: State,
    /// What they are sealed with there.
    pub key: TicketSecretKey,
    /// How long a secret seals, in seconds.
    pub rotate: i64,
    /// How long a ticket lives, in seconds.
    pub lifetime: i64,
}

/// The secrets that gateways share.
pub struct TicketSecrets {
    settings: TicketSecretSettings,
    /// All that this gateway has read and that aren't over.
    known: Mutex<Vec<SharedTicketSecret>>,
}

/// What a look at the state found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSecretsFound {
    /// The IDs of records that can't be opened: tampered with, from another secret file, or from the future.
    pub ignored: Vec<String>,
}

impl TicketSecrets {
    /// Knows what `before` knew, if that comes from the same secret file: whoever changes the file wants rid of the
    /// secrets, too.
    pub fn new(settings: TicketSecretSettings, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.settings.key.is(&settings.key));
        let known = same.map(|before| before.lock().clone()).unwrap_or_default();
        Self { settings, known: Mutex::new(known) }
    }

    /// The secrets to go by at `now`, by their IDs.
    pub fn known(&self, now: Timestamp) -> Vec<SharedTicketSecret> {
        let mut known = self.lock();
        let all = known.clone();
        known.retain(|secret| !is_over(secret, &all, now));
        known.clone()
    }

    /// Looks at the state, learns what is new there, and offers a new secret if it is time for one.
    pub async fn refresh(&self, now: Timestamp) -> Result<TicketSecretsFound, Unavailable> {
        let rotate = self.settings.rotate;
        let mut held = self.settings.state.ticket_secrets(now).await?;
        let mut readable = self.learn(&held, now);
        let newest = readable.iter().map(|secret| secret.seals_from).max();
        if newest.is_none_or(|newest| now.as_second() >= newest + rotate - LEAD) {
            held = self.offer(&held, &readable, now).await?;
            readable = self.learn(&held, now);
        }
        let is_ignored = |id: &String| !readable.iter().any(|secret| secret.id == *id);
        Ok(TicketSecretsFound { ignored: held.into_iter().map(|held| held.id).filter(is_ignored).collect() })
    }

    /// Offers a new secret to a state that held these. Answers with what it holds afterwards.
    async fn offer(
        &self,
        held: &[StoredTicketSecret],
        readable: &[SharedTicketSecret],
        now: Timestamp,
    ) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let TicketSecretSettings { state, key, rotate, lifetime } = &self.settings;
        let secret = new_secret(now, *rotate, *lifetime);
        let stored = secret.as_ref().and_then(|secret| Some((secret, key.seal(secret)?)));
        let (secret, stored) = stored.ok_or_else(|| Unavailable::new("state", "no new ticket secret"))?;
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let replaces: Vec<String> = readable.iter().map(|secret| secret.id.clone()).collect();
        let longest = readable.iter().map(|secret| secret.lifetime).max().unwrap_or_default();
        let held = held.iter().map(|held| held.id.clone());
        let offer = TicketSecretOffer {
            secret: &stored,
            lasts: seconds(secret.seals_until + lifetime - now.as_second()),
            replaces: &replaces,
            replaced_last: seconds(LEAD + longest),
            others: &held.filter(|id| !replaces.contains(id)).collect::<Vec<_>>(),
        };
        state.offer_ticket_secret(&offer, now).await
    }

    /// Those that can be opened, which are known from now on.
    fn learn(&self, held: &[StoredTicketSecret], now: Timestamp) -> Vec<SharedTicketSecret> {
        let latest = now.as_second() + LEAD + AHEAD;
        let opened = held.iter().filter_map(|stored| self.settings.key.open(stored));
        let readable: Vec<_> = opened.filter(|secret| secret.seals_from <= latest).collect();
        let mut known = self.lock();
        let is_new = |secret: &&SharedTicketSecret| !known.iter().any(|known| known.id == secret.id);
        let new: Vec<_> = readable.iter().filter(is_new).cloned().collect();
        known.extend(new);
        // A state that loses them again and again, or a clock that runs wild, must not make this grow.
        known.sort_by_key(|secret| Reverse(secret.seals_from));
        known.truncate(MOST);
        known.sort_by(|one, other| one.id.cmp(&other.id));
        readable
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SharedTicketSecret>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret that is to seal soon.
fn new_secret(now: Timestamp, rotate: i64, lifetime: i64) -> Option<SharedTicketSecret> {
    let id =
        format!("{:032x}", u128::from(getrandom::u64().ok()?) << 64 | u128::from(getrandom::u64().ok()?));
    let mut bytes = Zeroizing::new(vec![0; SECRET]);
    getrandom::fill(&mut bytes).ok()?;
    let seals_from = now.as_second() + LEAD;
    Some(SharedTicketSecret {
        id,
        bytes: Arc::new(bytes),
        seals_from,
        seals_until: seals_from.saturating_add(rotate.saturating_mul(2)),
        lifetime,
    })
}

/// Whether no ticket can live that was sealed with it.
fn is_over(secret: &SharedTicketSecret, all: &[SharedTicketSecret], now: Timestamp) -> bool {
    let successors = all.iter().map(|other| other.seals_from).filter(|from| *from > secret.seals_from);
    let sealed_until = successors.min().map_or(secret.seals_until, |next| next.min(secret.seals_until));
    now.as_second() >= sealed_until.saturating_add(secret.lifetime)
}
