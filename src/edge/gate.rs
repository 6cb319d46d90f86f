//! The gate: whether one request may go on. A pure function, and the only maker of permits.

use super::policy::{Host, Policy};
use crate::config::{ClientCertificate, Require};
use crate::domain::{Reason, Refusal, Standing};

/// The right to forward one request to one upstream. Only [`decide`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Permit {
    upstream: usize,
}

impl Permit {
    /// Index of the upstream that the permit is for.
    pub(super) const fn upstream(&self) -> usize {
        self.upstream
    }
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// For want of a good certificate.
    Certificate(Refusal),
    /// No route leads there.
    NoRoute,
}

/// Decides on a request for the normalised `path`.
pub(super) fn decide(
    policy: &Policy,
    host: &Host,
    standing: &Standing,
    path: &str,
) -> Result<Permit, Denied> {
    // The host's own demand comes first: not even "no such page" is said to somebody who may not be here.
    if host.client_certificate == ClientCertificate::Required {
        require_certificate(standing)?;
    }
    let route = policy.route(&host.name, path).ok_or(Denied::NoRoute)?;
    match route.require {
        Require::Nothing => {}
        Require::Certificate => require_certificate(standing)?,
    }
    Ok(Permit { upstream: route.upstream })
}

const fn require_certificate(standing: &Standing) -> Result<(), Denied> {
    match standing {
        Standing::Good(_) => Ok(()),
        Standing::Absent => Err(Denied::Certificate(Refusal::new(Reason::Absent, "no certificate was sent"))),
        Standing::Refused(refusal) => Err(Denied::Certificate(*refusal)),
    }
}
