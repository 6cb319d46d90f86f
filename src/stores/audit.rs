//! The audit log: one JSON line per decision that matters, on disk before the decision takes effect.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::Unavailable;
use super::files::make_folder_of;
use crate::domain::Identity;

/// One decision. Its text can't forge a line: everything is encoded as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent<'a> {
    /// When.
    pub time: Timestamp,
    /// What: `sign_in`, `sign_in_refused`, `sign_out`, `suspended`, `lifted`, `pin_changed`, …
    pub kind: &'static str,
    /// Whom it is about. Never IDs that nobody has: people type their PIN into the wrong field.
    #[serde(flatten)]
    pub identity: Option<&'a Identity>,
    /// Who did it: `user`, `gateway`, or `staff:` and the login name.
    pub by: &'a str,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The request's ID, as in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    /// Why, or how: a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

impl AuditEvent<'_> {
    /// The event as a line of the log.
    pub fn line(&self) -> Result<Vec<u8>, Unavailable> {
        let mut line = serde_json::to_vec(self).map_err(|error| Unavailable::new("audit", error))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The log, opened to be appended to. Shared by every process of one machine: a line is one write.
#[derive(Debug)]
pub struct AuditLog(Mutex<File>);

impl AuditLog {
    /// Opens the file, or makes it, readable by its owner alone.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_folder_of(path)?;
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Appends a line, or several, and waits until they are on disk. Blocks: call it from a thread that may.
    pub fn append(&self, lines: &[u8]) -> Result<(), Unavailable> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write(&file, lines).and_then(|()| file.sync_data()).map_err(|error| Unavailable::new("audit", error))
    }
}

/// A record that a full disk or a power cut left half written spoils no other: what follows has a line of its own.
fn write(mut file: &File, lines: &[u8]) -> io::Result<()> {
    let mut last = [b'\n'];
    if let Some(end) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut last, end)?;
    }
    if last == *b"\n" { file.write_all(lines) } else { file.write_all(&[b"\n", lines].concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_record_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/audit.log");
        let log = AuditLog::open(&path).unwrap();
        log.append(b"{1}\n").unwrap();
        // What a full disk leaves behind of a record.
        std::fs::write(&path, b"{1}\n{2").unwrap();
        log.append(b"{3}\n").unwrap();
        AuditLog::open(&path).unwrap().append(b"{4}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{1}\n{2\n{3}\n{4}\n");
    }
}
