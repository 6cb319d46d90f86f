//! Whether a log is what was written: every link from the first record to the head, and every signature.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::chain::{Link, hash, hex};
use super::head::{Found, Head};
use super::key::AuditPublicKey;
use super::record::{AuditRecord, CLOSED};
use super::segments::audit_segments;

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct AuditReport {
    /// How many records there are.
    pub records: u64,
    /// In how many files.
    pub segments: u64,
    /// How many signatures are good, the head's among them.
    pub signatures: u64,
    /// Lines that a power cut or a full disk left half written. The chain goes on behind them.
    pub unfinished: u64,
    /// Records that are newer than the head: a crash came between.
    pub after_head: u64,
    /// The last record that a good signature covers; 0 without a key.
    pub signed_to: u64,
    /// Whether the last record closes its segment: then none was cut off behind it.
    pub closed: bool,
    /// The number and the hash of the last record: noted elsewhere, they prove later that nothing was cut off.
    pub last: u64,
    /// See `last`.
    pub last_hash: String,
    /// What is wrong. The log is good if nothing is.
    pub problems: Vec<String>,
    /// What a crash explains, and a forger too.
    pub doubts: Vec<String>,
}

/// Where the chain is.
struct Walk<'a> {
    key: Option<&'a AuditPublicKey>,
    report: AuditReport,
    /// `None` if what comes before isn't asked for.
    last: Option<Link>,
    /// All since the last record's beginning.
    since: Option<Sha256>,
    /// Whether the record that the head names was met.
    head: Option<Link>,
    met: bool,
    /// Whether nothing was ever written, as the head has it.
    is_new: bool,
    /// Whether the last line had an end.
    ended: bool,
}

/// Walks along the log. With `alone`, nothing is said of what comes before this file and of how it goes on. Fails only if a
/// file can't be read; the file itself must be there.
pub fn verify_audit(log: &Path, key: Option<&AuditPublicKey>, alone: bool) -> io::Result<AuditReport> {
    // Nobody may write between looking at the head and opening the files; what is written later isn't read.
    let head = if alone { None } else { Some(Head::look(log)) };
    let paths = if alone { vec![log.to_owned()] } else { audit_segments(log)? };
    let mut files = Vec::new();
    for path in &paths {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Err(error) if path == log => return Err(error),
            opened => files.push((path, opened)),
        }
    }
    let mut walk = Walk {
        key,
        report: AuditReport::default(),
        last: (!alone).then_some(Link::GENESIS),
        since: None,
        head: None,
        met: false,
        is_new: false,
        ended: true,
    };
    let head = match head {
        Some(Ok(head)) => {
            walk.take_head(&head);
            true
        }
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            walk.wrong("the head is missing: records may have been cut off");
            false
        }
        Some(Err(error)) => return Err(error),
        None => false,
    };
    for (path, opened) in files {
        match opened {
            Ok((size, file)) => walk.file(path, file.take(size), path == log)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                walk.wrong(format!("{}: the segment is missing", path.display()));
                walk.last = None;
            }
            Err(error) => return Err(error),
        }
    }
    if head {
        walk.compare();
    }
    walk.doubt(alone);
    let last = walk.last.unwrap_or(Link::GENESIS);
    Ok(AuditReport { last: last.seq, last_hash: last.hash, ..walk.report })
}

impl Walk<'_> {
    fn wrong(&mut self, problem: impl Into<String>) {
        self.report.problems.push(problem.into());
    }

    fn take_head(&mut self, head: &Head) {
        match &head.found {
            Found::Good(link) => {
                self.met = *link == Link::GENESIS;
                self.head = Some(link.clone());
                match (self.key, &head.signature) {
                    (Some(key), Some(signature)) if key.has_signed(link, signature) => {
                        self.report.signatures += 1;
                        self.report.signed_to = link.seq;
                    }
                    (Some(_), _) => self.wrong("the head's signature is not by this key"),
                    (None, _) => {}
                }
            }
            // Good as long as there is nothing that it could name: see `compare`.
            Found::New => self.is_new = true,
            Found::Damaged => self.wrong("the head is damaged"),
        }
    }

    fn file(&mut self, path: &Path, file: impl Read, newest: bool) -> io::Result<()> {
        self.report.segments += 1;
        let mut lines = BufReader::new(file);
        let (mut number, mut line) = (0_u64, Vec::new());
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            number += 1;
            self.ended = line.pop_if(|byte| *byte == b'\n').is_some();
            let place = format!("{}: line {number}", path.display());
            match AuditRecord::read(&line) {
                Some(record) => self.record(&place, &record, &line),
                None => {
                    self.report.unfinished += 1;
                    if let Some(since) = &mut self.since {
                        since.update(b"\n");
                        since.update(&line);
                    } else {
                        self.since = Some(Sha256::new_with_prefix(&line));
                    }
                }
            }
        }
        if !newest && !self.ended {
            self.wrong(format!("{}: the last line was cut", path.display()));
        }
        Ok(())
    }

    fn record(&mut self, place: &str, record: &AuditRecord, line: &[u8]) {
        self.report.records += 1;
        if let Some(last) = &self.last {
            let before = self.since.take().map_or_else(String::new, |since| hex(&since.finalize()));
            if record.seq != last.seq + 1 {
                let expected = last.seq + 1;
                self.wrong(format!("{place}: expected record {expected}, found record {}", record.seq));
            } else if record.prev != before {
                self.wrong(format!("{place}: what stands before record {} was changed", record.seq));
            }
        }
        let link = Link { seq: record.seq, hash: hash(line) };
        if let (Some(key), Some(signature)) = (self.key, &record.signature) {
            let signed = Link { seq: record.seq.saturating_sub(1), hash: record.prev.clone() };
            if key.has_signed(&signed, signature) {
                self.report.signatures += 1;
                self.report.signed_to = self.report.signed_to.max(signed.seq);
            } else {
                self.wrong(format!("{place}: the signature is not by this key"));
            }
        }
        match record.kind.as_str() {
            "audit_head_lost" => self.wrong(format!(
                "{place}: the head was lost before this record: others may have been cut off"
            )),
            "audit_head_behind" => {
                let named = record.detail.as_deref().and_then(|seq| seq.parse::<u64>().ok()).unwrap_or(0);
                let (first, last) = (named + 1, record.seq.saturating_sub(1));
                self.report.doubts.push(format!(
                    "{place}: the head did not name the records {first} to {last} yet when the log went on: a crash came between, or somebody added them"
                ));
            }
            "audit_log_cut" => {
                self.wrong(format!("{place}: the log had been cut or changed before this record"));
            }
            _ => {}
        }
        self.report.closed = record.kind == CLOSED;
        self.met |= self.head.as_ref() == Some(&link);
        self.since = Some(Sha256::new_with_prefix(line));
        self.last = Some(link);
    }

    /// Whether the log reaches as far as the head says.
    fn compare(&mut self) {
        if self.is_new && self.report.records > 0 {
            self.wrong("the head is empty, and the log is not");
        }
        let Some(head) = self.head.clone() else { return };
        let last = self.last.as_ref().map_or(0, |last| last.seq);
        if last < head.seq {
            self.wrong(format!(
                "the head says that there are {} records, and the log ends with record {last}: the rest was cut off",
                head.seq
            ));
        } else if !self.met {
            self.wrong(format!("record {} is not the one that the head names", head.seq));
        } else if last == head.seq && !self.ended && self.report.unfinished == 0 {
            self.wrong("the end of the last line was cut off");
        }
        self.report.after_head = last.saturating_sub(head.seq);
    }

    /// What need not be wrong.
    fn doubt(&mut self, alone: bool) {
        let AuditReport { unfinished, after_head, closed, signed_to, .. } = self.report;
        let last = self.last.as_ref().map_or(0, |last| last.seq);
        let doubts = &mut self.report.doubts;
        if unfinished > 0 {
            doubts.push(format!("{unfinished} lines are no records: a crash left them half written"));
        }
        if after_head > 0 {
            doubts.push(format!(
                "{after_head} records are newer than the head: a crash came between, or somebody added them"
            ));
        }
        if alone && !closed {
            doubts.push("the segment is not closed: it is the newest one, or its end was cut off".to_owned());
        }
        // The record that closes a segment, or a checkpoint, is not under its own signature: the next one or the head is.
        if self.key.is_some() && alone && !closed && last > signed_to + 1 {
            doubts.push(format!("no signature covers the records after {signed_to}"));
        }
    }
}
