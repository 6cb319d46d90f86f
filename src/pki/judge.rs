//! The judge: the one that turns a connection's chain into a standing, against the trust of now.
//!
//! It judges after every handshake, full or resumed, and again whenever the trust's generation has changed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::certificate::fingerprint;
use super::path::Judgement;
use super::trust::Trust;

/// How many good judgements are remembered. Only certificates of our own CAs get in, so strangers can't fill it.
const MAX_REMEMBERED: usize = 16_384;

/// Judges chains, and remembers good judgements, so that a chain's signatures are checked once and not once per
/// connection. Make one per worker thread: then its lock is never contended.
pub struct Judge {
    trust: Arc<ArcSwap<Trust>>,
    absent: Arc<Judgement>,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    generation: u64,
    good: HashMap<[u8; 32], Arc<Judgement>>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Judge {
    /// A judge that follows `trust` wherever it is swapped to.
    pub fn new(trust: Arc<ArcSwap<Trust>>) -> Self {
        Self { trust, absent: Arc::new(Judgement::ABSENT), remembered: Mutex::default() }
    }

    /// Judges a chain as it came from the client; empty if none came.
    ///
    /// A good judgement is found again by the SHA-256 of the client's own certificate alone. The same certificate
    /// under other intermediates is as good as it was: under this trust a path for it has been found, and the
    /// intermediates are only hints of where to look.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Arc<Judgement> {
        let Some(leaf) = chain.first() else { return Arc::clone(&self.absent) };
        let key = fingerprint(leaf);
        let trust = self.trust.load();
        if let Some(good) = self.remembered(trust.generation()).good.get(&key)
            && good.validity.is_some_and(|validity| validity.contains(now))
        {
            return Arc::clone(good);
        }

        let judgement = Arc::new(trust.judge(chain, now));
        if judgement.validity.is_some() {
            let mut remembered = self.remembered(trust.generation());
            if remembered.good.len() >= MAX_REMEMBERED {
                remembered.good.clear();
            }
            remembered.good.insert(key, Arc::clone(&judgement));
        }
        judgement
    }

    /// The generation of the trust of now. A connection that was judged under another one is to be judged again.
    pub fn generation(&self) -> u64 {
        self.trust.load().generation()
    }

    /// What is remembered of this generation, and of no other.
    fn remembered(&self, generation: u64) -> MutexGuard<'_, Remembered> {
        // A panic elsewhere can't leave a map half-changed: each entry is whole.
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.generation != generation {
            *remembered = Remembered { generation, good: HashMap::new() };
        }
        remembered
    }
}
