//! What the data path was configured to do: hosts, routes, names, deadlines, caps. One immutable snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter};
use rustls::ServerConfig;

use super::assertion::Assertions;
use super::fields::OwnedFields;
use super::rates::{Limit, Limits as Rates, RateTables};
use super::target::is_below;
use super::upstream::Upstream;
use crate::config::{
    ClientCertificate, Headers, HostName, Limits, Network, RateLimits, Rejection, Require, Timeouts,
};
use crate::domain::{ContractId, Role};
use crate::ops::Metrics;

/// What a policy is made of.
pub struct PolicySettings {
    /// The hosts, with their TLS ready to serve.
    pub hosts: Vec<HostSettings>,
    /// The routes, in any order.
    pub routes: Vec<crate::config::Route>,
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
    /// Longest path first.
    routes: Vec<Route>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) owned: OwnedFields,
    pub(super) headers: Headers,
    pub(super) assertions: Option<Assertions>,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) rates: Rates,
    pub(super) sign_in: Option<SignInPolicy>,
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

/// A route, with its upstream found.
pub(super) struct Route {
    path: Box<str>,
    hosts: Vec<Box<str>>,
    pub(super) require: Require,
    pub(super) roles: Vec<Role>,
    pub(super) contracts: Vec<ContractId>,
    pub(super) upstream: usize,
    /// Rate limits of its own.
    pub(super) rates: Vec<Arc<Limit>>,
}

impl Policy {
    /// Builds the snapshot. A route whose upstream doesn't exist is an error; the configuration's checks name it
    /// with its place before it comes to this.
    pub fn build(settings: PolicySettings, metrics: &Metrics) -> Result<Self, String> {
        let upstreams = settings.upstreams;
        let (rates, tables) = &settings.rates;
        let rates = Rates::new(rates, tables, metrics);
        let mut routes = Vec::new();
        for route in settings.routes {
            let upstream = upstreams
                .iter()
                .position(|upstream| upstream.name() == route.upstream.as_str())
                .ok_or_else(|| format!("no upstream is called `{}`", route.upstream))?;
            routes.push(Route {
                path: route.path.as_str().into(),
                hosts: route.hosts.iter().map(|host| host.as_str().into()).collect(),
                require: route.require,
                roles: route.roles.iter().map(|role| role.role()).collect(),
                contracts: route.contracts.iter().map(|contract| contract.id().clone()).collect(),
                upstream,
                rates: route
                    .rate
                    .iter()
                    .flat_map(|named| named.as_slice())
                    .filter_map(|name| rates.named.get(name.as_str()).cloned())
                    .collect(),
            });
        }
        // A stable sort: between equally long paths, a route that names its hosts goes first.
        routes.sort_by_key(|route| (std::cmp::Reverse(route.path.len()), route.hosts.is_empty()));
        let hosts = settings.hosts.into_iter().map(|host| Host::new(host, metrics)).collect::<Vec<_>>();
        Ok(Self {
            hosts: hosts.into_iter().map(|host| (host.name.clone(), Arc::new(host))).collect(),
            routes,
            upstreams,
            owned: OwnedFields::new(&settings.headers),
            headers: settings.headers,
            assertions: settings.assertions,
            trusted_proxies: settings.trusted_proxies,
            timeouts: settings.timeouts,
            limits: settings.limits,
            rates,
            sign_in: settings.sign_in,
        })
    }

    /// The host of a TLS server name, which must be in lower case.
    pub(super) fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// Whether a certificate alone counts as having signed in.
    pub(super) fn certificate_suffices(&self) -> bool {
        self.sign_in.as_ref().is_some_and(|sign_in| sign_in.certificate_suffices)
    }

    /// The route of a normalised path: the longest that matches.
    pub(super) fn route(&self, host: &str, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| {
            is_below(path, &route.path)
                && (route.hosts.is_empty() || route.hosts.iter().any(|name| **name == *host))
        })
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
