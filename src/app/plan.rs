//! From what was typed to what was meant: every file that the configuration names is read and checked, and whatever
//! is wrong is said with its place in the file, all at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use rustls::server::danger::ClientCertVerifier;

use super::assertion::{self, Signing};
use super::certificates::{HostKeys, TicketSecretSource};
use super::traces::{self, Collector};
use super::{back, certificates, issuer, notices, routes, stores, trust, upstreams};
use crate::clock::Clock;
use crate::config::{
    self, CertificateSignIn, ClientCertificate, Config, Document, Host, Problems, Rejection, SignedSource,
};
use crate::edge::{
    self, Assertions, HostSettings, Policy, PolicySettings, RateTables, SignInPolicy, TicketKeys, Traces,
    Upstream, UpstreamTls,
};
use crate::ops::Metrics;
use crate::pki::{ClientCertificates, Issuer, Trust};
use crate::portal::{Portal, PortalSettings};

/// What the configuration means, with every file read. `T` is what its trust becomes.
pub struct Plan<T = Trust> {
    pub(super) hosts: Vec<HostKeys>,
    pub(super) tickets: TicketSecretSource,
    /// `None` if no host asks for a certificate.
    pub(super) trust: Option<T>,
    /// `None` if no certificates are issued.
    pub(super) issuer: Option<Arc<Issuer>>,
    /// Towards the upstreams that have it.
    pub(super) upstream_tls: HashMap<String, UpstreamTls>,
    /// `None` if nothing is signed for backends.
    pub(super) signing: Option<Signing>,
    /// The files of fixed answers.
    pub(super) bodies: HashMap<PathBuf, Bytes>,
    /// `None` if nobody is told of requests.
    pub(super) collector: Option<Collector>,
}

/// Reads and checks all that `document` names. Starts nothing.
pub fn plan(document: &Document, now: Timestamp) -> Result<Plan, Problems> {
    plan_by(document, now, |settings| trust::load(settings, now))
}

impl Plan {
    /// What is no mistake and still hardly meant, a sentence each.
    pub fn doubts(&self, document: &Document, now: Timestamp) -> Vec<String> {
        let crl = document.config.trust.as_ref().and_then(|trust| trust.crl.as_ref());
        let mut sources = crl.into_iter().flat_map(|crl| &crl.sources);
        if sources.any(|source| matches!(source, SignedSource::Url(_))) {
            return Vec::new();
        }
        let unlisted = self.trust.iter().flat_map(Trust::unlisted);
        let told = unlisted.map(|authority| {
            format!(
                "no source has a revocation list of {:?}: everybody whom it vouches for is refused",
                authority.subject()
            )
        });
        let silent = self.trust.iter().flat_map(|trust| {
            let lists = trust.crls().into_iter().flatten();
            lists.filter(|list| !list.speaks(trust.grace(), now))
        });
        let over = silent.map(|list| {
            format!(
                "the revocation list of {:?} in {} has ended ({}): everybody whom it vouches for is refused",
                list.issuer(),
                list.origin(),
                list.next_update()
            )
        });
        told.chain(over).collect()
    }
}

/// The same, with another way to load the trust. What is wrong with it comes with its place in the file.
pub(super) fn plan_by<T>(
    document: &Document,
    now: Timestamp,
    believe: impl FnOnce(&config::Trust) -> Result<T, Vec<(String, String)>>,
) -> Result<Plan<T>, Problems> {
    let Document { config, source } = document;
    let mut problems = source.problems();
    let (hosts, found) = certificates::server_keys(document, now);
    found.into_iter().for_each(|problem| problems.push(problem));
    let (tickets, found) = certificates::ticket_secrets(document);
    found.into_iter().for_each(|problem| problems.push(problem));
    let (signing, found) = assertion::signing(document);
    found.into_iter().for_each(|problem| problems.push(problem));
    let trust = config.trust.as_ref().map(believe).transpose().unwrap_or_else(|errors| {
        problems.extend(errors.into_iter().map(|(pointer, message)| source.problem(&pointer, message)));
        None
    });
    // What is wrong with the bank's own look and its notices is found by putting them on, one at a time.
    let pages = || back::pages(config, back::Verbs::default(), &Clock::manual(now));
    for (pointer, pages) in [
        ("/portal/theme", PortalSettings { notices: None, helpers: None, ..pages() }),
        ("/portal/notices", PortalSettings { theme: None, helpers: None, ..pages() }),
        ("/acquisition/helpers", PortalSettings { theme: None, notices: None, ..pages() }),
    ] {
        if let Err(message) = Portal::new(pages) {
            problems.push(source.problem(pointer, message));
        }
    }
    let (upstream_tls, found) = upstreams::tls(document);
    found.into_iter().for_each(|problem| problems.push(problem));
    notices::check(document).into_iter().for_each(|problem| problems.push(problem));
    stores::check(document).into_iter().for_each(|problem| problems.push(problem));
    let issuer = issuer::issuer(document, now).unwrap_or_else(|found| {
        found.iter().for_each(|problem| problems.push(problem.clone()));
        None
    });
    let bodies = routes::bodies(document).unwrap_or_else(|found| {
        found.into_iter().for_each(|problem| problems.push(problem));
        HashMap::new()
    });
    let (collector, found) = traces::collector(document);
    found.into_iter().for_each(|problem| problems.push(problem));
    problems.into_result(Plan { hosts, tickets, trust, issuer, upstream_tls, signing, bodies, collector })
}

/// Builds the data path's snapshot. The trust: who keeps it, and what it is when this is in force.
pub(super) fn policy(
    config: &Config,
    (hosts, bodies): (Vec<HostKeys>, HashMap<PathBuf, Bytes>),
    upstreams: Vec<Arc<Upstream>>,
    trust: Option<(&Arc<ArcSwap<Trust>>, &Trust)>,
    (tickets, rates): (&TicketKeys, &RateTables),
    (assertions, traces): (Option<Assertions>, Option<Traces>),
    (clock, metrics): (&Clock, &Metrics),
) -> Result<Arc<Policy>, String> {
    let hosts = hosts
        .into_iter()
        .map(|(name, host, keys)| {
            let tickets = tickets.host(&certificates::ticket_policy(&name, &host));
            let tls = edge::server_config(keys, verifier(&host, trust, clock), tickets, clock.clone())
                .map_err(|error| format!("the TLS of {name} can't be set up: {error}"))?;
            Ok(HostSettings {
                name,
                tls,
                client_certificate: host.client_certificate,
                rejection: host.rejection,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let settings = PolicySettings {
        hosts,
        routes: config.routes.clone(),
        bodies,
        maintenance: config.maintenance.clone(),
        upstreams,
        headers: config.headers.clone(),
        assertions,
        trusted_proxies: config.trusted_proxies.clone(),
        timeouts: config.timeouts,
        limits: config.limits,
        rates: (config.rate_limits.clone(), rates.clone()),
        sign_in: config.sign_in.as_ref().map(|sign_in| SignInPolicy {
            host: sign_in.host.clone(),
            certificate_host: sign_in.certificate_host.clone(),
            certificate_suffices: sign_in.certificate == CertificateSignIn::Certificate,
        }),
        traces,
    };
    Policy::build(settings, metrics).map(Arc::new)
}

fn verifier(
    host: &Host,
    trust: Option<(&Arc<ArcSwap<Trust>>, &Trust)>,
    clock: &Clock,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let in_handshake = host.rejection == Rejection::Handshake;
    let mandatory = match host.client_certificate {
        ClientCertificate::None => return None,
        ClientCertificate::Optional => false,
        // With `rejection: page` the handshake succeeds without a certificate, and a page says that one is needed.
        ClientCertificate::Required => in_handshake,
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // The configuration's checks demand a trust wherever a host asks for a certificate.
    let (trust, named) = trust?;
    let judges = in_handshake.then(|| clock.clone());
    Some(Arc::new(ClientCertificates::new(&provider, trust.clone(), named, mandatory, judges)))
}
