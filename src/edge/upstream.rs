//! The applications behind the gate: named groups of endpoints, as all workers see them, and each worker's own connections
//! to them ([`Pool`]).
//!
//! What is known of an endpoint (is it well, how busy is it) is known to all workers; a connection belongs to one of them,
//! so no request crosses a core to get one.

mod attempt;
mod balance;
mod capacity;
mod carrier;
mod carriers;
mod endpoint;
mod look;
mod pool;
mod vitals;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use prometheus::{Histogram, IntCounter};
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};

pub(super) use self::attempt::{Attempt, Outcome};
use self::capacity::{Budget, Capacity};
pub(super) use self::carrier::Lane;
pub use self::endpoint::{Address, Condition, Endpoint};
pub(super) use self::pool::{Line, Link, Pool};
use self::vitals::Vitals;
use self::wire::Tls;
pub(super) use self::wire::Wire;
use super::failure::Fault;
use crate::config::Place;
use crate::ops::Metrics;
use crate::{clock, config};

/// TLS towards an upstream.
pub struct UpstreamTls {
    /// Whom it believes, and what it shows.
    pub config: Arc<ClientConfig>,
    /// Tells it from what other files would make.
    pub made_from: Box<[u8]>,
}

/// A named group of endpoints, as all workers see it.
pub struct Upstream {
    pub(super) name: Box<str>,
    pub(super) settings: config::Upstream,
    tls: Option<UpstreamTls>,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// What is known of addresses that are gone, for when they come back. Taken by whoever changes the endpoints.
    changing: Mutex<Vec<Gone>>,
    capacity: Capacity,
    budget: Budget,
    connects: IntCounter,
    ejections: IntCounter,
    retries: IntCounter,
    retries_denied: IntCounter,
    pub(super) first_byte: Histogram,
}

/// An address at which an endpoint was until then.
#[derive(Clone)]
struct Gone {
    name: Box<str>,
    address: Address,
    vitals: Arc<Vitals>,
    at: Instant,
}

/// What is known of an address that is gone is kept for so long. Many a name leads to some of its addresses only, each time
/// to others.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// For so many at most.
const MOST_REMEMBERED: usize = 256;

impl Upstream {
    /// The group of these settings, without any endpoint yet.
    pub fn new(name: &str, settings: &config::Upstream, tls: Option<UpstreamTls>, metrics: &Metrics) -> Self {
        let labels = &[name];
        Self {
            name: name.into(),
            endpoints: ArcSwap::default(),
            changing: Mutex::default(),
            capacity: Capacity::new(&settings.limits),
            budget: Budget::new(settings.retries.budget_percent),
            connects: metrics.upstream_connects.with_label_values(labels),
            ejections: metrics.upstream_ejections.with_label_values(labels),
            retries: metrics.upstream_retries.with_label_values(labels),
            retries_denied: metrics.upstream_retries_denied.with_label_values(labels),
            first_byte: metrics.upstream_first_byte.with_label_values(labels),
            settings: settings.clone(),
            tls,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was made from.
    pub const fn settings(&self) -> &config::Upstream {
        &self.settings
    }

    /// What TLS towards its endpoints was made from.
    pub fn tls(&self) -> Option<&[u8]> {
        self.tls.as_ref().map(|tls| &*tls.made_from)
    }

    /// Its endpoints of now.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Requests that wait for their turn.
    pub fn queued(&self) -> usize {
        self.capacity.queued()
    }

    /// Says where the endpoint of this place in the settings is: at all these addresses. What was there before, here or in
    /// the group that this one takes the place of, stays as well or ill as it is known to be. Only who is new while others
    /// serve already (`joins`) starts slowly.
    pub fn place(&self, index: usize, addresses: &[Address], before: Option<&Self>, joins: Option<Instant>) {
        let Some(settings) = self.settings.endpoints.get(index) else { return };
        let mut gone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before.filter(|_| gone.is_empty()) {
            gone.clone_from(&before.changing.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let now = self.endpoints();
        let earlier = before.map(Self::endpoints).unwrap_or_default();
        let name = settings.address.as_str();
        let Ok(tls) = self.tls_to(settings) else {
            let upstream = &self.name;
            tracing::error!(%upstream, endpoint = name, "No server name for TLS can be made of an endpoint's: it gets nothing");
            return;
        };
        let mut next: Vec<Arc<Endpoint>> =
            now.iter().filter(|endpoint| endpoint.index() != index).cloned().collect();
        for address in addresses {
            let is_it = |endpoint: &&Arc<Endpoint>| endpoint.is_at(name, address);
            let known = now.iter().find(is_it).filter(|endpoint| endpoint.index() == index);
            next.push(known.cloned().unwrap_or_else(|| {
                let earlier = earlier.iter().find(is_it).map(|endpoint| endpoint.vitals().clone());
                let is_back = |gone: &&Gone| *gone.name == *name && gone.address == *address;
                let vitals = earlier.or_else(|| gone.iter().find(is_back).map(|gone| gone.vitals.clone()));
                let way = (address.clone(), tls.clone());
                Arc::new(Endpoint::new(index, settings, way, vitals, joins))
            }));
        }
        let at = clock::instant();
        let leaves = |endpoint: &&Arc<Endpoint>| !next.iter().any(|stays| Arc::ptr_eq(stays, endpoint));
        gone.extend(now.iter().filter(leaves).map(|endpoint| Gone {
            name: endpoint.name().into(),
            address: endpoint.address().clone(),
            vitals: endpoint.vitals().clone(),
            at,
        }));
        let is_here = |gone: &Gone| next.iter().any(|endpoint| endpoint.is_at(&gone.name, &gone.address));
        gone.retain(|gone| at.saturating_duration_since(gone.at) < REMEMBERED && !is_here(gone));
        let surplus = gone.len().saturating_sub(MOST_REMEMBERED);
        gone.drain(..surplus);
        next.sort_by(|one, other| (one.index(), one.address()).cmp(&(other.index(), other.address())));
        next.dedup_by(|one, other| (one.index(), one.address()) == (other.index(), other.address()));
        self.endpoints.store(Arc::new(next));
    }

    /// TLS towards an endpoint, if there is to be any: by the configured name, or by its own. The configuration's checks
    /// demand one that will do; without one nothing goes to the endpoint, least of all in clear.
    fn tls_to(&self, endpoint: &config::Endpoint) -> Result<Option<Tls>, InvalidDnsNameError> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let named = self.settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        let name = match (named, endpoint.address.place()) {
            (Some(name), _) => name.as_str().to_owned().try_into()?,
            (None, Place::Name(name, _)) => name.to_owned().try_into()?,
            (None, Place::Address(address)) => ServerName::IpAddress(address.ip().into()),
            (None, Place::Unix(_)) => return Err(InvalidDnsNameError),
        };
        Ok(Some(Tls { config: tls.config.clone(), name }))
    }

    /// What came of a request at this endpoint. One that fails too many in a row is ejected.
    fn note(&self, endpoint: &Endpoint, outcome: Outcome) {
        let has_failed = match outcome {
            Outcome::Answer(status) => matches!(status, 502..=504),
            Outcome::Failure(failure) if failure.fault() == Fault::Upstream => true,
            // Not its fault: that says nothing of the endpoint.
            Outcome::Failure(_) => return,
        };
        let settings = &self.settings.ejection;
        if !has_failed {
            return endpoint.vitals().succeeds();
        }
        if settings.failures == 0 || !endpoint.vitals().fails(settings.failures) {
            return;
        }
        // One at a time: two workers must not each leave the other's endpoint as the last.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (endpoints, now) = (self.endpoints.load(), clock::instant());
        let ejected = endpoints.iter().filter(|endpoint| endpoint.vitals().is_ejected(now)).count();
        let most = endpoints.len() * usize::from(settings.most_percent) / 100;
        let serves = |other: &Arc<Endpoint>| other.label() != endpoint.label() && other.is_usable(now);
        if ejected < most && endpoints.iter().any(serves) && !endpoint.vitals().is_ejected(now) {
            let period = endpoint.vitals().eject(now, settings.period.get());
            self.ejections.inc();
            let (upstream, seconds) = (&self.name, period.as_secs_f64());
            tracing::warn!(%upstream, %endpoint, seconds, "An endpoint failed too often and is ejected");
        }
    }
}
