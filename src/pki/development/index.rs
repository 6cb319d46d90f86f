//! `issued.json`: what the CA issued and revoked. It belongs to one CA and says which.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, DnValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::profile::Validity;
use super::{Error, FileStem, Revocation, Serial, files};

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A server's.
    Server,
    /// A client's.
    Client,
}

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// Whose it is.
    pub kind: Kind,
    /// The stem of its files.
    pub name: String,
    /// Its subject, such as `O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka`.
    pub subject: String,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Issued {
    pub(super) fn new(
        serial: Serial,
        kind: Kind,
        name: &FileStem,
        params: &CertificateParams,
        validity: Validity,
    ) -> Self {
        let Validity { not_before, not_after } = validity;
        let (name, subject) = (name.to_string(), subject(params));
        Self { serial, kind, name, subject, not_before, not_after, revoked_at: None }
    }
}

/// The whole file.
#[derive(Serialize, Deserialize)]
pub(super) struct Index {
    /// SHA-256 of the CA's certificate.
    authority: String,
    /// Of the newest revocation list; 0 before the first.
    crl_number: u64,
    issued: Vec<Issued>,
}

impl Index {
    pub(super) fn new(authority: &[u8]) -> Self {
        Self { authority: fingerprint(authority), crl_number: 0, issued: Vec::new() }
    }

    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("issued.json")
    }

    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = Self::path(folder);
        if !path.exists() {
            return Err(Error::Missing(path));
        }
        serde_json::from_str(&files::read(&path)?)
            .map_err(|error| Error::Broken { path, why: format!("not an index of certificates: {error}") })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let mut text =
            serde_json::to_string_pretty(self).map_err(|error| Error::Invalid(error.to_string()))?;
        text.push('\n');
        files::write_public(&Self::path(folder), text.as_bytes())
    }

    pub(super) fn belongs_to(&self, authority: &[u8]) -> bool {
        self.authority == fingerprint(authority)
    }

    pub(super) fn issued(&self) -> &[Issued] {
        &self.issued
    }

    pub(super) fn into_issued(self) -> Vec<Issued> {
        self.issued
    }

    pub(super) fn push(&mut self, entry: Issued) {
        self.issued.push(entry);
    }

    /// None if there is no such certificate.
    pub(super) fn revoke(&mut self, serial: &Serial, now: Timestamp) -> Option<Revocation> {
        let entry = self.issued.iter_mut().find(|entry| entry.serial == *serial)?;
        Some(match entry.revoked_at {
            Some(since) => Revocation::AlreadyAt(since),
            None => {
                entry.revoked_at = Some(now);
                Revocation::Done
            }
        })
    }

    /// Revoked certificates stay listed after they ended: short lists are no concern here, and a clock that is set
    /// back must not revive one.
    pub(super) fn revoked(&self) -> impl Iterator<Item = (&Serial, Timestamp)> {
        self.issued.iter().filter_map(|entry| Some((&entry.serial, entry.revoked_at?)))
    }

    pub(super) fn next_crl_number(&mut self) -> u64 {
        self.crl_number += 1;
        self.crl_number
    }
}

fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn subject(params: &CertificateParams) -> String {
    let part = |(kind, value): (&DnType, &DnValue)| {
        let kind = match kind {
            DnType::OrganizationName => "O",
            DnType::OrganizationalUnitName => "OU",
            DnType::CommonName => "CN",
            _ => "?",
        };
        match value {
            DnValue::Utf8String(text) => format!("{kind}={text}"),
            _ => format!("{kind}=?"),
        }
    };
    params.distinguished_name.iter().map(part).collect::<Vec<_>>().join(", ")
}
