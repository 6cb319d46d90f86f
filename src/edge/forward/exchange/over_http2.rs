//! An exchange on one stream of a connection that carries others as well. h2 keeps the frames, we the limits: what it holds
//! of a body is what the windows let through, and it is read, or taken from the client, only when it is wanted.
//!
//! Whatever is dropped before its end is reset (`CANCEL`), and the connection goes on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;

use super::course::{Course, Stage};
use super::{Answer, BodySource, Broken, Part};
use crate::edge::failure::Failure;
use crate::edge::forward::ResponseHead;
use crate::edge::forward::translate::{field_lines, field_map, request};
use crate::edge::framing::Framing;
use crate::edge::intake::Admitted;
use crate::edge::timer::Timer;
use crate::edge::upstream::Lane;

/// A body that isn't as long as its head says.
const OTHER_LENGTH: &str = "a body that isn't as long as its Content-Length";

/// A request on its way, and its response. The lane comes last: it is free when the stream is.
pub(super) struct OverHttp2 {
    receiving: Receiving,
    sending: SendStream<Bytes>,
    /// What was taken from the client and has no room yet in the endpoint's windows.
    unsent: Bytes,
    has_answered: bool,
    lane: Lane,
}

enum Receiving {
    Head(ResponseFuture),
    Body(Body),
    Over,
}

struct Body {
    stream: RecvStream,
    /// Bytes that the client was given last, for which the endpoint has no window yet.
    given: usize,
    /// Bytes that the head has promised and that are still to come.
    left: Option<u64>,
}

impl OverHttp2 {
    /// Begins to send a request with this head.
    pub(super) fn begin(admitted: &Admitted, head: &[u8], lane: Lane) -> Result<Self, Failure> {
        let request = request(head, lane.scheme()).map_err(Failure::BadRequest)?;
        // The pool has looked a moment ago whether the connection takes requests.
        let (response, sending) = lane
            .send(request, !admitted.has_body())
            .map_err(|_| Failure::UpstreamBroken("the connection takes no request"))?;
        Ok(Self {
            receiving: Receiving::Head(response),
            sending,
            unsent: Bytes::new(),
            has_answered: false,
            lane,
        })
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.receiving, Receiving::Over)
    }

    pub(super) fn into_lane(self) -> Lane {
        self.lane
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
        let Receiving::Head(response) = &mut self.receiving else {
            return Poll::Ready(Err(Failure::UpstreamBroken("a second answer").into()));
        };
        while let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            self.has_answered |= interim.is_ok();
            // If it broke, the response says the same.
            let Ok(interim) = interim else { break };
            match interim.status() {
                StatusCode::CONTINUE if course.stage == Stage::Held => {
                    course.let_body_flow(timer);
                    return Poll::Ready(Ok(Answer::Continue));
                }
                StatusCode::CONTINUE => {}
                StatusCode::SWITCHING_PROTOCOLS => {
                    return Poll::Ready(Err(
                        Failure::UpstreamBroken("it switched protocols in HTTP/2").into()
                    ));
                }
                status => {
                    let head = ResponseHead::of_http2(status, interim.headers(), (course.is_head, true));
                    let heard = head.map(|head| course.heard(head));
                    return Poll::Ready(heard.map_err(|why| Failure::UpstreamBroken(why).into()));
                }
            }
        }
        match Pin::new(response).poll(cx) {
            Poll::Ready(Ok(response)) => {
                Poll::Ready(self.answered(course, response, timer).map_err(Broken::from))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.broken(course, &error))),
            Poll::Pending => {
                let late = course.poll_late(cx, timer);
                if matches!(late, Poll::Ready(Err(Broken { failure: Failure::UpstreamTimeout, .. }))) {
                    self.lane.doubt();
                }
                late
            }
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
        let Receiving::Body(body) = &mut self.receiving else {
            return Poll::Ready(Ok(Part::End(Bytes::new())));
        };
        if course.is_overdue() {
            return Poll::Ready(Err(Failure::Overdue));
        }
        match body.poll_part(cx) {
            Poll::Ready(Ok(Part::Data(data))) => {
                course.received(&data)?;
                course.await_part(timer);
                Poll::Ready(Ok(Part::Data(data)))
            }
            Poll::Ready(Ok(Part::End(trailers))) => {
                self.receiving = Receiving::Over;
                Poll::Ready(Ok(Part::End(trailers)))
            }
            Poll::Ready(Err(why)) => Poll::Ready(Err(Failure::UpstreamBroken(why))),
            Poll::Pending => {
                timer.register(cx);
                if !timer.is_late() {
                    return Poll::Pending;
                }
                self.lane.doubt();
                Poll::Ready(Err(Failure::UpstreamTimeout))
            }
        }
    }

    /// Takes the head of the final response.
    fn answered(
        &mut self,
        course: &mut Course,
        response: http::Response<RecvStream>,
        timer: &Timer,
    ) -> Result<Answer, Failure> {
        let (parts, stream) = response.into_parts();
        let shape = (course.is_head, stream.is_end_stream());
        let mut head =
            ResponseHead::of_http2(parts.status, &parts.headers, shape).map_err(Failure::UpstreamBroken)?;
        course.answered(&mut head, timer)?;
        let left = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        // What follows where no body may be is nobody's.
        self.receiving = match left {
            Some(0) => Receiving::Over,
            _ => Receiving::Body(Body { stream, given: 0, left }),
        };
        Ok(Answer::Head(head))
    }

    fn broken(&self, course: &Course, error: &h2::Error) -> Broken {
        let is_untouched = course.bytes_in == 0 && !self.has_answered;
        let is_refused =
            error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
        if is_refused {
            self.lane.retire();
        }
        // Streams that a GOAWAY leaves to the endpoint go on; those beyond its last one end with it.
        let is_left_out = error.is_go_away() && error.is_remote();
        let why = match () {
            () if is_refused => "it refused the request's stream",
            () if is_left_out => "it goes away, and left the request out",
            () if error.is_remote() => "it reset the request's stream",
            () if error.is_io() => "the connection broke before an answer",
            () => "its frames or fields are no HTTP/2",
        };
        Broken {
            failure: Failure::UpstreamBroken(why),
            was_stale: error.is_io() && self.lane.is_reused && is_untouched,
            was_unseen: (is_refused || is_left_out) && is_untouched,
        }
    }

    /// Sends what there is room for, and takes more from the client whenever that is gone.
    fn poll_send<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        course: &mut Course,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<(), Failure>> {
        loop {
            course.waits_for_client = false;
            while !self.unsent.is_empty() {
                // No more than is there: what one stream reserves, no other has.
                self.sending.reserve_capacity(self.unsent.len());
                let room = match self.sending.capacity() {
                    0 => match ready!(self.sending.poll_capacity(cx)) {
                        Some(Ok(_)) => continue,
                        _ => 0,
                    },
                    room => room,
                };
                let part = self.unsent.split_to(room.min(self.unsent.len()));
                // The upstream may have answered before it stopped reading: what it said decides.
                if part.is_empty() || self.sending.send_data(part, false).is_err() {
                    self.refuse(course);
                }
            }
            if course.stage != Stage::Body {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(part) = course.poll_take(cx, source, timer)? else {
                course.waits_for_client = true;
                return Poll::Pending;
            };
            match part {
                Part::Data(data) => self.unsent = data,
                Part::End(lines) => {
                    let ended = match field_map(&lines) {
                        trailers if trailers.is_empty() => self.sending.send_data(Bytes::new(), true),
                        trailers => self.sending.send_trailers(trailers),
                    };
                    if ended.is_err() {
                        self.refuse(course);
                    }
                }
            }
        }
    }

    fn refuse(&mut self, course: &mut Course) {
        course.stage = Stage::Refused;
        self.unsent.clear();
    }
}

impl Body {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, &'static str>> {
        const CUT: &str = "its response ended in the middle";
        // The client took what it was given: only now may the endpoint send as much again.
        let given = std::mem::take(&mut self.given);
        if given > 0 && self.stream.flow_control().release_capacity(given).is_err() {
            return Poll::Ready(Err(CUT));
        }
        loop {
            match ready!(self.stream.poll_data(cx)) {
                // An empty frame is no part: as a chunk, it would be the last one.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // h2 holds it against the head as well; nobody else's response begins behind this one.
                    if let Some(left) = &mut self.left {
                        *left = left.checked_sub(data.len() as u64).ok_or(OTHER_LENGTH)?;
                    }
                    self.given = data.len();
                    return Poll::Ready(Ok(Part::Data(data)));
                }
                Some(Err(_)) => return Poll::Ready(Err(CUT)),
                None => break,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|_| CUT)?;
        if self.left.is_some_and(|left| left > 0) {
            return Poll::Ready(Err(OTHER_LENGTH));
        }
        Poll::Ready(Ok(Part::End(trailers.as_ref().map(field_lines).unwrap_or_default())))
    }
}
