//! What is behind the gate: stores and registry, opened once; verbs and pages, made anew with every configuration.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::StartError;
use super::audit;
use super::backstage::House;
use super::health::Health;
use super::stores::{self, OpenError, Stores};
use crate::clock::Clock;
use crate::config::{
    CertificateSignIn, Config, Document, PinVerifier, Pkcs12, Problems, Require, StateUrl, TicketSource,
};
use crate::domain::PinRules;
use crate::edge::{RateTables, TicketKeys};
use crate::flows::{
    Acquisition, AcquisitionSettings, Administration, AdministrationSettings, Pins, SignIn, SignInSettings,
};
use crate::ops::Metrics;
use crate::pki::{Issuer, Judge, Trust};
use crate::portal::{Application, Portal, PortalSettings};
use crate::stores::{AuditLog, Directory, Registry, SessionLimits, State, StateSettings};

/// What is opened once and stays open, whatever the configuration becomes.
pub(super) struct Kept {
    /// `None` without a directory.
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) directory: Option<Directory>,
    pub(super) audit: Option<Arc<AuditLog>>,
    /// Whoever has connected before resumes, whatever became of the configuration.
    pub(super) tickets: TicketKeys,
    /// What rate limits have counted.
    pub(super) rates: RateTables,
    /// The issuer's newest list (DER).
    pub(super) revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
    /// Who is told when one of them fails.
    pub(super) health: Health,
    /// Opened with the directory, or for the first configuration that shares anything through it.
    state: OnceLock<State>,
    /// Whether the state is one that several machines have in common.
    is_state_shared: bool,
}

/// What the pages call.
#[derive(Default)]
pub(super) struct Verbs {
    sign_in: Option<Arc<SignIn>>,
    acquisition: Option<Arc<Acquisition>>,
    administration: Option<Arc<Administration>>,
    revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
}

/// What the verbs are made from, beside the stores.
pub(super) struct Basis<'a> {
    pub(super) config: &'a Config,
    pub(super) trust: Option<&'a Arc<ArcSwap<Trust>>>,
    pub(super) issuer: Option<&'a Arc<Issuer>>,
    pub(super) clock: &'a Clock,
    pub(super) metrics: &'a Metrics,
}

impl Kept {
    /// Opens the stores that the configuration names.
    pub(super) async fn open(document: &Document, clock: &Clock, health: Health) -> Result<Self, StartError> {
        let mut kept = Self {
            registry: None,
            directory: None,
            audit: None,
            tickets: TicketKeys::new(clock.clone()),
            rates: RateTables::default(),
            revocation_list: Arc::default(),
            health,
            state: OnceLock::new(),
            is_state_shared: matches!(document.config.state.url, StateUrl::Redis(_)),
        };
        if document.config.directory.is_some() {
            let stores = Stores::open(document).await.map_err(start_error)?;
            let registry = Arc::new(Registry::default());
            rule(&registry, &document.config);
            // Before it was filled once, a suspended user would pass.
            stores.directory.refresh(&registry, clock.now()).await.map_err(StartError::Store)?;
            kept.registry = Some(registry);
            kept.directory = Some(stores.directory);
            kept.audit = Some(stores.audit);
            kept.keep_state(stores.state);
        } else {
            kept.audit = stores::audit_log(document).map_err(start_error)?;
        }
        if let Some((settings, timeout)) = kept.needs_state(document).map_err(StartError::Config)? {
            kept.keep_state(State::open(&settings, timeout).await.map_err(StartError::Store)?);
        }
        Ok(kept)
    }

    /// Where the state is, if a configuration shares something through it and nothing has needed it so far.
    pub(super) fn needs_state(
        &self,
        document: &Document,
    ) -> Result<Option<(StateSettings, Duration)>, Problems> {
        let shares = self.is_state_shared || document.config.resumption.keys == TicketSource::State;
        (shares && self.state.get().is_none()).then(|| stores::state(document)).transpose()
    }

    /// Keeps the state open from now on.
    pub(super) fn keep_state(&self, state: State) {
        let _ = self.state.set(state);
    }

    /// The fast store, if it is open.
    pub(super) fn state(&self) -> Option<&State> {
        self.state.get()
    }

    /// The state, if it is one that several machines have in common.
    pub(super) fn shared_state(&self) -> Option<&State> {
        self.state().filter(|_| self.is_state_shared)
    }

    /// Who stands behind the data path, with `pins` and `rules` for whoever signs in.
    pub(super) fn house(
        &self,
        basis: &Basis<'_>,
        pins: Option<Pins>,
        rules: Option<PinRules>,
        runtime: Handle,
    ) -> Result<House, String> {
        let verbs = match (&self.directory, self.state(), &self.audit, &self.registry) {
            (Some(directory), Some(state), Some(audit), Some(registry)) => {
                let (directory, state, audit) = (directory.clone(), state.clone(), audit.clone());
                Verbs::of(basis, Stores { directory, state, audit, pins, rules }, registry)
            }
            _ => Verbs::default(),
        };
        let verbs = Verbs { revocation_list: self.revocation_list.clone(), ..verbs };
        let sign_in = verbs.sign_in.clone();
        let portal = Portal::new(pages(basis.config, verbs, basis.clock))?;
        Ok(House { runtime, sign_in, portal: Arc::new(portal), health: self.health.clone() })
    }

    /// Has stores that fail tried again, and the audit log signed every so often, from now on.
    pub(super) fn look_after(&self, config: &Config, around: (&Clock, &Metrics, &Handle)) {
        let (clock, metrics, runtime) = around;
        let Some(audit) = &self.audit else { return };
        let stores = self.directory.clone().zip(self.state().cloned());
        runtime.spawn(self.health.clone().follow(stores, audit.clone()));
        let lost = metrics.audit_syslog_lost.clone();
        audit.watch_syslog(move || lost.inc());
        if let Some(settings) = &config.audit {
            let (every, health) = (settings.checkpoint.get(), self.health.clone());
            runtime.spawn(audit::follow(audit.clone(), every, clock.clone(), health));
        }
    }

    /// Signs what the log says so far.
    pub(super) fn close(&self, now: Timestamp) {
        if let Some(Err(unavailable)) = self.audit.as_ref().map(|audit| audit.checkpoint(now)) {
            tracing::error!(%unavailable, "The audit log can't be signed at the end");
        }
    }
}

fn start_error(error: OpenError) -> StartError {
    match error {
        OpenError::Config(problems) => StartError::Config(problems),
        OpenError::Unavailable(unavailable) => StartError::Store(unavailable),
    }
}

/// Has the registry go by the rules of a configuration.
pub(super) fn rule(registry: &Registry, config: &Config) {
    let lockout = config.sign_in.as_ref().map(|sign_in| sign_in.lockout).unwrap_or_default();
    let registration = config.trust.as_ref().map(|trust| trust.registration).unwrap_or_default();
    registry.rule(lockout.stops_certificates, registration);
}

impl Verbs {
    fn of(basis: &Basis<'_>, stores: Stores, registry: &Arc<Registry>) -> Self {
        let Basis { config, issuer, metrics, .. } = *basis;
        let Some(sign_in) = sign_in(basis, stores, registry).map(Arc::new) else {
            return Self::default();
        };
        let observer = || {
            let events = metrics.credentials.clone();
            Box::new(move |event: &'static str| events.with_label_values(&[event]).inc())
        };
        let rate = config.issuer.as_ref().map(|issuer| issuer.rate).unwrap_or_default();
        let acquisition = issuer.map(|issuer| {
            Arc::new(Acquisition::new(AcquisitionSettings {
                sign_in: sign_in.clone(),
                issuer: issuer.clone(),
                renew_from: config.acquisition.renew_from.get(),
                legacy_files: config.acquisition.pkcs12 == Pkcs12::Legacy,
                rate: (rate.certificates.get(), rate.per.get()),
                observer: observer(),
            }))
        });
        let temporary_pin = config.sign_in.as_ref().map(|sign_in| sign_in.pin.temporary.get());
        let administration = Administration::new(AdministrationSettings {
            sign_in: sign_in.clone(),
            permit: config.acquisition.permit.get(),
            temporary_pin: temporary_pin.unwrap_or_default(),
            issues: issuer.is_some(),
            observer: observer(),
        });
        Self {
            sign_in: Some(sign_in),
            acquisition,
            administration: Some(Arc::new(administration)),
            revocation_list: Arc::default(),
        }
    }
}

fn sign_in(basis: &Basis<'_>, stores: Stores, registry: &Arc<Registry>) -> Option<SignIn> {
    let Basis { config, trust, clock, metrics, .. } = *basis;
    let sign_in = config.sign_in.as_ref()?;
    let pins = stores.pins?;
    let counter = metrics.sign_ins.clone();
    Some(SignIn::new(SignInSettings {
        directory: stores.directory,
        state: stores.state,
        registry: registry.clone(),
        audit: stores.audit,
        pins,
        pin_enabled: sign_in.pin.enabled,
        certificate_needs_pin: sign_in.certificate == CertificateSignIn::CertificateAndPin,
        rules: stores.rules.filter(|_| sign_in.pin.verifier == PinVerifier::Directory),
        lockout: sign_in.lockout,
        limits: SessionLimits { idle: sign_in.session.idle.get(), absolute: sign_in.session.absolute.get() },
        concurrent: sign_in.session.concurrent,
        judge: trust.map(|trust| Judge::new(trust.clone())),
        clock: clock.clone(),
        observer: Box::new(move |method, outcome| {
            counter.with_label_values(&[method.code(), outcome]).inc();
        }),
    }))
}

/// What the pages are made from.
pub(super) fn pages(config: &Config, verbs: Verbs, clock: &Clock) -> PortalSettings {
    let host = config.sign_in.as_ref().map(|sign_in| sign_in.host.as_str().to_owned()).unwrap_or_default();
    let certificate_host = config.sign_in.as_ref().and_then(|sign_in| sign_in.certificate_host.as_ref());
    let applications = config.routes.iter().filter_map(|route| {
        Some(Application {
            path: route.place().path().to_owned(),
            title: route.title.clone()?,
            needs_certificate: route.require == Require::Certificate,
            roles: route.roles.clone(),
            contracts: route.contracts.clone(),
        })
    });
    PortalSettings {
        acquisition: verbs.acquisition,
        administration: verbs.administration,
        helpers: config.acquisition.helpers.clone(),
        revocation_list: verbs.revocation_list,
        sign_in: verbs.sign_in,
        host,
        certificate_host: certificate_host.map(|host| host.as_str().to_owned()),
        applications: applications.collect(),
        theme: config.portal.theme.clone(),
        notices: config.portal.notices.clone(),
        clock: clock.clone(),
    }
}
