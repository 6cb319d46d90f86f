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
    /// Those of them that wait for a connection.
    wanting: AtomicUsize,
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
            wanting: AtomicUsize::new(0),
        }
    }

    /// Room for a request.
    pub(super) async fn request(&self, timer: &Timer) -> Result<Room, Failure> {
        self.room(self.requests.as_ref(), timer).await
    }

    /// Room for a connection.
    pub(super) async fn connection(&self, timer: &Timer) -> Result<Room, Failure> {
        let Some(semaphore) = &self.connections else { return Ok(None) };
        if let Ok(room) = semaphore.clone().try_acquire_owned() {
            return Ok(Some(room));
        }
        let _wanting = Queued::enter(&self.wanting, u32::MAX);
        self.room(Some(semaphore), timer).await
    }

    /// Requests that wait.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for a connection: then none is kept for later.
    pub(super) fn wants_connections(&self) -> bool {
        self.wanting.load(Ordering::Relaxed) > 0
    }

    async fn room(&self, of: Option<&Arc<Semaphore>>, timer: &Timer) -> Result<Room, Failure> {
        let Some(semaphore) = of else { return Ok(None) };
        if let Ok(room) = semaphore.clone().try_acquire_owned() {
            return Ok(Some(room));
        }
        let _queued = Queued::enter(&self.queued, self.limits.queued).ok_or(Failure::UpstreamBusy)?;
        timer.set(self.limits.wait.get());
        match timer.bound(semaphore.clone().acquire_owned()).await {
            Ok(Ok(room)) => Ok(Some(room)),
            // It is never closed.
            Ok(Err(_)) | Err(_) => Err(Failure::UpstreamBusy),
        }
    }
}

/// One that waits.
struct Queued<'a>(&'a AtomicUsize);

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
