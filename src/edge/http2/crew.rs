//! The streams of one connection, as parts of the connection's own task. hyper would have each of them spawned: a task
//! apiece costs more to make than most requests to answer, and would outlive its connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where hyper brings its streams.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Vec<Work>>>);

/// The streams that are being answered.
#[derive(Default)]
pub(super) struct Crew {
    arrivals: Arrivals,
    working: FuturesUnordered<Work>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Arrivals {
    fn execute(&self, work: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(work));
    }
}

impl Crew {
    /// What hyper is to bring its streams to.
    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    /// Begins what has arrived. Whether there was any.
    pub(super) fn begin(&mut self) -> bool {
        let mut arrivals = self.arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.working.len();
        self.working.extend(arrivals.drain(..));
        self.working.len() > before
    }

    /// Goes on with whatever can go on.
    pub(super) fn work(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.working.poll_next_unpin(cx) {}
    }
}
