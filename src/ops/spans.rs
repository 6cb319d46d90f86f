//! Spans: what is told of a request that is traced, and the queue in which they wait for whoever tells the collector.
//!
//! The data path never waits for that queue: where it is full, spans are dropped and counted.

use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::Metrics;

/// One step of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to, from whomever that is.
    pub trace: u128,
    /// Its own number.
    pub id: u64,
    /// The span that it is a part of, and whether that is somebody else's.
    pub parent: Option<(u64, bool)>,
    /// What others on the way have noted (`tracestate`).
    pub state: String,
    /// Which side of a request it is.
    pub side: Side,
    /// Few words, the same for many requests.
    pub name: String,
    /// In nanoseconds since 1970.
    pub begun: u64,
    /// In nanoseconds since 1970.
    pub ended: u64,
    /// What is known of it.
    pub facts: Vec<(&'static str, Fact)>,
    /// Whether it failed.
    pub has_failed: bool,
}

/// Which side of a request a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that answers it.
    Server,
    /// The one that sends it.
    Client,
}

/// A value that is told of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Fact {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// The data path's end of the queue. Cloning is cheap.
#[derive(Clone)]
pub struct SpanQueue {
    sender: mpsc::Sender<Vec<Span>>,
    dropped: IntCounter,
}

impl SpanQueue {
    /// A queue for the spans of so many requests, and its other end.
    pub fn new(requests: usize, metrics: &Metrics) -> (Self, mpsc::Receiver<Vec<Span>>) {
        let (sender, receiver) = mpsc::channel(requests);
        (Self { sender, dropped: metrics.spans_dropped.with_label_values(&["queue"]) }, receiver)
    }

    /// Leaves the spans of a request to whoever tells the collector.
    pub fn give(&self, spans: Vec<Span>) {
        if let Err(full) = self.sender.try_send(spans) {
            self.dropped.inc_by(full.into_inner().len() as u64);
        }
    }
}
