//! The access log: one JSON line per request, formatted on the worker, written by a thread of its own.
//!
//! A worker fills a buffer and hands it over when it is full or a tick old. The data path never waits for the
//! disk: if the writer can't keep up, whole buffers are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntCounter;

use super::escape_into;

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

/// The text of the current second: formatting a calendar date per line would cost more than the rest of it.
#[derive(Default)]
struct SecondText {
    second: i64,
    text: String,
}

impl SecondText {
    fn at(&mut self, second: i64) -> &str {
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = Timestamp::from_second(second)
                .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
                .unwrap_or_default();
        }
        &self.text
    }
}

/// One request, as it is logged. `docs/access-log.md` names the fields.
pub struct Entry<'a> {
    /// When the head of the request was complete.
    pub time: Timestamp,
    /// The request's ID.
    pub request_id: &'a str,
    /// `1.0`, `1.1` or `2`.
    pub protocol: &'static str,
    /// The method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// Status of the response; 0 if none was begun.
    pub status: u16,
    /// Code of the failure, if it was one.
    pub failure: Option<&'static str>,
    /// What exactly failed.
    pub detail: Option<&'a str>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head of the request to the end of the response.
    pub duration: Duration,
    /// The upstream and the time to the head of its response.
    pub upstream: Option<(&'a str, Option<Duration>)>,
    /// What was formatted once per connection: client, host, TLS, standing, identity.
    pub connection: &'a [u8],
}

impl Entry<'_> {
    fn format(&self, out: &mut Vec<u8>, clock: &mut SecondText) {
        let text = |out: &mut Vec<u8>, key: &str, value: &str| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'"');
            escape_into(out, value.as_bytes());
            out.push(b'"');
        };
        let number = |out: &mut Vec<u8>, key: &str, value: u64| {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(clock.at(self.time.as_second()).as_bytes());
        let millisecond = self.time.subsec_millisecond().unsigned_abs();
        out.push(b'.');
        for digit in [millisecond / 100, millisecond / 10 % 10, millisecond % 10] {
            out.push(b'0' + u8::try_from(digit).unwrap_or(0));
        }
        out.extend_from_slice(b"Z\"");
        text(out, ",\"request_id\":", self.request_id);
        text(out, ",\"protocol\":", self.protocol);
        text(out, ",\"method\":", self.method);
        text(out, ",\"path\":", self.path);
        number(out, ",\"status\":", u64::from(self.status));
        if let Some(failure) = self.failure {
            text(out, ",\"failure\":", failure);
        }
        if let Some(detail) = self.detail {
            text(out, ",\"detail\":", detail);
        }
        number(out, ",\"bytes_in\":", self.bytes_in);
        number(out, ",\"bytes_out\":", self.bytes_out);
        number(out, ",\"duration_us\":", micros(self.duration));
        if let Some((upstream, first_byte)) = self.upstream {
            text(out, ",\"upstream\":", upstream);
            if let Some(first_byte) = first_byte {
                number(out, ",\"upstream_first_byte_us\":", micros(first_byte));
            }
        }
        out.push(b',');
        out.extend_from_slice(self.connection);
        out.extend_from_slice(b"}\n");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry<'_> {
        Entry {
            time: "2026-11-22T01:02:03.045Z".parse().unwrap(),
            request_id: "00ff",
            protocol: "1.1",
            method: "GET",
            path,
            status: 200,
            failure: None,
            detail: None,
            bytes_in: 0,
            bytes_out: 12,
            duration: Duration::from_micros(250),
            upstream: Some(("banking", Some(Duration::from_micros(200)))),
            connection: br#""client":"127.0.0.1:5""#,
        }
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_path_holds() {
        let mut out = Vec::new();
        entry("/a\"\n{").format(&mut out, &mut SecondText::default());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"time":"2026-11-22T01:02:03.045Z","request_id":"00ff","protocol":"1.1","method":"GET","#,
                r#""path":"/a\"\u000a{","status":200,"bytes_in":0,"bytes_out":12,"duration_us":250,"#,
                r#""upstream":"banking","upstream_first_byte_us":200,"client":"127.0.0.1:5"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_rotated_file_is_opened_anew_and_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let log = AccessLog::open(LogTarget::File(path.clone()), dropped.clone()).unwrap();
        let buffer = log.buffer();
        buffer.write(&entry("/first"));
        buffer.flush();
        // The writer handles messages in order, so once the file is opened anew the first line is written.
        log.reopen();
        drop(log);
        std::fs::rename(&path, &rotated).unwrap();
        let log = AccessLog::open(LogTarget::File(path.clone()), dropped).unwrap();
        let buffer = log.buffer();
        buffer.write(&entry("/second"));
        buffer.flush();
        drop(log);
        assert!(std::fs::read_to_string(&rotated).unwrap().contains("/first"));
        assert!(std::fs::read_to_string(&path).unwrap().contains("/second"));
    }
}
