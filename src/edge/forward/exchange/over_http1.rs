//! An exchange on an HTTP/1.1 connection of its own.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::course::{Course, Stage};
use super::sending::Sending;
use super::{Answer, BodySource, Broken, LONGEST_HEAD, Part};
use crate::edge::failure::Failure;
use crate::edge::forward::ResponseHead;
use crate::edge::framing::{Decoded, Decoder, Framing};
use crate::edge::http1::{BadHead, HeadEnd};
use crate::edge::intake::Admitted;
use crate::edge::spare;
use crate::edge::timer::Timer;
use crate::edge::upstream::Link;

/// How much of a body is read at once.
const READ: usize = 64 << 10;

/// A request on its way, and its response.
pub(super) struct OverHttp1 {
    link: Link,
    sending: Sending,
    receiving: Receiving,
    upgrade: bool,
    keeps_alive: bool,
    /// Whether the upstream sent anything at all.
    has_answered: bool,
}

enum Receiving {
    Head(HeadEnd),
    Body(Decoder),
    Over,
}

impl OverHttp1 {
    /// Begins to send this head over `link`.
    pub(super) fn begin(admitted: &Admitted, head: Bytes, link: Link) -> Self {
        Self {
            link,
            sending: Sending::new(head, admitted.framing == Some(Framing::Chunked)),
            receiving: Receiving::Head(HeadEnd::default()),
            upgrade: admitted.upgrade,
            keeps_alive: false,
            has_answered: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    pub(super) fn poll_answer<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        course: &mut Course,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Answer, Broken>> {
        if let Poll::Ready(Err(failure)) = self.poll_send(cx, course, source, timer) {
            return Poll::Ready(Err(failure.into()));
        }
        loop {
            if let Some(answer) = self.take_answer(course, timer)? {
                return Poll::Ready(Ok(answer));
            }
            if let Poll::Ready(read) = self.poll_fill(cx) {
                match read {
                    Ok(0) => {
                        let why = "it closed the connection without an answer";
                        return Poll::Ready(Err(self.broken(course, why)));
                    }
                    Ok(_) => continue,
                    Err(_) => {
                        let why = "the connection broke before an answer";
                        return Poll::Ready(Err(self.broken(course, why)));
                    }
                }
            }
            return course.poll_late(cx, timer);
        }
    }

    pub(super) fn poll_part<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        course: &mut Course,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Part, Failure>> {
        if let Poll::Ready(Err(failure)) = self.poll_send(cx, course, source, timer) {
            return Poll::Ready(Err(failure));
        }
        if course.is_overdue() && !self.is_over() {
            return Poll::Ready(Err(Failure::Overdue));
        }
        loop {
            let Receiving::Body(decoder) = &mut self.receiving else {
                return Poll::Ready(Ok(Part::End(Bytes::new())));
            };
            match decoder.decode(&mut self.link.read) {
                Ok(Decoded::Data(data)) => {
                    course.received(&data)?;
                    // Nothing follows a body of declared length, while one in chunks may have trailers.
                    if matches!(decoder, Decoder::Length(0)) {
                        self.receiving = Receiving::Over;
                    }
                    return Poll::Ready(Ok(Part::Data(data)));
                }
                Ok(Decoded::End(trailers)) => {
                    self.receiving = Receiving::Over;
                    return Poll::Ready(Ok(Part::End(trailers)));
                }
                Err(bad) => return Poll::Ready(Err(Failure::UpstreamBroken(bad.0))),
                Ok(Decoded::More) => {}
            }
            let until_close = matches!(decoder, Decoder::UntilClose);
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if until_close => {
                    self.receiving = Receiving::Over;
                    return Poll::Ready(Ok(Part::End(Bytes::new())));
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(Failure::UpstreamBroken("its response ended in the middle")));
                }
                Poll::Ready(Ok(_)) => course.await_part(timer),
                Poll::Pending => {
                    timer.register(cx);
                    return if timer.is_late() {
                        Poll::Ready(Err(Failure::UpstreamTimeout))
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
    }

    /// Keeps the connection if nothing is left on it in either direction.
    pub(super) fn finish(self, course: &Course) {
        let is_sent = course.stage == Stage::Taken && self.sending.is_flushed();
        if self.keeps_alive && is_sent && self.is_over() {
            course.rules.pools[course.upstream].give_back(self.link);
        }
    }

    pub(super) fn into_link(self) -> Link {
        self.link
    }

    /// Takes the next head out of the buffer: an interim one is dealt with here, but for the one that the client
    /// waits for.
    fn take_answer(&mut self, course: &mut Course, timer: &Timer) -> Result<Option<Answer>, Broken> {
        while let Some(mut head) = self.take_head(course.is_head).map_err(|why| self.broken(course, why))? {
            match head.status {
                101 if self.upgrade => {
                    self.receiving = Receiving::Over;
                    course.switched(&mut head);
                    return Ok(Some(Answer::Head(head)));
                }
                101 => return Err(self.broken(course, "it switched protocols unasked")),
                100..200 => {
                    self.receiving = Receiving::Head(HeadEnd::default());
                    if head.status == 100 && course.stage == Stage::Held {
                        course.let_body_flow(timer);
                        return Ok(Some(Answer::Continue));
                    }
                    if head.status > 101 {
                        return Ok(Some(course.heard(head)));
                    }
                }
                _ => {
                    course.answered(&mut head, timer)?;
                    self.keeps_alive = head.keeps_alive;
                    self.receiving = match head.framing {
                        Framing::Length(0) => Receiving::Over,
                        framing => Receiving::Body(Decoder::response(framing)),
                    };
                    return Ok(Some(Answer::Head(head)));
                }
            }
        }
        Ok(None)
    }

    /// Takes the next head out of the buffer, if one is expected and there.
    fn take_head(&mut self, is_head: bool) -> Result<Option<Box<ResponseHead>>, &'static str> {
        let Receiving::Head(end) = &mut self.receiving else { return Ok(None) };
        let found = end.find(&self.link.read).map_err(|bad| match bad {
            BadHead::Malformed(why) => why,
            BadHead::TooManyFields => "too many header fields",
        })?;
        if found.unwrap_or(self.link.read.len()) > LONGEST_HEAD {
            return Err("its head is too long");
        }
        found.map(|length| ResponseHead::take(&mut self.link.read, length, is_head)).transpose()
    }

    fn broken(&self, course: &Course, why: &'static str) -> Broken {
        Broken {
            was_stale: self.link.is_reused && !self.has_answered && course.bytes_in == 0,
            ..Failure::UpstreamBroken(why).into()
        }
    }

    /// Reads from the upstream. Asks for readiness first, so that a quiet connection holds no buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Link { io, read, .. } = &mut self.link;
        ready!(io.poll_readable(cx))?;
        let wanted = match &self.receiving {
            Receiving::Body(Decoder::Length(left)) => usize::try_from(*left).unwrap_or(READ).clamp(512, READ),
            Receiving::Body(_) => READ,
            Receiving::Head(_) | Receiving::Over => 4 << 10,
        };
        if read.capacity() == 0 {
            *read = spare::take();
        }
        read.reserve(wanted);
        let length = ready!(pin!(io.read_buf(read)).poll(cx))?;
        self.has_answered |= length > 0;
        Poll::Ready(Ok(length))
    }

    /// Sends what there is, and takes more from the client whenever that is gone.
    fn poll_send<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        course: &mut Course,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let wants_more = course.stage == Stage::Body && self.sending.has_room();
            let source_is_dry = wants_more && self.poll_take(cx, course, source, timer)?.is_pending();
            if self.sending.is_flushed() {
                // TLS may hold back what it was given.
                if let Err(_gone) = ready!(Pin::new(&mut self.link.io).poll_flush(cx)) {
                    self.refuse(course);
                }
                course.waits_for_client = source_is_dry;
                return if source_is_dry { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            course.waits_for_client = false;
            match ready!(self.sending.poll_write(cx, &mut self.link.io)) {
                Ok(()) => {}
                // The upstream may have answered before it closed: what it said decides.
                Err(_) => self.refuse(course),
            }
        }
    }

    fn refuse(&mut self, course: &mut Course) {
        course.stage = Stage::Refused;
        self.sending.clear();
    }

    /// Takes parts from the client while they come and are small.
    fn poll_take<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        course: &mut Course,
        source: &mut S,
        timer: &Timer,
    ) -> Result<Poll<()>, Failure> {
        while course.stage == Stage::Body && self.sending.has_room() {
            let Poll::Ready(part) = course.poll_take(cx, source, timer)? else { return Ok(Poll::Pending) };
            match part {
                Part::Data(data) => self.sending.add(data),
                Part::End(lines) => self.sending.end(&lines),
            }
        }
        Ok(Poll::Ready(()))
    }
}
