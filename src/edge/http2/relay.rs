//! Bodies over HTTP/2: the request's as the exchange asks for it, the response's as hyper asks for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use slab::Slab;

use crate::clock;
use crate::edge::failure::Failure;
use crate::edge::forward::{BodySource, Exchange, Part, field_lines, field_map};
use crate::edge::record::Record;
use crate::edge::slowness::Slowness;
use crate::edge::timer::Timer;

/// The streams of one connection: how many are open, and until when each waits for its client to read.
pub(in crate::edge) struct Streams {
    pub(super) open: AtomicUsize,
    /// Streams that were reset before they were answered, less those that were answered since.
    resets: AtomicUsize,
    epoch: Instant,
    yielded: Mutex<Slab<Arc<AtomicU64>>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
            epoch: clock::instant(),
            yielded: Mutex::default(),
        }
    }
}

/// A stream's mark, when nothing of its response waits for the client.
const NOTHING: u64 = u64::MAX;

impl Streams {
    /// A stream that is open until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mark = Arc::new(AtomicU64::new(NOTHING));
        let key = self.lock().insert(mark.clone());
        Stream { streams: self.clone(), mark, key, is_answered: false, given: None }
    }

    /// Whether the client asks, and doesn't wait for the answers, more often than it may (CVE-2023-44487). h2 counts
    /// only the streams that are reset before we get to see them.
    pub(super) fn is_flooded(&self, most: usize) -> bool {
        self.resets.load(Ordering::Relaxed) > most
    }

    /// Whether some stream's client hasn't taken what it was given for too long (T26): hyper asks for more only when the
    /// client's window lets it.
    pub(super) fn is_stalled(&self) -> bool {
        let now = self.millis(clock::instant());
        self.lock().iter().any(|(_, mark)| mark.load(Ordering::Relaxed) < now)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slab<Arc<AtomicU64>>> {
        self.yielded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream.
pub(super) struct Stream {
    streams: Arc<Streams>,
    mark: Arc<AtomicU64>,
    key: usize,
    is_answered: bool,
    /// Bytes that the client was given last.
    given: Option<usize>,
}

impl Stream {
    /// The head of the answer is on its way.
    pub(super) const fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Something was given to the client; now it is its turn, for so long.
    fn yielded(&mut self, bytes: usize, now: Instant, patience: Duration) {
        self.given = Some(bytes);
        self.mark.store(self.streams.millis(now + patience), Ordering::Relaxed);
    }

    /// We are asked for more: the client took what it was given, so many bytes, if it was given any.
    fn asked(&mut self) -> Option<usize> {
        self.mark.store(NOTHING, Ordering::Relaxed);
        self.given.take()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().try_remove(self.key);
        self.streams.open.fetch_sub(1, Ordering::Relaxed);
        let count = |resets: usize| if self.is_answered { resets.checked_sub(1) } else { Some(resets + 1) };
        let _ = self.streams.resets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }
}

/// A request's body, as hyper reads it.
pub(super) struct RequestBody {
    incoming: Incoming,
    is_over: bool,
}

impl RequestBody {
    pub(super) const fn new(incoming: Incoming) -> Self {
        Self { incoming, is_over: false }
    }
}

impl BodySource for RequestBody {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Failure>> {
        loop {
            if self.is_over {
                return Poll::Ready(Ok(Part::End(Bytes::new())));
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => self.is_over = true,
                Some(Err(_)) => return Poll::Ready(Err(Failure::ClientGone)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Part::Data(data))),
                    Err(frame) => {
                        self.is_over = true;
                        let lines =
                            frame.into_trailers().map(|trailers| field_lines(&trailers)).unwrap_or_default();
                        return Poll::Ready(Ok(Part::End(lines)));
                    }
                },
            }
        }
    }
}

/// A response's body.
pub(super) enum Body {
    /// Our own, whole.
    Own(Option<Bytes>),
    /// An upstream's.
    Relay(Box<Relay>),
    /// Over.
    Over,
}

/// An upstream's response on its way to the client.
pub(super) struct Relay {
    exchange: Exchange,
    source: RequestBody,
    timer: Timer,
    record: Box<Record>,
    stream: Stream,
    slowness: Slowness,
}

impl Body {
    /// A body of our own.
    pub(super) fn own(body: Bytes) -> Self {
        Self::Own(Some(body).filter(|body| !body.is_empty()))
    }

    /// The body of an upstream's response.
    pub(super) fn relay(
        exchange: Exchange,
        source: RequestBody,
        timer: Timer,
        record: Box<Record>,
        stream: Stream,
    ) -> Self {
        let slowness = Slowness::new(&record.rules().policy.limits);
        Self::Relay(Box::new(Relay { exchange, source, timer, record, stream, slowness }))
    }
}

impl Relay {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Failure>> {
        if let Some(taken) = self.stream.asked()
            && self.slowness.moved(taken as u64, clock::instant()).is_err()
        {
            self.record.fail(Failure::ClientStalled);
            return Poll::Ready(Err(Failure::ClientStalled));
        }
        let part = self.exchange.poll_part(cx, &mut self.source, &self.timer);
        self.record.bytes_in = self.exchange.bytes_in();
        match &part {
            Poll::Ready(Ok(Part::Data(data))) => {
                self.record.bytes_out += data.len() as u64;
                let (now, idle) = (clock::instant(), self.record.rules().policy.timeouts.body_idle.get());
                let left = self.slowness.waits(now).unwrap_or_default();
                self.stream.yielded(data.len(), now, self.exchange.patience(idle.min(left)));
            }
            Poll::Ready(Err(failure)) => self.record.fail(*failure),
            _ => {}
        }
        part
    }
}

impl Relay {
    /// The upstream's trailer fields that may go on: no more of them than to an HTTP/1.1 client.
    fn trailers(&self, section: &[u8]) -> Result<Option<HeaderMap>, &'static str> {
        let lines = self.exchange.trailer_lines(section)?;
        let trailers = field_map(&lines);
        Ok(Some(trailers).filter(|trailers| !trailers.is_empty()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let relay = match &mut *self {
            Self::Own(body) => return Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Over => return Poll::Ready(None),
            Self::Relay(relay) => relay,
        };
        let part = ready!(relay.poll_frame(cx));
        match part {
            Ok(Part::Data(data)) => {
                if relay.exchange.is_over() {
                    // The stream ends with this frame, not with an empty one behind it.
                    self.end();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Ok(Part::End(section)) => match relay.trailers(&section) {
                Ok(trailers) => {
                    self.end();
                    Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
                }
                Err(why) => {
                    relay.record.fail(Failure::UpstreamBroken(why));
                    Poll::Ready(Some(Err(Cut)))
                }
            },
            Err(_) => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Over | Self::Own(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(Some(body)) => SizeHint::with_exact(body.len() as u64),
            Self::Own(None) | Self::Over => SizeHint::with_exact(0),
            Self::Relay(_) => SizeHint::default(),
        }
    }
}

impl Body {
    /// Ends a response that is whole.
    pub(super) fn end(&mut self) {
        let Self::Relay(relay) = std::mem::replace(self, Self::Over) else { return };
        let Relay { exchange, mut record, stream, .. } = *relay;
        record.bytes_in = exchange.bytes_in();
        record.complete();
        exchange.finish();
        drop(stream);
    }
}

/// A response that was cut off: hyper resets the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the response was cut off")
    }
}

impl std::error::Error for Cut {}
