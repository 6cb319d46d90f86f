//! The head: a small file beside the log that says how far it has come. Without it nobody could tell a log whose last
//! records were cut off from one that never had them. It is also what the writers lock.
//!
//! It is written after the log is on disk, in place, and not waited for: after a crash it may be behind the log, never
//! ahead of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::audit_head;
use super::chain::Link;
use super::key::AuditKey;

/// Longer than any head: it never changes its size, so that one write replaces it.
const SIZE: usize = 512;

/// What was in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: it was made just now.
    New,
    /// No head.
    Damaged,
    /// The last record.
    Good(Link),
}

/// The head, locked.
#[derive(Debug)]
pub(super) struct Head {
    file: File,
    pub(super) found: Found,
    pub(super) signature: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(flatten)]
    link: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

impl Text {
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let width = SIZE - 1;
        Ok(format!("{:<width$}\n", serde_json::to_string(self)?).into_bytes())
    }

    /// Only what is written here, to the byte.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text: Self = serde_json::from_slice(bytes).ok()?;
        text.bytes().is_ok_and(|again| again == bytes).then_some(text)
    }
}

impl Head {
    /// Waits for its turn.
    pub(super) fn lock(log: &Path) -> io::Result<Self> {
        let path = audit_head(log);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            file.lock()?;
            // Whoever waited for a file that was taken away would write beside everybody else.
            let (ours, theirs) = (file.metadata()?, std::fs::metadata(&path));
            if theirs.is_ok_and(|theirs| (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino())) {
                return Self::read(file);
            }
        }
    }

    /// For a reader, who makes nothing. Writers wait until it is dropped.
    pub(super) fn look(log: &Path) -> io::Result<Self> {
        let file = File::open(audit_head(log))?;
        file.lock_shared()?;
        Self::read(file)
    }

    fn read(file: File) -> io::Result<Self> {
        let mut bytes = Vec::new();
        (&file).take(SIZE as u64 + 1).read_to_end(&mut bytes)?;
        let (found, signature) = match Text::read(&bytes) {
            Some(Text { link, signature }) => (Found::Good(link), signature),
            None if bytes.is_empty() => (Found::New, None),
            None => (Found::Damaged, None),
        };
        Ok(Self { file, found, signature })
    }

    pub(super) fn write(&self, link: &Link, key: Option<&AuditKey>) -> io::Result<()> {
        let signature = key.map(|key| key.sign(link)).transpose()?;
        let bytes = Text { link: link.clone(), signature }.bytes()?;
        self.file.write_all_at(&bytes, 0)?;
        // One that somebody has lengthened would stay damaged.
        if self.found == Found::Damaged { self.file.set_len(bytes.len() as u64) } else { Ok(()) }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
