//! How an endpoint is, as far as anybody knows: what looks at it have found, what requests have found, and how many are
//! with it. It outlives configurations.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Health;

/// An ejection is so many times as long as the first, at most.
const LONGEST: u32 = 10;

/// How an endpoint is.
#[derive(Debug)]
pub(super) struct Vitals {
    epoch: Instant,
    looks: Mutex<Looks>,
    is_ill: AtomicBool,
    is_drained: AtomicBool,
    /// Failed requests in a row.
    failures: AtomicU32,
    /// How often it was ejected without having been well in between for as long as that took.
    ejections: AtomicU32,
    /// In milliseconds since the epoch, plus one; 0: never.
    ejected_until: AtomicU64,
    /// Since when it gets requests, likewise; 0: from the beginning.
    since: AtomicU64,
    in_flight: AtomicUsize,
}

/// What looks have found.
#[derive(Debug, Default, Clone, Copy)]
struct Looks {
    /// Whether the last ones were good, and how many in a row.
    last: Option<(bool, u32)>,
}

impl Vitals {
    /// Nothing is known of it. One that `joins` others then starts slowly.
    pub(super) fn new(joins: Option<Instant>) -> Self {
        let epoch = clock::instant();
        Self {
            epoch,
            looks: Mutex::default(),
            is_ill: AtomicBool::new(false),
            is_drained: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            since: AtomicU64::new(joins.map_or(0, |at| stamp(epoch, at))),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// A look has found it well, or not. Whether that changes something. The first look decides alone.
    pub(super) fn looked(&self, is_good: bool, settings: &Health, now: Instant) -> bool {
        let mut looks = self.looks();
        let is_first = looks.last.is_none();
        let in_a_row = match looks.last {
            Some((was_good, count)) if was_good == is_good => count.saturating_add(1),
            _ => 1,
        };
        looks.last = Some((is_good, in_a_row));
        let needed = if is_good { settings.healthy } else { settings.unhealthy };
        let decides = is_first || in_a_row >= needed.get();
        let changes = decides && self.is_ill() == is_good;
        if changes {
            self.is_ill.store(!is_good, Ordering::Relaxed);
            self.since.store(stamp(self.epoch, now), Ordering::Relaxed);
        }
        changes
    }

    /// Nobody looks at it any more: what was found says nothing from now on.
    pub(super) fn forget_looks(&self) {
        *self.looks() = Looks::default();
        self.is_ill.store(false, Ordering::Relaxed);
    }

    /// Whether anybody has looked.
    pub(super) fn is_seen(&self) -> bool {
        self.looks().last.is_some()
    }

    /// Whether looks have found it ill.
    pub(super) fn is_ill(&self) -> bool {
        self.is_ill.load(Ordering::Relaxed)
    }

    /// A request has failed. Whether those are enough in a row.
    pub(super) fn fails(&self, enough: u32) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= enough
    }

    /// A request has succeeded.
    pub(super) fn succeeds(&self) {
        // Nearly always nothing to say: other cores keep their copy of the line.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Keeps requests from it for this time, or for a multiple of it. For how long.
    pub(super) fn eject(&self, now: Instant, period: Duration) -> Duration {
        self.failures.store(0, Ordering::Relaxed);
        let last = self.ejected_until.load(Ordering::Relaxed);
        let was_well = stamp(self.epoch, now).saturating_sub(last);
        let before = self.ejections.load(Ordering::Relaxed);
        let last_period = u64::try_from((period * before).as_millis()).unwrap_or(u64::MAX);
        let times = if last != 0 && was_well < last_period { (before + 1).min(LONGEST) } else { 1 };
        self.ejections.store(times, Ordering::Relaxed);
        let until = stamp(self.epoch, now + period * times);
        self.ejected_until.store(until, Ordering::Relaxed);
        self.since.store(until, Ordering::Relaxed);
        period * times
    }

    /// Whether it is ejected.
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && stamp(self.epoch, now) < until
    }

    /// Keeps new requests from it, or lets them in again.
    pub(super) fn drain(&self, is_drained: bool, now: Instant) {
        if self.is_drained.swap(is_drained, Ordering::Relaxed) && !is_drained {
            self.since.store(stamp(self.epoch, now), Ordering::Relaxed);
        }
    }

    /// Whether a command keeps new requests from it.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }

    /// How far it is on its way to its whole share, in percent.
    pub(super) fn share(&self, slow_start: Option<Duration>, now: Instant) -> u64 {
        let since = self.since.load(Ordering::Relaxed);
        let Some(slow_start) = slow_start.filter(|_| since != 0) else { return 100 };
        let gone = stamp(self.epoch, now).saturating_sub(since);
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
        (gone.saturating_mul(100) / whole).clamp(10, 100)
    }

    /// Requests that are with it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn enters(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leaves(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(epoch: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_look_decides_alone_and_later_ones_by_the_thresholds() {
        let (vitals, settings, now) = (Vitals::new(None), Health::default(), clock::instant());
        assert!(vitals.looked(false, &settings, now) && vitals.is_ill());
        assert!(!vitals.looked(true, &settings, now) && vitals.is_ill());
        assert!(vitals.looked(true, &settings, now) && !vitals.is_ill());
        for _ in 0..2 {
            assert!(!vitals.looked(false, &settings, now) && !vitals.is_ill());
        }
        assert!(!vitals.looked(true, &settings, now), "a good one in between begins the count anew");
        assert!(!vitals.looked(false, &settings, now));
        assert!(!vitals.looked(false, &settings, now));
        assert!(vitals.looked(false, &settings, now) && vitals.is_ill());
    }

    #[test]
    fn who_fails_again_soon_is_ejected_for_longer_and_who_was_well_for_as_long_begins_anew() {
        let (vitals, now) = (Vitals::new(None), clock::instant());
        assert_eq!(vitals.eject(now, SECOND), SECOND);
        assert!(vitals.is_ejected(now + SECOND - Duration::from_millis(2)));
        let back = now + SECOND + Duration::from_millis(2);
        assert!(!vitals.is_ejected(back));
        assert_eq!(vitals.eject(back, SECOND), 2 * SECOND);
        let back = back + 2 * SECOND;
        assert_eq!(vitals.eject(back + SECOND, SECOND), 3 * SECOND);
        let back = back + 4 * SECOND;
        assert_eq!(vitals.eject(back + 4 * SECOND, SECOND), SECOND);
        let mut at = back + 5 * SECOND;
        let mut last = SECOND;
        for _ in 0..20 {
            last = vitals.eject(at, SECOND);
            at += last;
        }
        assert_eq!(last, 10 * SECOND);
    }

    #[test]
    fn who_comes_back_gets_its_share_little_by_little() {
        let (vitals, now) = (Vitals::new(None), clock::instant());
        assert_eq!(vitals.share(Some(10 * SECOND), now), 100, "from the beginning");
        vitals.eject(now, SECOND);
        let back = now + SECOND;
        for (gone, share) in [(0, 10), (1, 10), (5, 50), (10, 100), (100, 100)] {
            let at = back + gone * SECOND + Duration::from_millis(1);
            assert_eq!(vitals.share(Some(10 * SECOND), at), share, "{gone} s");
            assert_eq!(vitals.share(None, at), 100);
        }
        let joined = Vitals::new(Some(now + SECOND));
        assert_eq!(joined.share(Some(10 * SECOND), now + 3 * SECOND), 20);
    }
}
