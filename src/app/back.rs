//! What is behind the gate: stores, registry, verbs, pages. Built once, in that order.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;

use super::backstage::House;
use super::stores::{OpenError, Stores};
use super::{StartError, system};
use crate::clock::Clock;
use crate::config::{CertificateSignIn, Config, Document, PinVerifier, Pkcs12, Require};
use crate::flows::{
    Acquisition, AcquisitionSettings, Administration, AdministrationSettings, SignIn, SignInSettings,
};
use crate::ops::Metrics;
use crate::pki::{Issuer, Judge, Trust};
use crate::portal::{Application, Portal, PortalSettings};
use crate::stores::{Directory, Registry, SessionLimits};

/// What is behind the gate.
pub(super) struct Back {
    /// `None` without a directory.
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) directory: Option<Directory>,
    /// The issuer's newest list (DER).
    pub(super) revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
    sign_in: Option<Arc<SignIn>>,
    portal: Arc<Portal>,
}

/// What the pages call.
#[derive(Default)]
pub(super) struct Verbs {
    sign_in: Option<Arc<SignIn>>,
    acquisition: Option<Arc<Acquisition>>,
    administration: Option<Arc<Administration>>,
    revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
}

impl Back {
    /// Opens the stores and puts everything together.
    pub(super) async fn build(
        document: &Document,
        trust: Option<&Arc<ArcSwap<Trust>>>,
        issuer: Option<&Arc<Issuer>>,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let config = &document.config;
        let (mut registry, mut directory) = (None, None);
        let mut verbs = Verbs::default();
        if config.directory.is_some() {
            let stores = Stores::open(document).await.map_err(|error| match error {
                OpenError::Config(problems) => StartError::Config(problems),
                OpenError::Unavailable(unavailable) => StartError::Store(unavailable),
            })?;
            let lockout = config.sign_in.as_ref().map(|sign_in| sign_in.lockout).unwrap_or_default();
            let registration = config.trust.as_ref().map(|trust| trust.registration).unwrap_or_default();
            let known = Arc::new(Registry::new(lockout.stops_certificates, registration));
            // Before it was filled once, a suspended user would pass.
            stores.directory.refresh(&known, clock.now()).await.map_err(StartError::Store)?;
            directory = Some(stores.directory.clone());
            verbs = Verbs::of(config, stores, &known, trust, issuer, clock, metrics);
            registry = Some(known);
        }
        let (sign_in, revocation_list) = (verbs.sign_in.clone(), verbs.revocation_list.clone());
        let portal = Portal::new(pages(config, verbs, clock)).map_err(system)?;
        Ok(Self { registry, directory, revocation_list, sign_in, portal: Arc::new(portal) })
    }

    /// Who stands behind the data path.
    pub(super) fn house(&self, runtime: Handle) -> House {
        House { runtime, sign_in: self.sign_in.clone(), portal: self.portal.clone() }
    }
}

impl Verbs {
    fn of(
        config: &Config,
        stores: Stores,
        registry: &Arc<Registry>,
        trust: Option<&Arc<ArcSwap<Trust>>>,
        issuer: Option<&Arc<Issuer>>,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Self {
        let Some(sign_in) = sign_in(config, stores, registry, trust, clock, metrics).map(Arc::new) else {
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

fn sign_in(
    config: &Config,
    stores: Stores,
    registry: &Arc<Registry>,
    trust: Option<&Arc<ArcSwap<Trust>>>,
    clock: &Clock,
    metrics: &Metrics,
) -> Option<SignIn> {
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
            path: route.path.as_str().to_owned(),
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
