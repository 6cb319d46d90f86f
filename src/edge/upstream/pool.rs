//! One worker's connections to an upstream: those in use, and those kept for the next request.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::Upstream;
use super::balance::{self, Turns};
use super::capacity::Room;
use super::carrier::Lane;
use super::carriers::Carriers;
use super::endpoint::Endpoint;
use super::wire::Wire;
use crate::clock;
use crate::config::{Limits, Protocol, Timeouts};
use crate::edge::failure::Failure;
use crate::edge::spare;
use crate::edge::timer::Timer;

/// One worker's connections to an upstream.
pub(in crate::edge) struct Pool {
    pub(in crate::edge) upstream: Arc<Upstream>,
    /// `None` once the pool is retired.
    shelves: Mutex<Option<Vec<Shelf>>>,
    /// Those over HTTP/2, where many requests share one.
    carriers: Carriers,
    turns: Mutex<Turns>,
    connect_timeout: Duration,
    idle_timeout: Duration,
    most_idle: usize,
}

/// The connections to one endpoint that nobody uses at the moment: the last one that was used on top.
struct Shelf {
    endpoint: Arc<Endpoint>,
    kept: Vec<Kept>,
}

/// A connection that nobody uses at the moment.
struct Kept {
    since: Instant,
    io: Wire,
    room: Room,
}

/// A connection to an endpoint, in use.
#[derive(Debug)]
pub(in crate::edge) struct Link {
    pub(in crate::edge) io: Wire,
    /// What was read and not yet understood.
    pub(in crate::edge) read: BytesMut,
    /// Whether it carried a request before: then the endpoint may have closed it just now.
    pub(in crate::edge) is_reused: bool,
    visit: Visit,
    /// The connection's own room.
    connection: Room,
    /// The room of the request that it carries.
    request: Room,
}

/// A request that is with an endpoint, until it is dropped.
#[derive(Debug)]
pub(super) struct Visit(Arc<Endpoint>);

/// What carries one request to an endpoint.
pub(in crate::edge) enum Line {
    /// A connection over HTTP/1.1 that carries nothing else.
    Link(Link),
    /// A lane on a connection over HTTP/2.
    Lane(Lane),
}

impl Pool {
    /// No connections yet.
    pub(in crate::edge) fn new(upstream: Arc<Upstream>, timeouts: &Timeouts, limits: &Limits) -> Self {
        Self {
            upstream,
            shelves: Mutex::new(Some(Vec::new())),
            carriers: Carriers::default(),
            turns: Mutex::default(),
            connect_timeout: timeouts.upstream_connect.get(),
            idle_timeout: timeouts.upstream_idle.get(),
            most_idle: limits.upstream_idle_connections as usize,
        }
    }

    /// Whether it is just what these settings ask for.
    pub(in crate::edge) fn is_for(
        &self,
        upstream: &Arc<Upstream>,
        timeouts: &Timeouts,
        limits: &Limits,
    ) -> bool {
        Arc::ptr_eq(&self.upstream, upstream)
            && self.connect_timeout == timeouts.upstream_connect.get()
            && self.idle_timeout == timeouts.upstream_idle.get()
            && self.most_idle == limits.upstream_idle_connections as usize
    }

    /// The endpoint whose turn it is, among those that are `wanted`.
    pub(super) fn choose(&self, key: u64, wanted: impl Fn(&Endpoint) -> bool) -> Option<Arc<Endpoint>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        balance::choose(&self.upstream, &mut turns, key, clock::instant(), wanted)
    }

    /// Whether there is any that is `wanted`.
    pub(super) fn has_usable(&self, wanted: impl Fn(&Endpoint) -> bool) -> bool {
        let now = clock::instant();
        self.upstream.endpoints.load().iter().any(|endpoint| endpoint.is_usable(now) && wanted(endpoint))
    }

    /// A connection to this endpoint that was kept, if there is one.
    pub(super) fn kept(&self, endpoint: &Arc<Endpoint>) -> Option<Line> {
        let (io, connection) = self.take(endpoint)?;
        Some(Line::Link(Link::new(io, true, endpoint, connection)))
    }

    /// A new way to this endpoint, or over HTTP/2 one that there is; with `newer_than`, none that was there by then. `None` if it can't be reached.
    pub(super) async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
        newer_than: Option<Instant>,
        introduction: &[u8],
        timer: &Timer,
    ) -> Result<Option<Line>, Failure> {
        match self.upstream.settings.protocol {
            Protocol::Http1 => {
                let link = self.link(endpoint, introduction, timer);
                Ok(link.await?.map(Line::Link))
            }
            Protocol::Http2 => {
                let patience = (self.connect_timeout, timer);
                let lane = self.carriers.open(&self.upstream, endpoint, newer_than, patience);
                Ok(lane.await?.map(Line::Lane))
            }
        }
    }

    /// A new connection to this endpoint. `None` if it can't be reached.
    async fn link(
        &self,
        endpoint: &Arc<Endpoint>,
        introduction: &[u8],
        timer: &Timer,
    ) -> Result<Option<Link>, Failure> {
        let connection = self.upstream.capacity.connection(timer).await?;
        timer.set(self.connect_timeout);
        let connected =
            match timer.bound(Wire::connect(endpoint.address(), endpoint.tls(), introduction)).await {
                Ok(connected) => connected,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
        match connected {
            Ok(io) => {
                self.upstream.connects.inc();
                Ok(Some(Link::new(io, false, endpoint, connection)))
            }
            Err(error) => {
                let upstream = &self.upstream.name;
                tracing::warn!(%upstream, %endpoint, %error, "An endpoint can't be reached");
                Ok(None)
            }
        }
    }

    /// Keeps a connection for the next request. Its response must have been read to the last byte.
    pub(in crate::edge) fn give_back(&self, link: Link) {
        let Link { io, read, visit, connection, .. } = link;
        // A connection that was opened in somebody's name is for nobody else.
        if self.upstream.settings.proxy_protocol.is_some() {
            return;
        }
        // Whoever waits for a connection in another worker can't use this one.
        if !read.is_empty() || self.upstream.capacity.waits_for_connections() > 0 {
            return;
        }
        spare::give(read);
        let mut shelves = self.lock();
        let Some(shelves) = &mut *shelves else { return };
        let kept = Kept { since: clock::instant(), io, room: connection };
        match shelves.iter_mut().find(|shelf| Arc::ptr_eq(&shelf.endpoint, &visit.0)) {
            Some(shelf) if shelf.kept.len() < self.most_idle => shelf.kept.push(kept),
            None if self.most_idle > 0 => {
                shelves.push(Shelf { endpoint: visit.0.clone(), kept: vec![kept] });
            }
            Some(_) | None => {}
        }
    }

    /// Closes what was idle for too long, was closed by the endpoint, leads to one that gets no requests any more, or keeps
    /// others from having a connection.
    pub(in crate::edge) fn sweep(&self, now: Instant) {
        self.carriers.sweep(&self.upstream, (self.idle_timeout, self.most_idle), now);
        let mut shelves = self.lock();
        let Some(shelves) = &mut *shelves else { return };
        if self.upstream.capacity.waits_for_connections() > 0 {
            return shelves.clear();
        }
        let endpoints = self.upstream.endpoints.load();
        shelves.retain_mut(|shelf| {
            let is_there = endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, &shelf.endpoint));
            shelf.kept.retain_mut(|kept| {
                now.saturating_duration_since(kept.since) < self.idle_timeout && kept.io.is_quiet()
            });
            is_there && shelf.endpoint.is_usable(now) && !shelf.kept.is_empty()
        });
    }

    /// Keeps none any more: another pool has taken its place, for those who don't go by older rules still.
    pub(in crate::edge) fn retire(&self) {
        self.carriers.retire();
        *self.lock() = None;
    }

    fn take(&self, endpoint: &Arc<Endpoint>) -> Option<(Wire, Room)> {
        let mut shelves = self.lock();
        let shelf = shelves.as_mut()?.iter_mut().find(|shelf| Arc::ptr_eq(&shelf.endpoint, endpoint))?;
        while let Some(Kept { mut io, room, .. }) = shelf.kept.pop() {
            if io.is_quiet() {
                return Some((io, room));
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Shelf>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn new(io: Wire, is_reused: bool, endpoint: &Arc<Endpoint>, connection: Room) -> Self {
        Self {
            io,
            read: BytesMut::new(),
            is_reused,
            visit: Visit::begin(endpoint),
            connection,
            request: None,
        }
    }
}

impl Line {
    /// The version of HTTP that is spoken over it.
    pub(in crate::edge) const fn protocol(&self) -> &'static str {
        match self {
            Self::Link(_) => "1.1",
            Self::Lane(_) => "2",
        }
    }

    /// Where it leads.
    pub(in crate::edge) const fn endpoint(&self) -> &Arc<Endpoint> {
        match self {
            Self::Link(link) => link.visit.endpoint(),
            Self::Lane(lane) => lane.endpoint(),
        }
    }

    /// Takes the room of the request that it is to carry.
    pub(super) fn hold(&mut self, request: Room) {
        match self {
            Self::Link(link) => link.request = request,
            Self::Lane(lane) => lane.hold(request),
        }
    }

    /// Lets go of it, and gives back the room of its request.
    pub(super) fn release(self) -> Room {
        match self {
            Self::Link(link) => link.request,
            Self::Lane(lane) => lane.release(),
        }
    }
}

impl Visit {
    pub(super) fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.vitals().enters();
        Self(endpoint.clone())
    }

    pub(super) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.vitals().leaves();
    }
}
