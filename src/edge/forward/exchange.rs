//! One request and its response on the way to an upstream and back, driven from the request's own task.
//!
//! Both bodies flow at once: every poll for the response also moves the request on, so an upstream may answer before
//! it has read everything, and nothing needs a task or a channel of its own. Memory is bounded by the parts in hand:
//! the client is read only when the upstream has taken what was read before, and the other way round.

mod compressing;
mod course;
mod over_http1;
mod over_http2;
mod sending;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use self::compressing::Compressing;
use self::course::Course;
use self::over_http1::OverHttp1;
use self::over_http2::OverHttp2;
use super::ResponseHead;
use super::compress::without_digests;
use crate::config::Coding;
use crate::edge::failure::Failure;
use crate::edge::intake::Admitted;
use crate::edge::load::CompressedResponse;
use crate::edge::rules::Rules;
use crate::edge::timer::Timer;
use crate::edge::upstream::{Line, Link};
use crate::ops::Metrics;

/// A head of a response may be so long.
const LONGEST_HEAD: usize = 64 << 10;

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
    /// Something to know before the response comes: 103 Early Hints, say.
    Interim(Box<ResponseHead>),
    /// The head of the response.
    Head(Box<ResponseHead>),
}

/// An exchange that broke.
#[derive(Debug, Clone, Copy)]
pub(in crate::edge) struct Broken {
    pub(in crate::edge) failure: Failure,
    /// Whether the connection had been closed before the request reached it, most likely, and nothing of the
    /// request's body was taken: then the same request may be tried on a fresh one.
    pub(in crate::edge) was_stale: bool,
    /// Whether the endpoint has said itself that it didn't look at the request, and nothing of the body was taken: then
    /// it may be tried again whatever the method (RFC 9113, section 8.7).
    pub(in crate::edge) was_unseen: bool,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, was_stale: false, was_unseen: false }
    }
}

/// A request on its way, and its response.
pub(in crate::edge) struct Exchange {
    course: Course,
    way: Way,
    /// What compresses the body of the response; few have that, and only they pay for it.
    compressing: Option<Box<Compressing>>,
}

#[expect(clippy::large_enum_variant, reason = "no box on the way that nearly everything goes")]
enum Way {
    Http1(OverHttp1),
    Http2(Box<OverHttp2>),
}

impl Exchange {
    /// Begins to send an admitted request with this head over `line`.
    pub(in crate::edge) fn begin(
        rules: &Arc<Rules>,
        admitted: &Admitted,
        head: Bytes,
        line: Line,
        timer: &Timer,
    ) -> Result<Self, Failure> {
        let course = Course::begin(rules, admitted, timer);
        let way = match line {
            Line::Link(link) => Way::Http1(OverHttp1::begin(admitted, head, link)),
            Line::Lane(lane) => Way::Http2(Box::new(OverHttp2::begin(admitted, &head, lane)?)),
        };
        Ok(Self { course, way, compressing: None })
    }

    /// Has the response's body compressed on its way to the client, as long as it has its `place`.
    pub(in crate::edge) fn compress(&mut self, coding: Coding, place: CompressedResponse, metrics: &Metrics) {
        self.compressing = Some(Box::new(Compressing::new(coding, place, metrics)));
    }

    /// So long, but no longer than until the exchange must be over.
    pub(in crate::edge) fn patience(&self, wanted: Duration) -> Duration {
        self.course.patience(wanted)
    }

    /// Waits for the upstream's next part.
    pub(in crate::edge) fn await_part(&self, timer: &Timer) {
        self.course.await_part(timer);
    }

    /// The trailer fields of the response that may go on, as lines.
    pub(in crate::edge) fn trailer_lines(&self, section: &[u8]) -> Result<Vec<u8>, &'static str> {
        let lines = self.course.trailer_lines(section)?;
        Ok(if self.compressing.is_some() { without_digests(&lines) } else { lines })
    }

    /// Bytes of the request's body that were taken from the client.
    pub(in crate::edge) const fn bytes_in(&self) -> u64 {
        self.course.bytes_in
    }

    /// Whether the client's body is wanted at the moment; if not, whatever the client sends is for later.
    pub(in crate::edge) const fn takes_body(&self) -> bool {
        self.course.takes_body()
    }

    /// Whether the response was read to its end.
    pub(in crate::edge) fn is_over(&self) -> bool {
        match (&self.compressing, &self.way) {
            (Some(compressing), _) => compressing.is_over(),
            (None, Way::Http1(way)) => way.is_over(),
            (None, Way::Http2(way)) => way.is_over(),
        }
    }

    /// Moves the request on and looks for the head of the response.
    pub(in crate::edge) fn poll_answer<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Answer, Broken>> {
        match &mut self.way {
            Way::Http1(way) => way.poll_answer(cx, &mut self.course, source, timer),
            Way::Http2(way) => way.poll_answer(cx, &mut self.course, source, timer),
        }
    }

    /// The next part of the response's body, moving the request on as well.
    pub(in crate::edge) fn poll_part<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        timer: &Timer,
    ) -> Poll<Result<Part, Failure>> {
        let Self { course, way, compressing } = self;
        let mut poll_part = |cx: &mut Context<'_>| match way {
            Way::Http1(way) => way.poll_part(cx, course, source, timer),
            Way::Http2(way) => way.poll_part(cx, course, source, timer),
        };
        match compressing {
            None => poll_part(cx),
            Some(compressing) => compressing.poll_part(cx, poll_part),
        }
    }

    /// Ends a whole exchange: the connection is kept if nothing is left on it in either direction. One over HTTP/2 has carried
    /// others all the time, and a stream that isn't over is reset.
    pub(in crate::edge) fn finish(self) {
        if let Way::Http1(way) = self.way {
            way.finish(&self.course);
        }
    }

    /// What it went over.
    pub(in crate::edge) fn into_line(self) -> Line {
        match self.way {
            Way::Http1(way) => Line::Link(way.into_link()),
            Way::Http2(way) => Line::Lane(way.into_lane()),
        }
    }

    /// The connection itself, after a 101; over HTTP/2 there is none.
    pub(in crate::edge) fn into_link(self) -> Option<Link> {
        match self.way {
            Way::Http1(way) => Some(way.into_link()),
            Way::Http2(_) => None,
        }
    }
}
