//! OCSP responses that say whatever a test wants.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SigningKey};
use rustls::pki_types::CertificateDer;

use super::{Ca, now, tlv};
use crate::pki::certificate::parse;
use crate::pki::der;

/// The content of an AlgorithmIdentifier: ecdsa-with-SHA256.
const ECDSA: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SHA1_ID: &[u8] = &[6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
const SHA256_ID: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

/// A CertStatus.
pub(crate) const GOOD: &[u8] = &[0x80, 0];
pub(crate) const UNKNOWN: &[u8] = &[0x82, 0];

/// A CertStatus: since then, for keyCompromise.
pub(crate) fn revoked(since: Timestamp) -> Vec<u8> {
    tlv(0xa1, &[time(since), tlv(0xa0, &[0x0a, 1, 1])].concat())
}

/// What is in a response, to be changed at will before it is signed.
pub(crate) struct Response {
    pub(crate) id: Vec<u8>,
    pub(crate) responder: Vec<u8>,
    pub(crate) status: Vec<u8>,
    pub(crate) from: Timestamp,
    pub(crate) until: Option<Timestamp>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Response {
    /// Good since an hour ago and for 23 more, by the CA itself.
    pub(crate) fn about(leaf: &CertificateDer<'_>, ca: &Ca) -> Self {
        Self {
            id: cert_id(leaf, ca.der()),
            responder: by_name(ca.der()),
            status: GOOD.to_vec(),
            from: now() - SignedDuration::from_hours(1),
            until: Some(now() + SignedDuration::from_hours(23)),
            certificates: Vec::new(),
        }
    }

    pub(crate) fn signed(&self, key: &KeyPair) -> Vec<u8> {
        let until = self.until.map(|until| tlv(0xa0, &time(until))).unwrap_or_default();
        let single = [self.id.clone(), self.status.clone(), time(self.from), until].concat();
        let list = tlv(der::SEQUENCE, &tlv(der::SEQUENCE, &single));
        let data = tlv(der::SEQUENCE, &[self.responder.clone(), time(self.from), list].concat());
        let signature = tlv(der::BIT_STRING, &[&[0], &*key.sign(&data).unwrap()].concat());
        let mut basic = [data, tlv(der::SEQUENCE, ECDSA), signature].concat();
        if !self.certificates.is_empty() {
            let certificates: Vec<u8> = self.certificates.iter().flat_map(|it| it.to_vec()).collect();
            basic.extend(tlv(0xa0, &tlv(der::SEQUENCE, &certificates)));
        }
        let kind = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
        let bytes = [&kind[..], &tlv(der::OCTET_STRING, &tlv(der::SEQUENCE, &basic))].concat();
        let bytes = tlv(0xa0, &tlv(der::SEQUENCE, &bytes));
        tlv(der::SEQUENCE, &[&[0x0a, 1, 0][..], &bytes].concat())
    }
}

/// A response without more than this OCSPResponseStatus.
pub(crate) fn refusal(status: u8) -> Vec<u8> {
    vec![0x30, 3, 0x0a, 1, status]
}

/// A CertID as most have it.
pub(crate) fn cert_id(leaf: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> Vec<u8> {
    id_by((&SHA1_FOR_LEGACY_USE_ONLY, SHA1_ID), leaf, issuer)
}

/// A CertID with SHA-256.
pub(crate) fn cert_id_sha256(leaf: &CertificateDer<'_>, issuer: &CertificateDer<'_>) -> Vec<u8> {
    id_by((&SHA256, SHA256_ID), leaf, issuer)
}

fn id_by(
    hash: (&'static Algorithm, &[u8]),
    leaf: &CertificateDer<'_>,
    issuer: &CertificateDer<'_>,
) -> Vec<u8> {
    let (leaf, issuer) = (parse(leaf).unwrap(), parse(issuer).unwrap());
    let hashed = |of: &[u8]| tlv(der::OCTET_STRING, digest(hash.0, of).as_ref());
    let key = hashed(&issuer.public_key().subject_public_key.data);
    let serial = tlv(der::INTEGER, leaf.raw_serial());
    let parts = [tlv(der::SEQUENCE, hash.1), hashed(issuer.subject().as_raw()), key, serial];
    tlv(der::SEQUENCE, &parts.concat())
}

/// A ResponderID.
pub(crate) fn by_name(certificate: &CertificateDer<'_>) -> Vec<u8> {
    tlv(0xa1, parse(certificate).unwrap().subject().as_raw())
}

/// A ResponderID.
pub(crate) fn by_key(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let parsed = parse(certificate).unwrap();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &parsed.public_key().subject_public_key.data);
    tlv(0xa2, &tlv(der::OCTET_STRING, hash.as_ref()))
}

fn time(time: Timestamp) -> Vec<u8> {
    tlv(der::GENERALIZED_TIME, time.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

impl Ca {
    /// Whom this CA appoints for signing OCSP responses.
    pub(crate) fn responder(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        self.client("OCSP", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
            change(params);
        })
    }

    /// A response that the CA signs itself.
    pub(crate) fn answers(&self, response: &Response) -> Vec<u8> {
        response.signed(&self.key)
    }
}
