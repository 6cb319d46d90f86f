//! What the process carries at the moment, over all workers, and who has to stand back when that is too much.
//!
//! What is shed, in this order: requests that prove nobody's identity; then every request that would be forwarded; then
//! connections. The portal's pages and the ops listener are never shed here: somebody who is signed in stays so, and who
//! looks after the gate sees what is wrong. The last sixteenth of the connections is for them alone.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::timer::TICK;
use crate::config::Limits;
use crate::domain::Source;

/// Locks over the sources.
const SHARDS: usize = 64;
/// Who proves no identity is shed from this part of `limits.requests` on: seven eighths.
const ANONYMOUS: (usize, usize) = (7, 8);
/// The part of the connections that is for the portal alone.
const RESERVE: usize = 16;
/// How long a worker that was behind is spared new requests.
const RECOVERY: Duration = Duration::from_secs(1);

/// What the process carries.
pub struct Load {
    pub(super) connections: AtomicUsize,
    requests: AtomicUsize,
    compressed: AtomicUsize,
    hasher: RandomState,
    sources: Box<[Mutex<HashMap<Source, u32>>]>,
}

/// Why a request is shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shed {
    /// It came on one of the last connections.
    Connections,
    /// Too many are on their way.
    Requests,
    /// Its worker doesn't keep up.
    Lag,
}

impl Shed {
    /// The word for it in metrics and logs.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Lag => "lag",
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            compressed: AtomicUsize::new(0),
            hasher: RandomState::new(),
            sources: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Load {
    /// Whether only the last connections are left, for those who sign in.
    pub(super) fn is_crowded(&self, limits: &Limits) -> bool {
        let most = limits.connections.get() as usize;
        self.connections.load(Ordering::Relaxed) > most - most / RESERVE
    }

    /// Counts a request that is to be forwarded until the guard is dropped, if there is room for one more.
    pub(super) fn begin_request(
        self: &Arc<Self>,
        limits: &Limits,
        is_anonymous: bool,
    ) -> Result<OpenRequest, Shed> {
        let most = limits.requests.get() as usize;
        let (part, of) = ANONYMOUS;
        // With so few that no eighth is left, nobody stands back for others.
        let most = if is_anonymous && most >= of { most * part / of } else { most };
        // The guard first: two that ask at once don't both get the last place.
        let guard = OpenRequest(self.clone());
        let open = self.requests.fetch_add(1, Ordering::Relaxed);
        if open < most { Ok(guard) } else { Err(Shed::Requests) }
    }

    /// Counts a response that is to be compressed until the guard is dropped, if there is room for one more.
    pub(super) fn begin_compression(self: &Arc<Self>, limits: &Limits) -> Option<CompressedResponse> {
        let guard = CompressedResponse(self.clone());
        let open = self.compressed.fetch_add(1, Ordering::Relaxed);
        (open < limits.compressed_responses as usize).then_some(guard)
    }

    /// Counts a connection of a source until the guard is dropped, if it has fewer than `most`.
    pub(super) fn begin_connection(self: &Arc<Self>, source: Source, most: u32) -> Option<FromSource> {
        let mut sources = self.of(source);
        let open = sources.entry(source).or_insert(0);
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(FromSource { load: self.clone(), source })
    }

    fn of(&self, source: Source) -> MutexGuard<'_, HashMap<Source, u32>> {
        let shard = self.hasher.hash_one(source) as usize % SHARDS;
        self.sources[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way.
pub(super) struct OpenRequest(Arc<Load>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response that is being compressed.
pub(super) struct CompressedResponse(Arc<Load>);

impl Drop for CompressedResponse {
    fn drop(&mut self) {
        self.0.compressed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that counts for its source.
pub(super) struct FromSource {
    load: Arc<Load>,
    source: Source,
}

impl Drop for FromSource {
    fn drop(&mut self) {
        let mut sources = self.load.of(self.source);
        if let Some(open) = sources.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                sources.remove(&self.source);
                // What a flood has grown shrinks again.
                if sources.len() < sources.capacity() / 4 {
                    sources.shrink_to_fit();
                }
            }
        }
    }
}

/// How far a worker is behind: its tick comes every 100 ms, unless there is too much to do in between.
#[derive(Debug)]
pub(super) struct Lag {
    ticked: Instant,
    was_late: bool,
    behind_until: Option<Instant>,
}

impl Lag {
    /// Not behind at `now`.
    pub(super) const fn new(now: Instant) -> Self {
        Self { ticked: now, was_late: false, behind_until: None }
    }

    /// A tick came at `now`: whether the worker is behind. One late tick is a hiccup of the machine's; two in a row that
    /// are late by more than `most` are load.
    pub(super) fn tick(&mut self, now: Instant, most: Duration) -> bool {
        let late = now.saturating_duration_since(self.ticked).saturating_sub(TICK);
        self.ticked = now;
        let is_late = late > most;
        if is_late && self.was_late {
            self.behind_until = Some(now + RECOVERY);
        }
        self.was_late = is_late;
        self.behind_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(connections: u32, requests: u32) -> Limits {
        let count = |number| NonZeroU32::new(number).unwrap();
        Limits { connections: count(connections), requests: count(requests), ..Limits::default() }
    }

    #[test]
    fn who_proves_nobody_stands_back_first() {
        let (load, limits) = (Arc::new(Load::default()), limits(100, 8));
        let mut open: Vec<_> = (0..7).map(|_| load.begin_request(&limits, true).ok().unwrap()).collect();
        assert_eq!(load.begin_request(&limits, true).err(), Some(Shed::Requests));
        open.push(load.begin_request(&limits, false).ok().unwrap());
        assert_eq!(load.begin_request(&limits, false).err(), Some(Shed::Requests));
        drop(open);
        assert_eq!(load.requests.load(Ordering::Relaxed), 0);
        let few = self::limits(100, 1);
        assert!(load.begin_request(&few, true).is_ok());
    }

    #[test]
    fn the_last_sixteenth_of_the_connections_is_a_reserve() {
        let load = Load::default();
        let is_crowded = |open: usize, most: u32| {
            load.connections.store(open, Ordering::Relaxed);
            load.is_crowded(&limits(most, 1))
        };
        assert_eq!([150, 151].map(|open| is_crowded(open, 160)), [false, true]);
        assert_eq!([15, 16].map(|open| is_crowded(open, 15)), [false, true], "too few for a reserve");
    }

    #[test]
    fn a_source_has_so_many_connections_and_nothing_is_left_of_one_that_has_gone() {
        let load = Arc::new(Load::default());
        let source = |text: &str| Source::of(text.parse().unwrap());
        let first = load.begin_connection(source("2001:db8::1"), 2).unwrap();
        let second = load.begin_connection(source("2001:db8::ffff"), 2).unwrap();
        assert!(load.begin_connection(source("2001:db8::2"), 2).is_none());
        assert!(load.begin_connection(source("192.0.2.1"), 2).is_some());
        drop(first);
        assert!(load.begin_connection(source("2001:db8::2"), 2).is_some());
        drop(second);
        assert!(load.sources.iter().all(|sources| sources.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_worker_is_behind_after_two_late_ticks_and_for_a_second() {
        let begun = crate::clock::instant();
        let mut lag = Lag::new(begun);
        let mut tick = |millis| lag.tick(begun + Duration::from_millis(millis), Duration::from_millis(500));
        assert!(!tick(100));
        assert!(!tick(800), "a hiccup");
        assert!(!tick(900));
        assert!(!tick(1600));
        assert!(tick(2300));
        assert!(tick(2400) && tick(3200));
        assert!(!tick(3300));
    }
}
