//! What runs, as a reload sees it: what stays, what is in force, and how another configuration takes its place. That one
//! is read and checked whole before anything changes; where it is wrong, what is in force stays.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::back::{self, Basis, Kept};
use super::plan::{self, Plan};
use super::trust::{self, PreparedTrust, TrustKeeper};
use super::upstreams::{self, Names};
use super::{certificates, issuer, notices, rates, revocation_lists, stores, watch_files};
use crate::clock::Clock;
use crate::config::{self, Config, Document, Problems};
use crate::domain::PinRules;
use crate::edge::{Orders, TicketSecret, Upstream, Worker};
use crate::flows::Pins;
use crate::ops::{Metrics, Readiness, systemd};
use crate::pki::{Issuer, Trust};
use crate::stores::AuditEvent;

/// A gateway's parts that outlive a configuration, and the configuration in force.
pub(super) struct Running {
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) runtime: Handle,
    pub(super) workers: Vec<Arc<Worker>>,
    pub(super) kept: Kept,
    in_force: Mutex<InForce>,
    /// Where the next configuration is read from.
    file: OnceLock<PathBuf>,
}

/// What is in force.
struct InForce {
    config: Config,
    keeper: Option<TrustKeeper>,
    upstreams: Vec<Arc<Upstream>>,
    names: Names,
    drain: Duration,
    /// What was read for the configuration in force, or for one that was refused since.
    inputs: Vec<PathBuf>,
    /// As long as it is there, what publishes lists and sends notices goes on.
    wanted: watch::Sender<()>,
}

/// A configuration whose files are all read, and what the data path is to do by it.
pub(super) struct Prepared {
    pub(super) orders: Orders,
    /// `None` if no host asks for a certificate.
    pub(super) keeper: Option<TrustKeeper>,
    /// What the keeper is to put in force.
    next: Option<PreparedTrust>,
    /// Where the keys of tickets come from; `None` if the process makes its own.
    tickets: Option<Vec<TicketSecret>>,
    issuer: Option<Arc<Issuer>>,
    upstreams: Vec<Arc<Upstream>>,
    names: Names,
}

/// What a trust becomes: the first one, or what takes the place of another.
pub(super) enum Next {
    First(Trust),
    Successor(PreparedTrust),
}

impl Prepared {
    /// Makes the orders of a plan. `keeper` keeps the trust in force, if there is one: whoever looks there finds the next.
    pub(super) fn new(
        config: &Config,
        plan: Plan<Next>,
        (upstreams, names): (Vec<Arc<Upstream>>, Names),
        (pins, rules): (Option<Pins>, Option<PinRules>),
        kept: &Kept,
        keeper: Option<&TrustKeeper>,
        around: (&Clock, &Metrics, &Handle),
    ) -> Result<Self, String> {
        let Plan { hosts, tickets, trust: next, issuer, bodies, .. } = plan;
        let (clock, metrics, runtime) = around;
        let (keeper, next) = match (next, &config.trust) {
            (Some(Next::First(first)), Some(settings)) => {
                (Some(TrustKeeper::new(settings, first, clock, metrics)?), None)
            }
            (Some(Next::Successor(next)), _) => (keeper.cloned(), Some(next)),
            _ => (None, None),
        };
        let trust = keeper.as_ref().map(TrustKeeper::trust);
        let kept_keys = (&kept.tickets, &kept.rates);
        let policy =
            plan::policy(config, (hosts, bodies), upstreams.clone(), trust, kept_keys, clock, metrics)?;
        // Before the first request goes by it: a gate that was closed comes back closed.
        policy.look_at_closures();
        let basis = Basis { config, trust, issuer: issuer.as_ref(), clock, metrics };
        let house = kept.house(&basis, pins, rules, runtime.clone())?;
        let (trust, registry) = (trust.cloned(), kept.registry.clone());
        Ok(Self {
            orders: Orders { policy, trust, registry, backstage: Arc::new(house) },
            keeper,
            next,
            issuer,
            tickets,
            upstreams,
            names,
        })
    }

    /// Has tickets sealed and opened as this configuration says, from now on.
    pub(super) fn adopt_tickets(&mut self, config: &Config, kept: &Kept) -> Result<(), String> {
        kept.tickets.adopt(self.tickets.take(), certificates::ticket_times(config))
    }
}

impl Running {
    /// Begins with the configuration that the workers were started with.
    pub(super) fn begin(
        document: &Document,
        prepared: Prepared,
        kept: Kept,
        workers: Vec<Arc<Worker>>,
        around: (Clock, Metrics, Readiness, Handle),
    ) -> Arc<Self> {
        let (clock, metrics, readiness, runtime) = around;
        let in_force = InForce::new(&document.config, &prepared);
        metrics.reload_success.set(1);
        if let Some(keeper) = &in_force.keeper {
            keeper.wakes(&workers);
        }
        let running = Self {
            clock,
            metrics,
            readiness,
            runtime,
            workers,
            kept,
            in_force: Mutex::new(in_force),
            file: OnceLock::new(),
        };
        running.work(&document.config, &prepared);
        Arc::new(running)
    }

    /// Has rate limits counted together with other gateways, where there is a state in which they can.
    pub(super) fn share_rates(&self) {
        if let Some(state) = self.kept.shared_state.clone() {
            let (tables, clock, metrics) =
                (self.kept.rates.clone(), self.clock.clone(), self.metrics.clone());
            self.runtime.spawn(rates::share(tables, state, clock, metrics));
        }
    }

    /// Reads the configuration from `file` from now on.
    pub(super) fn read_from(&self, file: &Path) {
        let _ = self.file.set(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
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

    /// What may change the configuration when it changes: its file, and those that it names.
    pub(super) fn inputs(&self) -> Vec<PathBuf> {
        self.file.get().into_iter().chain(&self.lock().inputs).cloned().collect()
    }

    /// Whether changes of the inputs are enough of a reason.
    pub(super) fn reloads_on_change(&self) -> bool {
        self.lock().config.reload.on_change
    }

    /// Reads the configuration anew and puts it in force, or says what is wrong with it. Blocks, on files and on the
    /// audit log; one reload waits for the other.
    pub(super) fn reload(&self) -> Result<(), String> {
        systemd::reloading();
        let done = self.replace();
        systemd::reloaded(if done.is_ok() { "Serving" } else { "Serving; the last reload was refused" });
        let outcome = if done.is_ok() { "good" } else { "refused" };
        self.metrics.reloads.with_label_values(&[outcome]).inc();
        self.metrics.reload_success.set(i64::from(done.is_ok()));
        self.readiness
            .note(done.as_ref().err().map(|problem| format!("the last reload was refused: {problem}")));
        match &done {
            Ok(()) => {
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
                self.metrics.reloaded.set(self.clock.now().as_second() as f64);
                tracing::info!("The configuration was reloaded");
            }
            Err(problem) => {
                tracing::error!(%problem, "The configuration can't be reloaded: what was in force stays")
            }
        }
        done
    }

    fn replace(&self) -> Result<(), String> {
        let file = self.file.get().ok_or("this gateway has no file to read its configuration from")?;
        let mut in_force = self.lock();
        // On disk before it takes effect, as every decision that matters.
        let prepared = self.prepare(file, &mut in_force).inspect_err(|_| {
            let _ = self.write_down("reload_refused");
        })?;
        self.write_down("reloaded")?;
        let (config, mut prepared) = prepared;
        prepared.adopt_tickets(&config, &self.kept)?;
        let next = InForce::new(&config, &prepared);
        if let Some(registry) = &self.kept.registry {
            back::rule(registry, &config);
        }
        // The trust first: no connection is made under the new policy and judged by the old trust.
        if let Some(keeper) = &next.keeper {
            keeper.wakes(&self.workers);
            prepared.next.take().into_iter().for_each(|trust| keeper.commit(trust));
        }
        self.workers.iter().for_each(|worker| worker.obey(&prepared.orders));
        *in_force = next;
        drop(in_force);
        self.work(&config, &prepared);
        Ok(())
    }

    fn prepare(&self, file: &Path, in_force: &mut InForce) -> Result<(Config, Prepared), String> {
        let text = |problems: Problems| format!("\n{problems}");
        let document = config::load(file).map_err(text)?;
        // A file that is missing now may come: then this is tried again.
        in_force.inputs.extend(config::inputs(&document.config));
        in_force.inputs.sort();
        in_force.inputs.dedup();
        let mut problems = document.source.problems();
        for pointer in config::needs_restart(&in_force.config, &document.config) {
            let told = "this can't change without a restart, or an upgrade in place";
            problems.push(document.source.problem(pointer, told));
        }
        problems.into_result(()).map_err(text)?;
        let (now, keeper) = (self.clock.now(), in_force.keeper.as_ref());
        let believe = |settings: &config::Trust| match keeper {
            Some(keeper) => keeper.prepare(settings, now).map(Next::Successor),
            None => trust::load(settings, now).map(Next::First),
        };
        let mut plan = plan::plan_by(&document, now, believe).map_err(text)?;
        let names = Names::new(&document.config.dns)?;
        let (asking, tls) = (document.clone(), std::mem::take(&mut plan.upstream_tls));
        let (known, metrics) = (in_force.upstreams.clone(), self.metrics.clone());
        let (upstreams, unknown) = self
            .wait({
                let names = names.clone();
                async move { upstreams::prepare(&asking, tls, &names, &known, &metrics).await }
            })
            .ok_or("the names of upstreams can't be resolved")?;
        let mut problems = document.source.problems();
        unknown.into_iter().for_each(|problem| problems.push(problem));
        problems.into_result(()).map_err(text)?;
        let pins = match self.kept.directory {
            Some(_) => stores::pins(&document).map_err(text)?,
            None => (None, None),
        };
        let around = (&self.clock, &self.metrics, &self.runtime);
        let upstreams = (upstreams, names);
        let mut prepared =
            Prepared::new(&document.config, plan, upstreams, pins, &self.kept, keeper, around)?;
        self.ask_first(&mut prepared)?;
        Ok((document.config, prepared))
    }

    /// Has sources of revocation lists that are new asked before anybody is judged by them.
    fn ask_first(&self, prepared: &mut Prepared) -> Result<(), String> {
        let Some(keeper) = prepared.keeper.clone() else { return Ok(()) };
        let next = prepared.next.take();
        let asked = self.wait(async move {
            match next {
                Some(next) => Some(keeper.ask_first(next).await),
                None => {
                    keeper.first().await;
                    None
                }
            }
        });
        // Without an answer the trust of before would stay, below the rules of another configuration.
        prepared.next = asked.ok_or("the sources of revocation lists can't be asked")?;
        Ok(())
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
            identity: None,
            by: "gateway",
            source: None,
            request_id: None,
            detail: None,
        };
        event.line().and_then(|line| audit.append(&line)).map_err(|error| error.to_string())
    }

    /// Starts what works on its own by this configuration: looking for files that close routes, publishing the revocation
    /// list, sending notices.
    fn work(&self, config: &Config, prepared: &Prepared) {
        let (wanted, keeper) = {
            let in_force = self.lock();
            (in_force.wanted.subscribe(), in_force.keeper.clone())
        };
        if let Some(keeper) = keeper.clone() {
            let mut wanted = wanted.clone();
            self.runtime.spawn(async move {
                tokio::select! {
                    () = keeper.follow() => {}
                    _ = wanted.changed() => {}
                }
            });
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

    fn lock(&self) -> std::sync::MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InForce {
    fn new(config: &Config, prepared: &Prepared) -> Self {
        Self {
            keeper: prepared.keeper.clone(),
            upstreams: prepared.upstreams.clone(),
            names: prepared.names.clone(),
            drain: config.timeouts.drain.get(),
            inputs: config::inputs(config),
            config: config.clone(),
            wanted: watch::channel(()).0,
        }
    }
}
