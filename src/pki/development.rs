//! A development PKI in a folder: one CA, what it issued, what it revoked. For trying out and testing, not for a bank.
//!
//! ```text
//! FOLDER/ca.pem         the CA's certificate: what a client or the gate trusts
//! FOLDER/ca.key         its key, readable by its owner only
//! FOLDER/ca.crl         the newest revocation list (PEM)
//! FOLDER/issued.json    what was issued and revoked, and the number of the newest list
//! ```
//!
//! Where issued certificates are put is their holder's business ([`Credential::write`]). Every file appears whole or
//! not at all, and a folder is one process's at a time: an open [`Authority`] holds its lock.

mod credential;
mod error;
pub(crate) mod files;
mod index;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::profile::{self, ClientProfile};
pub use super::serial::Serial;
use crate::domain::Identity;

pub use credential::{Credential, read_whole, stored_serial};
pub use error::Error;
pub use index::{Issued, Kind};
pub use words::{AuthorityName, FileStem, Password};

use index::Index;

/// Where a client certificate says that its revocation list is. Nobody serves it there: the gate reads configured
/// files only (a URL out of an unverified certificate would be a way to make it call anywhere).
const CRL_URL: &str = "http://crl.mihonbank.example/ca.crl";

/// Ten years, in days.
const AUTHORITY_DAYS: u32 = 3652;

/// What a CA does with a folder that holds one already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and say so.
    Keep,
    /// Make a new CA in its place. What the old one issued is worth nothing from then on.
    Replace,
}

/// The kind of key that a certificate is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// RSA with 3072 bits.
    Rsa3072,
}

/// What a revocation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The certificate was good until now.
    Done,
    /// It had been revoked at this time, which stays.
    AlreadyAt(Timestamp),
}

/// A revocation list that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    /// The file.
    pub path: PathBuf,
    /// Its number: each list has a larger one than the list before.
    pub number: u64,
    /// How many certificates it names.
    pub revoked: usize,
    /// When the next one is due.
    pub next_update: Timestamp,
}

/// A CA that is open for work.
pub struct Authority {
    folder: PathBuf,
    name: AuthorityName,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: Timestamp,
    index: Index,
    // Released when it is dropped.
    _lock: File,
}

impl Authority {
    /// The revocation list is due anew after so many days, unless told otherwise.
    pub const CRL_DAYS: u32 = 30;

    /// Makes a CA that is valid for ten years from `now`, with an empty revocation list.
    pub fn create(
        folder: &Path,
        name: &AuthorityName,
        existing: Existing,
        now: Timestamp,
    ) -> Result<Self, Error> {
        files::create_folder(folder)?;
        let lock = files::lock(folder)?;
        let taken = [folder.join("ca.key"), folder.join("ca.pem")].into_iter().find(|path| path.exists());
        if let (Existing::Keep, Some(path)) = (existing, taken) {
            return Err(Error::Exists(path));
        }
        let validity = profile::Validity::days(now, AUTHORITY_DAYS);
        let key = profile::key(KeyKind::EcdsaP256)?;
        let params = profile::authority(name, validity, &Serial::random()?);
        let certificate = params.self_signed(&key)?;
        let index = Index::new(certificate.der());
        // An interruption between any two of these leaves a folder that `open` refuses: key, certificate and index
        // are checked against each other.
        files::write_secret(&folder.join("ca.key"), key.serialize_pem().as_bytes())?;
        files::write_public(&folder.join("ca.pem"), certificate.pem().as_bytes())?;
        index.write(folder)?;
        let mut authority = Self {
            folder: folder.to_owned(),
            name: name.clone(),
            issuer: Issuer::new(params, key),
            certificate: certificate.into(),
            not_after: validity.not_after,
            index,
            _lock: lock,
        };
        authority.write_crl(Self::CRL_DAYS, now)?;
        Ok(authority)
    }

    /// Opens the CA in `folder`, and checks that its files belong together.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let certificate_path = folder.join("ca.pem");
        if !certificate_path.exists() {
            return Err(Error::Missing(certificate_path));
        }
        let lock = files::lock(folder)?;
        let (certificate, key) = credential::read_pair(&certificate_path, &folder.join("ca.key"))?;
        let broken = |why: &str| Error::Broken { path: certificate_path.clone(), why: why.to_owned() };
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| broken("not an X.509 certificate"))?;
        let name = AuthorityName::of(parsed.subject())
            .ok_or_else(|| broken("its subject is not one that `sekisho ca init` makes"))?;
        let serial = Serial::from_bytes(parsed.raw_serial())
            .ok_or_else(|| broken("its serial number is not positive"))?;
        let validity = profile::Validity::of(&parsed);
        let index = Index::read(folder)?;
        if !index.belongs_to(&certificate) {
            let why = "it is another CA's than that of ca.pem".to_owned();
            return Err(Error::Broken { path: Index::path(folder), why });
        }
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(profile::authority(&name, validity, &serial), key),
            name,
            not_after: validity.not_after,
            certificate,
            index,
            _lock: lock,
        })
    }

    /// Whose CA it is.
    pub const fn name(&self) -> &AuthorityName {
        &self.name
    }

    /// The end of its validity: nothing that it issues lasts longer.
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// What it issued, oldest first.
    pub fn issued(&self) -> &[Issued] {
        self.index.issued()
    }

    /// Issues a server certificate for host names, the first of which is also its common name.
    pub fn issue_server(
        &mut self,
        name: &FileStem,
        hosts: &[String],
        kind: KeyKind,
        days: u32,
        now: Timestamp,
    ) -> Result<Credential, Error> {
        let validity = self.validity(days, now)?;
        let serial = Serial::random()?;
        let params = profile::server(&self.name, hosts, validity, &serial)?;
        self.issue(&params, kind, Issued::new(serial, Kind::Server, name, &params, validity))
    }

    /// Issues a client certificate for a contract of 14 digits and its user.
    pub fn issue_client(
        &mut self,
        name: &FileStem,
        identity: &Identity,
        days: u32,
        now: Timestamp,
    ) -> Result<Credential, Error> {
        let validity = self.validity(days, now)?;
        let serial = Serial::random()?;
        let client = ClientProfile {
            organization: self.name.organization(),
            unit: self.name.generation(),
            crl_url: CRL_URL,
        };
        let params = profile::client(&client, identity, validity, &serial).ok_or_else(|| {
            let contract = &identity.contract;
            Error::Invalid(format!("the contract in a certificate has 14 digits, which `{contract}` has not"))
        })?;
        self.issue(&params, KeyKind::EcdsaP256, Issued::new(serial, Kind::Client, name, &params, validity))
    }

    /// Revokes a certificate. It is in the next revocation list: call [`Self::write_crl`].
    pub fn revoke(&mut self, serial: &Serial, now: Timestamp) -> Result<Revocation, Error> {
        let found =
            self.index.revoke(serial, profile::whole_seconds(now)).ok_or(Error::NotIssued(*serial))?;
        self.index.write(&self.folder)?;
        Ok(found)
    }

    /// Writes the revocation list anew, due again after `days`.
    pub fn write_crl(&mut self, days: u32, now: Timestamp) -> Result<Crl, Error> {
        let validity = profile::Validity::days(now, days);
        // Counted before the list exists: a number may be skipped, but is never given twice.
        let number = self.index.next_crl_number();
        self.index.write(&self.folder)?;
        let revoked_certs: Vec<_> = self.index.revoked().map(revoked_entry).collect();
        let revoked = revoked_certs.len();
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(1970, 1, 1) + profile::since_1970(validity.not_before),
            next_update: date_time_ymd(1970, 1, 1) + profile::since_1970(validity.not_after),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)?;
        let path = self.folder.join("ca.crl");
        files::write_public(&path, list.pem()?.as_bytes())?;
        Ok(Crl { path, number, revoked, next_update: validity.not_after })
    }

    fn validity(&self, days: u32, now: Timestamp) -> Result<profile::Validity, Error> {
        let wanted = profile::Validity::days(now, days);
        if wanted.not_before >= self.not_after {
            return Err(Error::Ended(self.not_after));
        }
        Ok(profile::Validity { not_after: wanted.not_after.min(self.not_after), ..wanted })
    }

    fn issue(
        &mut self,
        params: &CertificateParams,
        kind: KeyKind,
        entry: Issued,
    ) -> Result<Credential, Error> {
        let key = profile::key(kind)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        // Remembered before anybody holds it: what is out there can be revoked.
        self.index.push(entry.clone());
        self.index.write(&self.folder)?;
        Ok(Credential::new(entry, certificate, key, self.certificate.clone()))
    }
}

/// What was issued from `folder`, oldest first: reads the index only, and takes no lock.
pub fn list(folder: &Path) -> Result<Vec<Issued>, Error> {
    Ok(Index::read(folder)?.into_issued())
}

fn revoked_entry((serial, revoked_at): (&Serial, Timestamp)) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial.as_bytes()),
        revocation_time: date_time_ymd(1970, 1, 1) + profile::since_1970(revoked_at),
        reason_code: None,
        invalidity_date: None,
    }
}

#[cfg(test)]
mod tests;
