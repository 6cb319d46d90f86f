//! What one limit remembers: of each who was let through lately, when their next is due. A fixed number of entries that all
//! workers share, allocated once.
//!
//! An entry's place is fixed by a keyed hash (SipHash under a key of the process's), so nobody can choose whose entry they
//! get in the way of. Sixteen entries make a set with a lock of its own. An entry is given to somebody else only when its
//! last one is due: then it says no more than no entry would, and forgetting it forgives nobody. Where a whole set is
//! taken, whoever else belongs there shares one entry, at the same rate: too many at once cost strangers their share,
//! never the limit.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Counted;
use crate::domain::Pace;

/// Entries of a set.
const WAYS: usize = 16;
/// Locks over what is to be told to other gateways.
const SHARDS: usize = 16;
/// The most of whom other gateways are told at once, per lock. Of more, each gateway knows for itself.
const MOST_NEWS: usize = 1024;
/// Over all gateways, somebody may be ahead of their time by so many bursts, for which they have to wait.
const MOST_BURSTS: i64 = 16;

/// What one limit remembers.
pub(super) struct Table {
    pace: Pace,
    hasher: RandomState,
    sets: Box<[Mutex<Set>]>,
    /// What was let through since other gateways were told; none if they aren't.
    news: Box<[Mutex<Noted>]>,
}

/// By tag: for whom, and how many.
type Noted = HashMap<u64, (String, u32)>;

struct Set {
    tags: [u64; WAYS],
    dues: [i64; WAYS],
    /// For all who find no entry.
    crowd: i64,
}

/// What was let through for somebody.
pub(super) struct Spent {
    pub(super) tag: u64,
    pub(super) text: String,
    pub(super) count: u32,
}

impl Table {
    /// Nobody was there yet; at least `entries` can be remembered at once.
    pub(super) fn new(pace: Pace, entries: u32, is_shared: bool) -> Self {
        let sets = (entries as usize).div_ceil(WAYS).max(1);
        let set = || Mutex::new(Set { tags: [0; WAYS], dues: [i64::MIN; WAYS], crowd: i64::MIN });
        Self {
            pace,
            hasher: RandomState::new(),
            sets: (0..sets).map(|_| set()).collect(),
            news: (0..if is_shared { SHARDS } else { 0 }).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    /// One comes at `now`, in microseconds: when the next is due, or how long this one has to wait.
    pub(super) fn take(&self, counted: Counted<'_>, now: i64) -> Result<i64, i64> {
        let tag = self.hasher.hash_one(counted);
        let taken = {
            let mut set = self.set(tag);
            let due = set.due(tag, now);
            // Nobody can be due as late as that, unless the clock was set back. What they had is unknown then: this one passes, and
            // they go on as they earn it.
            if *due > now + self.longest() {
                *due = now + self.pace.burst() - self.pace.interval();
            }
            self.pace.take(*due, now).inspect(|next| *due = *next)
        };
        if taken.is_ok() && !self.news.is_empty() {
            self.note(tag, counted);
        }
        taken
    }

    /// Over all gateways, the next is due no earlier than this.
    pub(super) fn learn(&self, tag: u64, due: i64) {
        // Only an entry that is there is moved: there is nothing to learn of whoever is gone, or lost in a crowd.
        let mut set = self.set(tag);
        if let Some(index) = set.tags.iter().position(|known| *known == tag) {
            set.dues[index] = set.dues[index].max(due);
        }
    }

    /// What was let through since this was last asked.
    pub(super) fn spent(&self) -> Vec<Spent> {
        let mut all = Vec::new();
        for shard in &self.news {
            let news = std::mem::take(&mut *lock(shard));
            all.extend(news.into_iter().map(|(tag, (text, count))| Spent { tag, text, count }));
        }
        all
    }

    fn note(&self, tag: u64, counted: Counted<'_>) {
        let mut news = lock(&self.news[shard(tag, self.news.len())]);
        if let Some((_, count)) = news.get_mut(&tag) {
            *count += 1;
        } else if news.len() < MOST_NEWS {
            news.insert(tag, (counted.text(), 1));
        }
    }

    fn set(&self, tag: u64) -> MutexGuard<'_, Set> {
        lock(&self.sets[shard(tag, self.sets.len())])
    }

    /// Microseconds that somebody can be ahead of their time.
    fn longest(&self) -> i64 {
        let bursts = if self.news.is_empty() { 1 } else { MOST_BURSTS };
        self.pace.burst().saturating_mul(bursts)
    }
}

impl Set {
    /// Where it stands when the next is due: the entry of this tag, or one that nobody needs any more, or the crowd's.
    fn due(&mut self, tag: u64, now: i64) -> &mut i64 {
        if let Some(index) = self.tags.iter().position(|known| *known == tag) {
            return &mut self.dues[index];
        }
        match self.dues.iter().position(|due| *due <= now) {
            Some(index) => {
                self.tags[index] = tag;
                // Who stood in the crowd before brings along what was counted there.
                self.dues[index] = self.crowd;
                &mut self.dues[index]
            }
            None => &mut self.crowd,
        }
    }
}

/// The upper half of the hash picks the place: as good as any part of it, and free of a division.
fn shard(tag: u64, of: usize) -> usize {
    ((u128::from(tag) * of as u128) >> 64) as usize
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::Source;

    const NOW: i64 = 1_790_000_000_000_000;

    fn table(entries: u32, is_shared: bool) -> Table {
        Table::new(Pace::new(1, Duration::from_secs(1), 3).unwrap(), entries, is_shared)
    }

    fn source(number: u32) -> Counted<'static> {
        Counted::Source(Source::V4(number.into()))
    }

    #[test]
    fn each_has_a_burst_of_their_own() {
        let table = table(1024, false);
        for number in 0..300 {
            let passed = (0..5).filter(|_| table.take(source(number), NOW).is_ok()).count();
            assert_eq!(passed, 3, "{number}");
        }
        assert_eq!(table.take(source(7), NOW), Err(1_000_000));
        assert!(table.take(source(7), NOW + 1_000_000).is_ok());
    }

    #[test]
    fn an_entry_takes_17_bytes_and_no_more_are_ever_made() {
        assert_eq!(size_of::<Mutex<Set>>(), 272);
        assert_eq!(size_of::<Mutex<Set>>().div_ceil(WAYS), 17);
        let table = table(1, false);
        assert_eq!(table.sets.len(), 1);
        for number in 0..100 {
            let _ = table.take(source(number), NOW);
        }
        assert_eq!((table.sets.len(), table.news.len()), (1, 0));
    }

    #[test]
    fn a_full_table_forgets_nobody_and_lets_strangers_share() {
        let table = table(16, false);
        for number in 0..16 {
            for _ in 0..3 {
                let _ = table.take(source(number), NOW);
            }
        }
        let strangers = (16..500).filter(|number| table.take(source(*number), NOW).is_ok()).count();
        assert_eq!(strangers, 3, "all of them together");
        assert!((0..16).all(|number| table.take(source(number), NOW).is_err()));
        // Once the others' time is over there is room, and the crowd's count comes along.
        assert!(table.take(source(600), NOW + 2_500_000).is_ok());
        let passed = (0..3).filter(|_| table.take(source(16), NOW + 3_000_000).is_ok()).count();
        assert_eq!(passed, 2);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody_for_longer_than_they_take_to_earn_one() {
        let table = table(16, false);
        for _ in 0..3 {
            let _ = table.take(source(1), NOW);
        }
        let earlier = NOW - 3_600_000_000;
        assert!(table.take(source(1), earlier).is_ok());
        assert_eq!(table.take(source(1), earlier), Err(1_000_000));
        assert!(table.take(source(1), earlier + 1_000_000).is_ok());
    }

    #[test]
    fn what_all_gateways_counted_holds_here() {
        let table = table(16, true);
        for _ in 0..2 {
            let _ = table.take(source(1), NOW);
        }
        let spent = table.spent();
        let told: Vec<_> = spent.iter().map(|spent| (spent.text.as_str(), spent.count)).collect();
        assert_eq!(told, [("source 0.0.0.1", 2)]);
        assert!(table.spent().is_empty());
        table.learn(spent[0].tag, NOW + 6_000_000);
        assert_eq!(table.take(source(1), NOW), Err(4_000_000));
        // What is older than what is known changes nothing.
        table.learn(spent[0].tag, NOW);
        assert_eq!(table.take(source(1), NOW), Err(4_000_000));
        assert!(table.spent().is_empty(), "who may not go on isn't counted");
    }

    proptest! {
        /// However crowded it is and whoever comes and goes, nobody passes more often than their limit lets them.
        #[test]
        fn nobody_passes_more_often_however_full_it_is(
            steps in prop::collection::vec((0..40_u32, 0..400_000_i64), 1..600),
        ) {
            let table = table(16, false);
            let mut now = NOW;
            let mut passed = vec![Vec::new(); 40];
            for (number, gap) in steps {
                now += gap;
                if table.take(source(number), now).is_ok() {
                    passed[number as usize].push(now);
                }
            }
            for times in passed {
                for (index, from) in times.iter().enumerate() {
                    for (more, to) in times[index..].iter().enumerate() {
                        prop_assert!((more as i64) < 3 + (to - from) / 1_000_000);
                    }
                }
            }
        }
    }
}
