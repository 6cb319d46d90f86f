//! A collector of traces that reads what it is sent with OpenTelemetry's own messages, and answers as it is told.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;

use super::backend::{Backend, Received};
use super::eventually;

/// What becomes of spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// They are taken.
    Good,
    /// All but so many are.
    Rejects(i64),
    /// They are refused with this status, and these lines of the head.
    Status(u16, &'static str),
    /// What comes is a 200 that says nothing that anybody could read.
    Garbage,
    /// Nothing comes.
    Silent,
    /// The connection ends.
    Down,
}

/// A collector on a port of its own.
pub struct Collector {
    pub backend: Backend,
    conduct: Arc<Mutex<Conduct>>,
}

impl Collector {
    /// One that takes everything.
    pub fn start() -> Self {
        Self::that(Conduct::Good)
    }

    /// One that begins like this.
    pub fn that(conduct: Conduct) -> Self {
        let conduct = Arc::new(Mutex::new(conduct));
        let theirs = conduct.clone();
        let backend = Backend::conversing(move |mut conversation| {
            while conversation.receive().is_some() {
                let conduct = theirs.lock().unwrap().clone();
                let answered = match conduct {
                    Conduct::Silent => continue,
                    Conduct::Down => return,
                    _ => conversation.stream.write_all(&answer(&conduct)),
                };
                if answered.is_err() {
                    return;
                }
            }
        });
        Self { backend, conduct }
    }

    /// From now on.
    pub fn conducts(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    /// YAML that has a gate tell it of every request, with `more` settings.
    pub fn yaml(&self, more: &str) -> String {
        yaml(self.backend.address, more)
    }

    /// How often it was sent something.
    pub fn asked(&self) -> usize {
        self.backend.received().len()
    }

    /// Everything that it was sent, read.
    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.backend.received().iter().map(read).collect()
    }

    /// Every span so far, by when it began.
    pub fn spans(&self) -> Vec<Told> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<_> = scopes.flat_map(|scope| scope.spans).map(Told::from).collect();
        spans.sort_by_key(|span| span.begun);
        spans
    }

    /// Every span, once there are so many.
    #[track_caller]
    pub fn gets(&self, count: usize) -> Vec<Told> {
        eventually(&format!("{count} spans"), || self.spans().len() >= count);
        let spans = self.spans();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }
}

/// YAML that has a gate tell a collector at this address of every request.
pub fn yaml(address: SocketAddr, more: &str) -> String {
    let ratio = if more.contains("ratio:") { "" } else { "ratio: 1, " };
    format!("traces: {{ url: 'http://{address}/v1/traces', {ratio}{more} }}")
}

fn read(received: &Received) -> ExportTraceServiceRequest {
    assert_eq!(received.line(), "POST /v1/traces");
    assert_eq!(received.value("content-type").as_deref(), Some("application/x-protobuf"));
    ExportTraceServiceRequest::decode(&*received.body).unwrap()
}

fn answer(conduct: &Conduct) -> Vec<u8> {
    let said = |partial_success| ExportTraceServiceResponse { partial_success }.encode_to_vec();
    let (status, lines, body) = match conduct {
        Conduct::Status(status, lines) => (*status, *lines, Vec::new()),
        Conduct::Garbage => (200, "", b"<html>It works!</html>".to_vec()),
        Conduct::Rejects(rejected_spans) => {
            let error_message = "too\nold".to_owned();
            (
                200,
                "",
                said(Some(ExportTracePartialSuccess { rejected_spans: *rejected_spans, error_message })),
            )
        }
        _ => (200, "", said(None)),
    };
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// A span, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub state: String,
    pub name: String,
    pub kind: SpanKind,
    pub begun: u64,
    pub ended: u64,
    pub facts: BTreeMap<String, String>,
    pub has_failed: bool,
    pub flags: u32,
}

impl Told {
    /// What is known of it, one fact a line, but for what is another each time.
    pub fn facts(&self) -> Vec<String> {
        self.facts.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// One of them; empty if it isn't known.
    pub fn fact(&self, key: &str) -> &str {
        self.facts.get(key).map_or("", String::as_str)
    }

    /// The `traceparent` that says that something is a part of it.
    pub fn as_parent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.id)
    }
}

impl From<Span> for Told {
    fn from(span: Span) -> Self {
        let kind = span.kind();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let has_failed = match span.status {
            None => false,
            Some(Status { code, message }) => {
                assert_eq!(message, "");
                code == StatusCode::Error as i32
            }
        };
        assert!(span.events.is_empty() && span.links.is_empty());
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            state: span.trace_state,
            name: span.name,
            kind,
            begun: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            facts: facts(span.attributes),
            has_failed,
            flags: span.flags,
        }
    }
}

/// Attributes as text.
pub fn facts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let count = attributes.len();
    let text = |fact: KeyValue| match fact.value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => (fact.key, text),
        Some(Value::IntValue(number)) => (fact.key, number.to_string()),
        other => panic!("{}: {other:?}", fact.key),
    };
    let facts: BTreeMap<_, _> = attributes.into_iter().map(text).collect();
    assert_eq!(facts.len(), count, "each is there once");
    facts
}
