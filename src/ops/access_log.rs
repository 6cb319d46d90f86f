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
    /// Opens the target and starts the writer. `dropped` counts buffers that the disk was too slow for.
    pub fn open(target: LogTarget, dropped: IntCounter) -> io::Result<Self> {
        if target == LogTarget::Off {
            return Ok(Self { sender: None, dropped, writer: None });
        }
        let sink = Sink::open(&target)?;
        let (sender, receiver) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write_all(&receiver, sink, &target))?;
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

fn write_all(receiver: &Receiver<Message>, mut sink: Sink, target: &LogTarget) {
    for message in receiver {
        let result = match message {
            Message::Lines(lines) => sink.write(&lines),
            Message::Reopen => Sink::open(target).map(|fresh| sink = fresh),
            Message::Stop => return,
        };
        if let Err(error) = result {
            tracing::error!(%error, "The access log can't be written");
        }
    }
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

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(lines),
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
