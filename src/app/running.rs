//! What runs, as a reload sees it: what stays, what is in force, and how another configuration takes its place. That one
//! is read and checked whole before anything changes; where it is wrong, what is in force stays.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::back::{self, Kept};
use super::plan;
use super::prepared::{Before, Next, Prepared};
use super::staples::Stapler;
use super::tickets;
use super::traces::Exporters;
use super::trust::{self, TrustKeeper};
use super::upstreams::{self, Names};
use super::watch_files::{self, ConfigFile, Seen};
use super::{issuer, notices, rates, revocation_lists, stores};
use crate::clock::Clock;
use crate::config::{self, Config, Document, Problems};
use crate::edge::{TicketAdoption, Upstream, Worker};
use crate::flows::TicketSecrets;
use crate::ops::{Metrics, Readiness, seconds, systemd};
use crate::stores::{AuditEvent, State};

/// A gateway's parts that outlive a configuration, and the configuration in force.
pub(super) struct Running {
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) runtime: Handle,
    pub(super) workers: Vec<Arc<Worker>>,
    pub(super) kept: Kept,
    /// What backends verify assertions with (JSON); `None` if nothing is signed.
    pub(super) key_set: ArcSwapOption<String>,
    /// Who tells collectors of requests.
    pub(super) exporters: Exporters,
    /// Held for a moment only: whoever ends the gateway, or asks what is in force, doesn't wait for a reload.
    in_force: Mutex<InForce>,
    /// Held through a reload: one waits for the other.
    turn: Mutex<()>,
    /// What was read for the configuration in force, or for one that was refused since, as it was before that.
    seen: Mutex<Seen>,
    /// Where the next configuration is read from.
    file: OnceLock<PathBuf>,
    /// The last refusal, until a reload succeeds.
    refused: Mutex<Option<Refusal>>,
    is_stopping: AtomicBool,
}

/// What is in force.
pub(super) struct InForce {
    config: Config,
    keeper: Option<TrustKeeper>,
    stapler: Arc<Stapler>,
    upstreams: Vec<Arc<Upstream>>,
    names: Names,
    tickets: Option<(Arc<TicketSecrets>, TicketAdoption)>,
    drain: Duration,
    /// As long as it is there, what publishes lists and sends notices goes on.
    wanted: watch::Sender<()>,
}

/// Why a configuration didn't take the place of the one in force.
struct Refusal {
    problem: String,
    /// Whether it may work later with the same files: names that aren't resolved, a disk that is full.
    may_pass: bool,
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Self { problem, may_pass: false }
    }
}

impl From<&str> for Refusal {
    fn from(problem: &str) -> Self {
        problem.to_owned().into()
    }
}

impl From<Problems> for Refusal {
    fn from(problems: Problems) -> Self {
        format!("\n{problems}").into()
    }
}

impl Running {
    /// Begins with the configuration that the workers were started with. `seen`: its inputs, before they were read.
    pub(super) fn begin(
        (document, seen): (&Document, Seen),
        mut prepared: Prepared,
        kept: Kept,
        workers: Vec<Arc<Worker>>,
        around: (Clock, Metrics, Readiness, Handle),
    ) -> Arc<Self> {
        let (clock, metrics, readiness, runtime) = around;
        let in_force = InForce::new(&document.config, &prepared);
        metrics.reload_success.set(1);
        in_force.stapler.begin();
        if let Some(keeper) = &in_force.keeper {
            keeper.wakes(&workers);
            keeper.reports_to(&readiness);
        }
        let exporters = Exporters::new(&runtime);
        exporters.begin(prepared.exporter.take());
        let running = Self {
            clock,
            metrics,
            readiness,
            runtime,
            workers,
            kept,
            key_set: ArcSwapOption::new(prepared.key_set.clone()),
            exporters,
            in_force: Mutex::new(in_force),
            turn: Mutex::default(),
            seen: Mutex::new(seen),
            file: OnceLock::new(),
            refused: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        };
        running.work(&document.config, &prepared);
        Arc::new(running)
    }

    /// Has rate limits counted together with other gateways, where there is a state in which they can.
    pub(super) fn share_rates(&self) {
        if let Some(state) = self.kept.shared_state().cloned() {
            let (tables, clock, metrics) =
                (self.kept.rates.clone(), self.clock.clone(), self.metrics.clone());
            self.runtime.spawn(rates::share(tables, state, clock, metrics));
        }
    }

    /// Reads the configuration from `file` from now on.
    pub(super) fn read_from(&self, file: ConfigFile) {
        let ConfigFile { path, seen } = file;
        lock(&self.seen).add(seen);
        let _ = self.file.set(path);
    }

    /// Refuses whatever would be put in force from now on.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// How long a drain may take.
    pub(super) fn drain(&self) -> Duration {
        self.lock().drain
    }

    /// Who keeps the trust; `None` if no host asks for a certificate.
    pub(super) fn keeper(&self) -> Option<TrustKeeper> {
        self.lock().keeper.clone()
    }

    /// The upstreams in force.
    pub(super) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.lock().upstreams.clone()
    }

    /// The configuration in force, with every default filled in.
    pub(super) fn config(&self) -> Config {
        self.lock().config.clone()
    }

    /// What may change the configuration when it changes (its file, and those that it names), as it was before it was
    /// last read.
    pub(super) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Whether changes of the inputs are enough of a reason.
    pub(super) fn reloads_on_change(&self) -> bool {
        self.lock().config.reload.on_change
    }

    /// Whether the last reload was refused for something that may be over, though no file has changed.
    pub(super) fn may_retry(&self) -> bool {
        lock(&self.refused).as_ref().is_some_and(|refusal| refusal.may_pass)
    }

    /// Reads the configuration anew and puts it in force, or says what is wrong with it. Blocks: on files, on the
    /// audit log, on names that are resolved; one reload waits for the other.
    pub(super) fn reload(&self) -> Result<(), String> {
        self.reload_again(false)
    }

    /// The same after a refusal, of whose reason nothing is said twice.
    pub(super) fn retry(&self) {
        let _ = self.reload_again(true);
    }

    fn reload_again(&self, is_retry: bool) -> Result<(), String> {
        let _turn = lock(&self.turn);
        if !is_retry {
            systemd::reloading();
        }
        let done = self.replace();
        if self.is_stopping() {
            // What ends has said so, to systemd and to everybody; nobody waits for the rest.
            return done.map_err(|refusal| refusal.problem);
        }
        if done.is_ok() || !is_retry {
            let status = if done.is_ok() { "Serving" } else { "Serving; the last reload was refused" };
            systemd::reloaded(status);
        }
        // What is tried again every few seconds was refused once.
        if done.is_ok() || !is_retry {
            let outcome = if done.is_ok() { "good" } else { "refused" };
            self.metrics.reloads.with_label_values(&[outcome]).inc();
        }
        self.metrics.reload_success.set(i64::from(done.is_ok()));
        let note = done.as_ref().err().map(|it| format!("the last reload was refused: {}", it.problem));
        self.readiness.note("reload", note);
        let answer = done.as_ref().map_err(|refusal| refusal.problem.clone()).copied();
        let refused = done.err();
        let before = std::mem::replace(&mut *lock(&self.refused), refused);
        match &answer {
            Ok(()) => {
                self.metrics.reloaded.set(seconds(self.clock.now()));
                tracing::info!("The configuration was reloaded");
            }
            Err(problem) if is_retry && before.is_some_and(|before| before.problem == *problem) => {}
            Err(problem) => {
                tracing::error!(%problem, "The configuration can't be reloaded: what was in force stays");
                let _ = self.write_down("reload_refused");
            }
        }
        answer
    }

    fn replace(&self) -> Result<(), Refusal> {
        let file = self.file.get().ok_or("this gateway has no file to read its configuration from")?;
        let (config, mut prepared) = self.prepare(file)?;
        if self.is_stopping() {
            return Err("the gateway is stopping".into());
        }
        // On disk before it takes effect, as every decision that matters.
        self.write_down("reloaded").map_err(|problem| Refusal { problem, may_pass: true })?;
        prepared.adopt_tickets(&config, &self.kept, &self.clock)?;
        let next = InForce::new(&config, &prepared);
        if let Some(registry) = &self.kept.registry {
            back::rule(registry, &config);
        }
        if let (None, Some(last)) = (&next.keeper, self.keeper()) {
            last.retire();
        }
        // The trust first: no connection is made under the new policy and judged by the old trust.
        if let Some(keeper) = &next.keeper {
            keeper.wakes(&self.workers);
            keeper.reports_to(&self.readiness);
            prepared.next.take().into_iter().for_each(|trust| keeper.commit(trust));
        }
        // Before anybody signs with a new key.
        self.key_set.store(prepared.key_set.take());
        self.exporters.begin(prepared.exporter.take());
        self.workers.iter().for_each(|worker| worker.obey(&prepared.orders));
        let stapler = std::mem::replace(&mut *self.lock(), next).stapler;
        stapler.end();
        self.lock().stapler.begin();
        lock(&self.seen).keep(config::inputs(&config).iter().chain([file]));
        self.work(&config, &prepared);
        Ok(())
    }

    fn prepare(&self, file: &Path) -> Result<(Config, Prepared), Refusal> {
        // Before anything is read: what changes from here on is a change, even while this goes on.
        let again = self.seen().now();
        lock(&self.seen).add(again);
        let document = config::load(file)?;
        // A file that is missing now may come: then this is tried again.
        lock(&self.seen).add_new(config::inputs(&document.config));
        let (in_force, known, before) = {
            let in_force = self.lock();
            (in_force.config.clone(), in_force.upstreams.clone(), in_force.goes_on())
        };
        let mut problems = document.source.problems();
        for pointer in config::needs_restart(&in_force, &document.config) {
            let told = "this can't change without a restart, or an upgrade in place";
            problems.push(document.source.problem(pointer, told));
        }
        problems.into_result(())?;
        let now = self.clock.now();
        let believe = |settings: &config::Trust| match &before.keeper {
            Some(keeper) => keeper.prepare(settings, now).map(Next::Successor),
            None => trust::load(settings, now).map(Next::First),
        };
        let mut plan = plan::plan_by(&document, now, believe)?;
        let names = Names::new(&document.config.dns)?;
        let (asking, tls) = (document.clone(), std::mem::take(&mut plan.upstream_tls));
        let metrics = self.metrics.clone();
        let (upstreams, unknown) = self
            .wait({
                let names = names.clone();
                async move { upstreams::prepare(&asking, tls, &names, &known, &metrics).await }
            })
            .ok_or("the names of upstreams can't be resolved")?;
        let mut problems = document.source.problems();
        unknown.into_iter().for_each(|problem| problems.push(problem));
        problems.into_result(()).map_err(|problems| Refusal { may_pass: true, ..problems.into() })?;
        let pins = match self.kept.directory {
            Some(_) => stores::pins(&document)?,
            None => (None, None),
        };
        self.open_state(&document)?;
        let around = (&self.clock, &self.metrics, &self.runtime);
        let upstreams = (upstreams, names);
        let prepared =
            Prepared::new(&document.config, plan, upstreams, pins, &self.kept, Some(&before), around)?;
        Ok((document.config, self.ask_first(prepared)?))
    }

    /// Opens the state if this configuration is the first that needs it.
    fn open_state(&self, document: &Document) -> Result<(), String> {
        let needed = self.kept.needs_state(document).map_err(|problems| format!("\n{problems}"))?;
        if let Some((settings, timeout)) = needed {
            let opened = self.wait(async move { State::open(&settings, timeout).await });
            let opened = opened.ok_or_else(|| "the state can't be opened".to_owned())?;
            self.kept.keep_state(opened.map_err(|unavailable| unavailable.to_string())?);
        }
        Ok(())
    }

    fn ask_first(&self, mut prepared: Prepared) -> Result<Prepared, String> {
        let clock = self.clock.clone();
        let asked = self.wait(async move {
            prepared.ask_first(&clock).await;
            prepared
        });
        // Without an answer the trust of before would stay, below the rules of another configuration.
        asked.ok_or_else(|| "the sources of revocation lists can't be asked".to_owned())
    }

    /// Waits for what is done beside this thread, which may be one that must not wait for futures itself. `None` if it came
    /// to no end.
    fn wait<T: Send + 'static>(&self, done: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (tell, told) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            // Whoever asked has waited for it.
            let _ = tell.send(done.await);
        });
        told.recv().ok()
    }

    fn write_down(&self, kind: &'static str) -> Result<(), String> {
        let Some(audit) = &self.kept.audit else { return Ok(()) };
        let event = AuditEvent {
            time: self.clock.now(),
            kind,
            about: None,
            by: "gateway",
            source: None,
            request_id: None,
            detail: None,
        };
        event.line().and_then(|line| audit.append(&line)).map_err(|error| {
            self.kept.health.failed(&error);
            error.to_string()
        })
    }

    /// Starts what works on its own by this configuration: looking at the sources of revocation lists, renewing what is
    /// stapled, sharing ticket secrets, looking at endpoints and for files that close routes, publishing the revocation list,
    /// sending notices.
    fn work(&self, config: &Config, prepared: &Prepared) {
        let (wanted, keeper, stapler, shared) = {
            let in_force = self.lock();
            let (keeper, stapler) = (in_force.keeper.clone(), in_force.stapler.clone());
            (in_force.wanted.subscribe(), keeper, stapler, in_force.tickets.clone())
        };
        match shared {
            Some((shared, adoption)) => {
                let keys = (self.kept.tickets.clone(), adoption);
                let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
                self.runtime.spawn(tickets::follow(shared, keys, clock, metrics, wanted.clone()));
            }
            None => tickets::nothing_to_follow(&self.metrics),
        }
        self.while_wanted(stapler.follow(), &wanted);
        if let Some(keeper) = keeper.clone() {
            self.while_wanted(keeper.follow(), &wanted);
        }
        let (upstreams, names) = {
            let in_force = self.lock();
            (in_force.upstreams.clone(), in_force.names.clone())
        };
        self.runtime.spawn(upstreams::follow(upstreams, names, self.metrics.clone(), wanted.clone()));
        self.runtime.spawn(watch_files::closures(prepared.orders.policy.clone(), wanted.clone()));
        let Some(directory) = &self.kept.directory else { return };
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        if let Some(issuer) = &prepared.issuer {
            let lists = revocation_lists(config, directory, issuer);
            let shared = &self.kept.revocation_list;
            let outlets = issuer::outlets(config, shared, keeper.as_ref(), &metrics);
            self.runtime.spawn(issuer::follow(lists, outlets, clock.clone(), wanted.clone()));
        }
        let sender = notices::notices(config.mail.as_ref(), directory, &clock, &metrics);
        self.runtime.spawn(notices::follow(sender, directory.clone(), clock, metrics, wanted));
    }

    fn while_wanted(&self, work: impl Future<Output = ()> + Send + 'static, wanted: &watch::Receiver<()>) {
        let mut wanted = wanted.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                () = work => {}
                _ = wanted.changed() => {}
            }
        });
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        lock(&self.in_force)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InForce {
    /// What of it goes on in the next one.
    fn goes_on(&self) -> Before {
        Before {
            keeper: self.keeper.clone(),
            stapler: self.stapler.clone(),
            shared: self.tickets.as_ref().map(|(shared, _)| shared.clone()),
        }
    }

    fn new(config: &Config, prepared: &Prepared) -> Self {
        Self {
            keeper: prepared.keeper.clone(),
            upstreams: prepared.upstreams.clone(),
            names: prepared.names.clone(),
            stapler: prepared.stapler.clone(),
            tickets: prepared.tickets.shared().cloned().zip(prepared.adoption),
            drain: config.timeouts.drain.get(),
            config: config.clone(),
            wanted: watch::channel(()).0,
        }
    }
}
