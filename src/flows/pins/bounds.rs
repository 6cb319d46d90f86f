//! How many PINs are checked at once, and how many may wait for that. More are turned away at once (T50).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PinTrouble;

/// Turns at work that is bounded. Clones share them.
#[derive(Clone)]
pub(super) struct Bounds {
    /// Places for those who are served and for those who wait.
    places: Arc<Semaphore>,
    /// Those who are served.
    served: Arc<Semaphore>,
}

/// The right to do the work now; over when dropped.
pub(super) struct Turn {
    _served: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Bounds {
    pub(super) fn new(concurrency: usize, waiting: usize) -> Self {
        let places = concurrency.saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), served: Arc::new(Semaphore::new(concurrency)) }
    }

    /// Waits for a turn, first come first served. Who stops waiting frees the place.
    pub(super) async fn turn(&self) -> Result<Turn, PinTrouble> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| overloaded())?;
        let served = self.served.clone().acquire_owned().await.map_err(|_| overloaded())?;
        Ok(Turn { _served: served, _place: place })
    }

    /// The same, but no longer than this.
    pub(super) async fn turn_within(&self, limit: Duration) -> Result<Turn, PinTrouble> {
        tokio::time::timeout(limit, self.turn()).await.unwrap_or_else(|_| Err(overloaded()))
    }
}

/// Between 1 and 5 seconds, so that those who were turned away together don't come back together.
fn overloaded() -> PinTrouble {
    let spread = getrandom::u32().unwrap_or_default() % 5;
    PinTrouble::Overloaded { retry_after: Duration::from_secs(1 + u64::from(spread)) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_turned_away(result: Result<Turn, PinTrouble>) -> bool {
        let Err(PinTrouble::Overloaded { retry_after }) = result else { return false };
        (1..=5).contains(&retry_after.as_secs())
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_is_turned_away_at_once() {
        let bounds = Bounds::new(1, 1);
        let mut context = Context::from_waker(Waker::noop());
        let served = bounds.turn().await.unwrap();
        let mut waiter = pin!(bounds.turn());
        assert!(waiter.as_mut().poll(&mut context).is_pending());
        assert!(is_turned_away(bounds.turn().await));
        drop(served);
        let Poll::Ready(Ok(turn)) = waiter.as_mut().poll(&mut context) else { panic!("it is its turn") };
        drop(turn);
        assert!(bounds.turn().await.is_ok());
    }

    #[tokio::test]
    async fn who_stops_waiting_frees_the_place() {
        let bounds = Bounds::new(1, 1);
        let mut context = Context::from_waker(Waker::noop());
        let _served = bounds.turn().await.unwrap();
        let mut first = Box::pin(bounds.turn());
        assert!(first.as_mut().poll(&mut context).is_pending());
        drop(first);
        let mut second = pin!(bounds.turn());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(is_turned_away(bounds.turn().await));
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_allowed() {
        let bounds = Bounds::new(1, 1);
        let _served = bounds.turn().await.unwrap();
        assert!(is_turned_away(bounds.turn_within(Duration::from_millis(1)).await));
    }
}
