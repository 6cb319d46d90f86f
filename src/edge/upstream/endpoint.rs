//! One address of an upstream.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::vitals::Vitals;
use super::wire::Tls;
use crate::config;

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// At an IP address and a port.
    Ip(SocketAddr),
    /// At a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of an upstream.
pub struct Endpoint {
    /// Which of the configured endpoints it is.
    index: usize,
    /// As it was configured: what it is a resolution of.
    name: Box<str>,
    address: Address,
    tls: Option<Tls>,
    /// As it is written down, everywhere.
    label: Box<str>,
    /// Of its label, the same in every gateway.
    hash: u64,
    weight: u64,
    drains: bool,
    vitals: Arc<Vitals>,
}

/// Whether an endpoint gets requests, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It gets requests.
    Well,
    /// Nobody has looked yet: it gets requests.
    Unknown,
    /// Looks have found it ill.
    Ill,
    /// It has failed too many requests lately.
    Ejected,
    /// It is to get none.
    Drained,
}

impl Condition {
    /// The word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Unknown => "unknown",
            Self::Ill => "ill",
            Self::Ejected => "ejected",
            Self::Drained => "drained",
        }
    }

    /// Whether it gets requests.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Well | Self::Unknown)
    }
}

impl Endpoint {
    pub(super) fn new(
        index: usize,
        settings: &config::Endpoint,
        (address, tls): (Address, Option<Tls>),
        vitals: Option<Arc<Vitals>>,
        joins: Option<Instant>,
    ) -> Self {
        let label: Box<str> = address.to_string().into();
        Self {
            index,
            name: settings.address.as_str().into(),
            address,
            tls,
            hash: super::balance::hash(label.as_bytes()),
            label,
            weight: settings.weight.get().into(),
            drains: settings.drain,
            vitals: vitals.unwrap_or_else(|| Arc::new(Vitals::new(joins))),
        }
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    /// As it was configured.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether what is sent there is sent over TLS.
    pub(in crate::edge) const fn is_over_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// As it is written down.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(super) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn is_at(&self, name: &str, address: &Address) -> bool {
        *self.name == *name && self.address == *address
    }

    pub(super) const fn vitals(&self) -> &Arc<Vitals> {
        &self.vitals
    }

    /// How it is.
    pub fn condition(&self, now: Instant) -> Condition {
        match () {
            () if self.drains || self.vitals.is_drained() => Condition::Drained,
            () if self.vitals.is_ill() => Condition::Ill,
            () if self.vitals.is_ejected(now) => Condition::Ejected,
            () if self.vitals.is_seen() => Condition::Well,
            () => Condition::Unknown,
        }
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        !(self.drains || self.vitals.is_drained() || self.vitals.is_ill() || self.vitals.is_ejected(now))
    }

    /// Its share of the requests, for now.
    pub(super) fn share(&self, slow_start: Option<Duration>, now: Instant) -> u64 {
        self.weight * self.vitals.share(slow_start, now)
    }

    /// Requests that are with it.
    pub fn in_flight(&self) -> usize {
        self.vitals.in_flight()
    }

    /// Keeps new requests from it, or lets them in again, until the process ends. Those of the configuration's `drain` stay
    /// away either way.
    pub fn drain(&self, is_drained: bool, now: Instant) {
        self.vitals.drain(is_drained, now);
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
