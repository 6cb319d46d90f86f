//! The rules of this room, one file per threat or part. The names of the tests are the rules.

mod certificate;
mod handshake;
mod hostile;
mod judge;
mod ocsp;
mod path;
mod revocation;
mod subject;
mod trust;

use rustls::pki_types::CertificateDer;

use super::Trust;
use super::testing::now;
use crate::domain::Standing;

/// What a trust says of a chain at the time when all is well: `good`, or the reason and its detail.
fn verdict(trust: &Trust, chain: &[&CertificateDer<'static>]) -> (&'static str, &'static str) {
    let chain: Vec<_> = chain.iter().map(|der| (*der).clone()).collect();
    said(&trust.judge(&chain, now()).standing)
}

fn said(standing: &Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Refused(refusal) => (refusal.reason.code(), refusal.detail),
        other => (other.code(), ""),
    }
}

/// The reason alone.
fn reason(trust: &Trust, chain: &[&CertificateDer<'static>]) -> &'static str {
    verdict(trust, chain).0
}

const GOOD: (&str, &str) = ("good", "");
