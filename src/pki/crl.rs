//! Revocation lists: verified once, when they are loaded, and looked up by issuer and key.
//!
//! webpki could verify them along with a path, and doesn't do it here, for three reasons: it would hash the whole
//! list again for every certificate it judges; of two lists with the same issuer's name (a CA that changed its key)
//! it takes the first, and fails if that is the other key's; and it never asks for a number. Its parser, which
//! refuses delta and indirect lists and unknown critical extensions, is the one in use.

use jiff::Timestamp;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::num_bigint::BigUint;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authority::Authorities;
use super::signature::Signed;
use super::validity::{Validity, timestamp};

const BROKEN: &str = "is not a well-formed CRL";

/// A list that one of the authorities signed.
#[derive(Debug)]
pub struct Crl {
    list: CertRevocationList<'static>,
    key: Vec<u8>,
    issuer: String,
    number: BigUint,
    next_update: Timestamp,
    file: usize,
}

impl Crl {
    /// Reads a list, and believes it only if one of the authorities made it. The error is a phrase that follows
    /// "the revocation list". A list past its nextUpdate is not an error here: see [`super::Trust::load`]. `file` is
    /// kept for later errors.
    pub(super) fn read(
        der: &[u8],
        file: usize,
        authorities: &Authorities,
        now: Timestamp,
    ) -> Result<Self, String> {
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| unusable(&error, der))?;
        let (rest, parsed) = CertificateRevocationList::from_der(der).map_err(|_| BROKEN)?;
        if !rest.is_empty() || parsed.tbs_cert_list.extensions_map().is_err() {
            return Err(BROKEN.to_owned());
        }
        // webpki takes a list with a distribution point for the whole truth about a certificate that names none,
        // although it may be one of several parts.
        if parsed.tbs_cert_list.find_extension(&OID_X509_EXT_ISSUER_DISTRIBUTION_POINT).is_some() {
            return Err("is limited by an issuingDistributionPoint: only complete CRLs are taken".to_owned());
        }
        let number = parsed.crl_number().ok_or("has no CRL number")?.clone();
        let this_update = timestamp(parsed.last_update());
        if this_update > now {
            return Err(format!("is not in force yet: its thisUpdate is {this_update}"));
        }
        let next_update = timestamp(parsed.next_update().ok_or("has no nextUpdate")?);

        let issuer = parsed.issuer().to_string();
        let list = CertRevocationList::from(list);
        let key =
            signing_key(der, &list, authorities).map_err(|problem| format!("of {issuer:?} {problem}"))?;
        Ok(Self { list, key, issuer, number, next_update, file })
    }

    /// The issuer, for people.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the next list is due: from this second on, this one says nothing.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// Whether the list still speaks at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        now.as_second() < self.next_update.as_second()
    }

    /// The seconds for which it speaks: up to, and not including, its nextUpdate. That it began to is known, since a
    /// list that is not in force yet is not loaded.
    pub(super) fn speaks_for(&self) -> Validity {
        let until = Timestamp::from_second(self.next_update.as_second() - 1).unwrap_or(Timestamp::MIN);
        Validity { from: Timestamp::MIN, until }
    }

    /// Whether both are lists of the same CA: of the same name *and* key.
    pub(super) fn is_by_the_same_as(&self, other: &Self) -> bool {
        self.is_by(other.list.issuer(), &other.key)
    }

    /// Whether the CA of this name and key made the list.
    pub(super) fn is_by(&self, name: &[u8], key: &[u8]) -> bool {
        self.list.issuer() == name && self.key == key
    }

    /// Whether this list came before `other` one. Both have to be of the same CA.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        (&self.number, self.next_update) < (&other.number, other.next_update)
    }

    /// The index of the file that the list came from.
    pub(super) fn file(&self) -> usize {
        self.file
    }

    /// Whether the list names this serial number (as the certificate has it, sign byte and all).
    pub(super) fn names(&self, serial: &[u8]) -> Result<bool, webpki::Error> {
        self.list.find_serial(serial).map(|entry| entry.is_some())
    }
}

fn signing_key(
    der: &[u8],
    list: &CertRevocationList<'_>,
    authorities: &Authorities,
) -> Result<Vec<u8>, &'static str> {
    let issuers: Vec<_> = authorities.named(list.issuer()).collect();
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
