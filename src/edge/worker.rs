//! A worker: one thread, one single-threaded runtime, one listening socket of its own for each address. What it
//! accepts it keeps, and nothing on the way of a request crosses to another core.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{self, Connection, Ends};
use super::load::{FromSource, Lag, Load};
use super::policy::{Host, Policy};
use super::proxy_protocol::{self, Broken, Missing, Source as Passed};
use super::rates::Sender;
use super::request_id::RequestId;
use super::rules::{Orders, Rules};
use super::socket::Client;
use super::timer::{TICK, Timer, Timers};
use super::tls::{self, HandshakeFailure};
use super::{http1, http2};
use crate::clock::{self, Clock};
use crate::config::{Network, Rejection};
use crate::domain::Source;
use crate::ops::{AccessLogBuffer, Metrics};

/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 4096;

/// What a worker is made of.
pub struct WorkerSettings {
    /// What time it is.
    pub clock: Clock,
    /// What to count.
    pub metrics: Metrics,
    /// Where to log.
    pub access_log: AccessLogBuffer,
    /// What the whole process carries.
    pub load: Arc<Load>,
    /// A number that no other worker's request IDs begin with.
    pub id_seed: u64,
}

/// A socket that connections are accepted from.
pub struct Listening {
    /// The socket.
    pub socket: std::net::TcpListener,
    /// The proxies that it is for; `None` if clients connect themselves.
    pub proxies: Option<Arc<[Network]>>,
}

/// A connection as it was accepted.
struct Accepted {
    tcp: TcpStream,
    peer: SocketAddr,
    proxies: Option<Arc<[Network]>>,
}

impl Accepted {
    fn new(tcp: TcpStream, peer: SocketAddr, proxies: Option<Arc<[Network]>>) -> Self {
        Self { tcp, peer: canonical(peer), proxies }
    }
}

/// The phases of the gate's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepting and serving.
    Serving,
    /// Not accepting; requests in flight may end.
    Draining,
    /// Whatever is left is cut off.
    Stopped,
}

/// One worker's share of the gate.
pub struct Worker {
    rules: ArcSwap<Rules>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) access_log: AccessLogBuffer,
    pub(super) timers: Arc<Timers>,
    pub(super) load: Arc<Load>,
    lag: Mutex<Lag>,
    is_behind: AtomicBool,
    own_connections: AtomicUsize,
    phase: watch::Receiver<Phase>,
    id_seed: u64,
    next_id: AtomicU64,
}

impl Worker {
    /// Builds a worker that goes by `orders` and through the phases of `phase`.
    pub fn new(settings: WorkerSettings, orders: &Orders, phase: watch::Receiver<Phase>) -> Arc<Self> {
        let WorkerSettings { clock, metrics, access_log, load, id_seed } = settings;
        Arc::new(Self {
            rules: ArcSwap::from_pointee(Rules::new(orders, None)),
            timers: Timers::new(clock::instant()),
            lag: Mutex::new(Lag::new(clock::instant())),
            is_behind: AtomicBool::new(false),
            own_connections: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            clock,
            metrics,
            access_log,
            load,
            phase,
            id_seed,
        })
    }

    /// Has new connections, and the next request of every open one, go by `orders`. Called from any thread.
    pub fn obey(&self, orders: &Orders) {
        let before = self.rules.load_full();
        let next = Arc::new(Rules::new(orders, Some(&before)));
        self.rules.store(next.clone());
        // Whoever goes by the rules of before, as a tunnel may for hours, would keep idle connections from being closed.
        for pool in &before.pools {
            if !next.pools.iter().any(|kept| Arc::ptr_eq(kept, pool)) {
                pool.retire();
            }
        }
        self.wake_all();
    }

    /// What holds now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether these are still the rules that hold.
    pub(super) fn goes_by(&self, rules: &Arc<Rules>) -> bool {
        Arc::ptr_eq(&self.rules.load(), rules)
    }

    /// Has every connection look at the trust and the phase again. Called from any thread.
    pub fn wake_all(&self) {
        self.timers.wake_all();
    }

    /// How long ago it was last seen to run its errands, which it does every 100 ms unless it is stuck.
    pub fn silence(&self) -> Duration {
        self.timers.since_tick(clock::instant())
    }

    /// Accepts and serves until the gate is stopped, or drained and empty.
    pub async fn run(self: Arc<Self>, listeners: Vec<Listening>) {
        let mut accepting = Vec::new();
        for Listening { socket, proxies } in listeners {
            match TcpListener::from_std(socket) {
                Ok(listener) => accepting.push(tokio::spawn(self.clone().accept(listener, proxies))),
                Err(error) => tracing::error!(%error, "A listening socket can't be used"),
            }
        }
        let mut phase = self.phase.clone();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = tick.tick() => self.tick(),
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow() == Phase::Stopped {
                        break;
                    }
                    self.wake_all();
                }
            }
            if self.is_draining() && self.own_connections.load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        for accepting in accepting {
            accepting.abort();
        }
        self.access_log.flush();
    }

    fn tick(&self) {
        let (now, rules) = (clock::instant(), self.rules.load());
        self.timers.tick(now);
        self.access_log.flush();
        let most = rules.policy.limits.lag.get();
        let is_behind = self.lag.lock().unwrap_or_else(PoisonError::into_inner).tick(now, most);
        self.is_behind.store(is_behind, Ordering::Relaxed);
        for pool in &rules.pools {
            pool.sweep(now);
        }
    }

    /// Hands the last lines of the access log over, once no connection is left.
    pub fn flush_log(&self) {
        self.access_log.flush();
    }

    /// Whether it has more to do than it can.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Whether the gate is on its way out.
    pub(super) fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    /// A new request's ID.
    pub(super) fn request_id(&self) -> RequestId {
        RequestId::new(self.id_seed, self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, proxies: Option<Arc<[Network]>>) {
        let mut phase = self.phase.clone();
        while !self.is_draining() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = phase.changed() => continue,
            };
            match accepted {
                Ok((tcp, peer)) => self.admit(Accepted::new(tcp, peer, proxies.clone())),
                Err(error) => {
                    // Out of file descriptors, most likely: let some close before the next try.
                    tracing::warn!(%error, "A listener can't accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // What the kernel has accepted for us already would be reset by closing the socket: serve it.
        while let Some(Ok((tcp, peer))) = futures_util::FutureExt::now_or_never(listener.accept()) {
            self.admit(Accepted::new(tcp, peer, proxies.clone()));
        }
    }

    fn admit(self: &Arc<Self>, accepted: Accepted) {
        let rules = self.rules.load();
        let most = rules.policy.limits.connections.get() as usize;
        let open = OpenConnection::count(self);
        if self.load.connections.load(Ordering::Relaxed) > most {
            self.metrics.connections_shed.inc();
            return;
        }
        self.metrics.connections_accepted.inc();
        let worker = self.clone();
        let is_reserve = self.load.is_crowded(&rules.policy.limits);
        tokio::spawn(async move {
            worker.serve(accepted, is_reserve).await;
            drop(open);
        });
    }

    async fn serve(self: &Arc<Self>, accepted: Accepted, is_reserve: bool) {
        let peer = accepted.peer;
        let Ok(local) = accepted.tcp.local_addr() else { return };
        let begun = clock::instant();
        let timer = self.timers.timer();
        let rules = self.rules();
        // From here on, the client is whom the proxy names.
        let mut client = peer;
        // On the heap, like all that is long over while the connection waits for requests.
        let shaken = Box::pin(self.shake_hands(accepted, &mut client, &rules.policy, &timer)).await;
        let Some((io, host, _from_source)) = shaken else { return };
        let session = io.get_ref().1;
        let resumed = if connection::is_resumed(session) { "yes" } else { "no" };
        self.metrics.handshakes.with_label_values(&[&host.name, connection::version(session), resumed]).inc();
        self.metrics
            .handshake_duration
            .observe(clock::instant().saturating_duration_since(begun).as_secs_f64());
        let rejects_in_handshake = host.rejection == Rejection::Handshake;
        let is_h2 = session.alpn_protocol() == Some(b"h2");
        let ends = Ends { peer: client, local: canonical(local) };
        let connection = Connection::new(self.clone(), rules, host, ends, session, is_reserve);
        // A resumed handshake shows no certificate to the verifier, so its refusal comes here.
        if rejects_in_handshake && let Some(refusal) = connection.refusal() {
            self.note_failure(client, peer, &HandshakeFailure::Refused(refusal.reason));
            return;
        }
        if is_h2 {
            Box::pin(http2::serve(io, connection, timer)).await;
        } else {
            Box::pin(http1::serve(io, connection, timer)).await;
        }
    }

    async fn shake_hands(
        &self,
        accepted: Accepted,
        client: &mut SocketAddr,
        policy: &Policy,
        timer: &Timer,
    ) -> Option<(Client, Arc<Host>, Option<FromSource>)> {
        timer.set(policy.timeouts.handshake.get());
        let Accepted { mut tcp, peer, proxies } = accepted;
        let mut is_named = proxies.is_none();
        let shaking = async {
            tcp.set_nodelay(true).map_err(|_| HandshakeFailure::Closed)?;
            if let Some(proxies) = proxies
                && let Some(behind) = client_behind(&mut tcp, peer, &proxies).await?
            {
                (*client, is_named) = (behind, true);
            }
            // A proxy's own connection is nobody's.
            let from_source = if is_named { self.welcome(*client, policy)? } else { None };
            let (io, host) = tls::accept(tcp, policy).await?;
            Ok((io, host, from_source))
        };
        let shaken = timer.bound(shaking).await.unwrap_or(Err(HandshakeFailure::Timeout));
        // A proxy that names nobody and leaves has looked whether we are here, as it does every second or so.
        if !is_named && matches!(shaken, Err(HandshakeFailure::Closed)) {
            return None;
        }
        shaken.inspect_err(|failure| self.note_failure(*client, peer, failure)).ok()
    }

    /// Counts a new connection for its source, before anything is spent on it. A trusted proxy speaks for many: its requests
    /// are counted, for those whom it names.
    fn welcome(&self, client: SocketAddr, policy: &Policy) -> Result<Option<FromSource>, HandshakeFailure> {
        if policy.trusted_proxies.iter().any(|network| network.contains(client.ip())) {
            return Ok(None);
        }
        let source = Source::of(client.ip());
        let sender = Sender { source, identity: None };
        let now = self.clock.now().as_microsecond();
        if policy.rates.handshakes.as_ref().is_some_and(|limit| limit.take(sender, now).is_err()) {
            return Err(HandshakeFailure::RateLimited);
        }
        let Some(most) = policy.limits.connections_per_source else { return Ok(None) };
        let counted = self.load.begin_connection(source, most.get());
        counted.map(Some).ok_or(HandshakeFailure::TooMany)
    }

    fn note_failure(&self, client: SocketAddr, peer: SocketAddr, failure: &HandshakeFailure) {
        self.metrics.handshake_failures.with_label_values(&[failure.code()]).inc();
        // Whoever floods the gate with connections must not flood its log.
        if matches!(failure, HandshakeFailure::RateLimited | HandshakeFailure::TooMany) {
            tracing::debug!(%client, %peer, cause = failure.code(), "A connection was closed");
        } else {
            tracing::info!(%client, %peer, cause = failure.code(), %failure, "A handshake failed");
        }
    }
}

/// Whom a proxy passes on; `None` if the connection is its own.
async fn client_behind(
    tcp: &mut TcpStream,
    peer: SocketAddr,
    proxies: &[Network],
) -> Result<Option<SocketAddr>, HandshakeFailure> {
    if !proxies.iter().any(|network| network.contains(peer.ip())) {
        return Err(HandshakeFailure::UnknownProxy);
    }
    match proxy_protocol::read(tcp).await {
        // In version 1 some name themselves where nobody is meant.
        Ok(Passed::Client(client)) => Ok(Some(canonical(client)).filter(|client| *client != peer)),
        Ok(Passed::Peer) => Ok(None),
        Err(Missing::Closed) => Err(HandshakeFailure::Closed),
        Err(Missing::Broken(Broken(why))) => Err(HandshakeFailure::ProxyHeader(why)),
    }
}

/// A socket for both families shows IPv4 addresses as mapped ones. From here on there are none.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Counts a connection as open until it is dropped.
struct OpenConnection(Arc<Worker>);

impl OpenConnection {
    fn count(worker: &Arc<Worker>) -> Self {
        worker.load.connections.fetch_add(1, Ordering::Relaxed);
        worker.own_connections.fetch_add(1, Ordering::Relaxed);
        worker.metrics.connections.inc();
        Self(worker.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.load.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.own_connections.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connections.dec();
    }
}

/// Binds `count` sockets to one address; the kernel spreads connections over them.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut address = address;
    let mut listeners = Vec::new();
    // Sockets that share an address would also share it with another gate that was started by mistake: one that
    // doesn't share finds out.
    let probe = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    probe.set_reuse_address(true)?;
    probe.bind(&address.into())?;
    drop(probe);
    for _ in 0..count {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        // Port 0 is settled by the first.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}
