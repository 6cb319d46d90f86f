//! The secrets that the keys of all hosts are derived from: which of them seals now, and how long each is kept.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

/// What the keys of all hosts are derived from.
#[derive(Clone)]
pub struct TicketSecret {
    pub(super) bytes: Arc<Zeroizing<Vec<u8>>>,
    seals: Seals,
}

/// When a secret seals tickets. It opens them as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seals {
    /// Somebody replaces it in time.
    Always,
    /// All gateways know it before the first moment, in seconds since 1970, and none uses it from the last one on.
    Between(i64, i64),
    /// It is this process's own, was made then, and is replaced by the process.
    Since(Timestamp),
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecret").field("seals", &self.seals).finish_non_exhaustive()
    }
}

impl TicketSecret {
    /// One that somebody else replaces in time.
    pub fn given(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes: Arc::new(bytes), seals: Seals::Always }
    }

    /// One that gateways share, to seal with from one second since 1970 until another.
    pub fn shared(bytes: &Zeroizing<Vec<u8>>, from: i64, until: i64) -> Self {
        Self { bytes: Arc::new(bytes.clone()), seals: Seals::Between(from, until) }
    }

    pub(super) fn random(now: Timestamp) -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        getrandom::fill(&mut bytes).ok()?;
        Some(Self { bytes: Arc::new(bytes), seals: Seals::Since(now) })
    }
}

/// How long things last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketTimes {
    /// How long a secret of this process's own seals tickets, in seconds.
    pub rotate: i64,
    /// How long a ticket is good for, in seconds. At most seven days (RFC 9846, section 4.7.1).
    pub lifetime: u32,
}

/// The secrets of now, and by whose word. Those of the process's own come last, the newest first.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) secrets: Vec<TicketSecret>,
    pub(super) times: TicketTimes,
    /// Counts the adoptions, so that nobody speaks for one that is over.
    pub(super) adoption: u64,
}

impl Ring {
    /// Which secret seals at `now`. `None` if it is time for a new one of the process's own.
    pub(super) fn sealer(&self, now: Timestamp) -> Option<usize> {
        let second = now.as_second();
        let all = || self.secrets.iter().map(|secret| secret.seals).enumerate();
        // Of those that gateways share, the one whose turn came last.
        let ready = |(index, seals)| match seals {
            Seals::Always => Some((index, i64::MIN)),
            Seals::Between(from, until) if (from..until).contains(&second) => Some((index, from)),
            _ => None,
        };
        // Before its turn, rather than one that no other gateway will ever know.
        let soon = |(index, seals)| match seals {
            Seals::Between(from, _) if second < from => Some((index, from)),
            _ => None,
        };
        let own = |(index, seals)| match seals {
            Seals::Since(made) if second - made.as_second() < self.times.rotate => Some((index, 0)),
            _ => None,
        };
        let ready = all().filter_map(ready).min_by_key(|(_, from)| Reverse(*from));
        let soon = || all().filter_map(soon).min_by_key(|(_, from)| *from);
        ready.or_else(soon).or_else(|| all().find_map(own)).map(|(index, _)| index)
    }

    /// Whether what seals at `now` is known to this process alone.
    pub(super) fn seals_alone(&self, now: Timestamp) -> bool {
        self.sealer(now).is_none_or(|index| matches!(self.secrets[index].seals, Seals::Since(_)))
    }

    /// The same, but for the secrets that aren't the process's own.
    pub(super) fn with(&self, given: &[TicketSecret], now: Timestamp) -> Self {
        let secrets = given.iter().cloned().chain(self.own(now)).collect();
        Self { secrets, ..*self }
    }

    /// With a new secret of the process's own, and without those of them that no living ticket is sealed with.
    pub(super) fn rotated(&self, now: Timestamp) -> Self {
        let given = self.secrets.iter().filter(|secret| !matches!(secret.seals, Seals::Since(_))).cloned();
        let secrets = given.chain(TicketSecret::random(now)).chain(self.own(now)).collect();
        Self { secrets, ..*self }
    }

    /// The process's own, without those that no living ticket is sealed with: one stays that sealed until now.
    fn own(&self, now: Timestamp) -> impl Iterator<Item = TicketSecret> {
        let (mut until, lifetime) = (now, i64::from(self.times.lifetime));
        let is_needed = move |secret: &&TicketSecret| match secret.seals {
            Seals::Since(made) => {
                let sealed_until = std::mem::replace(&mut until, made);
                now.as_second() - sealed_until.as_second() < lifetime
            }
            _ => false,
        };
        self.secrets.iter().filter(is_needed).cloned()
    }
}
