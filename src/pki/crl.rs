//! Revocation lists: verified once, when they are loaded, and looked up by issuer and key.
//!
//! webpki could verify them along with a path, and doesn't do it here, for three reasons: it would hash the whole
//! list again for every certificate it judges; of two lists with the same issuer's name (a CA that changed its key)
//! it takes the first, and fails if that is the other key's; and it never asks for a number. Its parser, which
//! refuses delta and indirect lists and unknown critical extensions, is the one in use; what is kept of a list is in
//! `serials.rs`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::num_bigint::BigUint;
use x509_parser::oid_registry::{OID_X509_EXT_CRL_NUMBER, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT};
use x509_parser::prelude::{FromDer, ParsedExtension};
use x509_parser::revocation_list::{CertificateRevocationList, TbsCertList};

use super::authority::Authorities;
use super::der;
use super::serials::Serials;
use super::signature::Signed;
use super::validity::{Validity, timestamp};

/// Clocks differ: a list that a gateway whose clock is so far ahead has signed is as true as any, and the newest there is.
const FAST_CLOCKS: SignedDuration = SignedDuration::from_hours(1);

const BROKEN: &str = "is not a well-formed CRL";

/// A list that one of the authorities signed.
#[derive(Debug)]
pub struct Crl {
    digest: [u8; 32],
    name: Vec<u8>,
    key: Vec<u8>,
    issuer: String,
    number: BigUint,
    next_update: Timestamp,
    serials: Serials,
    origin: Arc<str>,
}

impl Crl {
    /// Reads a list, and believes it only if one of the authorities made it. The error is a phrase that follows
    /// "the revocation list". A list past its nextUpdate is not an error here: see [`super::Trust::load`]. `origin`
    /// is the source that it came from.
    pub(super) fn read(
        der: &[u8],
        origin: Arc<str>,
        authorities: &Authorities,
        now: Timestamp,
    ) -> Result<Self, String> {
        let list = BorrowedCertRevocationList::from_der(der).map_err(|error| unusable(&error, der))?;
        // webpki takes a list with a distribution point for the whole truth about a certificate that names none,
        // although it may be one of several parts.
        let serials = Serials::of(&list).map_err(|error| unusable(&error, der))?;
        let rest = without_entries(der).ok_or(BROKEN)?;
        let (_, parsed) = TbsCertList::from_der(&rest).map_err(|_| BROKEN)?;
        if parsed.extensions_map().is_err() {
            return Err(BROKEN.to_owned());
        }
        if parsed.find_extension(&OID_X509_EXT_ISSUER_DISTRIBUTION_POINT).is_some() {
            return Err("is limited by an issuingDistributionPoint: only complete CRLs are taken".to_owned());
        }
        let number = parsed.find_extension(&OID_X509_EXT_CRL_NUMBER).map(|found| found.parsed_extension());
        let Some(ParsedExtension::CRLNumber(number)) = number else {
            return Err("has no CRL number".to_owned());
        };
        let this_update = timestamp(parsed.this_update);
        if this_update > now.checked_add(FAST_CLOCKS).unwrap_or(now) {
            return Err(format!("is not in force yet: its thisUpdate is {this_update}"));
        }
        let next_update = timestamp(parsed.next_update.ok_or("has no nextUpdate")?);

        let issuer = parsed.issuer.to_string();
        let list = CertRevocationList::from(list);
        let name = list.issuer().to_vec();
        let key =
            signing_key(der, &name, authorities).map_err(|problem| format!("of {issuer:?} {problem}"))?;
        let number = number.clone();
        Ok(Self { digest: digest(der), name, key, issuer, number, next_update, serials, origin })
    }

    /// The issuer, for people.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the next list is due: from this second on, this one says nothing (but for the configured grace).
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// How many certificates it names.
    pub fn entries(&self) -> usize {
        self.serials.len()
    }

    /// The source that it came from: a path or a URL.
    pub fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// Whether the list is within its own time at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        now.as_second() < self.next_update.as_second()
    }

    /// Whether the list still speaks at `now`, the grace after its nextUpdate included.
    pub fn speaks(&self, grace: Duration, now: Timestamp) -> bool {
        self.speaks_for(grace).contains(now)
    }

    /// The seconds for which it speaks: up to, and not including, its nextUpdate and the grace. That it began to is
    /// known, since a list that is not in force yet is not loaded.
    pub(super) fn speaks_for(&self, grace: Duration) -> Validity {
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let last = self.next_update.as_second().saturating_add(grace).saturating_sub(1);
        let until = Timestamp::from_second(last).unwrap_or(Timestamp::MAX);
        Validity { from: Timestamp::MIN, until }
    }

    /// Whether both are lists of the same CA: of the same name *and* key.
    pub(super) fn is_by_the_same_as(&self, other: &Self) -> bool {
        self.is_by(&other.name, &other.key)
    }

    /// Whether both are the same bytes.
    pub fn is_same_list_as(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether the CA of this name and key made the list.
    pub(super) fn is_by(&self, name: &[u8], key: &[u8]) -> bool {
        self.name == name && self.key == key
    }

    /// Whether the signature is still that of an authority: of these ones.
    pub(super) fn is_by_one_of(&self, authorities: &Authorities) -> bool {
        authorities.named(&self.name).any(|it| it.key() == self.key && it.signs_crls())
    }

    /// Whether this list came before `other` one. Both have to be of the same CA.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        (&self.number, self.next_update) < (&other.number, other.next_update)
    }

    /// Whether it was read from these very bytes.
    pub(super) fn is(&self, digest: &[u8; 32]) -> bool {
        self.digest == *digest
    }

    /// Whether the list names this serial number (as the certificate has it, sign byte and all).
    pub fn names(&self, serial: &[u8]) -> bool {
        self.serials.contain(serial)
    }
}

/// What tells one list's bytes from another's.
pub(super) fn digest(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// The TBSCertList less its entries: x509-parser would make objects of them, a million of which fill the memory.
fn without_entries(der: &[u8]) -> Option<Vec<u8>> {
    let (tbs, _) = der::first(der::only(der, der::SEQUENCE)?)?;
    let fields = der::all(der::only(tbs.whole, der::SEQUENCE)?)?;
    // version, signature and issuer; then the times; the entries are the only SEQUENCE after that.
    let kept = fields.iter().enumerate().filter(|(at, field)| *at < 3 || field.tag != der::SEQUENCE);
    let content: Vec<u8> = kept.flat_map(|(_, field)| field.whole).copied().collect();
    Some(der::sequence(&content))
}

fn signing_key(der: &[u8], name: &[u8], authorities: &Authorities) -> Result<Vec<u8>, &'static str> {
    let issuers: Vec<_> = authorities.named(name).collect();
    if issuers.is_empty() {
        return Err("comes from none of the authorities");
    }
    let signed = Signed::read(der).ok_or(BROKEN)?;
    let mut signers = issuers.into_iter().filter(|authority| signed.is_by(authority.key())).peekable();
    if signers.peek().is_none() {
        return Err("does not bear the signature of the authority of that name");
    }
    match signers.find(|authority| authority.signs_crls()) {
        Some(signer) => Ok(signer.key().to_vec()),
        None => Err("is signed by an authority that may not sign CRLs: its keyUsage lacks cRLSign"),
    }
}

fn unusable(error: &webpki::Error, der: &[u8]) -> &'static str {
    match error {
        webpki::Error::UnsupportedDeltaCrl => "is a delta CRL: only complete CRLs are taken",
        webpki::Error::UnsupportedIndirectCrl => "is an indirect CRL: only complete CRLs are taken",
        webpki::Error::UnsupportedRevocationReasonsPartitioning
        | webpki::Error::UnsupportedCrlIssuingDistributionPoint => {
            "is limited by an issuingDistributionPoint: only complete CRLs are taken"
        }
        webpki::Error::UnsupportedCriticalExtension => "has a critical extension that is not understood",
        webpki::Error::UnsupportedCrlVersion => "is not a CRL of version 2",
        webpki::Error::InvalidCrlNumber => "has a CRL number that cannot be read",
        webpki::Error::SignatureAlgorithmMismatch => "names two different signature algorithms",
        // What is left is mostly "bad DER" to webpki. `openssl ca -gencrl` writes version 1 unless told otherwise.
        _ => match CertificateRevocationList::from_der(der) {
            Ok(([], crl)) if crl.version().is_none() => "is a CRL of version 1: it has no CRL number",
            Ok(([], crl)) if crl.next_update().is_none() => "has no nextUpdate",
            Ok(([], crl)) if crl.crl_number().is_none() => "has no CRL number",
            _ => BROKEN,
        },
    }
}
