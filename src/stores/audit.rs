//! The audit log: one JSON line per decision that matters, on disk before the decision takes effect, and chained to the
//! line before, so that nobody edits it unseen (T66).
//!
//! Every process of one machine appends to the same file. A lock on the head makes them take turns; whoever has it
//! reads the tail of the log anew and goes on from there (`append.rs`).

mod record;
mod chain;
mod key;
mod head;
mod segments;
mod append;
mod syslog;
mod verify;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use self::append::{Known, Order};
use self::head::Head;
pub use self::key::{AuditKey, AuditPublicKey};
pub use self::record::{AuditEvent, AuditRecord, AuditSubject, escaped};
pub use self::segments::audit_segments;
pub use self::syslog::Syslog;
pub use self::verify::{AuditReport, verify_audit};
use super::Unavailable;
use super::files::make_folder_of;

/// What an audit log is made of.
#[derive(Debug)]
pub struct AuditSettings {
    /// The file.
    pub file: PathBuf,
    /// What signs it.
    pub key: Option<AuditKey>,
    /// A record that would make the file larger begins a new one.
    pub segment: u64,
    /// Who gets copies.
    pub syslog: Option<Syslog>,
}

/// The log, opened to be appended to.
#[derive(Debug)]
pub struct AuditLog {
    settings: AuditSettings,
    /// What this process wrote last: an old log that is put back with its own old head deceives nobody who was there.
    known: Mutex<Option<Known>>,
}

impl AuditLog {
    /// Makes the files if they aren't there, readable by their owner alone.
    pub fn open(settings: AuditSettings) -> io::Result<Self> {
        make_folder_of(&settings.file)?;
        append::open(&settings.file)?;
        Head::lock(&settings.file)?;
        Ok(Self { settings, known: Mutex::default() })
    }

    /// Appends a line, or several, and waits until they are on disk. Blocks: call it from a thread that may.
    pub fn append(&self, lines: &[u8]) -> Result<(), Unavailable> {
        self.follow(&Order::Append(lines))
    }

    /// Begins a new segment with this record.
    pub fn rotate(&self, line: &[u8]) -> Result<(), Unavailable> {
        self.follow(&Order::Rotate(line))
    }

    /// Signs what was added since the log was last signed, if anything was, and writes down if the log isn't what it was.
    pub fn checkpoint(&self, now: Timestamp) -> Result<(), Unavailable> {
        self.follow(&Order::Checkpoint(now))
    }

    /// Has `lost` called for each record that the syslog server doesn't get.
    pub fn watch_syslog(&self, lost: impl Fn() + Send + Sync + 'static) {
        if let Some(syslog) = &self.settings.syslog {
            syslog.watch(Box::new(lost));
        }
    }

    fn follow(&self, order: &Order<'_>) -> Result<(), Unavailable> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        append::follow(&self.settings, &mut known, order).map_err(|error| Unavailable::new("audit", error))
    }
}

/// The file beside the log that says how far it has come.
pub fn audit_head(log: &Path) -> PathBuf {
    segments::beside(log, "head")
}

/// Whether anything is there to be verified.
pub fn is_audit_log(log: &Path) -> bool {
    fs::metadata(log).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests;
