//! What holds for an exchange whichever version of HTTP it goes over: its limits, its deadlines, and how far it has come.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Answer, BodySource, Broken, Part};
use crate::clock;
use crate::edge::failure::Failure;
use crate::edge::forward::{ResponseHead, request};
use crate::edge::framing::Framing;
use crate::edge::intake::Admitted;
use crate::edge::route::{Leave, Terms};
use crate::edge::rules::Rules;
use crate::edge::slowness::{Slowness, TooSlow};
use crate::edge::timer::Timer;

/// How long an upstream may take to say `100 Continue` before the body is sent anyway (RFC 9110, section 10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);

/// An exchange's limits and deadlines, and how far it has come.
pub(super) struct Course {
    pub(super) rules: Arc<Rules>,
    pub(super) upstream: usize,
    terms: Arc<Terms>,
    /// When it must be over.
    ends: Option<Instant>,
    leave: Leave,
    pub(super) is_head: bool,
    /// How far the request's body has come.
    pub(super) stage: Stage,
    /// Whether everything was sent that the client has given so far, and it has more to give.
    pub(super) waits_for_client: bool,
    /// Whether the head of the response is here.
    is_answered: bool,
    /// How slowly the client sends its body.
    slowness: Slowness,
    /// Bytes of the request's body that were taken from the client.
    pub(super) bytes_in: u64,
    /// Bytes of the response's body that came.
    received: u64,
}

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The body waits for `100 Continue`.
    Held,
    /// The body flows.
    Body,
    /// Everything was taken from the client.
    Taken,
    /// The upstream doesn't read any more.
    Refused,
}

impl Course {
    /// Begins, and sets the first deadline.
    pub(super) fn begin(rules: &Arc<Rules>, admitted: &Admitted, timer: &Timer) -> Self {
        let terms = &admitted.terms;
        let (stage, patience) = match (admitted.has_body(), admitted.expects_continue) {
            (true, true) => (Stage::Held, CONTINUE),
            (true, false) => (Stage::Body, terms.body_idle),
            (false, _) => (Stage::Taken, terms.upstream_first_byte),
        };
        let course = Self {
            rules: rules.clone(),
            upstream: admitted.permit.upstream(),
            terms: terms.clone(),
            ends: admitted.ends,
            leave: admitted.leave.clone(),
            is_head: admitted.is_head,
            stage,
            waits_for_client: false,
            is_answered: false,
            slowness: Slowness::new(&rules.policy.limits),
            bytes_in: 0,
            received: 0,
        };
        timer.set(course.patience(patience));
        course
    }

    /// So long, but no longer than until the exchange must be over.
    pub(super) fn patience(&self, wanted: Duration) -> Duration {
        let left = self.ends.map(|ends| ends.saturating_duration_since(clock::instant()));
        left.map_or(wanted, |left| left.min(wanted))
    }

    /// Waits for the upstream's next part.
    pub(super) fn await_part(&self, timer: &Timer) {
        timer.set(self.patience(self.terms.upstream_body_idle));
    }

    /// The trailer fields of the response that may go on, as lines.
    pub(super) fn trailer_lines(&self, section: &[u8]) -> Result<Vec<u8>, &'static str> {
        request::trailer_lines(&self.rules.policy, &self.terms.response, section)
    }

    /// Whether it should be over by now, however well it goes.
    pub(super) fn is_overdue(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= clock::instant())
    }

    /// Whether the client's body is wanted at the moment.
    pub(super) const fn takes_body(&self) -> bool {
        matches!(self.stage, Stage::Held | Stage::Body)
    }

    /// Takes the next part of the body from the client, or its end with the trailer lines that may go on.
    pub(super) fn poll_take<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Part, Failure>> {
        let Poll::Ready(part) = source.poll_part(cx) else {
            self.wait_for_client(timer);
            return Poll::Pending;
        };
        Poll::Ready(part.and_then(|part| self.taken(part, timer)))
    }

    fn taken(&mut self, part: Part, timer: &Timer) -> Result<Part, Failure> {
        match part {
            Part::Data(data) => {
                self.bytes_in += data.len() as u64;
                if self.bytes_in > self.terms.request_body {
                    return Err(Failure::BodyTooLarge);
                }
                let moved = self.slowness.moved(data.len() as u64, clock::instant());
                if !self.is_answered {
                    moved.map_err(|TooSlow| Failure::RequestTimeout)?;
                    timer.set(self.patience(self.terms.body_idle));
                }
                Ok(Part::Data(data))
            }
            Part::End(trailers) => {
                let edits = &self.terms.request;
                let lines = request::trailer_lines(&self.rules.policy, edits, &trailers)
                    .map_err(Failure::BadRequest)?;
                self.stage = Stage::Taken;
                if !self.is_answered {
                    timer.set(self.patience(self.terms.upstream_first_byte));
                }
                Ok(Part::End(lines.into()))
            }
        }
    }

    /// From here on it is the client's time that passes, until its next part. Once the upstream answers, the two talk at
    /// their own pace.
    fn wait_for_client(&mut self, timer: &Timer) {
        if let Some(left) = self.slowness.waits(clock::instant())
            && !self.is_answered
        {
            timer.set(self.patience(self.terms.body_idle.min(left)));
        }
    }

    /// The upstream wants the body.
    pub(super) fn let_body_flow(&mut self, timer: &Timer) {
        self.stage = Stage::Body;
        timer.set(self.patience(self.terms.body_idle));
    }

    /// The upstream agrees to speak something else from here on.
    pub(super) fn switched(&mut self, head: &mut ResponseHead) {
        self.is_answered = true;
        head.edit(&self.terms, std::mem::take(&mut self.leave));
    }

    /// Takes the head of the final response, as far as its route lets it.
    pub(super) fn answered(&mut self, head: &mut ResponseHead, timer: &Timer) -> Result<(), Failure> {
        if matches!(head.framing, Framing::Length(length) if length > self.terms.response_body) {
            return Err(Failure::ResponseTooLarge);
        }
        self.is_answered = true;
        self.await_part(timer);
        head.edit(&self.terms, std::mem::take(&mut self.leave));
        if self.stage == Stage::Held {
            // A final answer instead of 100: the body isn't wanted.
            self.stage = Stage::Refused;
        }
        Ok(())
    }

    /// Takes the head of an interim response that is for the client to know.
    pub(super) fn heard(&self, mut head: Box<ResponseHead>) -> Answer {
        head.edit(&self.terms, Leave::new());
        Answer::Interim(head)
    }

    /// Counts a part of the response's body.
    pub(super) fn received(&mut self, data: &Bytes) -> Result<(), Failure> {
        self.received += data.len() as u64;
        if self.received > self.terms.response_body {
            return Err(Failure::ResponseTooLarge);
        }
        Ok(())
    }

    /// What follows when no head is there yet.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>, timer: &Timer) -> Poll<Result<Answer, Broken>> {
        timer.register(cx);
        if !timer.is_late() {
            return Poll::Pending;
        }
        if self.is_overdue() {
            return Poll::Ready(Err(Failure::Overdue.into()));
        }
        if self.stage == Stage::Held {
            self.let_body_flow(timer);
            return Poll::Ready(Ok(Answer::Continue));
        }
        let failure = if self.waits_for_client { Failure::RequestTimeout } else { Failure::UpstreamTimeout };
        Poll::Ready(Err(failure.into()))
    }
}
