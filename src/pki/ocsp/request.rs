//! The question to a responder (RFC 6960, section 4.1), in the form that every responder understands (RFC 5019, section
//! 2.1): one certificate, named by SHA-1, without a version, a requestor's name or extensions.
//!
//! No nonce (RFC 9654): responders that sign in advance ignore it, and what is stapled is taken for fresh by its times, by
//! clients as by us.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::CertificateDer;

use super::{Issuer, NO_ISSUER, SHA1_OID};
use crate::pki::certificate::parse;
use crate::pki::der;

const NULL: [u8; 2] = [0x05, 0];

/// An OCSPRequest about the first certificate of `chain`, of which the second must have issued it.
pub fn ocsp_request(chain: &[CertificateDer<'_>]) -> Result<Vec<u8>, &'static str> {
    let [leaf, issuer, ..] = chain else { return Err(NO_ISSUER) };
    let leaf = parse(leaf).ok_or("the certificate cannot be read")?;
    let issuer =
        Issuer::of(issuer).filter(|issuer| issuer.name == leaf.issuer().as_raw()).ok_or(NO_ISSUER)?;
    let key = issuer.key_bits().ok_or(NO_ISSUER)?;
    let sha1 = |of: &[u8]| {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, of);
        der::element(der::OCTET_STRING, hash.as_ref())
    };
    let algorithm = der::sequence(&[&der::element(der::OBJECT_IDENTIFIER, SHA1_OID), &NULL[..]].concat());
    // As it stands in the certificate: a responder may look for these very bytes.
    let serial = der::element(der::INTEGER, leaf.raw_serial());
    let id = der::sequence(&[algorithm, sha1(&issuer.name), sha1(key), serial].concat());
    let list = der::sequence(&der::sequence(&id));
    Ok(der::sequence(&der::sequence(&list)))
}
