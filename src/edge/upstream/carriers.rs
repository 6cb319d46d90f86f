//! One worker's connections over HTTP/2 to an upstream: a lane on one that is open, or another connection.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

use super::Upstream;
use super::capacity::Room;
use super::carrier::{self, Carrier, Lane};
use super::endpoint::Endpoint;
use crate::clock;
use crate::edge::failure::Failure;
use crate::edge::timer::Timer;

/// One worker's connections over HTTP/2 to an upstream.
#[derive(Default)]
pub(super) struct Carriers {
    shelves: Mutex<Vec<Shelf>>,
    /// Whether connections aren't kept any more: each then carries the one request that it was made for.
    is_retired: AtomicBool,
    /// Requests of this worker that wait for room for another connection.
    asking: AtomicUsize,
}

/// The connections to one endpoint.
struct Shelf {
    endpoint: Arc<Endpoint>,
    open: Vec<Arc<Carrier>>,
    /// Whether somebody connects at the moment: the others wait, or a hundred requests would make a hundred connections.
    is_connecting: bool,
    /// How often that has failed.
    failures: u64,
    changed: Arc<Notify>,
}

/// What is found for a request.
enum Found {
    Lane(Lane),
    /// Nothing yet: somebody connects, who has failed so often before.
    Connecting(u64),
    Nothing,
}

/// Who connects, until it is dropped.
struct Connecting<'a> {
    carriers: &'a Carriers,
    endpoint: &'a Arc<Endpoint>,
}

impl Carriers {
    /// A lane to this endpoint; with `newer_than`, on a connection that was made since. `None` if it can't be reached.
    pub(super) async fn open(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        newer_than: Option<Instant>,
        (connect_timeout, timer): (Duration, &Timer),
    ) -> Result<Option<Lane>, Failure> {
        let begun = clock::instant();
        let wait = upstream.settings.limits.wait.get();
        let left = |most: Duration| most.saturating_sub(clock::instant().saturating_duration_since(begun));
        let mut room: Option<Room> = None;
        loop {
            let changed = self.changed(endpoint);
            let changed = pin!(changed.notified());
            match self.find(upstream, endpoint, newer_than) {
                Found::Lane(lane) => return Ok(Some(lane)),
                Found::Connecting(failures) => {
                    room = None;
                    timer.set(left(wait + connect_timeout));
                    timer.bound(changed).await.map_err(|_late| Failure::UpstreamBusy)?;
                    if self.failures(endpoint) != failures {
                        return Ok(None);
                    }
                }
                Found::Nothing => match room.take().or_else(|| upstream.capacity.try_connection()) {
                    Some(room) => {
                        timer.set(connect_timeout);
                        return Ok(self.connect(upstream, endpoint, room, timer).await);
                    }
                    None => {
                        let _queued = upstream.capacity.queue()?;
                        let _asking = Asking::begin(&self.asking);
                        timer.set(left(wait));
                        let free = pin!(upstream.capacity.free_connection());
                        match timer
                            .bound(select(free, changed))
                            .await
                            .map_err(|_late| Failure::UpstreamBusy)?
                        {
                            Either::Left((free, _)) => room = Some(free),
                            Either::Right(_) => {}
                        }
                    }
                },
            }
        }
    }

    /// Closes what was idle for too long, leads to an endpoint that gets no requests any more, or keeps others from having a
    /// connection, and all but `most_idle` to each endpoint. What still carries requests goes on until they end.
    pub(super) fn sweep(
        &self,
        upstream: &Upstream,
        (idle_timeout, most_idle): (Duration, usize),
        now: Instant,
    ) {
        let others_wait = self.others_wait(upstream);
        let endpoints = upstream.endpoints.load();
        self.lock().retain_mut(|shelf| {
            let is_there = endpoints.iter().any(|endpoint| Arc::ptr_eq(endpoint, &shelf.endpoint));
            if others_wait || !is_there || !shelf.endpoint.is_usable(now) {
                shelf.open.clear();
            }
            let mut idle = 0;
            shelf.open.retain(|carrier| {
                let is_kept = carrier.idles(now).is_none_or(|since| {
                    idle += 1;
                    idle <= most_idle && since < idle_timeout
                });
                is_kept && carrier.is_open()
            });
            shelf.is_connecting || !shelf.open.is_empty() || Arc::strong_count(&shelf.changed) > 1
        });
    }

    /// Keeps none any more.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
        self.lock().iter_mut().for_each(|shelf| shelf.open.clear());
    }

    /// Connects, while others wait for it. Who connects has the first lane.
    async fn connect(
        &self,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        room: Room,
        timer: &Timer,
    ) -> Option<Lane> {
        self.with(endpoint, |shelf| shelf.is_connecting = true);
        let _connecting = Connecting { carriers: self, endpoint };
        let connected = match timer.bound(carrier::connect(endpoint)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(connected) => {
                upstream.connects.inc();
                let changed = self.changed(endpoint);
                let carrier = Carrier::start(connected, (&upstream.name, endpoint), room, &changed);
                let lane = carrier.lane(endpoint);
                if !self.is_retired.load(Ordering::Relaxed) {
                    self.with(endpoint, |shelf| shelf.open.push(carrier));
                }
                lane
            }
            Err(error) => {
                let upstream = &upstream.name;
                tracing::warn!(%upstream, %endpoint, %error, "An endpoint can't be reached");
                self.with(endpoint, |shelf| shelf.failures += 1);
                None
            }
        }
    }

    fn find(&self, upstream: &Upstream, endpoint: &Arc<Endpoint>, newer_than: Option<Instant>) -> Found {
        let others_wait = self.others_wait(upstream);
        self.with(endpoint, |shelf| {
            if others_wait {
                shelf.open.clear();
            }
            shelf.open.retain(|carrier| carrier.is_open());
            // The first that has room: those behind it become idle, and close.
            let wanted = |carrier: &&Arc<Carrier>| newer_than.is_none_or(|since| carrier.since() >= since);
            let lane = shelf.open.iter().filter(wanted).find_map(|carrier| carrier.lane(endpoint));
            match lane {
                Some(lane) => Found::Lane(lane),
                None if shelf.is_connecting => Found::Connecting(shelf.failures),
                None => Found::Nothing,
            }
        })
    }

    /// Whether others than this worker wait for a connection: then it gives up its own, one after the other.
    fn others_wait(&self, upstream: &Upstream) -> bool {
        upstream.capacity.waits_for_connections() > self.asking.load(Ordering::Relaxed)
    }

    fn changed(&self, endpoint: &Arc<Endpoint>) -> Arc<Notify> {
        self.with(endpoint, |shelf| shelf.changed.clone())
    }

    fn failures(&self, endpoint: &Arc<Endpoint>) -> u64 {
        self.with(endpoint, |shelf| shelf.failures)
    }

    fn with<T>(&self, endpoint: &Arc<Endpoint>, look: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelves = self.lock();
        let found = shelves.iter().position(|shelf| Arc::ptr_eq(&shelf.endpoint, endpoint));
        let at = found.unwrap_or_else(|| {
            shelves.push(Shelf::new(endpoint.clone()));
            shelves.len() - 1
        });
        look(&mut shelves[at])
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, open: Vec::new(), is_connecting: false, failures: 0, changed: Arc::default() }
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.carriers.with(self.endpoint, |shelf| {
            shelf.is_connecting = false;
            shelf.changed.notify_waiters();
        });
    }
}

/// One that waits for room for a connection.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
