//! The chain: what a record is chained to, and where a file's chain ends.
//!
//! `prev` is the hash of all that stands between the last record's beginning and this one's, less the line end. Usually that is
//! one line; whatever a power cut left half written is covered with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::record::AuditRecord;

/// How far a log has come: the number of its last record, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl Link {
    /// What the first record is chained to.
    pub(super) const GENESIS: Self = Self { seq: 0, hash: String::new() };
}

/// Where a file ends.
#[derive(Debug)]
pub(super) struct Tail {
    /// The last record.
    pub(super) record: Link,
    /// What it is a record of.
    pub(super) kind: String,
    /// What the next is chained to: the record, and what stands behind it half written.
    pub(super) link: Link,
    /// Whether the last line has an end.
    pub(super) ended: bool,
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks for the last record from behind, in ever larger pieces. `None` of an empty file.
pub(super) fn tail(file: &File) -> io::Result<Option<Tail>> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(None);
    }
    let mut window = 16 << 10;
    loop {
        let from = size.saturating_sub(window);
        let bytes = read(file, from, size)?;
        let ended = bytes.ends_with(b"\n");
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let mut end = whole.len();
        loop {
            let start = whole[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            // A line whose beginning isn't in the piece is none.
            if start == 0 && from > 0 {
                break;
            }
            if let Some(record) = AuditRecord::read(&whole[start..end]) {
                let seq = record.seq;
                return Ok(Some(Tail {
                    record: Link { seq, hash: hash(&whole[start..end]) },
                    kind: record.kind,
                    link: Link { seq, hash: hash(&whole[start..]) },
                    ended,
                }));
            }
            if start == 0 {
                let all = Link { seq: 0, hash: hash(whole) };
                return Ok(Some(Tail { record: Link::GENESIS, kind: String::new(), link: all, ended }));
            }
            end = start - 1;
        }
        window *= 8;
    }
}

/// Whether the record that the link names is in the file, or right before its first.
pub(super) fn holds(file: &File, link: &Link) -> io::Result<bool> {
    let bytes = read(file, 0, file.metadata()?.len())?;
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = bytes.split(|byte| *byte == b'\n').find_map(AuditRecord::read);
    let before = first.is_some_and(|first| first.seq == link.seq + 1 && first.prev == link.hash);
    Ok(before
        || lines.any(|line| {
            AuditRecord::read(line).is_some_and(|record| record.seq == link.seq) && hash(line) == link.hash
        }))
}

fn read(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(to - from).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
