//! The composition root: a configuration in, a running gateway out. The only one that knows every part.

mod assertion;
mod audit;
mod back;
mod backstage;
mod certificates;
mod fetch;
mod health;
mod issuer;
mod listeners;
mod notices;
mod plan;
mod prepared;
mod rates;
mod registry;
mod routes;
mod running;
mod secret;
mod staples;
mod stores;
#[cfg(test)]
mod testing;
mod tickets;
mod traces;
mod trust;
mod upstreams;
mod watch_files;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle as JoinTask;

use self::back::Kept;
use self::health::Health;
use self::listeners::Listeners;
use self::prepared::{Next, Prepared};
use self::running::Running;
use self::upstreams::Names;
use self::watch_files::{Seen, Watch};

use crate::clock::Clock;
use crate::config::{self, Document, Problems, Workers};
use crate::edge::{Listening, Load, Phase, Worker, WorkerSettings};
use crate::ops::{self, AccessLog, LogTarget, Metrics, Readiness, seconds, systemd};
use crate::pki::Trust;
use crate::stores::Unavailable;

pub use audit::audit_key;
pub use issuer::{issuer, revocation_lists, write_list};
pub use listeners::Inherited;
pub use plan::{Plan, plan};
pub use stores::{OpenError, StaffStores, Stores, credential};
pub use trust::{PreparedTrust, TrustKeeper};
pub use watch_files::ConfigFile;

/// Threads beside the data path: portal, stores, the ops listener. PINs are hashed on others.
const BESIDE: usize = 2;
/// After the deadline of a drain, how long connections get to be cut off.
const CUT_OFF: Duration = Duration::from_secs(1);
/// How long a worker, which ticks ten times a second, may be silent at least before it counts as stuck.
const STUCK: Duration = Duration::from_secs(2);

/// A gateway that serves.
pub struct Gateway {
    addresses: Vec<SocketAddr>,
    ops_address: SocketAddr,
    running: Arc<Running>,
    phase: watch::Sender<Phase>,
    /// Every listening socket once more, for a successor.
    sockets: Vec<OwnedFd>,
    handed_over: watch::Sender<bool>,
    ops_task: JoinTask<()>,
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
        Self::start_with(document, clock, Inherited::default())
    }

    /// The same with listening sockets that are there already. Where one is for a configured address, it is used.
    pub fn start_with(document: &Document, clock: Clock, inherited: Inherited) -> Result<Self, StartError> {
        // Before they are read: what changes from here on is a change.
        let seen = Seen::of(config::inputs(&document.config));
        let mut plan =
            plan::plan_by(document, clock.now(), |trust| trust::load(trust, clock.now()).map(Next::First))
                .map_err(StartError::Config)?;
        let config = &document.config;
        let metrics = metrics(&clock).map_err(system)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(BESIDE)
            .thread_name("beside")
            .enable_all()
            .build()
            .map_err(system)?;
        let readiness = Readiness::default();
        let health = Health::new(&metrics, &readiness, &clock);
        let kept = runtime.block_on(Kept::open(document, &clock, health))?;
        let pins = match kept.directory {
            Some(_) => stores::pins(document).map_err(StartError::Config)?,
            None => (None, None),
        };
        let names = Names::new(&config.dns).map_err(StartError::System)?;
        let tls = std::mem::take(&mut plan.upstream_tls);
        // A start in an outage of DNS must not make it worse: who can't be found now is looked for again.
        let (upstreams, unknown) = runtime.block_on(upstreams::prepare(document, tls, &names, &[], &metrics));
        unknown.iter().for_each(|problem| tracing::warn!(%problem, "An upstream can't be found"));
        let (upstreams, around) = ((upstreams, names), (&clock, &metrics, runtime.handle()));
        let mut prepared =
            Prepared::new(config, plan, upstreams, pins, &kept, None, around).map_err(StartError::System)?;
        // Bounded by `trust.crl.timeout` and `state.timeout`. That nobody answers is no reason not to start.
        runtime.block_on(prepared.ask_first(&clock));
        prepared.adopt_tickets(config, &kept, &clock).map_err(StartError::System)?;

        let Listeners { addresses, workers: sockets, ops: ops_listener, kept: spare } =
            Listeners::open(config, worker_count(config.workers), inherited)?;
        let ops_address = ops_listener.local_addr().map_err(system)?;
        let target = log_target(&config.access_log);
        let access_log = AccessLog::open(target.clone(), &metrics, &readiness)
            .map_err(|error| StartError::AccessLog(target, error))?;

        let (phase, phases) = watch::channel(Phase::Serving);
        let load = Arc::new(Load::default());
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for (index, sockets) in sockets.into_iter().enumerate() {
            let settings = WorkerSettings {
                clock: clock.clone(),
                metrics: metrics.clone(),
                access_log: access_log.buffer(),
                load: load.clone(),
                id_seed: getrandom::u64().map_err(system)?,
            };
            let worker = Worker::new(settings, &prepared.orders, phases.clone());
            threads.push(start_worker(index, worker.clone(), sockets)?);
            workers.push(worker);
        }
        let around = (clock, metrics, readiness, runtime.handle().clone());
        let running = Running::begin((document, seen), prepared, kept, workers, around);
        follow_directory(&running, document)?;
        running.share_rates();
        running.kept.look_after(config, (&running.clock, &running.metrics, &running.runtime));
        running.readiness.set(true);
        // Only now: from a predecessor's socket, nobody is to be told that the service isn't ready.
        let (handed_over, over) = watch::channel(false);
        let ops_task = start_ops(&runtime, ops_listener, &running, over)?;
        Ok(Self {
            addresses,
            ops_address,
            running,
            phase,
            sockets: spare,
            handed_over,
            ops_task,
            threads,
            access_log,
            runtime,
        })
    }

    /// Reads the configuration from `file` from now on: when it is told to, and when that file or one that it names
    /// changes.
    pub fn follow(&self, file: ConfigFile) {
        self.running.read_from(file);
        self.runtime.spawn(Watch::follow(Arc::downgrade(&self.running)));
    }

    /// Reads the configuration anew and puts it in force whole, or says what is wrong with it; then what was in force
    /// stays. No connection is dropped by that. Blocks.
    pub fn reload(&self) -> Result<(), String> {
        self.running.reload()
    }

    /// What reloads, for a thread that may wait: whoever ends the gateway doesn't wait for a reload. Without effect once
    /// the gateway is gone.
    pub fn reloader(&self) -> impl Fn() + Send + 'static {
        let running = Arc::downgrade(&self.running);
        move || {
            if let Some(running) = running.upgrade() {
                // What went wrong is in the log.
                let _ = running.reload();
            }
        }
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
        if let Some(keeper) = self.running.keeper() {
            keeper.publish(trust);
        }
    }

    /// Opens the access log's file anew, after it was rotated.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Copies of all listening sockets, for a process that will accept from them too.
    pub fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().map(OwnedFd::try_clone).collect()
    }

    /// Tells systemd, if it wants to be told, that the gate is alive: as long as the runtime beside the data path gets
    /// to say so and every worker runs. A gate of which a worker is stuck is killed and started anew by systemd.
    pub fn feed_watchdog(&self) {
        let Some(every) = systemd::watchdog() else { return };
        let (workers, mut phase) = (self.running.workers.clone(), self.phase.subscribe());
        self.runtime.spawn(async move {
            let mut tick = tokio::time::interval(every);
            // On the way out a worker that is done is silent, and systemd has a deadline for that.
            while *phase.borrow_and_update() == Phase::Serving {
                tokio::select! {
                    _ = tick.tick() => {
                        let silence = workers.iter().map(|worker| worker.silence()).max().unwrap_or_default();
                        if silence <= every.max(STUCK) {
                            systemd::alive();
                        } else {
                            let seconds = silence.as_secs_f64();
                            tracing::error!(silence.seconds = seconds, "A worker is stuck: the watchdog isn't fed");
                        }
                    }
                    _ = phase.changed() => {}
                }
            }
        });
    }

    /// The end of a gate whose successor accepts from the same sockets: as [`Gateway::drain`], and new connections of
    /// operators are the successor's too.
    pub fn hand_over(self) {
        self.handed_over.send_replace(true);
        // Not for traffic to be sent elsewhere: whoever asks a moment too early may come here.
        self.finish();
    }

    /// Stops accepting, lets the requests in flight end, and ends. Blocks, at most as long as `timeouts.drain`.
    pub fn drain(self) {
        self.running.readiness.set(false);
        self.finish();
    }

    fn finish(mut self) {
        self.running.stop();
        // Nobody is to be accepted by a socket that nobody accepts from.
        self.sockets.clear();
        self.running.metrics.draining.set(1);
        self.phase.send_replace(Phase::Draining);
        let deadline = crate::clock::instant() + self.running.drain();
        while self.threads.iter().any(|thread| !thread.is_finished()) && crate::clock::instant() < deadline {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.phase.send_replace(Phase::Stopped);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let Self { running, access_log, runtime, mut ops_task, handed_over, .. } = self;
        running.exporters.end();
        if *handed_over.borrow() {
            let ending = async { tokio::time::timeout(2 * CUT_OFF, &mut ops_task).await };
            let _ = runtime.block_on(ending);
        }
        runtime.shutdown_timeout(CUT_OFF);
        // A reload that waits for something still may hold the workers: their last lines don't wait for that.
        running.workers.iter().for_each(|worker| worker.flush_log());
        running.kept.close(running.clock.now());
        drop(running);
        drop(access_log);
    }
}

fn metrics(clock: &Clock) -> prometheus::Result<Metrics> {
    let metrics = Metrics::new()?;
    metrics.register_process()?;
    metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    metrics.start_time.set(seconds(clock.now()));
    Ok(metrics)
}

fn worker_count(workers: Workers) -> usize {
    match workers {
        Workers::Count(count) => count.get(),
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn log_target(access_log: &config::AccessLog) -> LogTarget {
    match access_log {
        config::AccessLog::Stdout => LogTarget::Stdout,
        config::AccessLog::Off => LogTarget::Off,
        config::AccessLog::File(path) => LogTarget::File(path.clone()),
    }
}

/// Keeps the registry at the directory's heels, and counts what is in it.
fn follow_directory(running: &Arc<Running>, document: &Document) -> Result<(), StartError> {
    let Running { kept, clock, metrics, runtime, workers, .. } = &**running;
    let (Some(registry), Some(directory), Some(settings)) =
        (&kept.registry, &kept.directory, &document.config.directory)
    else {
        return Ok(());
    };
    let (counted, at) = (registry.clone(), clock.clone());
    let count = move || {
        let now = at.now();
        (counted.count_credentials(now), counted.times_to_expiry(now))
    };
    metrics.register(ops::Credentials::new(count).map_err(system)?).map_err(system)?;
    runtime.spawn(registry::prune(directory.clone(), clock.clone()));
    let max_age = settings.max_age.get();
    let (directory, registry, workers) = (directory.clone(), registry.clone(), workers.clone());
    runtime.spawn(registry::follow(directory, registry, workers, clock.clone(), metrics.clone(), max_age));
    Ok(())
}

/// What operators may do through the ops listener.
struct Operated(Arc<Running>);

impl ops::Operations for Operated {
    fn reload(&self) -> Result<(), String> {
        self.0.reload()
    }

    fn config(&self) -> String {
        serde_saphyr::to_string(&self.0.config()).unwrap_or_default()
    }

    fn upstreams(&self) -> String {
        upstreams::describe(&self.0.upstreams())
    }

    fn drain(&self, upstream: &str, endpoint: &str, is_drained: bool) -> bool {
        upstreams::drain(&self.0.upstreams(), upstream, endpoint, is_drained)
    }

    fn key_set(&self) -> Option<Arc<String>> {
        self.0.key_set.load_full()
    }
}

fn start_ops(
    runtime: &Runtime,
    listener: std::net::TcpListener,
    running: &Arc<Running>,
    handed_over: watch::Receiver<bool>,
) -> Result<JoinTask<()>, StartError> {
    let entered = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(system)?;
    drop(entered);
    let (metrics, readiness) = (running.metrics.clone(), running.readiness.clone());
    let operated = Arc::new(Operated(running.clone()));
    Ok(runtime.spawn(ops::serve(listener, metrics, readiness, operated, handed_over)))
}

fn start_worker(
    index: usize,
    worker: Arc<Worker>,
    sockets: Vec<Listening>,
) -> Result<JoinHandle<()>, StartError> {
    let seed = getrandom::u64().map_err(system)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    std::thread::Builder::new()
        .name(format!("gate-{index}"))
        .spawn(move || {
            // By itself it begins with the time since the machine's start: two gateways might give traces the same numbers.
            fastrand::seed(seed);
            runtime.block_on(worker.run(sockets));
        })
        .map_err(system)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind the locks of this room is replaced whole: a panic elsewhere leaves nothing half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
