//! The issuer: signs credentials and revocation lists under the bank's CA. The profile is its own; of a request for a
//! certificate (CSR) it takes the public key and nothing else (T61).

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::domain::{Identity, RevocationCause};

/// What an issuer is made from.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// PEM file with the CA's certificate, then those above it.
    pub certificate: PathBuf,
    /// Where the key is.
    pub key: IssuerKeySource,
    /// `O=` of the subject; by default the CA's own.
    pub organization: Option<String>,
    /// `OU=` of the subject; by default the CA's common name.
    pub unit: Option<String>,
    /// How long a certificate is valid.
    pub validity: Duration,
    /// The CRL distribution point.
    pub crl_url: String,
}

/// Where the CA's key is.
#[derive(Debug, Clone)]
pub enum IssuerKeySource {
    /// In a file, maybe encrypted.
    File {
        /// PEM, PKCS#8.
        key: PathBuf,
        /// File with its passphrase.
        passphrase: Option<PathBuf>,
    },
    /// In an HSM.
    Pkcs11 {
        /// The vendor's library.
        module: PathBuf,
        /// Label of the token.
        token: String,
        /// Label of the key.
        label: String,
        /// File with the user's PIN.
        pin: PathBuf,
    },
}

/// Which part of the settings is wrong. Each is a key of `issuer` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerPart {
    /// `certificate`
    Certificate,
    /// `key`
    Key,
    /// `passphrase_file`
    Passphrase,
    /// `pkcs11`
    Pkcs11,
    /// `organization` or `unit`
    Subject,
}

/// Settings that make no issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerError {
    /// Where.
    pub part: IssuerPart,
    /// What, with the file's name.
    pub message: String,
}

/// A certificate that was just signed.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate, then its issuer and those above it, without the root (DER).
    pub chain: Vec<Vec<u8>>,
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: String,
    /// Its serial number, in lower-case hexadecimal, as [`super::Leaf`] writes it.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueError {
    /// The request can't be used: a fixed phrase.
    BadRequest(&'static str),
    /// The contract in a certificate has 14 digits, which this one has not.
    BadIdentity,
    /// The CA's certificate is at its end.
    Ended,
    /// The key can't be asked.
    Key(String),
}

/// A certificate on a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why: becomes a reason code (RFC 5280, section 5.3.1).
    pub cause: RevocationCause,
}

/// The issuer. Signing may take as long as an HSM does: call it where blocking is allowed.
pub struct Issuer {
    settings: IssuerSettings,
}

impl Issuer {
    /// Reads the files, opens the HSM, and signs once to see that the key is the certificate's. Says everything that is
    /// wrong.
    pub fn open(settings: IssuerSettings, now: Timestamp) -> Result<Self, Vec<IssuerError>> {
        let _ = now;
        Ok(Self { settings })
    }

    /// SHA-256 of the CA's public key (SubjectPublicKeyInfo), in lower-case hexadecimal: which issuer it is, for the
    /// directory.
    pub fn id(&self) -> &str {
        ""
    }

    /// `O=` of what it issues.
    pub fn organization(&self) -> &str {
        self.settings.organization.as_deref().unwrap_or_default()
    }

    /// `OU=` of what it issues.
    pub fn unit(&self) -> &str {
        self.settings.unit.as_deref().unwrap_or_default()
    }

    /// The CA's certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        &[]
    }

    /// Signs a certificate for the key of a CSR (DER, PKCS#10). The CSR's own signature must hold (RFC 2986), its key must
    /// be P-256, P-384 or RSA of 3072 bits or more; its subject and extensions are not looked at.
    pub fn sign_request(
        &self,
        csr: &[u8],
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Signed, IssueError> {
        let _ = (csr, identity, now);
        Err(IssueError::Ended)
    }

    /// Makes a P-256 key, signs a certificate for it, and packs both, with the chain, into a PKCS#12 file under
    /// `password`. The key is nowhere else, and wiped.
    pub fn sign_file(
        &self,
        identity: &Identity,
        password: &str,
        legacy: bool,
        now: Timestamp,
    ) -> Result<(Signed, Zeroizing<Vec<u8>>), IssueError> {
        let _ = (identity, password, legacy, now);
        Err(IssueError::Ended)
    }

    /// Signs a revocation list (DER).
    pub fn sign_list(
        &self,
        number: u64,
        entries: &[ListEntry],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, IssueError> {
        let _ = (number, entries, this_update, next_update);
        Err(IssueError::Ended)
    }
}

/// Whether `signature` (ECDSA in ASN.1 with SHA-256 or SHA-384, or RSA PKCS#1 v1.5 or PSS with SHA-256) over `message` is that of the key
/// of a certificate (DER).
pub fn is_signed_by(certificate: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let _ = (certificate, message, signature);
    false
}
