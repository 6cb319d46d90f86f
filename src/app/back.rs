//! What is behind the gate: stores and registry, opened once; verbs and pages, made anew with every configuration.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;

use super::StartError;
use super::backstage::House;
use super::stores::{self, OpenError, Stores};
use crate::clock::Clock;
use crate::config::{CertificateSignIn, Config, Document, PinVerifier, Pkcs12, Require, StateUrl};
use crate::domain::PinRules;
use crate::edge::{RateTables, TicketKeys};
use crate::flows::{
    Acquisition, AcquisitionSettings, Administration, AdministrationSettings, Pins, SignIn, SignInSettings,
};
use crate::ops::Metrics;
use crate::pki::{Issuer, Judge, Trust};
use crate::portal::{Application, Portal, PortalSettings};
use crate::stores::{AuditLog, Directory, Registry, SessionLimits, State};

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
    state: Option<State>,
    /// The state, if it is one that several machines have in common.
    pub(super) shared_state: Option<State>,
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
    pub(super) async fn open(document: &Document, clock: &Clock) -> Result<Self, StartError> {
        let mut kept = Self {
            registry: None,
            directory: None,
            audit: None,
            tickets: TicketKeys::new(clock.clone()),
            rates: RateTables::default(),
            revocation_list: Arc::default(),
            state: None,
            shared_state: None,
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
            kept.state = Some(stores.state);
        }
        if matches!(document.config.state.url, StateUrl::Redis(_)) {
            kept.shared_state = match &kept.state {
                Some(state) => Some(state.clone()),
                None => Some(stores::state(document).await.map_err(start_error)?),
            };
        }
        Ok(kept)
    }

    /// Who stands behind the data path, with `pins` and `rules` for whoever signs in.
    pub(super) fn house(
        &self,
        basis: &Basis<'_>,
        pins: Option<Pins>,
        rules: Option<PinRules>,
        runtime: Handle,
    ) -> Result<House, String> {
        let verbs = match (&self.directory, &self.state, &self.audit, &self.registry) {
            (Some(directory), Some(state), Some(audit), Some(registry)) => {
                let (directory, state, audit) = (directory.clone(), state.clone(), audit.clone());
                Verbs::of(basis, Stores { directory, state, audit, pins, rules }, registry)
            }
            _ => Verbs::default(),
        };
        let verbs = Verbs { revocation_list: self.revocation_list.clone(), ..verbs };
        let sign_in = verbs.sign_in.clone();
        let portal = Portal::new(pages(basis.config, verbs, basis.clock))?;
        Ok(House { runtime, sign_in, portal: Arc::new(portal) })
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
