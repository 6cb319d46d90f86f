//! The streams of one connection, as parts of the connection's own task. hyper would have each of them spawned: a task
//! apiece costs more to make than most requests to answer, and would outlive its connection.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use hyper::rt::Executor;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where hyper brings its streams.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Vec<Work>>>);

/// The streams that are being answered.
pub(super) struct Crew {
    arrivals: Arrivals,
    working: FuturesUnordered<Work>,
}

impl Default for Crew {
    fn default() -> Self {
        let mut working = FuturesUnordered::new();
        // Whenever it has polled all that it has, it has its task woken once more, for nothing. One that is never ready keeps
        // it from that.
        working.push(Box::pin(std::future::pending()) as Work);
        let _ = working.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
        Self { arrivals: Arrivals::default(), working }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Arrivals {
    fn execute(&self, work: F) {
        // One that panics takes no other along.
        let work = AssertUnwindSafe(work).catch_unwind().map(drop);
        self.lock().push(Box::pin(work));
    }
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, Vec<Work>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Crew {
    /// A stream knows where to bring others: one that is never begun would keep itself for ever.
    fn drop(&mut self) {
        let never_begun = std::mem::take(&mut *self.arrivals.lock());
        drop(never_begun);
    }
}

impl Crew {
    /// What hyper is to bring its streams to.
    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    /// Begins what has arrived, and what that brings in its turn.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>) {
        while self.take_in() {
            self.work(cx);
        }
    }

    /// Goes on with whatever can go on.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.working.poll_next_unpin(cx) {}
    }

    /// Whether anything has arrived.
    fn take_in(&mut self) -> bool {
        let mut arrivals = self.arrivals.lock();
        let has_arrivals = !arrivals.is_empty();
        self.working.extend(arrivals.drain(..));
        has_arrivals
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[test]
    fn what_arrives_is_begun_with_what_it_brings_and_ends_with_the_crew() {
        let (mut crew, begun) = (Crew::default(), Arc::new(AtomicUsize::new(0)));
        let mut cx = Context::from_waker(Waker::noop());
        let (first, second) = (begun.clone(), begun.clone());
        let arrivals = crew.arrivals();
        crew.arrivals().execute(async move {
            first.fetch_add(1, Ordering::Relaxed);
            arrivals.execute(async move {
                second.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            });
        });
        crew.work(&mut cx);
        assert_eq!(begun.load(Ordering::Relaxed), 0);
        crew.begin(&mut cx);
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        // The first is over, and the second one goes with its connection.
        assert_eq!(crew.working.len(), 1 + 1);
        drop(crew);
        assert_eq!(Arc::strong_count(&begun), 1);
    }

    #[test]
    fn what_is_never_begun_goes_with_the_crew_although_it_knows_where_it_lies() {
        let (crew, held) = (Crew::default(), Arc::new(()));
        let (arrivals, inside) = (crew.arrivals(), held.clone());
        crew.arrivals().execute(async move { drop((arrivals, inside)) });
        assert_eq!(Arc::strong_count(&held), 2);
        drop(crew);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn nobody_is_woken_for_nothing() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (mut crew, count) = (Crew::default(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(count.clone());
        crew.arrivals().execute(std::future::pending());
        crew.begin(&mut Context::from_waker(&waker));
        crew.work(&mut Context::from_waker(&waker));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_panics_takes_no_other_along() {
        let (mut crew, done) = (Crew::default(), Arc::new(AtomicUsize::new(0)));
        let counted = done.clone();
        crew.arrivals().execute(async { panic!("a fault of ours") });
        crew.arrivals().execute(async move { counted.store(1, Ordering::Relaxed) });
        crew.begin(&mut Context::from_waker(Waker::noop()));
        assert_eq!((done.load(Ordering::Relaxed), crew.working.len()), (1, 1));
    }
}
