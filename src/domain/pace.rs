//! How fast something may come: the Generic Cell Rate Algorithm (ATM Forum, Traffic Management 4.0, af-tm-0056.000,
//! section 4.4.2, in its form of virtual scheduling), in whole microseconds.
//!
//! All that is kept for somebody is one number: when the next one is *due*, if they came evenly. Who comes earlier than that
//! by more than a burst's worth is too early, and moves nothing.

use std::time::Duration;

/// At most a hundred years, so that sums stay exact also where numbers are floating (Lua's).
const LONGEST: i64 = 100 * 366 * 86_400_000_000;

/// How fast something may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pace {
    interval: i64,
    burst: i64,
}

impl Pace {
    /// Lets `count` through in `per`, evenly, and at most `burst` at once; `None` if nothing may come at all. Intervals are
    /// rounded up to microseconds: it is never more.
    pub fn new(count: u32, per: Duration, burst: u32) -> Option<Self> {
        let per = i64::try_from(per.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        let count = i64::from(count);
        let interval = per.checked_add(count.checked_sub(1)?)?.checked_div(count)?.max(1);
        let burst = interval.saturating_mul(i64::from(burst)).min(LONGEST);
        (burst > 0).then_some(Self { interval, burst })
    }

    /// Microseconds between two, evenly.
    pub const fn interval(self) -> i64 {
        self.interval
    }

    /// Microseconds of all that may come at once: also how long a whole burst takes to be earned again.
    pub const fn burst(self) -> i64 {
        self.burst
    }

    /// One comes at `now`, when the next would be `due`: when the one after it is due, or how long this one has to wait.
    pub fn take(self, due: i64, now: i64) -> Result<i64, i64> {
        let next = due.max(now) + self.interval;
        let wait = next - self.burst - now;
        if wait > 0 { Err(wait) } else { Ok(next) }
    }

    /// How many more may come at once at `now`.
    pub fn remaining(self, due: i64, now: i64) -> u32 {
        let free = self.burst - (due - now).max(0);
        u32::try_from(free.max(0) / self.interval).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_790_000_000_000_000;

    fn pace(count: u32, per: u64, burst: u32) -> Pace {
        Pace::new(count, Duration::from_millis(per), burst).unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_then_one_each_interval() {
        let pace = pace(10, 1000, 3);
        let mut due = 0;
        for left in [2, 1, 0] {
            due = pace.take(due, START).unwrap();
            assert_eq!(pace.remaining(due, START), left);
        }
        assert_eq!(pace.take(due, START), Err(100_000));
        assert_eq!(pace.take(due, START + 99_999), Err(1));
        due = pace.take(due, START + 100_000).unwrap();
        assert_eq!(pace.take(due, START + 100_000), Err(100_000));
        assert_eq!(pace.remaining(due, START + 400_000), 3);
    }

    #[test]
    fn nothing_in_so_long_is_no_pace() {
        assert_eq!(Pace::new(0, Duration::from_secs(1), 1), None);
        assert_eq!(Pace::new(1, Duration::from_secs(1), 0), None);
        let longest = Pace::new(1, Duration::MAX, u32::MAX).unwrap();
        assert_eq!((longest.interval(), longest.burst()), (LONGEST, LONGEST));
        assert_eq!(Pace::new(3, Duration::from_secs(1), 1).unwrap().interval(), 333_334, "never more than 3");
    }

    proptest! {
        /// In whichever window one looks, no more passed than the burst and what the rate earns in it.
        #[test]
        fn no_window_holds_more_than_a_burst_and_the_rate(
            count in 1..50_u32, per in 1..5000_u64, burst in 1..20_u32,
            gaps in prop::collection::vec(0..3_000_000_i64, 1..200),
        ) {
            let pace = pace(count, per, burst);
            let (mut due, mut now, mut passed) = (0, START, Vec::new());
            for gap in gaps {
                now += gap % (4 * pace.interval());
                if let Ok(next) = pace.take(due, now) {
                    due = next;
                    passed.push(now);
                }
            }
            for (index, from) in passed.iter().enumerate() {
                for (more, to) in passed[index..].iter().enumerate() {
                    let earned = i128::from(to - from) * i128::from(count) / (i128::from(per) * 1000);
                    prop_assert!((more as i128) < i128::from(burst) + earned);
                }
            }
        }

        /// Who keeps to the rate is never told to wait, and who waits as long as they were told passes.
        #[test]
        fn who_waits_as_told_passes(count in 1..50_u32, burst in 1..20_u32, due in 0..10_000_000_i64) {
            let pace = pace(count, 1000, burst);
            let due = START + due;
            if let Err(wait) = pace.take(due, START) {
                prop_assert!(pace.take(due, START + wait - 1).is_err());
                prop_assert!(pace.take(due, START + wait).is_ok());
            }
        }
    }
}
