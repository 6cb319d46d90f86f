//! Holding what was issued against what was permitted: the audit logs of all gateways against the directory. Whoever
//! signs with a stolen key, or writes into the directory, leaves one without the other (T65).

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Identity;
use crate::stores::CredentialRecord;

/// The lines of audit logs, as far as they are about issuing.
#[derive(Debug, Default)]
pub struct AuditTrail {
    /// Serial numbers that were signed.
    issued: HashMap<String, Identity>,
    /// Serial numbers that were signed elsewhere, and that bank staff have registered.
    added: HashMap<String, Identity>,
    /// Serial numbers that were signed and came to nothing.
    dropped: HashSet<String>,
    /// When somebody was permitted a certificate.
    permits: HashMap<Identity, Vec<Timestamp>>,
    /// How many lines were read.
    pub lines: u64,
    /// How many of them are no records.
    pub unreadable: u64,
}

/// What of a record matters here.
#[derive(Deserialize)]
struct Record {
    time: Timestamp,
    kind: String,
    #[serde(flatten)]
    identity: Option<Identity>,
    detail: Option<String>,
}

/// What doesn't fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discrepancy {
    /// The directory has it as issued here, and no audit log does: a log is missing, or somebody wrote into the
    /// directory.
    NotAudited,
    /// An audit log has it, and the directory doesn't: a gateway died between the two, and nobody got it; or somebody took it
    /// out of the directory.
    NotRegistered,
    /// It is no renewal, and nobody had permitted it when it was issued.
    NotPermitted,
}

/// A certificate that doesn't fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whose it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// What doesn't fit.
    pub discrepancy: Discrepancy,
}

impl AuditTrail {
    /// Takes in a line of an audit log.
    pub fn read(&mut self, line: &str) {
        self.lines += 1;
        let Ok(Record { time, kind, identity, detail }) = serde_json::from_str(line) else {
            self.unreadable += 1;
            return;
        };
        match (kind.as_str(), identity, detail) {
            ("credential_issued", Some(identity), Some(serial)) => {
                self.issued.insert(serial, identity);
            }
            ("credential_registered", Some(identity), Some(serial)) => {
                self.added.insert(serial, identity);
            }
            ("credential_not_registered", _, Some(serial)) => {
                self.dropped.insert(serial);
            }
            ("permitted" | "reissued", Some(identity), _) => {
                self.permits.entry(identity).or_default().push(time);
            }
            _ => {}
        }
    }

    /// What doesn't fit, by serial number.
    pub fn hold_against(&self, credentials: &[CredentialRecord]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |identity: &Identity, serial: &str, discrepancy| {
            findings.push(Finding { identity: identity.clone(), serial: serial.to_owned(), discrepancy });
        };
        let mut registered = HashSet::new();
        for record in credentials {
            let (identity, serial) = (&record.credential.identity, &record.credential.serial);
            registered.insert(serial);
            if self.added.get(serial) == Some(identity) {
                continue;
            }
            if self.issued.get(serial) != Some(identity) {
                find(identity, serial, Discrepancy::NotAudited);
            }
            // Both are written in whole seconds at the least, and by clocks of their own.
            let before = |at: &Timestamp| at.as_second() <= record.registered_at.as_second();
            let permitted = self.permits.get(identity).is_some_and(|permits| permits.iter().any(before));
            if record.renews.is_none() && !permitted {
                find(identity, serial, Discrepancy::NotPermitted);
            }
        }
        for (serial, identity) in &self.issued {
            if !registered.contains(serial) && !self.dropped.contains(serial) {
                find(identity, serial, Discrepancy::NotRegistered);
            }
        }
        findings.sort_by(|a, b| a.serial.cmp(&b.serial));
        findings
    }
}
