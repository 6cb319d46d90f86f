//! What was tried for one request.

use std::sync::Arc;
use std::time::Instant;

use super::balance;
use super::capacity::Room;
use super::endpoint::Endpoint;
use super::pool::{Line, Pool};
use crate::clock;
use crate::config::Balance;
use crate::edge::failure::{Failure, Fault};
use crate::edge::timer::Timer;

/// One request's way to an endpoint, from its turn in the queue to the head of its response.
pub(in crate::edge) struct Attempt {
    pool: Arc<Pool>,
    /// Whose request it is.
    key: u64,
    /// Who has failed it.
    failed: Vec<Arc<Endpoint>>,
    /// Since when only a connection will do that is newer than that.
    newer_than: Option<Instant>,
    /// How often it was sent again.
    again: u32,
    room: Room,
    /// When all of it must be over.
    ends: Option<Instant>,
    /// What each connection begins with.
    introduction: Vec<u8>,
}

/// What came of it at one endpoint.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) enum Outcome {
    /// An answer with this status.
    Answer(u16),
    /// None.
    Failure(Failure),
}

impl Attempt {
    /// Waits for the request's turn.
    pub(in crate::edge) async fn begin(
        pool: &Arc<Pool>,
        key: impl FnOnce() -> String,
        ends: Option<Instant>,
        timer: &Timer,
    ) -> Result<Self, Failure> {
        let upstream = &pool.upstream;
        let sticks = upstream.settings.balance == Balance::User;
        let key = if sticks { balance::hash(key().as_bytes()) } else { 0 };
        let room = upstream.capacity.request(timer).await?;
        upstream.budget.earn();
        Ok(Self {
            pool: pool.clone(),
            key,
            failed: Vec::new(),
            newer_than: None,
            again: 0,
            room,
            ends,
            introduction: Vec::new(),
        })
    }

    /// Has every connection begin with a word about whose it is.
    pub(in crate::edge) fn introduce(&mut self, introduction: Vec<u8>) {
        self.introduction = introduction;
    }

    /// A connection to an endpoint that hasn't failed this request. Who can't be reached is passed over: nothing was sent.
    pub(in crate::edge) async fn open(&mut self, timer: &Timer) -> Result<Line, Failure> {
        loop {
            let Some(endpoint) = self.pool.choose(self.key, |endpoint| !self.has_failed(endpoint)) else {
                let has_tried = !self.failed.is_empty();
                return Err(if has_tried { Failure::UpstreamUnreachable } else { Failure::UpstreamDown });
            };
            let kept = self.newer_than.is_none().then(|| self.pool.kept(&endpoint)).flatten();
            let line = match kept {
                Some(line) => Some(line),
                // On the heap: this is rare and large, and its room would be part of every request's.
                None => {
                    Box::pin(self.pool.open(&endpoint, self.newer_than, &self.introduction, timer)).await?
                }
            };
            match line {
                Some(mut line) => {
                    line.hold(self.room.take());
                    return Ok(line);
                }
                // There was no time to reach it.
                None if self.is_overdue() => return Err(Failure::Overdue),
                None => {
                    self.pool.upstream.note(&endpoint, Outcome::Failure(Failure::UpstreamUnreachable));
                    self.failed.push(endpoint);
                }
            }
        }
    }

    /// Whether the request is sent again after what came of it at this endpoint: to another one, or to the same if there is no
    /// other. It must be one that may be sent twice and is whole in our hands.
    pub(in crate::edge) fn goes_on(
        &mut self,
        endpoint: &Arc<Endpoint>,
        outcome: Outcome,
        may_repeat: bool,
    ) -> bool {
        let upstream = &self.pool.upstream;
        upstream.note(endpoint, outcome);
        let retries = &upstream.settings.retries;
        let is_reason = match outcome {
            Outcome::Answer(status) => retries.statuses.contains(&status),
            Outcome::Failure(Failure::UpstreamTimeout) => retries.timeouts,
            Outcome::Failure(failure) => failure.fault() == Fault::Upstream,
        };
        let has_others = || {
            self.pool
                .has_usable(|other| !std::ptr::eq(Arc::as_ptr(endpoint), other) && !self.has_failed(other))
        };
        // The answer of the last one is better than none.
        let has_any = || has_others() || self.pool.has_usable(|_| true);
        if !(is_reason && may_repeat) || self.again >= retries.most || self.is_overdue() || !has_any() {
            return false;
        }
        if !upstream.budget.spend() {
            upstream.retries_denied.inc();
            return false;
        }
        upstream.retries.inc();
        self.again += 1;
        self.failed.push(endpoint.clone());
        if !self.pool.has_usable(|endpoint| !self.has_failed(endpoint)) {
            self.failed.clear();
        }
        true
    }

    /// Whether it is sent again, over a new connection, after one that had been kept was found closed, or the endpoint didn't
    /// look at the request. Nobody has failed.
    pub(in crate::edge) fn goes_on_fresh(&mut self) -> bool {
        self.newer_than.replace(clock::instant()).is_none()
    }

    /// Keeps the request's turn while its connection goes.
    pub(in crate::edge) fn take_back(&mut self, line: Line) {
        self.room = line.release();
    }

    fn is_overdue(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= clock::instant())
    }

    fn has_failed(&self, endpoint: &Endpoint) -> bool {
        self.failed.iter().any(|failed| std::ptr::eq(Arc::as_ptr(failed), endpoint))
    }
}
