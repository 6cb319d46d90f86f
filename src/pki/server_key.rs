//! The gateway's own certificate chain and key for one host, loaded together and checked to belong together.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::certificate::parse;
use super::ocsp::Staple;
use super::pem::{self, FileError};
use super::validity::Validity;

/// A server certificate with its chain and its key.
#[derive(Debug, Clone)]
pub struct ServerKey {
    /// What rustls needs to answer a handshake.
    pub certified: Arc<CertifiedKey>,
    /// The same with an OCSP response, if there is a good one.
    pub stapled: Stapled,
    /// The last second of the certificate's validity.
    pub not_after: Timestamp,
    /// The kind of its key, as the metrics call it: `ecdsa`, `ed25519` or `rsa`.
    pub algorithm: &'static str,
    /// The DNS names and IP addresses of its subjectAltName, for people. To compare, use [`ServerKey::covers`].
    pub names: Vec<String>,
}

/// What is stapled to a certificate. It may change while the certificate is served: clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stapled(Arc<ArcSwapOption<CertifiedUntil>>);

#[derive(Debug)]
struct CertifiedUntil {
    certified: Arc<CertifiedKey>,
    until: Timestamp,
}

impl ServerKey {
    /// Has this response stapled from now on, as long as it is good.
    pub fn staple(&self, staple: Staple) {
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.ocsp = Some(staple.der);
        let stapled = CertifiedUntil { certified: Arc::new(certified), until: staple.until };
        self.stapled.0.store(Some(Arc::new(stapled)));
    }

    /// Has none stapled from now on.
    pub fn unstaple(&self) {
        self.stapled.0.store(None);
    }

    /// What to answer a handshake with at `now`.
    pub fn to_serve(&self, now: Timestamp) -> Arc<CertifiedKey> {
        match &*self.stapled.0.load() {
            Some(stapled) if now < stapled.until => Arc::clone(&stapled.certified),
            _ => Arc::clone(&self.certified),
        }
    }

    /// Until when the response that is stapled is good, if there is one.
    pub fn stapled_until(&self) -> Option<Timestamp> {
        self.stapled.0.load().as_ref().map(|stapled| stapled.until)
    }

    /// Whether a browser would take the certificate for this host: wildcards count, the common name doesn't.
    pub fn covers(&self, host: &str) -> bool {
        let Ok(host) = ServerName::try_from(host) else { return false };
        self.certified
            .cert
            .first()
            .and_then(|leaf| EndEntityCert::try_from(leaf).ok())
            .is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(&host).is_ok())
    }
}

/// Which of the two files is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKeyPart {
    /// The file with the certificate chain.
    Certificate,
    /// The file with the private key.
    Key,
}

/// A certificate and key that can't be used, and which of the files is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeyError {
    /// The file at fault.
    pub part: ServerKeyPart,
    /// What is wrong, with the file's name.
    pub message: String,
}

impl fmt::Display for ServerKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ServerKeyError {}

/// Loads a chain (the server's own certificate first) and the key that belongs to it.
pub fn server_key(certificate_file: &Path, key_file: &Path) -> Result<ServerKey, ServerKeyError> {
    let blame = |part| move |error: FileError| ServerKeyError { part, message: error.to_string() };
    let (of_certificate, of_key) = (blame(ServerKeyPart::Certificate), blame(ServerKeyPart::Key));

    let chain = pem::certificates(certificate_file).map_err(of_certificate)?;
    for (index, certificate) in chain.iter().enumerate() {
        if EndEntityCert::try_from(certificate).is_err() {
            let problem =
                format!("certificate {} in it is not a well-formed X.509 v3 certificate", index + 1);
            return Err(of_certificate(FileError::new(certificate_file, problem)));
        }
    }
    let (not_after, names) = describe(&chain).ok_or_else(|| {
        of_certificate(FileError::new(certificate_file, "its first certificate cannot be read"))
    })?;

    let key = pem::private_key(key_file).map_err(of_key)?;
    let key = any_supported_type(&key).map_err(|_| {
        of_key(FileError::new(
            key_file,
            "the private key is broken, too weak or of a kind that TLS does not use",
        ))
    })?;
    let certified = CertifiedKey::new(chain, key);
    if certified.keys_match().is_err() {
        let later = certified.cert.iter().skip(1).any(|certificate| {
            CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
        });
        let certificate = certificate_file.display();
        return Err(if later {
            of_certificate(FileError::new(
                certificate_file,
                "the server's own certificate has to come first in it",
            ))
        } else {
            of_key(FileError::new(
                key_file,
                format!("the key does not belong to the certificate in {certificate}"),
            ))
        });
    }
    if !proves_itself(&certified) {
        return Err(of_key(FileError::new(
            key_file,
            "a signature made with the key does not verify with the certificate",
        )));
    }
    let algorithm = match certified.key.algorithm() {
        SignatureAlgorithm::RSA => "rsa",
        SignatureAlgorithm::ED25519 => "ed25519",
        _ => "ecdsa",
    };
    Ok(ServerKey { certified: Arc::new(certified), stapled: Stapled::default(), not_after, algorithm, names })
}

/// Whether the key signs what the certificate verifies: the same as clients will see, before the first of them does.
fn proves_itself(certified: &CertifiedKey) -> bool {
    let algorithms = default_provider().signature_verification_algorithms;
    let message = b"Does this key serve?";
    let Some(leaf) = certified.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok()) else {
        return false;
    };
    let Some(signer) = certified.key.choose_scheme(&algorithms.supported_schemes()) else { return false };
    let Ok(signature) = signer.sign(message) else { return false };
    let verifying = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signer.scheme());
    verifying
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| leaf.verify_signature(*algorithm, message, &signature).is_ok())
}

fn describe(chain: &[CertificateDer<'static>]) -> Option<(Timestamp, Vec<String>)> {
    let leaf = parse(chain.first()?)?;
    Some((Validity::of(leaf.validity()).until, names(&leaf)))
}

fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| IpAddr::from(octets).to_string()),
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{Ca, Folder, validity};

    #[test]
    fn a_chain_with_its_key_is_loaded_and_says_whom_it_covers_and_until_when() {
        let folder = Folder::new();
        let ca = Ca::root("Mihon Bank CA");
        let (pem, key) = ca.server(&["cert.mihonbank.example", "*.mihonbank.test", "192.0.2.1"]);
        let certificate = folder.file("a.pem", pem + &ca.pem());
        let loaded = server_key(&certificate, &folder.file("a.key", key)).unwrap();
        assert_eq!(loaded.names, ["cert.mihonbank.example", "*.mihonbank.test", "192.0.2.1"]);
        assert_eq!(loaded.not_after, validity().until);
        assert_eq!(loaded.certified.cert.len(), 2);
        for (host, covered) in [
            ("cert.mihonbank.example", true),
            ("CERT.mihonbank.example", true),
            ("www.mihonbank.test", true),
            ("192.0.2.1", true),
            ("a.b.mihonbank.test", false),
            ("mihonbank.example", false),
            ("not a name", false),
        ] {
            assert_eq!(loaded.covers(host), covered, "{host}");
        }
    }

    #[test]
    fn the_file_at_fault_is_named() {
        let folder = Folder::new();
        let ca = Ca::root("Mihon Bank CA");
        let (pem, key) = ca.server(&["cert.mihonbank.example"]);
        let (_, other_key) = ca.server(&["www.mihonbank.example"]);
        let cases = [
            (&pem, "", ServerKeyPart::Key, "it is empty".to_owned()),
            (&String::new(), &key, ServerKeyPart::Certificate, "it is empty".to_owned()),
            (&pem, &pem, ServerKeyPart::Key, "there is no private key in it, but a certificate".to_owned()),
            (
                &pem,
                &other_key,
                ServerKeyPart::Key,
                format!("the key does not belong to the certificate in {}", folder.path("a.pem").display()),
            ),
            (
                &(ca.pem() + &pem),
                &key,
                ServerKeyPart::Certificate,
                "the server's own certificate has to come first in it".to_owned(),
            ),
            (
                &(pem.clone() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                &key,
                ServerKeyPart::Certificate,
                "certificate 2 in it is not a well-formed X.509 v3 certificate".to_owned(),
            ),
            (
                &pem,
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                ServerKeyPart::Key,
                "the private key is broken, too weak or of a kind that TLS does not use".to_owned(),
            ),
        ];
        for (certificate, key, part, problem) in cases {
            let (certificate, key) = (folder.file("a.pem", certificate), folder.file("a.key", key));
            let file = if part == ServerKeyPart::Key { &key } else { &certificate };
            let message = format!("{}: {problem}", file.display());
            assert_eq!(server_key(&certificate, &key).map(drop), Err(ServerKeyError { part, message }));
        }
    }
}
