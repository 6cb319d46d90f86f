//! The composition root: a configuration in, a running gateway out. The only one that knows every part.

mod back;
mod backstage;
mod certificates;
mod issuer;
mod notices;
mod plan;
mod registry;
mod stores;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use self::back::Back;
use arc_swap::ArcSwap;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Document, Problems, Workers};
use crate::edge::{self, Orders, Phase, TicketKeys, Worker, WorkerSettings};
use crate::ops::{self, AccessLog, LogTarget, Metrics, Readiness};
use crate::pki::Trust;
use crate::stores::Unavailable;

pub use issuer::{issuer, revocation_lists, write_list};
pub use plan::{Plan, plan};
pub use stores::{OpenError, StaffStores, Stores, credential};

/// Threads beside the data path: portal, stores, the ops listener. PINs are hashed on others.
const BESIDE: usize = 2;
/// After the deadline of a drain, how long connections get to be cut off.
const CUT_OFF: Duration = Duration::from_secs(1);

/// A gateway that serves.
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    ops_address: SocketAddr,
    trust: Option<Arc<ArcSwap<Trust>>>,
    metrics: Metrics,
    readiness: Readiness,
    phase: watch::Sender<Phase>,
    drain: Duration,
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    access_log: AccessLog,
    /// Beside the data path: the ops listener.
    runtime: Runtime,
}

/// A gateway that didn't start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration, or a file that it names.
    Config(Problems),
    /// An address that can't be bound.
    Bind(SocketAddr, io::Error),
    /// The access log can't be opened.
    AccessLog(LogTarget, io::Error),
    /// A store that can't be asked.
    Store(Unavailable),
    /// The system refused a thread, a random number or the like.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Bind(address, error) => write!(f, "can't listen on {address}: {error}"),
            Self::AccessLog(LogTarget::File(path), error) => {
                write!(f, "the access log {} can't be opened: {error}", path.display())
            }
            Self::Store(unavailable) => unavailable.fmt(f),
            Self::AccessLog(_, error) => write!(f, "the access log can't be opened: {error}"),
            Self::System(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for StartError {}

fn system(error: impl fmt::Display) -> StartError {
    StartError::System(error.to_string())
}

impl Gateway {
    /// Builds the parts and starts them. Once this returns, requests are answered.
    pub fn start(document: &Document, clock: Clock) -> Result<Self, StartError> {
        let Plan { hosts, tickets, trust, issuer } =
            plan(document, clock.now()).map_err(StartError::Config)?;
        let config = &document.config;
        let metrics = metrics(&clock).map_err(system)?;
        let trust = trust.map(|trust| Arc::new(ArcSwap::from_pointee(trust)));
        if let Some(trust) = &trust {
            count_generation(&metrics, &trust.load());
        }
        let ticket_keys = TicketKeys::new(clock.clone());
        ticket_keys.adopt(tickets, certificates::ticket_times(config)).map_err(StartError::System)?;
        let policy = plan::policy(config, hosts, trust.as_ref(), &ticket_keys, &clock, &metrics)
            .map_err(StartError::System)?;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(BESIDE)
            .thread_name("beside")
            .enable_all()
            .build()
            .map_err(system)?;
        let back =
            runtime.block_on(Back::build(document, trust.as_ref(), issuer.as_ref(), &clock, &metrics))?;
        let house = Arc::new(back.house(runtime.handle().clone()));

        let count = worker_count(config.workers);
        let mut addresses = Vec::new();
        let mut sockets: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for listener in &config.listeners {
            let bound =
                edge::bind(listener.bind, count).map_err(|error| StartError::Bind(listener.bind, error))?;
            addresses.extend(bound.first().and_then(|socket| socket.local_addr().ok()));
            sockets.iter_mut().zip(bound).for_each(|(sockets, socket)| sockets.push(socket));
        }

        let readiness = Readiness::default();
        let ops_address = start_ops(&runtime, config.ops.bind, &metrics, &readiness)?;
        let target = log_target(&config.access_log);
        let access_log = AccessLog::open(target.clone(), metrics.access_log_dropped.clone())
            .map_err(|error| StartError::AccessLog(target, error))?;

        let (phase, phases) = watch::channel(Phase::Serving);
        let connections = Arc::new(AtomicUsize::new(0));
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        let orders =
            Orders { policy, trust: trust.clone(), registry: back.registry.clone(), backstage: house };
        for (index, sockets) in sockets.into_iter().enumerate() {
            let settings = WorkerSettings {
                clock: clock.clone(),
                metrics: metrics.clone(),
                access_log: access_log.buffer(),
                connections: connections.clone(),
                id_seed: getrandom::u64().map_err(system)?,
            };
            let worker = Worker::new(settings, &orders, phases.clone());
            threads.push(start_worker(index, worker.clone(), sockets)?);
            workers.push(worker);
        }
        if let (Some(issuer), Some(directory)) = (&issuer, &back.directory) {
            let lists = revocation_lists(config, directory, issuer);
            let outlets = issuer::outlets(config, &back.revocation_list, trust.as_ref(), &workers, &metrics);
            runtime.spawn(issuer::follow(lists, outlets, clock.clone()));
        }
        if let Some(registry) = &back.registry {
            let (registry, clock) = (registry.clone(), clock.clone());
            let count = move || {
                let now = clock.now();
                (registry.count_credentials(now), registry.times_to_expiry(now))
            };
            metrics.register(ops::Credentials::new(count).map_err(system)?).map_err(system)?;
        }
        if let Some(directory) = &back.directory {
            let sender = notices::notices(config.mail.as_ref(), directory, &clock, &metrics);
            runtime.spawn(notices::follow(sender, directory.clone(), clock.clone(), metrics.clone()));
        }
        if let (Some(registry), Some(directory), Some(settings)) =
            (back.registry, back.directory, &config.directory)
        {
            runtime.spawn(registry::prune(directory.clone(), clock.clone()));
            let max_age = settings.max_age.get();
            let (workers, clock, metrics) = (workers.clone(), clock.clone(), metrics.clone());
            runtime.spawn(registry::follow(directory, registry, workers, clock, metrics, max_age));
        }
        readiness.set(true);
        let drain = config.timeouts.drain.get();
        Ok(Self {
            addresses,
            ops_address,
            trust,
            metrics,
            readiness,
            phase,
            drain,
            workers,
            threads,
            access_log,
            runtime,
        })
    }

    /// The bound addresses, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The bound address of the ops listener.
    pub const fn ops_address(&self) -> SocketAddr {
        self.ops_address
    }

    /// Has certificates judged against `trust` from now on: the next request of every connection is, and
    /// connections whose certificate it refuses are closed. Without effect where no host asks for a certificate.
    pub fn publish_trust(&self, trust: Trust) {
        if let Some(current) = &self.trust {
            publish(current, trust, &self.metrics, &self.workers);
        }
    }

    /// Opens the access log's file anew, after it was rotated.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Stops accepting, lets the requests in flight end, and ends. Blocks, at most as long as `timeouts.drain`.
    pub fn drain(mut self) {
        self.readiness.set(false);
        self.metrics.draining.set(1);
        self.phase.send_replace(Phase::Draining);
        let deadline = crate::clock::instant() + self.drain;
        while self.threads.iter().any(|thread| !thread.is_finished()) && crate::clock::instant() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.phase.send_replace(Phase::Stopped);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        // Dropping the workers and then the log writes the last lines.
        self.workers.clear();
        self.runtime.shutdown_timeout(CUT_OFF);
    }
}

fn publish(current: &ArcSwap<Trust>, trust: Trust, metrics: &Metrics, workers: &[Arc<Worker>]) {
    count_generation(metrics, &trust);
    current.store(Arc::new(trust));
    workers.iter().for_each(|worker| worker.wake_all());
}

fn metrics(clock: &Clock) -> prometheus::Result<Metrics> {
    let metrics = Metrics::new()?;
    metrics.register_process()?;
    metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    metrics.start_time.set(clock.now().as_second() as f64);
    Ok(metrics)
}

fn count_generation(metrics: &Metrics, trust: &Trust) {
    metrics.trust_generation.set(trust.generation().try_into().unwrap_or(i64::MAX));
}

fn worker_count(workers: Workers) -> usize {
    match workers {
        Workers::Count(count) => count.get(),
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn log_target(access_log: &crate::config::AccessLog) -> LogTarget {
    match access_log {
        crate::config::AccessLog::Stdout => LogTarget::Stdout,
        crate::config::AccessLog::Off => LogTarget::Off,
        crate::config::AccessLog::File(path) => LogTarget::File(path.clone()),
    }
}

fn start_ops(
    runtime: &Runtime,
    address: SocketAddr,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Result<SocketAddr, StartError> {
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(address))
        .map_err(|error| StartError::Bind(address, error))?;
    let bound = listener.local_addr().map_err(|error| StartError::Bind(address, error))?;
    runtime.spawn(ops::serve(listener, metrics.clone(), readiness.clone()));
    Ok(bound)
}

fn start_worker(
    index: usize,
    worker: Arc<Worker>,
    sockets: Vec<std::net::TcpListener>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    std::thread::Builder::new()
        .name(format!("gate-{index}"))
        .spawn(move || runtime.block_on(worker.run(sockets)))
        .map_err(system)
}
