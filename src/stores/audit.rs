//! The audit log: one JSON line per decision that matters, on disk before the decision takes effect, and chained to the
//! line before, so that nobody edits it unseen (T66).
//!
//! Every process of one machine appends to the same file. A lock on the head makes them take turns; whoever has it
//! reads the tail of the log anew and goes on from there.

mod record;
mod chain;
mod key;
mod head;
mod segments;
mod syslog;
mod verify;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::chain::{Link, Tail};
use self::head::{Found, Head};
pub use self::key::{AuditKey, AuditPublicKey};
use self::record::Own;
pub use self::record::{AuditEvent, AuditRecord, escaped};
pub use self::segments::audit_segments;
pub use self::syslog::Syslog;
pub use self::verify::{AuditReport, verify_audit};
use super::Unavailable;
use super::files::make_folder_of;

/// After so many records the log says with its signature how far it has come, so that a segment can be believed
/// without its head.
const CHECKPOINT: u64 = 1000;

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
pub struct AuditLog(AuditSettings);

impl AuditLog {
    /// Makes the files if they aren't there, readable by their owner alone.
    pub fn open(settings: AuditSettings) -> io::Result<Self> {
        make_folder_of(&settings.file)?;
        open(&settings.file)?;
        Head::lock(&settings.file)?;
        Ok(Self(settings))
    }

    /// Appends a line, or several, and waits until they are on disk. Blocks: call it from a thread that may.
    pub fn append(&self, lines: &[u8]) -> Result<(), Unavailable> {
        self.write(lines, false).map_err(|error| Unavailable::new("audit", error))
    }

    /// Begins a new segment with this record.
    pub fn rotate(&self, line: &[u8]) -> Result<(), Unavailable> {
        self.write(line, true).map_err(|error| Unavailable::new("audit", error))
    }

    fn write(&self, lines: &[u8], rotate: bool) -> io::Result<()> {
        let AuditSettings { file: path, key, segment, syslog } = &self.0;
        let head = Head::lock(path)?;
        let mut file = open(path)?;
        let size = file.metadata()?.len();
        let mut tail = chain::tail(&file)?;
        let mut previous = None;
        let full = size + lines.len() as u64 > *segment;
        if let Some(tail) = &tail
            && (rotate || full)
            && tail.ended
        {
            match segments::put_away(path) {
                Ok(name) => {
                    file = open(path)?;
                    previous = Some(name);
                }
                // The record matters more than the size of its file.
                Err(error) => tracing::error!(%error, "The audit log can't begin a new segment"),
            }
        }
        // A gateway that died between putting a segment away and writing into the new one.
        if tail.is_none()
            && let Some(last) = segments::put_away_last(path)?
        {
            tail = chain::tail(&File::open(&last)?)?;
            previous = last.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        if head.found == Found::New && tail.is_none() {
            // From now on a log without a head is one that lost it.
            head.write(&Link::GENESIS, key.as_ref())?;
            head.sync()?;
        }
        let (mut link, trouble) = go_on(&file, &head.found, tail.as_ref())?;
        let time = record::time_of(lines).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut chained = Vec::with_capacity(lines.len() + 512);
        if previous.is_none() && tail.as_ref().is_some_and(|tail| !tail.ended) {
            chained.push(b'\n');
        }
        let begin = chained.len();
        let mut put = |line: &[u8], link: &mut Link| {
            *link = record::chain(line, link, &mut chained);
        };
        if let Some(name) = &previous {
            let mut opened = Own::new(time, "segment_opened");
            opened.previous = Some(name);
            put(&opened.line(&link, key.as_ref())?, &mut link);
        }
        if let Some(kind) = trouble {
            put(&Own::new(time, kind).line(&link, None)?, &mut link);
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            put(line, &mut link);
            if link.seq.is_multiple_of(CHECKPOINT) {
                put(&Own::new(time, "checkpoint").line(&link, key.as_ref())?, &mut link);
            }
        }
        file.write_all(&chained)?;
        file.sync_data()?;
        if size == 0 || previous.is_some() {
            File::open(make_folder_of(path)?)?.sync_all()?;
        }
        head.write(&link, key.as_ref())?;
        if let Some(syslog) = syslog {
            chained[begin..]
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .for_each(|line| syslog.send(time, line));
        }
        Ok(())
    }
}

/// Opened by name for each append: whoever else appends may have begun a new segment.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// What the next record is chained to, and what has to be said first of how head and log go together. Nothing that is
/// wrong stops the log; it stays to be seen.
fn go_on(file: &File, head: &Found, tail: Option<&Tail>) -> io::Result<(Link, Option<&'static str>)> {
    let at_end = tail.map_or(Link::GENESIS, |tail| tail.link.clone());
    Ok(match (head, tail) {
        (Found::New, None) => (at_end, None),
        (Found::New | Found::Damaged, _) => (at_end, Some("audit_head_lost")),
        (Found::Good(head), None) if *head == Link::GENESIS => (at_end, None),
        (Found::Good(head), Some(tail)) if *head == tail.record => (at_end, None),
        // A crash came between record and head, or somebody wrote without it.
        (Found::Good(head), Some(tail)) if head.seq < tail.record.seq && chain::holds(file, head)? => {
            (at_end, Some("audit_head_behind"))
        }
        // What the head knows of isn't there. Chained to the head, the gap can't be closed again.
        (Found::Good(head), _) => (head.clone(), Some("audit_log_cut")),
    })
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
