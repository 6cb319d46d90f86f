//! What runs, as a reload sees it: what stays, what is in force, and how another configuration takes its place. That one
//! is read and checked whole before anything changes; where it is wrong, what is in force stays.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::back::{self, Basis, Kept};
use super::plan::{self, Plan};
use super::{count_generation, issuer, notices, publish, revocation_lists, stores};
use crate::clock::Clock;
use crate::config::{self, Config, Document, Problems};
use crate::domain::PinRules;
use crate::edge::{Orders, Worker};
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
    /// `None` if no host asks for a certificate.
    trust: Option<Arc<ArcSwap<Trust>>>,
    drain: Duration,
    /// What was read for the configuration in force, or for one that was refused since.
    inputs: Vec<PathBuf>,
    /// As long as it is there, what publishes lists and sends notices goes on.
    _wanted: watch::Sender<()>,
}

/// A configuration whose files are all read, and what the data path is to do by it.
pub(super) struct Prepared {
    pub(super) orders: Orders,
    trust: Option<Trust>,
    issuer: Option<Arc<Issuer>>,
}

impl Prepared {
    /// Makes the orders of a plan. `current` is the trust in force, if there is one: its place is kept, so that whoever
    /// looks there finds the next one.
    pub(super) fn new(
        config: &Config,
        plan: Plan,
        (pins, rules): (Option<Pins>, Option<PinRules>),
        kept: &Kept,
        current: Option<&Arc<ArcSwap<Trust>>>,
        around: (&Clock, &Metrics, &Handle),
    ) -> Result<Self, String> {
        let Plan { hosts, trust: next, issuer } = plan;
        let (clock, metrics, runtime) = around;
        let (trust, next) = match (current, next) {
            (Some(current), Some(next)) => (Some(current.clone()), Some(next)),
            (None, Some(next)) => (Some(Arc::new(ArcSwap::from_pointee(next))), None),
            (_, None) => (None, None),
        };
        let policy = plan::policy(config, hosts, trust.as_ref(), clock, metrics)?;
        let basis = Basis { config, trust: trust.as_ref(), issuer: issuer.as_ref(), clock, metrics };
        let house = kept.house(&basis, pins, rules, runtime.clone())?;
        let registry = kept.registry.clone();
        Ok(Self {
            orders: Orders { policy, trust, registry, backstage: Arc::new(house) },
            trust: next,
            issuer,
        })
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
        if let Some(trust) = &in_force.trust {
            count_generation(&metrics, &trust.load());
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
        running.work(&document.config, prepared.issuer.as_ref());
        Arc::new(running)
    }

    /// Reads the configuration from `file` from now on.
    pub(super) fn read_from(&self, file: &Path) {
        let _ = self.file.set(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    }

    /// How long a drain may take.
    pub(super) fn drain(&self) -> Duration {
        self.lock().drain
    }

    /// The trust in force; `None` if no host asks for a certificate.
    pub(super) fn trust(&self) -> Option<Arc<ArcSwap<Trust>>> {
        self.lock().trust.clone()
    }

    /// The configuration in force, with every default filled in.
    pub(super) fn config(&self) -> Config {
        self.lock().config.clone()
    }

    /// What a change of would change the configuration: its file, and what it names.
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
        let (config, prepared) = prepared;
        let next = InForce::new(&config, &prepared);
        if let Some(registry) = &self.kept.registry {
            back::rule(registry, &config);
        }
        // The trust first: no connection is made under the new policy and judged by the old trust.
        if let (Some(current), Some(trust)) = (&next.trust, prepared.trust) {
            publish(current, trust, &self.metrics, &self.workers);
        } else if let Some(current) = &next.trust {
            count_generation(&self.metrics, &current.load());
        }
        self.workers.iter().for_each(|worker| worker.obey(&prepared.orders));
        *in_force = next;
        drop(in_force);
        self.work(&config, prepared.issuer.as_ref());
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
        for (name, upstream) in &document.config.upstreams {
            for (index, endpoint) in upstream.endpoints.iter().enumerate() {
                if let Err(error) = endpoint.as_str().to_socket_addrs() {
                    let pointer = format!("/upstreams/{name}/endpoints/{index}");
                    let told = format!("`{}` can't be resolved: {error}", endpoint.as_str());
                    problems.push(document.source.problem(&pointer, told));
                }
            }
        }
        problems.into_result(()).map_err(text)?;
        let before = in_force.trust.as_ref().map(|trust| trust.load_full());
        let plan = plan::plan_after(&document, self.clock.now(), before.as_deref()).map_err(text)?;
        let pins = match self.kept.directory {
            Some(_) => stores::pins(&document).map_err(text)?,
            None => (None, None),
        };
        let around = (&self.clock, &self.metrics, &self.runtime);
        let prepared =
            Prepared::new(&document.config, plan, pins, &self.kept, in_force.trust.as_ref(), around)?;
        Ok((document.config, prepared))
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

    /// Starts what works on its own by this configuration: publishing the revocation list, sending notices.
    fn work(&self, config: &Config, issuer: Option<&Arc<Issuer>>) {
        let Some(directory) = &self.kept.directory else { return };
        let (wanted, trust) = {
            let in_force = self.lock();
            (in_force._wanted.subscribe(), in_force.trust.clone())
        };
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        if let Some(issuer) = issuer {
            let lists = revocation_lists(config, directory, issuer);
            let shared = &self.kept.revocation_list;
            let outlets = issuer::outlets(config, shared, trust.as_ref(), &self.workers, &metrics);
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
            trust: prepared.orders.trust.clone(),
            drain: config.timeouts.drain.get(),
            inputs: config::inputs(config),
            config: config.clone(),
            _wanted: watch::channel(()).0,
        }
    }
}
