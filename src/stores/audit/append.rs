//! One turn of a writer: what the new records are chained to, what has to be said of the log first, a new segment if
//! need be, and all of it on disk or none.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;

use super::AuditSettings;
use super::chain::{self, Link, Tail};
use super::head::{Found, Head};
use super::record::{self, CHECKPOINT, CLOSED, OPENED, Own};
use super::segments;
use crate::stores::files::make_folder_of;

/// After so many records there is a checkpoint in any case.
const RECORDS: u64 = 1000;

/// What is to be done.
pub(super) enum Order<'a> {
    /// Append these lines.
    Append(&'a [u8]),
    /// Begin a new segment with these.
    Rotate(&'a [u8]),
    /// Sign what was added since the log was last signed.
    Checkpoint(Timestamp),
}

/// The last record that this process wrote, and where it must be.
#[derive(Debug)]
pub(super) struct Known {
    link: Link,
    /// Device and inode of the file.
    file: (u64, u64),
    at: u64,
    size: usize,
}

impl Known {
    /// Whether it is no longer where it was. Of a file that somebody else has put away meanwhile, only the numbers are
    /// looked at.
    fn is_gone(&self, file: &File, tail: Option<&Tail>) -> io::Result<bool> {
        let last = tail.map_or(0, |tail| tail.record.seq);
        if last <= self.link.seq {
            return Ok(tail.is_none_or(|tail| tail.record != self.link));
        }
        if place(file)? != self.file {
            return Ok(false);
        }
        let mut bytes = vec![0; self.size];
        match file.read_exact_at(&mut bytes, self.at) {
            Ok(()) => Ok(chain::hash(&bytes) != self.link.hash),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Records that are written together.
struct Block {
    bytes: Vec<u8>,
    /// Where the first record begins: behind the end of a line that had none.
    begin: usize,
    /// Where the last one begins.
    last: usize,
    link: Link,
}

impl Block {
    fn after(link: Link, ended: bool) -> Self {
        let bytes = if ended { Vec::new() } else { vec![b'\n'] };
        Self { begin: bytes.len(), last: bytes.len(), bytes, link }
    }

    fn put(&mut self, line: &[u8]) {
        self.last = self.bytes.len();
        self.link = record::chain(line, &self.link, &mut self.bytes);
    }

    fn put_own(&mut self, own: Own<'_>, settings: &AuditSettings) -> io::Result<()> {
        let line = own.line(&self.link, settings.key.as_ref())?;
        self.put(&line);
        Ok(())
    }
}

/// Waits for its turn, and does what is to be done.
pub(super) fn follow(
    settings: &AuditSettings,
    known: &mut Option<Known>,
    order: &Order<'_>,
) -> io::Result<()> {
    let path = &settings.file;
    let head = Head::lock(path)?;
    let file = open(path)?;
    let mut tail = chain::tail(&file)?;
    let mut previous = None;
    // A gateway that died between putting a segment away and writing into the new one.
    if tail.is_none()
        && let Some(last) = segments::put_away_last(path)?
    {
        let put_away = File::open(&last)?;
        tail = chain::tail(&put_away)?;
        let name = last.file_name().map(|name| name.to_string_lossy().into_owned());
        previous = name.map(|name| (name, put_away));
    }
    if head.found == Found::New && tail.is_none() && known.is_none() {
        // From now on a log without a head is one that lost it.
        head.write(&Link::GENESIS, settings.key.as_ref())?;
        head.sync()?;
    }
    let with_tail = previous.as_ref().map_or(&file, |(_, put_away)| put_away);
    let (mut link, mut trouble) = go_on(with_tail, &head.found, tail.as_ref())?;
    if let Some(known) = known
        && known.is_gone(&file, tail.as_ref())?
    {
        trouble = Some(Trouble { kind: "audit_log_cut", detail: None });
        if known.link.seq >= link.seq {
            link = known.link.clone();
        }
    }
    let time = match order {
        Order::Append(lines) | Order::Rotate(lines) => {
            record::time_of(lines).unwrap_or(Timestamp::UNIX_EPOCH)
        }
        Order::Checkpoint(now) => *now,
    };
    let is_signed = tail.as_ref().is_none_or(|tail| [CHECKPOINT, OPENED, CLOSED].contains(&&*tail.kind));
    if matches!(order, Order::Checkpoint(_)) && is_signed && trouble.is_none() {
        return Ok(());
    }
    let is_closed = tail.as_ref().is_some_and(|tail| tail.kind == CLOSED);
    let ended = previous.is_some() || tail.as_ref().is_none_or(|tail| tail.ended);
    let mut block = Block::after(link, ended);
    let mut turn = Turn { settings, head, file, known, time };
    if let Some(Trouble { kind, detail }) = &trouble {
        block.put_own(Own { detail: detail.as_deref(), ..Own::new(time, kind) }, settings)?;
    }
    let mut previous = previous.map(|(name, _)| name);
    if previous.is_none() && tail.is_some() && turn.is_full(order)? {
        if !is_closed || trouble.is_some() {
            block.put_own(Own::new(time, CLOSED), settings)?;
            let link = block.link.clone();
            turn.write(std::mem::replace(&mut block, Block::after(link, true)))?;
        }
        match segments::put_away(path) {
            Ok(name) => {
                turn.file = open(path)?;
                previous = Some(name);
            }
            // The record matters more than the size of its file.
            Err(error) => tracing::error!(%error, "The audit log can't begin a new segment"),
        }
    }
    if let Some(name) = &previous {
        block.put_own(Own { previous: Some(name), ..Own::new(time, OPENED) }, settings)?;
    }
    match order {
        Order::Append(lines) | Order::Rotate(lines) => {
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                block.put(line);
                if block.link.seq.is_multiple_of(RECORDS) {
                    block.put_own(Own::new(time, CHECKPOINT), settings)?;
                }
            }
        }
        Order::Checkpoint(_) => block.put_own(Own::new(time, CHECKPOINT), settings)?,
    }
    turn.write(block)
}

/// A writer whose turn it is.
struct Turn<'a> {
    settings: &'a AuditSettings,
    head: Head,
    file: File,
    known: &'a mut Option<Known>,
    time: Timestamp,
}

impl Turn<'_> {
    /// Whether a new segment is to begin.
    fn is_full(&self, order: &Order<'_>) -> io::Result<bool> {
        Ok(match order {
            Order::Append(lines) => self.file.metadata()?.len() + lines.len() as u64 > self.settings.segment,
            Order::Rotate(_) => true,
            Order::Checkpoint(_) => false,
        })
    }

    /// Puts a block on disk and under the head, or leaves the file as it was.
    fn write(&mut self, block: Block) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&block.bytes).and_then(|()| self.file.sync_data()) {
            // Nobody was told that it is written: on a full disk half a record would stay behind each time.
            if let Err(error) = self.file.set_len(size) {
                tracing::error!(%error, "Half a record stays in the audit log");
            }
            return Err(error);
        }
        if size == 0 {
            File::open(make_folder_of(&self.settings.file)?)?.sync_all()?;
        }
        let Block { bytes, begin, last, link } = block;
        *self.known = Some(Known {
            link: link.clone(),
            file: place(&self.file)?,
            at: size + last as u64,
            size: bytes.len() - last - 1,
        });
        if let Some(syslog) = &self.settings.syslog {
            let lines = bytes[begin..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| syslog.send(record::time_of(line).unwrap_or(self.time), line));
        }
        self.head.write(&link, self.settings.key.as_ref())
    }
}

/// What has to be said of how head and log go together.
struct Trouble {
    kind: &'static str,
    detail: Option<String>,
}

/// What the next record is chained to, and what has to be said first. Nothing that is wrong stops the log; it stays to
/// be seen.
fn go_on(file: &File, head: &Found, tail: Option<&Tail>) -> io::Result<(Link, Option<Trouble>)> {
    let at_end = tail.map_or(Link::GENESIS, |tail| tail.link.clone());
    let trouble = |kind| Some(Trouble { kind, detail: None });
    Ok(match (head, tail) {
        (Found::New, None) => (at_end, None),
        (Found::New | Found::Damaged, _) => (at_end, trouble("audit_head_lost")),
        (Found::Good(head), None) if *head == Link::GENESIS => (at_end, None),
        (Found::Good(head), Some(tail)) if *head == tail.record => (at_end, None),
        // A crash came between record and head, or somebody wrote without it.
        (Found::Good(head), Some(tail)) if head.seq < tail.record.seq && chain::holds(file, head)? => {
            (at_end, Some(Trouble { kind: "audit_head_behind", detail: Some(head.seq.to_string()) }))
        }
        // What the head knows of isn't there. Chained to the head, the gap can't be closed again.
        (Found::Good(head), _) => (head.clone(), trouble("audit_log_cut")),
    })
}

/// Opened by name for each turn: whoever else appends may have begun a new segment.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn place(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}
