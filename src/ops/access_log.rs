//! The access log: one JSON line per request, formatted on the worker, written by a thread of its own.
//!
//! A worker fills a buffer and hands it over when it is full or a tick old. The data path never waits for the
//! disk: if the writer can't keep up, whole buffers are dropped and counted.

mod entry;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use prometheus::IntCounter;

pub use self::entry::Entry;
use self::entry::SecondText;
use super::{Metrics, Readiness};

/// A buffer is handed over once it holds so many bytes.
const BUFFER: usize = 32 << 10;
/// So many buffers may wait for the disk: 16 MiB.
const WAITING: usize = 512;

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// A file, appended to and opened anew on request.
    File(PathBuf),
}

enum Message {
    Lines(Vec<u8>),
    Reopen,
    Stop,
}

/// The writer's end. Dropping it writes what is waiting.
pub struct AccessLog {
    sender: Option<SyncSender<Message>>,
    dropped: IntCounter,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the target and starts the writer. What is lost is counted, and noted for `/readyz` while it lasts.
    pub fn open(target: LogTarget, metrics: &Metrics, readiness: &Readiness) -> io::Result<Self> {
        let dropped = metrics.access_log_dropped.clone();
        if target == LogTarget::Off {
            return Ok(Self { sender: None, dropped, writer: None });
        }
        let mut writer = Writer {
            sink: Sink::open(&target)?,
            target,
            rest: Vec::new(),
            is_failing: false,
            lost: metrics.access_log_lost.clone(),
            readiness: readiness.clone(),
        };
        let (sender, receiver) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.write_all(&receiver))?;
        Ok(Self { sender: Some(sender), dropped, writer: Some(writer) })
    }

    /// A buffer for one worker.
    pub fn buffer(&self) -> AccessLogBuffer {
        AccessLogBuffer {
            lines: Mutex::default(),
            sender: self.sender.clone(),
            dropped: self.dropped.clone(),
        }
    }

    /// Opens the file anew, after the lines that were handed over before.
    pub fn reopen(&self) {
        if let Some(sender) = &self.sender {
            // Unlike lines, this may wait: it is the signal handler's thread that asks, not a worker.
            let _ = sender.send(Message::Reopen);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::Stop);
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Who writes.
struct Writer {
    target: LogTarget,
    sink: Sink,
    /// The end of a line whose beginning was written when the disk was full: without it the next line would begin in the
    /// middle of that one.
    rest: Vec<u8>,
    is_failing: bool,
    lost: IntCounter,
    readiness: Readiness,
}

impl Writer {
    fn write_all(&mut self, receiver: &Receiver<Message>) {
        for message in receiver {
            let result = match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Reopen => Sink::open(&self.target).map(|fresh| {
                    self.rest.clear();
                    self.sink = fresh;
                }),
                Message::Stop => return,
            };
            self.note(result);
        }
    }

    /// Writes lines, or as many as there is room for. Never half of one for good.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if let Err((written, error)) = self.sink.write(&rest) {
            self.rest = rest[written..].to_vec();
            self.lost.inc_by(count(lines));
            return Err(error);
        }
        self.sink.write(lines).map_err(|(written, error)| {
            let is_whole = written == 0 || lines[written - 1] == b'\n';
            let after = &lines[written..];
            let end = if is_whole {
                0
            } else {
                after.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
            };
            self.rest = after[..end].to_vec();
            self.lost.inc_by(count(&after[end..]));
            error
        })
    }

    /// Says once that it fails, and once that it doesn't any more.
    fn note(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                self.readiness.note("access_log", None);
                tracing::info!("The access log is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.readiness.note("access_log", Some(format!("the access log can't be written: {error}")));
                if !self.is_failing {
                    tracing::error!(%error, "The access log can't be written: lines are lost");
                }
                self.is_failing = true;
            }
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::File(path) => OpenOptions::new().create(true).append(true).open(path).map(Self::File),
            LogTarget::Stdout | LogTarget::Off => Ok(Self::Stdout),
        }
    }

    /// Writes all, or says how much was written before the error.
    fn write(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < lines.len() {
            match self.write_some(&lines[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // As the file: what a buffer in between still held, nobody could say.
            Self::Stdout => rustix::io::write(io::stdout(), bytes).map_err(Into::into),
            Self::File(file) => file.write(bytes),
        }
    }
}

/// One worker's share of the log.
pub struct AccessLogBuffer {
    lines: Mutex<Lines>,
    sender: Option<SyncSender<Message>>,
    dropped: IntCounter,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    clock: SecondText,
}

impl AccessLogBuffer {
    /// Adds a line.
    pub fn write(&self, entry: &Entry<'_>) {
        if self.sender.is_none() {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { bytes, clock } = &mut *lines;
        entry.format(bytes, clock);
        if bytes.len() >= BUFFER {
            let full = std::mem::take(bytes);
            drop(lines);
            self.hand_over(full);
        }
    }

    /// Hands over what there is. Called at every tick of the worker and at its end.
    pub fn flush(&self) {
        let bytes = std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner).bytes);
        if !bytes.is_empty() {
            self.hand_over(bytes);
        }
    }

    fn hand_over(&self, bytes: Vec<u8>) {
        if let Some(sender) = &self.sender
            && let Err(TrySendError::Full(_)) = sender.try_send(Message::Lines(bytes))
        {
            self.dropped.inc();
        }
    }
}

impl Drop for AccessLogBuffer {
    /// What was cut off at the end of a drain is logged after the worker's last tick.
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_costs_whole_lines_and_is_told_until_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let (metrics, readiness) = (Metrics::new().unwrap(), Readiness::default());
        readiness.set(true);
        let target = LogTarget::File(path.clone());
        let full = || Sink::File(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let mut writer = Writer {
            sink: Sink::open(&target).unwrap(),
            target,
            rest: Vec::new(),
            is_failing: false,
            lost: metrics.access_log_lost.clone(),
            readiness: readiness.clone(),
        };
        // As if there had been room for half of a line.
        let result = writer.write(b"1\n");
        writer.note(result);
        writer.sink.write(b"2-").unwrap();
        writer.rest = b"2\n".to_vec();
        writer.sink = full();
        let result = writer.write(b"3\n4\n");
        writer.note(result);
        assert_eq!(metrics.access_log_lost.get(), 2);
        assert_eq!(
            readiness.look(true).1,
            "ready, but the access log can't be written: No space left on device (os error 28)\n"
        );
        writer.sink = Sink::open(&writer.target).unwrap();
        let result = writer.write(b"5\n");
        writer.note(result);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2-2\n5\n");
        assert_eq!(readiness.look(true).1, "ready\n");
        writer.sink = full();
        let result = writer.write(b"6\n7\n");
        writer.note(result);
        assert_eq!((metrics.access_log_lost.get(), writer.rest.as_slice()), (4, &b""[..]));
    }

    /// A socket that nobody reads from is like a disk: it takes some of what is written, and then nothing.
    #[test]
    fn a_line_that_was_half_written_is_finished_before_the_next() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let metrics = Metrics::new().unwrap();
        let mut writer = Writer {
            sink: Sink::File(File::from(std::os::fd::OwnedFd::from(ours))),
            target: LogTarget::Off,
            rest: Vec::new(),
            is_failing: false,
            lost: metrics.access_log_lost.clone(),
            readiness: Readiness::default(),
        };
        let line = [b"x".repeat(998), b"y\n".to_vec()].concat();
        assert!(writer.write(&line.repeat(4000)).is_err());
        assert!(writer.write(&line.repeat(10)).is_err());
        let lost = metrics.access_log_lost.get();
        assert!(!writer.rest.is_empty() && lost > 10, "{lost}");
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            io::Read::read_to_end(&mut theirs, &mut text).unwrap();
            text
        });
        // Once there is room again.
        while writer.write(b"").is_err() {
            std::thread::yield_now();
        }
        drop(writer);
        let text = reader.join().unwrap();
        assert!(text.chunks(1000).all(|chunk| chunk == line), "half a line");
        assert_eq!(text.len() as u64 / 1000 + lost, 4010);
    }
}
