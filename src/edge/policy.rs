//! What the data path was configured to do: hosts, routes, names, deadlines, caps. One immutable snapshot.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use prometheus::{Histogram, IntCounter};
use rustls::ServerConfig;

use super::assertion::Assertions;
use super::fields::OwnedFields;
use super::rates::{Limits as Rates, RateTables};
use super::route::{Found, Routes};
use super::trace::Traces;
use super::upstream::Upstream;
use crate::config::{
    ClientCertificate, Headers, HostName, Limits, Maintenance, Network, RateLimits, Rejection, Timeouts,
};
use crate::ops::Metrics;

/// What a policy is made of.
pub struct PolicySettings {
    /// The hosts, with their TLS ready to serve.
    pub hosts: Vec<HostSettings>,
    /// The routes, in the file's order.
    pub routes: Vec<crate::config::Route>,
    /// The files of fixed answers.
    pub bodies: HashMap<PathBuf, Bytes>,
    /// What closes all of them.
    pub maintenance: Option<Maintenance>,
    /// The upstreams.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Names of the identity fields.
    pub headers: Headers,
    /// What signs for the upstreams that want it.
    pub assertions: Option<Assertions>,
    /// Whose word is taken for where a client is.
    pub trusted_proxies: Vec<Network>,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Caps.
    pub limits: Limits,
    /// Rate limits, and where they are counted.
    pub rates: (RateLimits, RateTables),
    /// Where people sign in, if they do.
    pub sign_in: Option<SignInPolicy>,
    /// How requests are traced, if they are.
    pub traces: Option<Traces>,
}

/// Where people sign in.
#[derive(Debug, Clone)]
pub struct SignInPolicy {
    /// The host with the sign-in page.
    pub host: HostName,
    /// The host for certificate sign-in.
    pub certificate_host: Option<HostName>,
    /// Whether a certificate alone counts as having signed in.
    pub certificate_suffices: bool,
}

/// What a host is made of.
pub struct HostSettings {
    /// Its name.
    pub name: HostName,
    /// Its TLS: certificate, verifier, tickets of its own.
    pub tls: Arc<ServerConfig>,
    /// Whether it asks for a client certificate.
    pub client_certificate: ClientCertificate,
    /// Where a bad one is refused.
    pub rejection: Rejection,
}

/// One immutable snapshot of what the data path does.
pub struct Policy {
    hosts: HashMap<Box<str>, Arc<Host>>,
    pub(super) routes: Routes,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) owned: OwnedFields,
    pub(super) headers: Headers,
    pub(super) assertions: Option<Assertions>,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) rates: Rates,
    pub(super) sign_in: Option<SignInPolicy>,
    pub(super) traces: Option<Traces>,
}

/// A host name that the gate answers for.
pub struct Host {
    pub(super) name: Box<str>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) client_certificate: ClientCertificate,
    pub(super) rejection: Rejection,
    /// Requests by class of status: 0xx (none was sent) to 5xx.
    pub(super) requests: [IntCounter; 6],
    pub(super) request_duration: Histogram,
}

impl Policy {
    /// Builds the snapshot. A route whose upstream doesn't exist is an error; the configuration's checks name it
    /// with its place before it comes to this.
    pub fn build(settings: PolicySettings, metrics: &Metrics) -> Result<Self, String> {
        let upstreams = settings.upstreams;
        let (rates, tables) = &settings.rates;
        let rates = Rates::new(rates, tables, metrics);
        let found = Found {
            upstream: &|name| upstreams.iter().position(|upstream| upstream.name() == name),
            bodies: &settings.bodies,
            rates: &rates,
        };
        let (limits, timeouts) = (&settings.limits, &settings.timeouts);
        let routes = Routes::new(settings.routes, &found, settings.maintenance.as_ref(), (limits, timeouts))?;
        let hosts = settings.hosts.into_iter().map(|host| Host::new(host, metrics)).collect::<Vec<_>>();
        Ok(Self {
            hosts: hosts.into_iter().map(|host| (host.name.clone(), Arc::new(host))).collect(),
            routes,
            upstreams,
            owned: OwnedFields::new(&settings.headers, settings.traces.is_some()),
            headers: settings.headers,
            assertions: settings.assertions,
            trusted_proxies: settings.trusted_proxies,
            timeouts: settings.timeouts,
            limits: settings.limits,
            rates,
            sign_in: settings.sign_in,
            traces: settings.traces,
        })
    }

    /// The host of a TLS server name, which must be in lower case.
    pub(super) fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// Looks for the files that close routes; requests go by what was found last. Blocks.
    pub fn look_at_closures(&self) {
        self.routes.look_at_closures();
    }

    /// Whether a certificate alone counts as having signed in.
    pub(super) fn certificate_suffices(&self) -> bool {
        self.sign_in.as_ref().is_some_and(|sign_in| sign_in.certificate_suffices)
    }
}

impl Host {
    fn new(settings: HostSettings, metrics: &Metrics) -> Self {
        let name = settings.name.as_str();
        let requests = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|class| metrics.requests.with_label_values(&[name, class]));
        Self {
            request_duration: metrics.request_duration.with_label_values(&[name]),
            requests,
            name: name.into(),
            tls: settings.tls,
            client_certificate: settings.client_certificate,
            rejection: settings.rejection,
        }
    }
}
