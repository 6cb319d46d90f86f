//! Whether a PIN is right: Argon2id with a pepper, or the bank's own verifier. Bounded, so that guessing can't take the
//! processor away from everybody else (T50).

mod bank;
mod bounds;
mod files;
mod hasher;
mod temporary;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use self::bank::Bank;
use self::bounds::{Bounds, Turn};
use self::hasher::Hasher;
use crate::config::{Argon2id, HttpVerifier};
use crate::domain::{Identity, Pin};
use crate::stores::Unavailable;

pub use files::{new_pepper_line, read_deny_list, read_peppers};
pub use temporary::random_pin;

/// Peppers with their IDs.
pub type Peppers = Vec<(String, Zeroizing<Vec<u8>>)>;

/// What PINs are checked with.
pub struct PinSettings {
    /// Argon2id's cost.
    pub cost: Argon2id,
    /// Peppers by ID; the first makes new hashes. Not needed where the bank's own verifier decides.
    pub peppers: Peppers,
    /// How many PINs are checked at once.
    pub concurrency: usize,
    /// How many may wait for that.
    pub waiting: usize,
    /// The bank's own verifier, if it decides. Its files are read here.
    pub http: Option<HttpVerifier>,
}

/// Checks PINs. Cloning is cheap and shares the bounds.
#[derive(Clone)]
pub struct Pins {
    bounds: Bounds,
    decider: Decider,
}

#[derive(Clone)]
enum Decider {
    Hasher(Arc<Hasher>),
    Bank(Arc<Bank>),
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Right. With a new hash if the old one was made with another cost or pepper.
    Right {
        /// What should take the old hash's place.
        rehash: Option<String>,
    },
    /// Wrong, or there is nobody.
    Wrong,
}

/// Why a PIN was not looked at, or its verifier not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinTrouble {
    /// Too many are waiting already.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The bank's verifier can't be asked.
    Unavailable(Unavailable),
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.decider {
            Decider::Hasher(_) => "Pins(directory)",
            Decider::Bank(_) => "Pins(http)",
        })
    }
}

impl Pins {
    /// Makes ready; the error says what is wrong with the peppers, or with the files of the bank's verifier.
    pub fn new(settings: PinSettings) -> Result<Self, String> {
        let bounds = Bounds::new(settings.concurrency, settings.waiting);
        let decider = match &settings.http {
            Some(verifier) => Decider::Bank(Arc::new(Bank::new(verifier)?)),
            None => Decider::Hasher(Arc::new(Hasher::new(settings.cost, settings.peppers)?)),
        };
        Ok(Self { bounds, decider })
    }

    /// Hashes a new PIN.
    pub async fn hash(&self, pin: &Pin) -> Result<String, PinTrouble> {
        let Decider::Hasher(hasher) = &self.decider else {
            return Err(unavailable("the PINs are held by the bank's own system"));
        };
        let (hasher, pin) = (hasher.clone(), pin.clone());
        apart(self.bounds.turn().await?, move || hasher.hash(&pin)).await
    }

    /// Checks a PIN. Takes as long for nobody's hash (`None`) as for somebody's (T44); then it is wrong. The bank's own
    /// verifier is asked about nobody too: it decides.
    pub async fn verify(
        &self,
        identity: &Identity,
        pin: &Pin,
        hash: Option<&str>,
    ) -> Result<Verified, PinTrouble> {
        match &self.decider {
            Decider::Hasher(hasher) => {
                let turn = self.bounds.turn().await?;
                let (hasher, pin, hash) = (hasher.clone(), pin.clone(), hash.map(str::to_owned));
                apart(turn, move || hasher.verify(&pin, hash.as_deref())).await
            }
            Decider::Bank(bank) => {
                // Whoever waited as long as an answer may take has waited long enough.
                let _turn = self.bounds.turn_within(bank.timeout).await?;
                bank.ask(identity, pin).await.map_err(unavailable)
            }
        }
    }
}

fn unavailable(problem: impl fmt::Display) -> PinTrouble {
    PinTrouble::Unavailable(Unavailable::new("verifier", problem))
}

/// Runs work that keeps a core busy where it delays nobody. Once begun it can't be taken back, so it keeps its turn to
/// the end, also if nobody waits for the result any more.
async fn apart<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, PinTrouble> {
    let work = move || {
        let result = work();
        drop(turn);
        result
    };
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err("the work on a hash was broken off".to_owned()))
        .map_err(unavailable)
}

#[cfg(test)]
mod tests;
