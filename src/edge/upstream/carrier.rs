//! A connection that carries many requests to an endpoint at once, over HTTP/2, and the lane of each of them.
//!
//! Its frames move in a task of its own on the same worker. That task holds no handle on the carrier: when the pool and the
//! last lane have let go of it, the connection says goodbye and ends.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;
use http::uri::Scheme;
use tokio::sync::Notify;

use super::capacity::Room;
use super::endpoint::Endpoint;
use super::pool::Visit;
use super::wire::Wire;
use crate::clock;

/// Requests that one connection carries at most, whatever the endpoint would take: they share one TCP connection's losses.
const MOST_LANES: usize = 128;
/// Bytes that an endpoint may send ahead on one stream. All streams together may be sent as much, each: whose client is slow
/// holds up nobody else on the connection.
const STREAM_WINDOW: u32 = 256 << 10;
#[expect(clippy::cast_possible_truncation, reason = "32 MiB")]
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_LANES as u32;
/// Bytes of a request's body that may wait for the endpoint's window.
const SEND_BUFFER: usize = 128 << 10;
/// Streams that clients have given up, and for how long each is remembered: what the endpoint had sent by then belongs to them.
const GIVEN_UP: usize = 1024;
const REMEMBERED: Duration = Duration::from_secs(10);
/// So often an endpoint may say something that only resets its stream, in a connection's whole life. h2's own number is soon
/// reached by clients that cancel, and ends the others' requests as well.
const MOST_MISTAKES: usize = 100_000;
/// All fields of a head, or of a trailer section, may be so long.
const LONGEST_HEAD: u32 = 64 << 10;
/// How long an endpoint that let a request wait too long may take to answer a PING.
const PONG: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// An open connection, with its requests.
pub(super) struct Carrier {
    sender: SendRequest<Bytes>,
    scheme: Scheme,
    lanes: AtomicUsize,
    /// Whether it has carried a request before.
    is_used: AtomicBool,
    /// Whether it gets no more requests.
    is_retired: AtomicBool,
    since: Instant,
    idle_since: std::sync::Mutex<Instant>,
    signals: Arc<Signals>,
}

/// What a carrier and the task that moves its frames tell each other.
struct Signals {
    /// Somebody may find a lane now.
    changed: Arc<Notify>,
    /// A request has waited in vain: is the endpoint still there?
    doubt: Notify,
    is_doubted: AtomicBool,
    /// Nobody holds the carrier any more.
    dropped: Notify,
}

/// Connects to an endpoint, and waits until it has shown that it speaks HTTP/2: then nothing has been sent to one that
/// doesn't, and it is known how much it takes at once.
pub(super) async fn connect(
    endpoint: &Endpoint,
) -> io::Result<(SendRequest<Bytes>, Connection<Wire, Bytes>)> {
    let io = Wire::connect(endpoint.address(), endpoint.tls(), &[]).await?;
    if !io.agrees_on_http2() {
        return Err(io::Error::other("it doesn't agree on HTTP/2 (ALPN)"));
    }
    let shaken = Builder::new()
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_reset_streams(GIVEN_UP)
        .reset_stream_duration(REMEMBERED)
        .max_local_error_reset_streams(Some(MOST_MISTAKES))
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(LONGEST_HEAD)
        .handshake(io)
        .await;
    let (sender, mut connection) = shaken.map_err(io::Error::other)?;
    std::future::poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx);
        if let Poll::Ready(ended) = ended {
            let error = ended.err().map_or_else(|| "closed".to_owned(), |error| error.to_string());
            return Poll::Ready(Err(io::Error::other(format!("it doesn't speak HTTP/2: {error}"))));
        }
        // Its SETTINGS are here.
        if sender.current_max_send_streams() > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok((sender, connection))
}

impl Carrier {
    /// Has the connection move from here on. `changed` hears of lanes that may be free.
    pub(super) fn start(
        (sender, connection): (SendRequest<Bytes>, Connection<Wire, Bytes>),
        (upstream, endpoint): (&str, &Arc<Endpoint>),
        room: Room,
        changed: &Arc<Notify>,
    ) -> Arc<Self> {
        let signals = Arc::new(Signals {
            changed: changed.clone(),
            doubt: Notify::new(),
            is_doubted: AtomicBool::new(false),
            dropped: Notify::new(),
        });
        let driving = drive(connection, signals.clone());
        let (upstream, label) = (upstream.to_owned(), endpoint.clone());
        tokio::spawn(async move {
            if let Err(error) = driving.await {
                tracing::info!(%upstream, endpoint = %label, %error, "A connection to an endpoint broke");
            }
            drop(room);
        });
        let now = clock::instant();
        Arc::new(Self {
            sender,
            scheme: if endpoint.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP },
            lanes: AtomicUsize::new(0),
            is_used: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            since: now,
            idle_since: now.into(),
            signals,
        })
    }

    /// A lane for one more request, if there is room.
    pub(super) fn lane(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Option<Lane> {
        let most = self.sender.current_max_send_streams().min(MOST_LANES);
        if self.lanes.load(Ordering::Relaxed) >= most || self.signals.is_doubted.load(Ordering::Relaxed) {
            return None;
        }
        self.lanes.fetch_add(1, Ordering::Relaxed);
        let is_reused = self.is_used.swap(true, Ordering::Relaxed);
        Some(Lane { carrier: self.clone(), is_reused, visit: Visit::begin(endpoint), request: None })
    }

    /// Whether it takes requests at all: neither broken, nor told to go away, nor retired.
    pub(super) fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.is_retired.load(Ordering::Relaxed)
            && !matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Gives it no more requests; those that it has go on.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Since when it is open.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// For how long it has carried nothing.
    pub(super) fn idles(&self, now: Instant) -> Option<Duration> {
        let since = *self.idle_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (self.lanes.load(Ordering::Relaxed) == 0).then(|| now.saturating_duration_since(since))
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.signals.dropped.notify_one();
    }
}

/// Room for one request on a carrier, until it is dropped.
pub(in crate::edge) struct Lane {
    carrier: Arc<Carrier>,
    /// Whether the connection carried a request before: then the endpoint may have closed it just now.
    pub(in crate::edge) is_reused: bool,
    visit: Visit,
    /// The room of the request that it carries.
    request: Room,
}

impl Lane {
    /// Begins to send a request; with `end`, one without a body.
    pub(in crate::edge) fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.carrier.sender.clone().send_request(request, end)
    }

    /// What requests say of the connection.
    pub(in crate::edge) fn scheme(&self) -> Scheme {
        self.carrier.scheme.clone()
    }

    /// A request was waited for in vain. Until the endpoint answers a PING, the connection gets no more of them; if it doesn't,
    /// the connection is cut off: else every request on it would have to find out by itself.
    pub(in crate::edge) fn doubt(&self) {
        let signals = &self.carrier.signals;
        if !signals.is_doubted.swap(true, Ordering::Relaxed) {
            signals.doubt.notify_one();
        }
    }

    /// The endpoint refuses requests on this connection: it gets no more.
    pub(in crate::edge) fn retire(&self) {
        self.carrier.retire();
    }

    pub(super) const fn endpoint(&self) -> &Arc<Endpoint> {
        self.visit.endpoint()
    }

    pub(super) fn hold(&mut self, request: Room) {
        self.request = request;
    }

    pub(super) fn release(mut self) -> Room {
        self.request.take()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let carrier = &self.carrier;
        *carrier.idle_since.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = clock::instant();
        carrier.lanes.fetch_sub(1, Ordering::Relaxed);
        carrier.signals.changed.notify_one();
    }
}

/// Moves a connection's frames to its end.
async fn drive(mut connection: Connection<Wire, Bytes>, signals: Arc<Signals>) -> Result<(), String> {
    let pings = connection.ping_pong();
    let is_silent = pin!(silence(pings, &signals));
    let is_dropped = pin!(async {
        signals.dropped.notified().await;
        tokio::time::sleep(GOODBYE).await;
    });
    let ended = match select(connection, select(is_silent, is_dropped)).await {
        Either::Left((ended, _)) => ended.map_err(|error| error.to_string()),
        Either::Right((Either::Left(_), _)) => Err("it answers no PING".to_owned()),
        Either::Right((Either::Right(_), _)) => Ok(()),
    };
    signals.changed.notify_waiters();
    ended
}

/// Ends when the endpoint, doubted, doesn't answer a PING in time. Nothing is sent to one that nobody doubts: some take PINGs
/// for a flood (gRPC's `too_many_pings`).
async fn silence(pings: Option<PingPong>, signals: &Signals) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        signals.doubt.notified().await;
        if pings.send_ping(Ping::opaque()).is_err() {
            // The connection is ending by itself.
            return std::future::pending().await;
        }
        let pong = std::future::poll_fn(|cx| pings.poll_pong(cx));
        match tokio::time::timeout(PONG, pong).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
        signals.is_doubted.store(false, Ordering::Relaxed);
        signals.changed.notify_waiters();
    }
}
