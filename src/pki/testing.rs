//! Certificates, CRLs and files for the tests of this room, made in code.

mod forge;
pub(crate) mod ocsp;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SigningKey, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::{AuthoritySource, Trust, TrustError, TrustSource, Validity, der};

pub(crate) use forge::{Forged, crl_pem, extension, pem, tlv};

/// What a test does to a certificate before it is signed.
pub(crate) type Change = fn(&mut CertificateParams);

/// A common name of the default form.
pub(crate) const CN: &str = "12345678901234 user01";
/// The default form.
pub(crate) const FORM: &str = "(?<contract>[0-9]{14}) (?<user>[0-9A-Za-z]{1,30})";

/// A time, as RFC 3339 has it.
pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// The time at which all is well.
pub(crate) fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

/// The validity of a leaf, unless a test changes it.
pub(crate) fn validity() -> Validity {
    Validity { from: at("2026-01-01T00:00:00Z"), until: at("2027-01-01T00:00:00Z") }
}

/// A CA with its key.
pub(crate) struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub(crate) fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (ca_params(name, change), KeyPair::generate().unwrap());
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, der }
    }

    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    pub(crate) fn intermediate_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = (ca_params(name, change), KeyPair::generate().unwrap());
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().clone();
        Self { params, key, der }
    }

    /// The same CA (name and key) under another certificate.
    pub(crate) fn again(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::try_from(self.key.serialize_der()).unwrap();
        let mut params = self.params.clone();
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { params, key, der }
    }

    /// A client's certificate with everything as it should be.
    pub(crate) fn leaf(&self, common_name: &str) -> CertificateDer<'static> {
        self.leaf_with(common_name, |_| {})
    }

    pub(crate) fn leaf_with(
        &self,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        self.client(common_name, change).0
    }

    /// A client's certificate and its key.
    pub(crate) fn client(
        &self,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (self.leaf_for(&key, common_name, change), key)
    }

    /// A client's certificate for a key that is there already.
    pub(crate) fn leaf_for(
        &self,
        key: &KeyPair,
        common_name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = params(common_name);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.serial_number = Some(SerialNumber::from(0x0abc_u64));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        params.signed_by(key, &self.issuer()).unwrap().der().clone()
    }

    /// A server's certificate and key, in PEM.
    pub(crate) fn server(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.not_after = date_time_ymd(2027, 1, 1);
        let pem = params.signed_by(&key, &self.issuer()).unwrap().pem();
        (pem, key.serialize_pem())
    }

    /// A CRL in force from May to July that names these serials.
    pub(crate) fn crl(&self, number: u64, serials: &[u64]) -> Vec<u8> {
        self.crl_with(number, serials, |_| {})
    }

    pub(crate) fn crl_with(
        &self,
        number: u64,
        serials: &[u64],
        change: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> Vec<u8> {
        let mut params = crl_params(number, serials);
        change(&mut params);
        // rcgen won't sign with a CA that may not; the tests want such lists, too.
        let mut issuer = self.params.clone();
        issuer.key_usages.push(KeyUsagePurpose::CrlSign);
        params.signed_by(&Issuer::from_params(&issuer, &self.key)).unwrap().der().to_vec()
    }

    /// Takes something signed apart, has it changed, and signs it anew with the key of this CA.
    pub(crate) fn forge(&self, signed: &[u8], change: impl FnOnce(&mut Forged)) -> Vec<u8> {
        let mut forged = Forged::of(signed);
        change(&mut forged);
        forged.signed(|message| self.key.sign(message).unwrap())
    }

    /// A leaf with another subject: the content of a Name.
    pub(crate) fn leaf_named(&self, name: &[u8]) -> CertificateDer<'static> {
        self.forge(&self.leaf(CN), |forged| forged.fields[Forged::SUBJECT] = tlv(der::SEQUENCE, name)).into()
    }

    /// A leaf with another public key: a whole SubjectPublicKeyInfo.
    pub(crate) fn leaf_with_key(&self, key: &[u8]) -> CertificateDer<'static> {
        self.forge(&self.leaf(CN), |forged| forged.fields[Forged::KEY] = key.to_vec()).into()
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(crate) fn pem(&self) -> String {
        pem(&self.der)
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A directory that goes away.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// The files that a trust is loaded from.
pub(crate) struct Source {
    folder: Folder,
    pub(crate) authorities: Vec<AuthoritySource>,
    pub(crate) crls: Option<Vec<PathBuf>>,
    pub(crate) common_name: String,
    pub(crate) grace: Duration,
}

impl Source {
    /// One file per authority, no revocation.
    pub(crate) fn of(authorities: &[&Ca]) -> Self {
        let folder = Folder::new();
        let authorities = authorities
            .iter()
            .enumerate()
            .map(|(index, ca)| folder.file(&format!("ca-{index}.pem"), ca.pem()).into())
            .collect();
        Self { folder, authorities, crls: None, common_name: FORM.to_owned(), grace: Duration::ZERO }
    }

    /// With these revocation lists.
    pub(crate) fn with_crls(mut self, crls: &[Vec<u8>]) -> Self {
        let file = |(index, crl)| self.folder.file(&format!("{index}.crl"), crl);
        self.crls = Some(crls.iter().enumerate().map(file).collect());
        self
    }

    pub(crate) fn source(&self) -> TrustSource<'_> {
        TrustSource {
            authorities: &self.authorities,
            common_name: &self.common_name,
            crls: self.crls.as_deref(),
            grace: self.grace,
        }
    }

    pub(crate) fn load_at(&self, now: Timestamp) -> Result<Trust, Vec<TrustError>> {
        Trust::load(&self.source(), now)
    }

    pub(crate) fn load(&self) -> Trust {
        self.load_at(now()).unwrap()
    }

    /// The messages of the errors, without the folder's name.
    pub(crate) fn errors_at(&self, now: Timestamp) -> Vec<String> {
        self.messages(self.load_at(now).unwrap_err())
    }

    pub(crate) fn messages(&self, errors: Vec<TrustError>) -> Vec<String> {
        let folder = format!("{}/", self.folder.0.path().display());
        errors
            .into_iter()
            .map(|error| format!("{:?} {}", error.part, error.message.replace(&folder, "")))
            .collect()
    }
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Mihon Bank");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn ca_params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = params(name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    params
}

fn crl_params(number: u64, serials: &[u64]) -> CertificateRevocationListParams {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 4, 1),
        reason_code: None,
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 5, 1),
        next_update: date_time_ymd(2026, 7, 1),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    }
}
