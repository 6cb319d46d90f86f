//! What is remembered of one request until it is over: then it becomes one log line and a few metrics.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::connection::{Connection, Verdict};
use super::failure::{Failure, Fault};
use super::intake::Admitted;
use super::load::{CompressedResponse, OpenRequest};
use super::rates::Quota;
use super::request_id::RequestId;
use super::route::Notice;
use super::rules::Rules;
use super::sessions::Standing;
use super::trace::{Over, Trace, Traces};
use super::trail::Trail;
use super::upstream::Endpoint;
use crate::clock;
use crate::domain::{self, Identity};
use crate::ops::{Entry, Metrics};

/// One request under way. Dropping it is the end of the request, however it came about. On the heap, because it is handed on
/// from one to the other.
pub(super) struct Record {
    connection: Arc<Connection>,
    verdict: Arc<Verdict>,
    time: Timestamp,
    begun: Instant,
    /// Also what the backend gets.
    pub(super) request_id: RequestId,
    /// `1.0`, `1.1` or `2`.
    pub(super) protocol: &'static str,
    /// The method as it was sent.
    pub(super) method: Cow<'static, str>,
    /// The path without the query; normalised once it was understood.
    pub(super) path: String,
    /// Index of the upstream.
    pub(super) upstream: Option<usize>,
    /// Where it was sent last, and how often it was sent.
    endpoint: Option<Arc<Endpoint>>,
    tries: u32,
    forwarded: Option<Instant>,
    first_byte: Option<Instant>,
    /// Status of the response; 0 until one is sent.
    pub(super) status: u16,
    /// Bytes of the request body so far.
    pub(super) bytes_in: u64,
    /// Bytes of the response body so far.
    pub(super) bytes_out: u64,
    failure: Option<Failure>,
    /// Along which trusted proxies it came.
    pub(super) trail: Option<Trail>,
    /// Where the client is sent instead.
    pub(super) location: Option<String>,
    /// The methods that would have been taken, if this one wasn't.
    pub(super) allow: Option<String>,
    /// What is said while the route is closed.
    pub(super) notice: Option<Arc<Notice>>,
    /// The session that says who is there.
    pub(super) session: Option<Arc<Standing>>,
    /// How the limits stand that it was counted by, if the client is to be told; the one that it failed by comes last.
    pub(super) quotas: Vec<Quota>,
    /// The trace that it belongs to, if there are any.
    pub(super) trace: Option<Box<Trace>>,
    /// Its place among the requests on their way to an upstream.
    pub(super) open: Option<OpenRequest>,
    complete: bool,
}

impl Record {
    /// Begins a record for a request of which nothing is known yet but its connection.
    pub(super) fn begin(connection: &Arc<Connection>, protocol: &'static str) -> Box<Self> {
        let time = connection.worker.clock.now();
        let verdict = connection.verdict(time);
        Box::new(Self {
            trace: verdict.rules.policy.traces.as_ref().map(Traces::begin),
            verdict,
            connection: connection.clone(),
            time,
            begun: clock::instant(),
            request_id: connection.worker.request_id(),
            protocol,
            method: Cow::Borrowed(""),
            path: String::new(),
            upstream: None,
            endpoint: None,
            tries: 0,
            forwarded: None,
            first_byte: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            failure: None,
            trail: None,
            location: None,
            allow: None,
            notice: None,
            session: None,
            quotas: Vec::new(),
            open: None,
            complete: false,
        })
    }

    /// What the judge says of the connection, as of this request.
    pub(super) const fn verdict(&self) -> &Arc<Verdict> {
        &self.verdict
    }

    /// The host that it is for.
    pub(super) fn host(&self) -> &str {
        &self.verdict.host.name
    }

    /// When it began, in microseconds since 1970.
    pub(super) fn micros(&self) -> i64 {
        self.time.as_microsecond()
    }

    /// What it goes by, to its end.
    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.verdict.rules
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        self.connection.worker.clock.now()
    }

    /// The request is on its way to an upstream.
    pub(super) fn forward(&mut self, upstream: usize) {
        self.upstream = Some(upstream);
        self.forwarded = Some(clock::instant());
    }

    /// A connection to an endpoint is looked for.
    pub(super) fn begin_try(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.begin_try(clock::instant());
        }
    }

    /// It is sent to this endpoint. Returns header lines that tell it of the trace.
    pub(super) fn at(
        &mut self,
        endpoint: &Arc<Endpoint>,
        admitted: &Admitted,
        protocol: &'static str,
    ) -> Vec<u8> {
        self.endpoint = Some(endpoint.clone());
        self.tries += 1;
        self.trace.as_mut().map_or_else(Vec::new, |trace| trace.send_to(endpoint, admitted.path(), protocol))
    }

    /// The endpoint has answered, which may not be what the client gets.
    pub(super) fn heard(&mut self, status: u16) {
        if let Some(trace) = &mut self.trace {
            trace.answered(status);
        }
    }

    /// It is sent once more.
    pub(super) fn end_try(&mut self, failure: Option<Failure>) {
        if let Some(trace) = &mut self.trace {
            trace.end_try(failure, clock::instant());
        }
    }

    fn identity(&self) -> Option<&Identity> {
        match (&self.session, self.verdict.standing()) {
            (Some(held), _) => Some(&held.session.identity),
            (None, domain::Standing::Good(identity)) => Some(identity),
            (None, _) => None,
        }
    }

    /// What tells whose request it is: the user, or the address that it came from if nobody is known.
    pub(super) fn key(&self) -> String {
        self.identity().map_or_else(
            || self.connection.visitor(&self.verdict, self).source.to_string(),
            |identity| format!("{} {}", identity.contract, identity.user),
        )
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.connection.worker.metrics
    }

    /// A place among the responses that are compressed, if there is one.
    pub(super) fn begin_compression(&self) -> Option<CompressedResponse> {
        let worker = &self.connection.worker;
        let place = worker.load.begin_compression(&self.rules().policy.limits);
        if place.is_none() {
            worker.metrics.compressions_shed.inc();
        }
        place
    }

    /// What an upstream that has connections introduced is told of whose this is.
    pub(super) fn introduction(&self) -> Vec<u8> {
        self.connection.introduction(self)
    }

    /// The head of the upstream's response is here.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
        self.first_byte = Some(clock::instant());
    }

    /// It failed. The first failure is the one that counts.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// What its trace is told of it at its end.
    fn over(&self, ended: Instant) -> Over<'_> {
        let rules = &self.verdict.rules;
        Over {
            time: self.time,
            begun: self.begun,
            ended,
            request_id: &self.request_id,
            method: &self.method,
            path: &self.path,
            protocol: self.protocol,
            host: &self.verdict.host.name,
            port: self.connection.port(),
            client: self.connection.address(self),
            status: self.status,
            failure: self.failure,
            upstream: self.upstream.map(|index| &*rules.pools[index].upstream.name),
            identity: self.identity(),
        }
    }

    /// The response was sent to its end.
    pub(super) const fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (worker, host) = (&self.connection.worker, &self.verdict.host);
        if !self.complete && self.failure.is_none() {
            // Nobody polled the response to its end: the client reset the stream or closed the connection.
            self.failure = Some(Failure::ClientGone);
        }
        let ended = clock::instant();
        let duration = ended.saturating_duration_since(self.begun);
        let class = usize::from(self.status / 100).min(host.requests.len() - 1);
        host.requests[class].inc();
        host.request_duration.observe(duration.as_secs_f64());
        if let Some(failure) = self.failure.filter(|failure| *failure != Failure::SentToPortal) {
            worker.metrics.failures.with_label_values(&[failure.code()]).inc();
        }
        let upstream = self.upstream.map(|index| &*self.verdict.rules.pools[index].upstream);
        let first_byte =
            self.forwarded.zip(self.first_byte).map(|(sent, came)| came.saturating_duration_since(sent));
        if let Some(upstream) = upstream {
            if let Some(first_byte) = first_byte {
                upstream.first_byte.observe(first_byte.as_secs_f64());
            }
            if let Some(failure) = self.failure.filter(|failure| failure.fault() != Fault::Client) {
                worker.metrics.upstream_failures.with_label_values(&[&upstream.name, failure.code()]).inc();
            }
        }
        let trace = self.trace.take();
        let trace_id = trace.as_ref().map(|trace| trace.id());
        let by_trail = self.trail.as_ref().map(|trail| self.connection.log_of(&self.verdict, trail));
        worker.access_log.write(&Entry {
            time: self.time,
            request_id: &self.request_id,
            protocol: self.protocol,
            method: &self.method,
            path: &self.path,
            status: self.status,
            failure: self.failure.map(Failure::code),
            detail: self.failure.and_then(Failure::detail),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration,
            upstream: upstream.map(|upstream| (&*upstream.name, first_byte)),
            endpoint: self.endpoint.as_deref().map(Endpoint::label),
            tries: self.tries,
            trace: trace_id.as_ref().map(|id| &id[..]),
            connection: by_trail.as_deref().unwrap_or(&self.verdict.log),
            session: self.session.as_ref().map_or(&[], |standing| &standing.log),
        });
        if let Some((traces, trace)) = self.verdict.rules.policy.traces.as_ref().zip(trace) {
            traces.record(trace, &self.over(ended));
        }
    }
}
