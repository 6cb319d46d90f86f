//! How slowly a client may send what is waited for, or take what is there for it (T26). A deadline between two parts alone lets
//! whoever trickles in a byte now and then hold a request for days.
//!
//! Only the time counts in which the client is waited for: who has nothing to send or to take is never slow. That time is
//! an allowance which every byte adds to, up to the grace; when it is used up, the client was slower than the least rate
//! for too long.

use std::time::{Duration, Instant};

use crate::config::Limits;

/// How one direction of a client's connection goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowness {
    rate: u64,
    grace: Duration,
    left: Duration,
    since: Option<Instant>,
}

/// The client was too slow for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow;

impl Slowness {
    /// Nothing was waited for yet.
    pub(super) const fn new(limits: &Limits) -> Self {
        let grace = limits.min_rate_grace.get();
        Self { rate: limits.min_rate.get(), grace, left: grace, since: None }
    }

    /// The client is waited for. If it wasn't before, this is from `now` on: how long it may take.
    pub(super) const fn waits(&mut self, now: Instant) -> Option<Duration> {
        if self.since.is_some() {
            return None;
        }
        self.since = Some(now);
        Some(self.left)
    }

    /// So many bytes came, or went. The client isn't waited for any more, for now.
    pub(super) fn moved(&mut self, bytes: u64, now: Instant) -> Result<(), TooSlow> {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let left = self.left.checked_sub(waited).ok_or(TooSlow)?;
        let earned = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.rate.max(1));
        self.left = left.saturating_add(earned).min(self.grace);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    fn slowness() -> Slowness {
        Slowness { rate: 100, grace: Duration::from_secs(10), left: Duration::from_secs(10), since: None }
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let (mut slowness, mut now) = (slowness(), clock::instant());
        for _ in 0..10 {
            assert!(!slowness.waits(now).unwrap().is_zero());
            now += Duration::from_secs(1);
            assert_eq!(slowness.moved(1, now), Ok(()));
        }
        slowness.waits(now);
        assert_eq!(slowness.moved(1, now + Duration::from_secs(1)), Err(TooSlow));
    }

    #[test]
    fn time_in_which_nobody_waits_does_not_count_and_credit_is_no_more_than_the_grace() {
        let (mut slowness, mut now) = (slowness(), clock::instant());
        assert_eq!(slowness.moved(1 << 30, now), Ok(()));
        now += Duration::from_secs(3600);
        assert_eq!(slowness.waits(now), Some(Duration::from_secs(10)));
        now += Duration::from_secs(4);
        assert_eq!(slowness.waits(now), None);
        assert_eq!(slowness.moved(200, now), Ok(()));
        assert_eq!(slowness.waits(now), Some(Duration::from_secs(8)));
        assert_eq!(slowness.moved(1, now + Duration::from_secs(9)), Err(TooSlow));
    }

    proptest! {
        /// Whoever keeps to the rate is never too slow, in parts of whichever size that the grace covers.
        #[test]
        fn who_keeps_to_the_rate_is_never_too_slow(parts in prop::collection::vec(1..900_u64, 1..200)) {
            let (mut slowness, mut now) = (slowness(), clock::instant());
            for bytes in parts {
                slowness.waits(now);
                now += Duration::from_millis(bytes * 10);
                prop_assert_eq!(slowness.moved(bytes, now), Ok(()));
            }
        }
    }
}
