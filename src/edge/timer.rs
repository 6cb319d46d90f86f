//! Deadlines, coarse and cheap: setting one is a store, and one sweep a tick wakes whoever is late.
//!
//! A request sets a handful of deadlines that almost never pass, so each is an atomic number in a slab instead of
//! an entry in a timer wheel. The same slab is how everybody is woken at once, when trust changes or the gate drains.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use slab::Slab;

/// How often deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long the first request of a connection is waited for once the gate drains.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);

const NEVER: u64 = u64::MAX;

/// The deadlines of one worker.
#[derive(Debug)]
pub(super) struct Timers {
    epoch: Instant,
    now: AtomicU64,
    slots: Mutex<Slab<Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    deadline: AtomicU64,
    waker: AtomicWaker,
}

impl Timers {
    /// No deadlines yet; time is counted from `epoch`.
    pub(super) fn new(epoch: Instant) -> Arc<Self> {
        Arc::new(Self { epoch, now: AtomicU64::new(0), slots: Mutex::default() })
    }

    /// A timer that isn't set.
    pub(super) fn timer(self: &Arc<Self>) -> Timer {
        let slot = Arc::new(Slot { deadline: AtomicU64::new(NEVER), waker: AtomicWaker::new() });
        let key = self.lock().insert(slot.clone());
        Timer { timers: self.clone(), slot, key, last: AtomicU64::new(NEVER) }
    }

    /// Moves time on to `now` and wakes whoever is late.
    pub(super) fn tick(&self, now: Instant) {
        let now = millis(now.saturating_duration_since(self.epoch));
        self.now.store(now, Ordering::Relaxed);
        self.wake(|slot| slot.deadline.load(Ordering::Relaxed) <= now);
    }

    /// How long ago time was last moved on.
    pub(super) fn since_tick(&self, now: Instant) -> Duration {
        let ticked = Duration::from_millis(self.now.load(Ordering::Relaxed));
        now.saturating_duration_since(self.epoch).saturating_sub(ticked)
    }

    /// Wakes everybody, to look at the trust and the phase of the gate again.
    pub(super) fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, late: impl Fn(&Slot) -> bool) {
        // Collected first: a waker may drop its task, and with it a timer of this very slab.
        let late: Vec<Arc<Slot>> =
            self.lock().iter().map(|(_, slot)| slot).filter(|slot| late(slot)).cloned().collect();
        for slot in late {
            slot.waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slab<Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One deadline of one task.
#[derive(Debug)]
pub(super) struct Timer {
    timers: Arc<Timers>,
    slot: Arc<Slot>,
    key: usize,
    /// No deadline is later.
    last: AtomicU64,
}

/// The deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late;

impl Timer {
    /// Sets the deadline anew. It is never early, and late by at most two ticks.
    pub(super) fn set(&self, after: Duration) {
        let deadline = self.timers.now.load(Ordering::Relaxed) + millis(TICK) + millis(after);
        self.slot.deadline.store(deadline.min(self.last.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Has no deadline be later than this from now on; `None`: as late as it likes.
    pub(super) fn end(&self, at: Option<Instant>) {
        let last = at.map(|at| millis(at.saturating_duration_since(self.timers.epoch)) + millis(TICK));
        self.last.store(last.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Whether the deadline passed.
    pub(super) fn is_late(&self) -> bool {
        self.slot.deadline.load(Ordering::Relaxed) <= self.timers.now.load(Ordering::Relaxed)
    }

    /// Has the task woken when the deadline passes, and at [`Timers::wake_all`].
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.slot.waker.register(cx.waker());
    }

    /// Runs `future` until the deadline.
    pub(super) async fn bound<F: Future>(&self, future: F) -> Result<F::Output, Late> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.register(cx);
            if self.is_late() { Poll::Ready(Err(Late)) } else { Poll::Pending }
        })
        .await
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.timers.lock().try_remove(self.key);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let epoch = crate::clock::instant();
        let timers = Timers::new(epoch);
        let timer = timers.timer();
        assert!(!timer.is_late());
        timer.set(Duration::from_millis(500));
        timers.tick(epoch + Duration::from_millis(500));
        assert!(!timer.is_late());
        timers.tick(epoch + Duration::from_millis(600));
        assert!(timer.is_late());
        timer.set(Duration::from_secs(1));
        assert!(!timer.is_late());
    }

    #[test]
    fn how_long_nobody_ticked_is_known() {
        let epoch = crate::clock::instant();
        let timers = Timers::new(epoch);
        assert_eq!(timers.since_tick(epoch + Duration::from_secs(3)), Duration::from_secs(3));
        timers.tick(epoch + Duration::from_secs(2));
        assert_eq!(timers.since_tick(epoch + Duration::from_secs(3)), Duration::from_secs(1));
        assert_eq!(timers.since_tick(epoch), Duration::ZERO);
    }

    #[test]
    fn a_dropped_timer_leaves_no_slot_behind() {
        let timers = Timers::new(crate::clock::instant());
        drop(timers.timer());
        assert!(timers.lock().is_empty());
    }
}
