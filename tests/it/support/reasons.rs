//! Somebody for each reason of a refusal, and a client whose signature is worth nothing.

use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};
use time::Duration;

use super::client::Client;
use super::gate::Gate;
use super::pki::{COMMON_NAME, Ca, now};

/// The reasons, as logs, metrics and problem documents name them.
pub const REASONS: [&str; 10] = [
    "absent",
    "unknown_authority",
    "expired",
    "not_yet_valid",
    "revoked",
    "revocation_unknown",
    "wrong_usage",
    "weak_key",
    "bad_subject",
    "malformed",
];

/// A client that `gate` has this reason to refuse. Changes the gate's CRL where that takes one.
pub fn somebody(gate: &Gate, reason: &str, versions: &[&'static SupportedProtocolVersion]) -> Client {
    let mut params = Ca::client_params(COMMON_NAME);
    let credential = match reason {
        "absent" => return gate.client().with_versions(versions, None),
        "weak_key" => {
            let certificate = gate.ca.certify(&params, &Rsa1024::new());
            return unproven(&gate.client(), versions, certificate);
        }
        "malformed" => {
            return unproven(&gate.client(), versions, CertificateDer::from(&b"no certificate"[..]));
        }
        "unknown_authority" => Ca::new("Another Bank CA").client(COMMON_NAME),
        "expired" => {
            params.not_after = now() - Duration::days(1);
            gate.ca.issue(params)
        }
        "not_yet_valid" => {
            params.not_before = now() + Duration::days(1);
            gate.ca.issue(params)
        }
        "revoked" => {
            let credential = gate.ca.issue(params);
            gate.revoke(&[&credential]);
            credential
        }
        "revocation_unknown" => {
            gate.publish_crl(&gate.ca.crl_until(&[], now() - Duration::hours(1)));
            gate.ca.issue(params)
        }
        "wrong_usage" => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            gate.ca.issue(params)
        }
        "bad_subject" => gate.ca.client("Taro Tanaka"),
        _ => panic!("{reason} is no reason"),
    };
    gate.client().with_versions(versions, Some(&credential))
}

/// The same client with `certificate`, and without its key: what it signs is garbage.
pub fn unproven(
    client: &Client,
    versions: &[&'static SupportedProtocolVersion],
    certificate: CertificateDer<'static>,
) -> Client {
    let mut client = client.with_versions(versions, None);
    client.config.client_auth_cert_resolver = Arc::new(Unproven(certificate));
    client
}

#[derive(Debug)]
struct Unproven(CertificateDer<'static>);

impl ResolvesClientCert for Unproven {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::new(CertifiedKey::new(vec![self.0.clone()], Arc::new(Garbage))))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key that signs garbage. It says that it is a P-256 one: the scheme has to be one that the gate knows.
#[derive(Debug)]
struct Garbage;

impl SigningKey for Garbage {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Garbage {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Ok(vec![0; 64])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// An RSA key of 1024 bits. rustls can neither sign nor verify with one.
struct Rsa1024(Vec<u8>);

impl Rsa1024 {
    fn new() -> Self {
        // RSAPublicKey ::= SEQUENCE { modulus INTEGER of 129 bytes, publicExponent INTEGER 65537 }
        let modulus = [&[0x02, 0x81, 129, 0][..], &[0xc5; 128]].concat();
        let exponent = [0x02, 3, 1, 0, 1];
        let length = u8::try_from(modulus.len() + exponent.len()).unwrap();
        Self([&[0x30, 0x81, length], &*modulus, &exponent].concat())
    }
}

impl PublicKeyData for Rsa1024 {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}
