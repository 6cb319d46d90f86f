//! The trace that a request belongs to: what its backend is told of it, and what is recorded of it, if it is.
//!
//! Spans hold what the access log may hold, and not all of that: no query, no header field, no session. Who sends the
//! request is in them only if the configuration says so, because a trace is read by more people than the log.

mod context;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use self::context::Parent;
use super::failure::{Failure, Fault};
use super::fields::Field;
use super::request_id::digits;
use super::upstream::{Address, Endpoint};
use crate::domain::Identity;
use crate::ops::{Fact, Side, Span, SpanQueue};

/// How requests are traced.
#[derive(Clone)]
pub struct Traces {
    /// A trace is recorded if its number's last 56 bits are at least so many.
    threshold: u64,
    continues: bool,
    names_identity: bool,
    queue: SpanQueue,
}

/// What a trace's number is random in for whoever samples by it (OpenTelemetry's consistent sampling).
const RANDOM: u64 = 1 << 56;

impl Traces {
    /// Records `ratio` of the traces that begin here, and gives their spans to `queue`. `continues`: whether those of trusted
    /// proxies go on here. `names_identity`: whether spans say who sends a request.
    pub fn new(ratio: f64, continues: bool, names_identity: bool, queue: SpanQueue) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56")]
        #[expect(clippy::cast_precision_loss, reason = "2^56 is a power of two")]
        let threshold = ((1.0 - ratio.clamp(0.0, 1.0)) * RANDOM as f64) as u64;
        Self { threshold, continues, names_identity, queue }
    }

    /// Whether the traces of trusted proxies go on here.
    pub(super) const fn continues(&self) -> bool {
        self.continues
    }

    /// Begins a trace.
    pub(super) fn begin(&self) -> Box<Trace> {
        let id = fastrand::u128(1..);
        #[expect(clippy::cast_possible_truncation, reason = "the last 56 bits")]
        let random = id as u64 & (RANDOM - 1);
        let is_sampled = random >= self.threshold;
        let seen = Seen::default();
        Box::new(Trace {
            id,
            own: span_id(),
            parent: None,
            state: String::new(),
            is_sampled,
            current: 0,
            seen,
        })
    }
}

fn span_id() -> u64 {
    fastrand::u64(1..)
}

/// The trace of one request.
pub(super) struct Trace {
    id: u128,
    /// The request's own span.
    own: u64,
    parent: Option<u64>,
    state: String,
    is_sampled: bool,
    /// The span of the try under way, which the backend is told of.
    current: u64,
    /// What is recorded, if anything is.
    seen: Seen,
}

/// What is recorded of a request while it goes on.
#[derive(Default)]
struct Seen {
    /// The place that its route is for.
    route: String,
    tries: Vec<Try>,
}

/// One try to get an answer from an upstream.
struct Try {
    span: u64,
    begun: Instant,
    ended: Option<Instant>,
    to: Option<Arc<Endpoint>>,
    /// As the backend is asked for it, without the query.
    path: String,
    protocol: &'static str,
    status: u16,
    failure: Option<Failure>,
}

impl Trace {
    /// Goes on with the trace that the request's fields name, if they name one.
    pub(super) fn follow(&mut self, fields: &[Field<'_>]) {
        if let Some(Parent { trace, span, is_sampled, state }) = Parent::of(fields) {
            (self.id, self.parent, self.state, self.is_sampled) = (trace, Some(span), state, is_sampled);
        }
    }

    /// Its number, as it is written down everywhere.
    pub(super) fn id(&self) -> [u8; 32] {
        digits(self.id)
    }

    fn seen(&mut self) -> Option<&mut Seen> {
        self.is_sampled.then_some(&mut self.seen)
    }

    /// The request is at this place of the routes.
    pub(super) fn is_at(&mut self, place: &str) {
        if let Some(seen) = self.seen() {
            place.clone_into(&mut seen.route);
        }
    }

    /// A try begins: a connection is looked for.
    pub(super) fn begin_try(&mut self, now: Instant) {
        let span = span_id();
        self.current = span;
        if let Some(seen) = self.seen() {
            let path = String::new();
            seen.tries.push(Try {
                span,
                begun: now,
                ended: None,
                to: None,
                path,
                protocol: "",
                status: 0,
                failure: None,
            });
        }
    }

    /// The request is about to be sent to this endpoint. The header lines that tell the backend of this try.
    pub(super) fn send_to(
        &mut self,
        endpoint: &Arc<Endpoint>,
        path: &str,
        protocol: &'static str,
    ) -> Vec<u8> {
        if let Some(current) = self.seen().and_then(|seen| seen.tries.last_mut()) {
            (current.to, current.protocol) = (Some(endpoint.clone()), protocol);
            path.clone_into(&mut current.path);
        }
        let (trace, span) = (self.id(), digits::<16>(self.current.into()));
        let flags: &[u8] = if self.is_sampled { b"01" } else { b"00" };
        let mut lines = [b"traceparent: 00-", &trace[..], b"-", &span, b"-", flags, b"\r\n"].concat();
        if !self.state.is_empty() {
            lines.extend([b"tracestate: ", self.state.as_bytes(), b"\r\n"].concat());
        }
        lines
    }

    /// The endpoint has answered with this status.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(current) = self.current_try() {
            current.status = status;
        }
    }

    /// The try is over, and another one may follow.
    pub(super) fn end_try(&mut self, failure: Option<Failure>, now: Instant) {
        if let Some(current) = self.current_try() {
            (current.ended, current.failure) = (Some(now), failure);
        }
    }

    fn current_try(&mut self) -> Option<&mut Try> {
        self.seen().and_then(|seen| seen.tries.last_mut()).filter(|last| last.ended.is_none())
    }
}

/// A request that is over.
pub(super) struct Over<'a> {
    pub(super) time: Timestamp,
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    pub(super) request_id: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) protocol: &'static str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) client: IpAddr,
    pub(super) status: u16,
    pub(super) failure: Option<Failure>,
    pub(super) upstream: Option<&'a str>,
    pub(super) identity: Option<&'a Identity>,
}

impl Traces {
    /// Records a request, if its trace is.
    pub(super) fn record(&self, mut trace: Box<Trace>, over: &Over<'_>) {
        if trace.is_sampled {
            let seen = std::mem::take(&mut trace.seen);
            let own = self.own(&trace, &seen.route, over);
            // Where no endpoint was well, nothing was tried.
            let tries = seen
                .tries
                .iter()
                .filter(|one| one.to.is_some() || over.failure != Some(Failure::UpstreamDown));
            let tries = tries.enumerate().map(|(index, one)| one.span(&trace, index, over));
            self.queue.give(std::iter::once(own).chain(tries).collect());
        }
    }

    fn own(&self, trace: &Trace, route: &str, over: &Over<'_>) -> Span {
        let mut facts = method(over.method);
        facts.extend([
            ("url.scheme", "https".into()),
            ("url.path", over.path.into()),
            ("server.address", over.host.into()),
            ("server.port", over.port.into()),
            ("client.address", over.client.to_string().into()),
            ("network.protocol.version", over.protocol.into()),
            ("sekisho.request_id", over.request_id.into()),
        ]);
        if !route.is_empty() {
            facts.push(("http.route", route.into()));
        }
        if over.status != 0 {
            facts.push(("http.response.status_code", over.status.into()));
        }
        facts.extend(over.upstream.map(|name| ("sekisho.upstream", name.into())));
        facts.extend(over.failure.map(|failure| ("sekisho.failure", failure.code().into())));
        if let Some(identity) = over.identity.filter(|_| self.names_identity) {
            facts.push(("sekisho.contract", identity.contract.as_str().into()));
            facts.push(("sekisho.user", identity.user.as_str().into()));
        }
        // What a client did wrong is no error of the server's: a 4xx. That a response was cut off is one.
        let is_cut =
            over.failure.is_some_and(|failure| failure != Failure::SentToPortal) && over.status < 400;
        let error = match over.failure {
            Some(failure) if is_cut || over.status >= 500 => Some(failure.code().to_owned()),
            None if over.status >= 500 => Some(over.status.to_string()),
            _ => None,
        };
        let has_failed = error.is_some();
        facts.extend(error.map(|error| ("error.type", error.into())));
        Span {
            trace: trace.id,
            id: trace.own,
            parent: trace.parent.map(|parent| (parent, true)),
            state: trace.state.clone(),
            side: Side::Server,
            name: named(over.method, route),
            begun: over.nanoseconds(over.begun),
            ended: over.nanoseconds(over.ended),
            facts,
            has_failed,
        }
    }
}

impl Over<'_> {
    /// An instant as nanoseconds since 1970, by the time at which the request began.
    fn nanoseconds(&self, at: Instant) -> u64 {
        let after = at.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(self.time.as_nanosecond()).unwrap_or_default()
            + u64::try_from(after).unwrap_or_default()
    }
}

impl Try {
    fn span(&self, trace: &Trace, index: usize, over: &Over<'_>) -> Span {
        let mut facts = method(over.method);
        if let Some(endpoint) = &self.to {
            self.add_place(endpoint, &mut facts);
        }
        if index > 0 {
            facts.push(("http.request.resend_count", u16::try_from(index).unwrap_or(u16::MAX).into()));
        }
        if self.status != 0 {
            facts.push(("http.response.status_code", self.status.into()));
        }
        // Of the last one, what the request failed with; but what its client did is no failure of the backend's.
        let is_last = self.ended.is_none();
        let of_request =
            over.failure.filter(|failure| is_last && (self.status == 0 || failure.fault() != Fault::Client));
        let error = match self.failure.or(of_request) {
            Some(failure) => Some(failure.code().to_owned()),
            None => (self.status >= 400).then(|| self.status.to_string()),
        };
        let has_failed = error.is_some();
        facts.extend(error.map(|error| ("error.type", error.into())));
        Span {
            trace: trace.id,
            id: self.span,
            parent: Some((trace.own, false)),
            state: trace.state.clone(),
            side: Side::Client,
            name: named(over.method, ""),
            begun: over.nanoseconds(self.begun),
            ended: over.nanoseconds(self.ended.unwrap_or(over.ended)),
            facts,
            has_failed,
        }
    }

    /// Where it went: the endpoint by its configured name, and the address that the name had.
    fn add_place(&self, endpoint: &Endpoint, facts: &mut Vec<(&'static str, Fact)>) {
        let authority = match endpoint.address() {
            Address::Ip(address) => {
                let name = endpoint.name();
                let (host, port) = name.rsplit_once(':').unwrap_or((name, ""));
                facts.push(("server.address", host.trim_matches(['[', ']']).into()));
                facts.extend(port.parse::<u16>().ok().map(|port| ("server.port", port.into())));
                facts.push(("network.peer.address", address.ip().to_string().into()));
                facts.push(("network.peer.port", address.port().into()));
                name
            }
            Address::Unix(path) => {
                facts.push(("server.address", path.display().to_string().into()));
                facts.push(("network.transport", "unix".into()));
                "localhost"
            }
        };
        let scheme = if endpoint.is_over_tls() { "https" } else { "http" };
        facts.push(("url.full", format!("{scheme}://{authority}{}", self.path).into()));
        facts.push(("network.protocol.version", self.protocol.into()));
    }
}

/// The methods that are known by their name; any other is as many values as clients can think of.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];

fn method(sent: &str) -> Vec<(&'static str, Fact)> {
    if METHODS.contains(&sent) {
        return vec![("http.request.method", sent.into())];
    }
    let original = (!sent.is_empty()).then(|| ("http.request.method_original", sent.into()));
    [("http.request.method", "_OTHER".into())].into_iter().chain(original).collect()
}

fn named(method: &str, route: &str) -> String {
    let method = if METHODS.contains(&method) { method } else { "HTTP" };
    if route.is_empty() { method.to_owned() } else { format!("{method} {route}") }
}
