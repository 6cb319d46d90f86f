//! OTLP's messages for traces, as far as we send them (opentelemetry-proto 1.x, whose numbers never change), and the answer.
//!
//! Written down here because the crate that has them all brings OpenTelemetry's SDK along. The tests' collector reads what
//! is sent with that crate.

use prost::{Enumeration, Message, Oneof};

use crate::ops::{Fact, Side, Span};

/// The media type of both.
pub(super) const MEDIA_TYPE: &str = "application/x-protobuf";
/// Of a span's flags, beside those of W3C in the lowest byte: it is known whether its parent is remote, and it is.
const KNOWS_PARENT: u32 = 0x100;
const HAS_REMOTE_PARENT: u32 = 0x200;
const IS_SAMPLED: u32 = 1;

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Told>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// `Span`.
#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(enumeration = "Kind", tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum Kind {
    Unspecified = 0,
    Server = 2,
    Client = 3,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(enumeration = "Code", tag = "3")]
    code: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum Code {
    Unset = 0,
    Error = 2,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// Spans as the collector gets them. `source`: what tells this gateway from others.
pub(super) fn encode(spans: Vec<Span>, source: &[(&'static str, String)]) -> Vec<u8> {
    let attributes = source.iter().map(|(key, value)| pair(key, Value::Text(value.clone()))).collect();
    let scope = Scope { name: "sekisho".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = spans.into_iter().map(Told::from).collect();
    let resource_spans = ResourceSpans {
        resource: Some(Resource { attributes }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    };
    Request { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// How many spans of those that it was sent the collector has not taken, and why. `None` if this is no answer.
pub(super) fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let partial = Response::decode(answer).ok()?.partial_success.unwrap_or_default();
    Some((partial.rejected_spans.try_into().unwrap_or(0), partial.error_message))
}

impl From<Span> for Told {
    fn from(span: Span) -> Self {
        let flags = IS_SAMPLED
            | KNOWS_PARENT
            | if span.parent.is_some_and(|(_, is_remote)| is_remote) { HAS_REMOTE_PARENT } else { 0 };
        let value = |fact| match fact {
            Fact::Text(text) => Value::Text(text),
            Fact::Number(number) => Value::Number(number),
        };
        Self {
            trace_id: span.trace.to_be_bytes().into(),
            span_id: span.id.to_be_bytes().into(),
            trace_state: span.state,
            parent_span_id: span.parent.map_or_else(Vec::new, |(id, _)| id.to_be_bytes().into()),
            name: span.name,
            kind: match span.side {
                Side::Server => Kind::Server,
                Side::Client => Kind::Client,
            }
            .into(),
            start_time_unix_nano: span.begun,
            end_time_unix_nano: span.ended,
            attributes: span.facts.into_iter().map(|(key, fact)| pair(key, value(fact))).collect(),
            status: span.has_failed.then(|| Status { code: Code::Error.into() }),
            flags,
        }
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
