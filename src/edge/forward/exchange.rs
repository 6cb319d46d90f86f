//! One request and its response on one connection to an upstream, driven from the request's own task.
//!
//! Both bodies flow at once: every poll for the response also moves the request on, so an upstream may answer before
//! it has read everything, and nothing needs a task or a channel of its own. Memory is bounded by the parts in hand:
//! the client is read only when the upstream has taken what was read before, and the other way round.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::ResponseHead;
use crate::clock;
use crate::edge::failure::Failure;
use crate::edge::framing::{Decoded, Decoder, Framing};
use crate::edge::http1::{BadHead, HeadEnd};
use crate::edge::intake::Admitted;
use crate::edge::route::{Leave, Terms};
use crate::edge::rules::Rules;
use crate::edge::slowness::{Slowness, TooSlow};
use crate::edge::timer::Timer;
use crate::edge::upstream::{Link, Wire};

/// A head of a response may be so long.
const LONGEST_HEAD: usize = 64 << 10;
/// How long an upstream may take to say `100 Continue` before the body is sent anyway (RFC 9110, section 10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);
/// Parts up to this size are gathered into one write.
const SMALL: usize = 8 << 10;
/// How much of a body is read at once.
const READ: usize = 64 << 10;

/// What is wrong with a response that is longer than its route allows.
const TOO_MUCH: &str = "more bytes than the route's limits.response_body";

/// A part of a body, on its way.
#[derive(Debug)]
pub(in crate::edge) enum Part {
    /// Some of it.
    Data(Bytes),
    /// Its end, with the lines of its trailer section.
    End(Bytes),
}

/// Where a request's body comes from. Polled again only after it was ready.
pub(in crate::edge) trait BodySource {
    /// The next part. After [`Part::End`] it isn't asked again.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Failure>>;
}

/// What the upstream says before its body.
#[derive(Debug)]
pub(in crate::edge) enum Answer {
    /// The client should send its body.
    Continue,
    /// The head of the response.
    Head(ResponseHead),
}

/// An exchange that broke.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) struct Broken {
    pub(in crate::edge) failure: Failure,
    /// Whether the connection had been closed before the request reached it, most likely, and nothing of the
    /// request's body was taken: then the same request may be tried on a fresh one.
    pub(in crate::edge) was_stale: bool,
}

/// A request on its way, and its response.
pub(in crate::edge) struct Exchange {
    rules: Arc<Rules>,
    upstream: usize,
    terms: Arc<Terms>,
    /// When it must be over.
    ends: Option<Instant>,
    leave: Leave,
    link: Link,
    sending: Sending,
    receiving: Receiving,
    is_head: bool,
    upgrade: bool,
    keeps_alive: bool,
    /// Whether the upstream sent anything at all.
    has_answered: bool,
    /// How slowly the client sends its body.
    slowness: Slowness,
    /// Bytes of the request's body that were taken from the client.
    pub(in crate::edge) bytes_in: u64,
    /// Bytes of the response's body that came.
    received: u64,
}

struct Sending {
    /// The head, then framing and small parts, then one large part: written in this order.
    head: Bytes,
    lines: BytesMut,
    data: Bytes,
    is_chunked: bool,
    stage: Stage,
    waits_for_client: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The body waits for `100 Continue`.
    Held,
    /// The body flows.
    Body,
    /// Everything was taken from the client.
    Taken,
    /// The upstream doesn't read any more.
    Refused,
}

enum Receiving {
    Head(HeadEnd),
    Body(Decoder),
    Over,
}

impl Exchange {
    /// Begins to send an admitted request with this head over `link`.
    pub(in crate::edge) fn begin(
        rules: &Arc<Rules>,
        admitted: &Admitted,
        head: Bytes,
        link: Link,
        timer: &Timer,
    ) -> Self {
        let terms = &admitted.terms;
        let (stage, patience) = match (admitted.has_body(), admitted.expects_continue) {
            (true, true) => (Stage::Held, CONTINUE),
            (true, false) => (Stage::Body, terms.body_idle),
            (false, _) => (Stage::Taken, terms.upstream_first_byte),
        };
        let exchange = Self {
            rules: rules.clone(),
            upstream: admitted.permit.upstream(),
            terms: terms.clone(),
            ends: admitted.ends,
            leave: admitted.leave.clone(),
            link,
            sending: Sending {
                head,
                lines: BytesMut::new(),
                data: Bytes::new(),
                is_chunked: admitted.framing == Some(Framing::Chunked),
                stage,
                waits_for_client: false,
            },
            receiving: Receiving::Head(HeadEnd::default()),
            is_head: admitted.is_head,
            upgrade: admitted.upgrade,
            keeps_alive: false,
            has_answered: false,
            slowness: Slowness::new(&rules.policy.limits),
            bytes_in: 0,
            received: 0,
        };
        timer.set(exchange.patience(patience));
        exchange
    }

    /// So long, but no longer than until the exchange must be over.
    pub(in crate::edge) fn patience(&self, wanted: Duration) -> Duration {
        let left = self.ends.map(|ends| ends.saturating_duration_since(clock::instant()));
        left.map_or(wanted, |left| left.min(wanted))
    }

    /// Waits for the upstream's next part.
    pub(in crate::edge) fn await_part(&self, timer: &Timer) {
        timer.set(self.patience(self.terms.upstream_body_idle));
    }

    /// The trailer fields of the response that may go on, as lines.
    pub(in crate::edge) fn trailer_lines(&self, section: &[u8]) -> Result<Vec<u8>, &'static str> {
        super::request::trailer_lines(&self.rules.policy, &self.terms.response, section)
    }

    /// Whether it should be over by now, however well it goes.
    fn is_overdue(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= clock::instant())
    }

    /// Whether the client's body is wanted at the moment; if not, whatever the client sends is for later.
    pub(in crate::edge) fn takes_body(&self) -> bool {
        matches!(self.sending.stage, Stage::Held | Stage::Body)
    }

    /// Whether the response was read to its end.
    pub(in crate::edge) fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    /// Moves the request on and looks for the head of the response.
    pub(in crate::edge) fn poll_answer<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Answer, Broken>> {
        if let Poll::Ready(Err(failure)) = self.poll_send(cx, source, timer) {
            return Poll::Ready(Err(Broken { failure, was_stale: false }));
        }
        loop {
            if let Some(answer) = self.take_answer(timer).map_err(|why| self.broken(why))? {
                return Poll::Ready(Ok(answer));
            }
            if let Poll::Ready(read) = self.poll_fill(cx) {
                match read {
                    Ok(0) => {
                        return Poll::Ready(Err(self.broken("it closed the connection without an answer")));
                    }
                    Ok(_) => continue,
                    Err(_) => return Poll::Ready(Err(self.broken("the connection broke before an answer"))),
                }
            }
            return self.poll_late(cx, timer);
        }
    }

    /// The next part of the response's body, moving the request on as well.
    pub(in crate::edge) fn poll_part<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Part, Failure>> {
        if let Poll::Ready(Err(failure)) = self.poll_send(cx, source, timer) {
            return Poll::Ready(Err(failure));
        }
        if self.is_overdue() && !self.is_over() {
            return Poll::Ready(Err(Failure::UpstreamTimeout));
        }
        loop {
            let Receiving::Body(decoder) = &mut self.receiving else {
                return Poll::Ready(Ok(Part::End(Bytes::new())));
            };
            match decoder.decode(&mut self.link.read) {
                Ok(Decoded::Data(data)) => {
                    self.received += data.len() as u64;
                    if self.received > self.terms.response_body {
                        return Poll::Ready(Err(Failure::UpstreamBroken(TOO_MUCH)));
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
                Poll::Ready(Ok(_)) => self.await_part(timer),
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

    /// Ends a whole exchange: the connection is kept if nothing is left on it in either direction.
    pub(in crate::edge) fn finish(self) {
        let is_sent = self.sending.stage == Stage::Taken && self.sending.is_flushed();
        if self.keeps_alive && is_sent && self.is_over() {
            self.rules.pools[self.upstream].give_back(self.link);
        }
    }

    /// The connection itself, after a 101.
    pub(in crate::edge) fn into_link(self) -> Link {
        self.link
    }

    /// Takes the next head out of the buffer: an interim one is dealt with here, but for the one that the client
    /// waits for.
    fn take_answer(&mut self, timer: &Timer) -> Result<Option<Answer>, &'static str> {
        while let Receiving::Head(end) = &mut self.receiving {
            let found = end.find(&self.link.read).map_err(|bad| match bad {
                BadHead::Malformed(why) => why,
                BadHead::TooManyFields => "too many header fields",
            })?;
            if found.unwrap_or(self.link.read.len()) > LONGEST_HEAD {
                return Err("its head is too long");
            }
            let Some(length) = found else { return Ok(None) };
            let mut head = ResponseHead::take(&mut self.link.read, length, self.is_head)?;
            match head.status {
                101 if self.upgrade => {
                    self.receiving = Receiving::Over;
                    return Ok(Some(Answer::Head(head)));
                }
                101 => return Err("it switched protocols unasked"),
                100..200 => {
                    self.receiving = Receiving::Head(HeadEnd::default());
                    if head.status == 100 && self.sending.stage == Stage::Held {
                        self.let_body_flow(timer);
                        return Ok(Some(Answer::Continue));
                    }
                }
                _ => {
                    if matches!(head.framing, Framing::Length(length) if length > self.terms.response_body) {
                        return Err(TOO_MUCH);
                    }
                    self.await_part(timer);
                    head.edit(&self.terms, std::mem::take(&mut self.leave));
                    self.keeps_alive = head.keeps_alive;
                    self.receiving = match head.framing {
                        Framing::Length(0) => Receiving::Over,
                        framing => Receiving::Body(Decoder::response(framing)),
                    };
                    if self.sending.stage == Stage::Held {
                        // A final answer instead of 100: the body isn't wanted.
                        self.sending.stage = Stage::Refused;
                    }
                    return Ok(Some(Answer::Head(head)));
                }
            }
        }
        Ok(None)
    }

    fn let_body_flow(&mut self, timer: &Timer) {
        self.sending.stage = Stage::Body;
        timer.set(self.patience(self.terms.body_idle));
    }

    fn poll_late(&mut self, cx: &mut Context<'_>, timer: &Timer) -> Poll<Result<Answer, Broken>> {
        timer.register(cx);
        if !timer.is_late() {
            return Poll::Pending;
        }
        if self.sending.stage == Stage::Held && !self.is_overdue() {
            self.let_body_flow(timer);
            return Poll::Ready(Ok(Answer::Continue));
        }
        let failure = match self.sending.waits_for_client && !self.is_overdue() {
            true => Failure::RequestTimeout,
            false => Failure::UpstreamTimeout,
        };
        Poll::Ready(Err(Broken { failure, was_stale: false }))
    }

    fn broken(&self, why: &'static str) -> Broken {
        Broken {
            failure: Failure::UpstreamBroken(why),
            was_stale: self.link.is_reused && !self.has_answered && self.bytes_in == 0,
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
        read.reserve(wanted);
        let length = ready!(pin!(io.read_buf(read)).poll(cx))?;
        self.has_answered |= length > 0;
        Poll::Ready(Ok(length))
    }

    /// Sends what there is, and takes more from the client whenever that is gone.
    fn poll_send<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let wants_more = self.sending.stage == Stage::Body && self.sending.has_room();
            let source_is_dry = wants_more && self.poll_take(cx, source, timer)?.is_pending();
            if self.sending.is_flushed() {
                // TLS may hold back what it was given.
                if let Err(_gone) = ready!(Pin::new(&mut self.link.io).poll_flush(cx)) {
                    self.sending.refuse();
                }
                self.sending.waits_for_client = source_is_dry;
                return if source_is_dry { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            self.sending.waits_for_client = false;
            match ready!(self.sending.poll_write(cx, &mut self.link.io)) {
                Ok(()) => {}
                // The upstream may have answered before it closed: what it said decides.
                Err(_) => self.sending.refuse(),
            }
        }
    }

    /// From here on it is the client's time that passes, until its next part. Once the upstream answers, the two talk at
    /// their own pace.
    fn wait_for_client(&mut self, timer: &Timer) {
        if let Some(left) = self.slowness.waits(clock::instant())
            && matches!(self.receiving, Receiving::Head(_))
        {
            timer.set(self.patience(self.terms.body_idle.min(left)));
        }
    }

    /// Takes parts from the client while they come and are small.
    fn poll_take<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Result<Poll<()>, Failure> {
        while self.sending.stage == Stage::Body && self.sending.has_room() {
            let Poll::Ready(part) = source.poll_part(cx) else {
                self.wait_for_client(timer);
                return Ok(Poll::Pending);
            };
            match part? {
                Part::Data(data) => {
                    self.bytes_in += data.len() as u64;
                    if self.bytes_in > self.terms.request_body {
                        return Err(Failure::BodyTooLarge);
                    }
                    let moved = self.slowness.moved(data.len() as u64, clock::instant());
                    if matches!(self.receiving, Receiving::Head(_)) {
                        moved.map_err(|TooSlow| Failure::RequestTimeout)?;
                        timer.set(self.patience(self.terms.body_idle));
                    }
                    self.sending.add(data);
                }
                Part::End(trailers) => {
                    let edits = &self.terms.request;
                    let lines = super::request::trailer_lines(&self.rules.policy, edits, &trailers)
                        .map_err(Failure::BadRequest)?;
                    self.sending.end(&lines);
                    if matches!(self.receiving, Receiving::Head(_)) {
                        timer.set(self.patience(self.terms.upstream_first_byte));
                    }
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}

impl Sending {
    fn is_flushed(&self) -> bool {
        self.head.is_empty() && self.lines.is_empty() && self.data.is_empty()
    }

    fn has_room(&self) -> bool {
        self.data.is_empty() && self.lines.len() < 2 * SMALL
    }

    /// Adds a part of the body. Only called with room.
    fn add(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        if self.is_chunked {
            self.lines.put_slice(format!("{:x}\r\n", part.len()).as_bytes());
        }
        if self.is_chunked || part.len() <= SMALL {
            self.lines.put_slice(&part);
        } else {
            self.data = part;
        }
        // A chunk's line end has no place behind `data`: that is why chunks are always copied.
        if self.is_chunked {
            self.lines.put_slice(b"\r\n");
        }
    }

    fn end(&mut self, trailers: &[u8]) {
        if self.is_chunked {
            self.lines.put_slice(b"0\r\n");
            self.lines.put_slice(trailers);
            self.lines.put_slice(b"\r\n");
        }
        self.stage = Stage::Taken;
    }

    fn refuse(&mut self) {
        self.stage = Stage::Refused;
        self.head.clear();
        self.lines.clear();
        self.data.clear();
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, io: &mut Wire) -> Poll<io::Result<()>> {
        let slices = [IoSlice::new(&self.head), IoSlice::new(&self.lines), IoSlice::new(&self.data)];
        let mut written = ready!(Pin::new(io).poll_write_vectored(cx, &slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let head = written.min(self.head.len());
        self.head.advance(head);
        written -= head;
        let lines = written.min(self.lines.len());
        self.lines.advance(lines);
        self.data.advance(written - lines);
        Poll::Ready(Ok(()))
    }
}
