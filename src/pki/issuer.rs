//! The issuer: signs credentials and revocation lists under the bank's CA. The profile is its own; of a request for a
//! certificate (CSR) it takes the public key and nothing else (T61).

mod hsm;
mod key;
mod request;

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, KeyPair, PublicKeyData,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;
use x509_parser::extensions::ParsedExtension;
use zeroize::{Zeroize, Zeroizing};

use self::key::IssuerKey;
use super::authority::Authority;
use super::profile::{self, ClientProfile, Validity};
use super::serial::Serial;
use super::signature::ACCEPTED;
use super::{certificate, pem};
use crate::domain::{Identity, RevocationCause};
use crate::pkcs12;

/// So much a certificate is valid before it was issued: another gateway's clock, or the PC's, may be slow, and would find
/// it "not yet valid".
const SLOW_CLOCKS: SignedDuration = SignedDuration::from_hours(1);

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
    signer: rcgen::Issuer<'static, IssuerKey>,
    /// Its own certificate, then those above it.
    chain: Vec<CertificateDer<'static>>,
    id: String,
    organization: String,
    unit: String,
    crl_url: String,
    validity: SignedDuration,
    not_after: Timestamp,
    /// As the CA's certificate has it: a list that names its key otherwise isn't found by OpenSSL.
    key_identifier: KeyIdMethod,
}

/// SHA-256 of a SubjectPublicKeyInfo, in lower-case hexadecimal: which key it is, for the directory.
pub(super) fn key_id(public_key: &[u8]) -> String {
    hex(&Sha256::digest(public_key))
}

impl Issuer {
    /// Reads the files, opens the HSM, and signs once to see that the key is the certificate's. Says everything that is
    /// wrong.
    pub fn open(settings: IssuerSettings, now: Timestamp) -> Result<Self, Vec<IssuerError>> {
        let mut errors = Vec::new();
        let own = OwnCertificate::read(&settings, now).map_err(|error| errors.push(error)).ok();
        let key = IssuerKey::open(&settings.key, own.as_ref().map(|own| own.public_key.as_slice()))
            .map_err(|error| errors.push(error))
            .ok();
        let (Some(own), Some(key)) = (own, key) else { return Err(errors) };
        let blame = |part, message: &str| vec![IssuerError { part, message: message.to_owned() }];
        let file = settings.certificate.display();
        let signer = rcgen::Issuer::from_ca_cert_der(&own.chain[0], key).map_err(|_| {
            blame(IssuerPart::Certificate, &format!("{file}: its subject can't be taken over"))
        })?;
        let issuer = Self {
            signer,
            id: key_id(&own.public_key),
            organization: own.organization,
            unit: own.unit,
            crl_url: settings.crl_url,
            validity: SignedDuration::try_from(settings.validity).unwrap_or(SignedDuration::MAX),
            not_after: own.not_after,
            key_identifier: own.key_identifier,
            chain: own.chain,
        };
        issuer.try_out(now).map_err(|message| blame(own.key_part, &format!("{message} {file}")))?;
        Ok(issuer)
    }

    /// Signs a list that nobody gets, and looks whether it is the certificate's signature and name.
    fn try_out(&self, now: Timestamp) -> Result<(), String> {
        let soon = now.checked_add(SLOW_CLOCKS).unwrap_or(now);
        let list = self.sign_list(1, &[], now, soon).map_err(|error| match error {
            IssueError::Key(problem) => format!("{problem}; it should sign for"),
            _ => "the key can't sign for".to_owned(),
        })?;
        let authority = Authority::read(self.chain[0].clone()).map_err(str::to_owned)?;
        if authority.has_signed(&list) {
            Ok(())
        } else {
            Err("the key does not belong to the certificate in".to_owned())
        }
    }

    /// SHA-256 of the CA's public key (SubjectPublicKeyInfo), in lower-case hexadecimal: which issuer it is, for the
    /// directory.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `O=` of what it issues.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// `OU=` of what it issues.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The CA's certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        &self.chain[0]
    }

    /// Signs a certificate for the key of a CSR (DER, PKCS#10). The CSR's own signature must hold (RFC 2986), its key must
    /// be P-256, P-384 or RSA of 3072 bits or more; its subject and extensions are not looked at.
    pub fn sign_request(
        &self,
        request: &[u8],
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Signed, IssueError> {
        let key = request::key_of(request).map_err(IssueError::BadRequest)?;
        let (params, validity) = self.params(identity, now)?;
        self.sign(&params, &key, validity)
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
        let (params, validity) = self.params(identity, now)?;
        let failed = |error: rcgen::Error| IssueError::Key(error.to_string());
        let mut key = KeyPair::generate().map_err(failed)?;
        let signed = self.sign(&params, &key, validity)?;
        let private = Zeroizing::new(key.serialize_der());
        key.zeroize();
        let chain: Vec<&[u8]> = signed.chain.iter().map(Vec::as_slice).collect();
        let label = format!("{} {}", identity.contract, identity.user);
        let file = pkcs12::pack(&private, &chain, &label, password, legacy).map_err(IssueError::Key)?;
        Ok((signed, Zeroizing::new(file)))
    }

    /// Signs a revocation list (DER).
    pub fn sign_list(
        &self,
        number: u64,
        entries: &[ListEntry],
        this_update: Timestamp,
        next_update: Timestamp,
    ) -> Result<Vec<u8>, IssueError> {
        let date = |time| date_time_ymd(1970, 1, 1) + profile::since_1970(time);
        let broken = || IssueError::Key("a serial number of the directory is none".to_owned());
        let revoked_certs = entries
            .iter()
            .map(|entry| {
                let serial = Serial::parse(&entry.serial).ok_or_else(broken)?;
                Ok(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial.as_bytes()),
                    revocation_time: date(entry.at),
                    reason_code: Some(reason(entry.cause)),
                    invalidity_date: None,
                })
            })
            .collect::<Result<_, IssueError>>()?;
        let params = CertificateRevocationListParams {
            this_update: date(this_update),
            next_update: date(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: self.key_identifier.clone(),
        };
        let list = params.signed_by(&self.signer).map_err(|error| self.trouble(&error))?;
        Ok(list.der().to_vec())
    }

    fn params(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<(CertificateParams, Validity), IssueError> {
        let not_before = profile::whole_seconds(now.checked_sub(SLOW_CLOCKS).unwrap_or(now));
        let not_after = profile::whole_seconds(now.checked_add(self.validity).unwrap_or(self.not_after));
        if now >= self.not_after {
            return Err(IssueError::Ended);
        }
        let validity = Validity { not_before, not_after: not_after.min(self.not_after) };
        let serial = Serial::random().map_err(|error| IssueError::Key(error.to_string()))?;
        let (organization, unit, crl_url) = (&self.organization, &self.unit, &self.crl_url);
        let client = ClientProfile { organization, unit, crl_url };
        let params = profile::client(&client, identity, validity, &serial).ok_or(IssueError::BadIdentity)?;
        Ok((params, validity))
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        validity: Validity,
    ) -> Result<Signed, IssueError> {
        let certificate = params.signed_by(key, &self.signer).map_err(|error| self.trouble(&error))?;
        let der = certificate.der();
        let examined = certificate::examine(der)
            .map_err(|_| IssueError::Key("it signed what is no certificate".to_owned()))?;
        // The root is what the other side trusts: it has no use for a copy.
        let above = self.chain.iter().filter(|authority| !is_self_issued(authority));
        Ok(Signed {
            fingerprint: examined.leaf.fingerprint_hex(),
            serial: examined.leaf.serial,
            not_before: validity.not_before,
            not_after: validity.not_after,
            chain: std::iter::once(der).chain(above).map(|certificate| certificate.to_vec()).collect(),
        })
    }

    /// What the key itself said, which rcgen doesn't pass on.
    fn trouble(&self, error: &rcgen::Error) -> IssueError {
        IssueError::Key(self.signer.key().trouble().unwrap_or_else(|| error.to_string()))
    }
}

/// RFC 5280, section 5.3.1. A reissue says nothing of why: most replace a PC.
const fn reason(cause: RevocationCause) -> RevocationReason {
    match cause {
        RevocationCause::Reissued | RevocationCause::Superseded => RevocationReason::Superseded,
        RevocationCause::Withdrawn => RevocationReason::PrivilegeWithdrawn,
    }
}

/// The issuer's own certificate, looked at.
struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    /// SubjectPublicKeyInfo, DER.
    public_key: Vec<u8>,
    organization: String,
    unit: String,
    not_after: Timestamp,
    key_identifier: KeyIdMethod,
    /// Whom to blame if the key isn't its.
    key_part: IssuerPart,
}

impl OwnCertificate {
    fn read(settings: &IssuerSettings, now: Timestamp) -> Result<Self, IssuerError> {
        let file = settings.certificate.display();
        let blame = |problem: &str| IssuerError {
            part: IssuerPart::Certificate,
            message: format!("{file}: the certificate {problem}"),
        };
        let chain = pem::certificates(&settings.certificate)
            .map_err(|error| IssuerError { part: IssuerPart::Certificate, message: error.to_string() })?;
        let authority = Authority::read(chain[0].clone()).map_err(blame)?;
        if !authority.signs_crls() {
            return Err(blame("may not sign revocation lists: keyUsage lacks cRLSign"));
        }
        let validity = authority.validity();
        if now < validity.from || validity.until < now {
            return Err(blame("is not within its validity"));
        }
        let parsed = certificate::parse(&chain[0]).ok_or_else(|| blame("is not well-formed"))?;
        let of = |mut values: Box<dyn Iterator<Item = String> + '_>| values.next();
        let subject = parsed.subject();
        let text =
            |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().ok().map(str::to_owned);
        let organization = settings
            .organization
            .clone()
            .or_else(|| of(Box::new(subject.iter_organization().filter_map(text))));
        let unit =
            settings.unit.clone().or_else(|| of(Box::new(subject.iter_common_name().filter_map(text))));
        let (Some(organization), Some(unit)) = (organization, unit) else {
            return Err(IssuerError {
                part: IssuerPart::Subject,
                message: format!(
                    "{file}: its subject has no O or no CN: `organization` and `unit` must say what O and OU of the clients are"
                ),
            });
        };
        let key_part = match &settings.key {
            IssuerKeySource::File { .. } => IssuerPart::Key,
            IssuerKeySource::Pkcs11 { .. } => IssuerPart::Pkcs11,
        };
        let public_key = parsed.public_key().raw.to_vec();
        let named = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _ => None,
        });
        let key_identifier = named.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified);
        Ok(Self {
            key_identifier,
            public_key,
            organization,
            unit,
            not_after: validity.until,
            key_part,
            chain,
        })
    }
}

fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    certificate::parse(certificate)
        .is_some_and(|parsed| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// Whether `signature` (ECDSA in ASN.1 with SHA-256 or SHA-384, or RSA PKCS#1 v1.5 or PSS) over `message` is that of the
/// key of a certificate (DER).
pub fn is_signed_by(certificate: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let certificate = CertificateDer::from(certificate);
    let Ok(certificate) = EndEntityCert::try_from(&certificate) else { return false };
    ACCEPTED.iter().any(|algorithm| certificate.verify_signature(*algorithm, message, signature).is_ok())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
