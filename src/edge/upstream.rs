//! Connections to the backends: each worker has its own, so no request crosses a core to get one.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use prometheus::{Histogram, IntCounter};
use tokio::net::TcpStream;

use super::failure::Failure;
use super::policy::UpstreamPolicy;
use super::timer::Timer;
use crate::clock;
use crate::config::{Endpoint, Limits, Timeouts};
use crate::ops::Metrics;

/// One upstream, as one worker sees it.
pub(super) struct Upstream {
    pub(super) name: Box<str>,
    policy: UpstreamPolicy,
    endpoints: Vec<Idle>,
    next: AtomicUsize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    most_idle: usize,
    connects: IntCounter,
    pub(super) first_byte: Histogram,
}

/// An endpoint, with the connections to it that nobody uses at the moment: the last one that was used on top.
struct Idle {
    address: Endpoint,
    links: Mutex<Vec<(Instant, TcpStream)>>,
}

/// A connection to an endpoint, in use.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) io: TcpStream,
    /// What was read and not yet understood.
    pub(super) read: BytesMut,
    /// Whether it carried a request before: then the endpoint may have closed it just now.
    pub(super) is_reused: bool,
    endpoint: usize,
}

impl Upstream {
    /// No connections yet.
    pub(super) fn new(
        policy: &UpstreamPolicy,
        timeouts: &Timeouts,
        limits: &Limits,
        metrics: &Metrics,
    ) -> Self {
        let endpoints = policy.endpoints.iter().cloned();
        Self {
            name: policy.name.clone(),
            policy: policy.clone(),
            endpoints: endpoints.map(|address| Idle { address, links: Mutex::default() }).collect(),
            next: AtomicUsize::new(0),
            connect_timeout: timeouts.upstream_connect.get(),
            idle_timeout: timeouts.upstream_idle.get(),
            most_idle: limits.upstream_idle_connections as usize,
            connects: metrics.upstream_connects.with_label_values(&[&policy.name]),
            first_byte: metrics.upstream_first_byte.with_label_values(&[&policy.name]),
        }
    }

    /// Whether it is just what these settings ask for.
    pub(super) fn is_for(&self, policy: &UpstreamPolicy, timeouts: &Timeouts, limits: &Limits) -> bool {
        self.policy == *policy
            && self.connect_timeout == timeouts.upstream_connect.get()
            && self.idle_timeout == timeouts.upstream_idle.get()
            && self.most_idle == limits.upstream_idle_connections as usize
    }

    /// A connection to the endpoint whose turn it is: an idle one, or a new one if there is none or `fresh` is
    /// wanted. An endpoint that can't be reached is passed over: nothing was sent to it.
    pub(super) async fn open(&self, fresh: bool, timer: &Timer) -> Result<Link, Failure> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for turn in 0..self.endpoints.len() {
            let endpoint = first.wrapping_add(turn) % self.endpoints.len();
            if !fresh && let Some(io) = self.endpoints[endpoint].take() {
                return Ok(Link { io, read: BytesMut::new(), is_reused: true, endpoint });
            }
            let address = &self.endpoints[endpoint].address;
            timer.set(self.connect_timeout);
            let connected = match timer.bound(TcpStream::connect(address.as_str())).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            match connected.and_then(|io| io.set_nodelay(true).map(|()| io)) {
                Ok(io) => {
                    self.connects.inc();
                    return Ok(Link { io, read: BytesMut::new(), is_reused: false, endpoint });
                }
                Err(error) => {
                    tracing::warn!(upstream = %self.name, endpoint = %address, %error, "An endpoint can't be reached");
                }
            }
        }
        Err(Failure::UpstreamUnreachable)
    }

    /// Keeps a connection for the next request. Its response must have been read to the last byte.
    pub(super) fn give_back(&self, link: Link) {
        let mut links = self.endpoints[link.endpoint].lock();
        if link.read.is_empty() && links.len() < self.most_idle {
            links.push((clock::instant(), link.io));
        }
    }

    /// Closes what was idle for too long, or was closed by the endpoint.
    pub(super) fn sweep(&self, now: Instant) {
        for endpoint in &self.endpoints {
            endpoint.lock().retain(|(since, io)| {
                now.saturating_duration_since(*since) < self.idle_timeout && is_quiet(io)
            });
        }
    }
}

impl Idle {
    fn take(&self) -> Option<TcpStream> {
        let mut links = self.lock();
        while let Some((_, io)) = links.pop() {
            if is_quiet(&io) {
                return Some(io);
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, TcpStream)>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing came on an idle connection. An end means that it was closed; a byte would be the answer to a
/// question that nobody asked, and must not become the answer to the next one. Costs no system call while quiet.
fn is_quiet(io: &TcpStream) -> bool {
    matches!(io.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
