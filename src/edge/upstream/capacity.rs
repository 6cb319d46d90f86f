//! What an upstream can bear at once, and how often its failures are made up for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::UpstreamLimits;
use crate::edge::failure::Failure;
use crate::edge::timer::Timer;

/// Room for one request, or for one connection, until it is dropped. `None` where anything goes.
pub(super) type Room = Option<OwnedSemaphorePermit>;

/// What an upstream can bear at once.
#[derive(Debug)]
pub(super) struct Capacity {
    requests: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    limits: UpstreamLimits,
    queued: AtomicUsize,
    /// Of those, who wait for a connection.
    wait_for_connections: AtomicUsize,
}

impl Capacity {
    pub(super) fn new(limits: &UpstreamLimits) -> Self {
        let semaphore = |most: Option<std::num::NonZeroU32>| {
            most.map(|most| Arc::new(Semaphore::new((most.get() as usize).min(Semaphore::MAX_PERMITS))))
        };
        Self {
            requests: semaphore(limits.requests),
            connections: semaphore(limits.connections),
            limits: *limits,
            queued: AtomicUsize::new(0),
            wait_for_connections: AtomicUsize::new(0),
        }
    }

    /// Room for a request.
    pub(super) async fn request(&self, timer: &Timer) -> Result<Room, Failure> {
        let Some(semaphore) = &self.requests else { return Ok(None) };
        if let Ok(room) = semaphore.clone().try_acquire_owned() {
            return Ok(Some(room));
        }
        let _queued = self.queue()?;
        timer.set(self.limits.wait.get());
        let room = timer.bound(semaphore.clone().acquire_owned()).await;
        room.map_err(|_late| Failure::UpstreamBusy).map(Result::ok)
    }

    /// Room for a connection.
    pub(super) async fn connection(&self, timer: &Timer) -> Result<Room, Failure> {
        if let Some(room) = self.try_connection() {
            return Ok(room);
        }
        let _queued = self.queue()?;
        timer.set(self.limits.wait.get());
        timer.bound(self.free_connection()).await.map_err(|_late| Failure::UpstreamBusy)
    }

    /// Room for a connection, if there is some at once.
    pub(super) fn try_connection(&self) -> Option<Room> {
        let Some(semaphore) = &self.connections else { return Some(None) };
        semaphore.clone().try_acquire_owned().ok().map(Some)
    }

    /// Room for a connection, however long that takes.
    pub(super) async fn free_connection(&self) -> Room {
        let Some(semaphore) = &self.connections else { return None };
        self.wait_for_connections.fetch_add(1, Ordering::Relaxed);
        let _waiting = Queued(&self.wait_for_connections);
        // It is never closed.
        semaphore.clone().acquire_owned().await.ok()
    }

    /// A place among those that wait.
    pub(super) fn queue(&self) -> Result<Queued<'_>, Failure> {
        Queued::enter(&self.queued, self.limits.queued).ok_or(Failure::UpstreamBusy)
    }

    /// Requests that wait.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many wait for a connection: then none is kept for later.
    pub(super) fn waits_for_connections(&self) -> usize {
        self.wait_for_connections.load(Ordering::Relaxed)
    }
}

/// One that waits.
pub(super) struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn enter(count: &'a AtomicUsize, most: u32) -> Option<Self> {
        let queued = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most as usize).then_some(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many requests may be sent again: each request adds a part of one, and each that is sent again takes a whole one.
#[derive(Debug)]
pub(super) struct Budget {
    /// In hundredths.
    left: AtomicI64,
    percent: i64,
}

/// What one costs.
const ONE: i64 = 100;
/// The most that is saved for later, and what there is at first.
const MOST: i64 = 10 * ONE;

impl Budget {
    pub(super) fn new(percent: u8) -> Self {
        Self { left: AtomicI64::new(MOST), percent: percent.into() }
    }

    /// A request came.
    pub(super) fn earn(&self) {
        // Nearly always full: nothing to write that other cores would have to read.
        if self.left.load(Ordering::Relaxed) < MOST {
            self.left.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Whether one may be sent again.
    pub(super) fn spend(&self) -> bool {
        let take = |left: i64| (left >= ONE).then_some(left - ONE);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_sent_again_than_the_budget_has() {
        let budget = Budget::new(20);
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        (0..14).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 2);
        budget.earn();
        assert!(budget.spend(), "what was left of the 14, and one more");
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
