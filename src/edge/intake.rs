//! Taking a request in: from a head, however it came, to a permit and the head that the upstream gets.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;

use super::connection::Connection;
use super::failure::Failure;
use super::fields::{Field, is_disguised_framing};
use super::forward;
use super::framing::Framing;
use super::gate::{self, Claim, Claims, Denied, Permit};
use super::load::Shed;
use super::place::Place;
use super::policy::Policy;
use super::rates::{Exceeded, Limit, Sender};
use super::record::Record;
use super::respond::{self, Reply};
use super::route::{Leave, Terms};
use super::sessions::{self, Known, Question};
use super::target::{Target, is_below};
use super::trail::Trail;
use crate::clock;
use crate::config::Coding;
use crate::domain::{Identity, PORTAL, SessionEnd, Source, Standing};

/// A request's head, the same for HTTP/1.1 and HTTP/2.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a str,
    /// In origin form.
    pub(super) target: &'a [u8],
    /// The one authority that the request names.
    pub(super) authority: &'a [u8],
    pub(super) fields: &'a [Field<'a>],
    /// How the body is delimited; `None` if there is none.
    pub(super) framing: Option<Framing>,
    /// Whether a WebSocket is asked for.
    pub(super) upgrade: bool,
    /// What the backend gets for `Sec-WebSocket-Key` where the client has none of its own: over HTTP/2.
    pub(super) websocket_key: Option<&'a str>,
    /// For `Via`: `1.0`, `1.1` or `2.0`.
    pub(super) protocol: &'static str,
}

/// What becomes of a request.
pub(super) enum Taken {
    /// It goes on to an upstream.
    Forward(Box<Admitted>),
    /// The portal answers it.
    Portal(ForPortal),
    /// Its route answers it.
    Answer(Reply),
}

/// Why nothing becomes of a request now.
pub(super) enum Held {
    /// It is refused.
    Failed(Failure),
    /// Its session must be looked up; then it can be admitted.
    Session(Box<Question>),
}

impl From<Failure> for Held {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A request for the portal, without its body.
pub(super) struct ForPortal {
    pub(super) request: Request<()>,
    pub(super) framing: Option<Framing>,
    pub(super) expects_continue: bool,
}

/// A request that may go on.
pub(super) struct Admitted {
    pub(super) permit: Permit,
    pub(super) terms: Arc<Terms>,
    /// What its answer tells pages of other origins.
    pub(super) leave: Leave,
    /// In which coding the client would like its answer, if its route has it compressed.
    pub(super) coding: Option<Coding>,
    /// When the exchange must be over.
    pub(super) ends: Option<Instant>,
    /// Request line and fields as the upstream gets them, but for an assertion.
    head: Bytes,
    /// What the assertion says, if the upstream wants one.
    claims: Option<Vec<u8>>,
    pub(super) framing: Option<Framing>,
    pub(super) expects_continue: bool,
    pub(super) upgrade: bool,
    /// The session that a tunnel would stand on: it has no next request that could be refused.
    pub(super) tunnels_by: Option<Question>,
    /// Whether the response has no body, whatever its fields say.
    pub(super) is_head: bool,
    /// Whether the request may be sent twice (RFC 9110, section 9.2.2).
    pub(super) is_idempotent: bool,
}

impl Admitted {
    /// The whole head, to be sent now, with lines that are for this try. An assertion is signed each time: who had to wait, or
    /// failed at one endpoint, may have outlived the one before.
    pub(super) fn head(&self, policy: &Policy, traced: &[u8], now: Timestamp) -> Bytes {
        let claims = self.claims.as_ref().zip(policy.assertions.as_ref());
        let line = claims.and_then(|(claims, assertions)| assertions.line(claims, now));
        if line.is_none() && traced.is_empty() {
            return self.head.clone();
        }
        let (fields, end) = self.head.split_at(self.head.len() - b"\r\n".len());
        [fields, line.as_deref().unwrap_or_default(), traced, end].concat().into()
    }

    /// The path that the backend is asked for.
    pub(super) fn path(&self) -> &str {
        let target = self.head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
        std::str::from_utf8(path).unwrap_or_default()
    }

    /// Whether a body follows.
    pub(super) const fn has_body(&self) -> bool {
        !matches!(self.framing, None | Some(Framing::Length(0)))
    }
}

/// Methods longer than this are no methods.
const LONGEST_METHOD: usize = 24;

/// Checks a request, asks the gate, and writes the upstream's head. `known` is what was found of its session, if that was
/// asked for.
pub(super) fn admit(
    connection: &Connection,
    record: &mut Record,
    request: &RequestHead<'_>,
    known: Option<&Known>,
) -> Result<Taken, Held> {
    let verdict = record.verdict().clone();
    let (rules, host) = (&verdict.rules, &verdict.host);
    let policy = &rules.policy;
    record.method = method_as_sent(request.method);
    // Before anything is understood, the log shows what was sent.
    record.path = path_as_sent(request.target);
    if verdict.is_misdirected {
        return Err(Failure::Misdirected.into());
    }
    // Whose session was looked up comes by here a second time.
    if known.is_none() {
        follow_trace(connection, record, request.fields);
        count_source(connection, record, request.fields)?;
    }
    check_method(request.method)?;
    check_fields(policy, request)?;
    record.trail = connection.trail(&verdict, request.fields).map_err(Failure::BadRequest)?;
    let authority = authority(request.authority, &host.name)?;
    let target = Target::parse(request.target).map_err(|ambiguous| Failure::BadRequest(ambiguous.0))?;
    if record.path != target.path {
        record.path = target.path.to_string();
    }
    let place = Place { connection, verdict: &verdict, request, target: &target, authority: &authority };
    if is_below(&target.path, PORTAL) {
        if let Some(trace) = &mut record.trace {
            trace.is_at(PORTAL);
        }
        return place.portal(record).map(Taken::Portal);
    }
    if target.decoded().is_some_and(|path| policy.routes.is_another_at(&host.name, &place.asked(), &path)) {
        return Err(Failure::BadRequest("an encoded character that makes it another route's").into());
    }
    if let Some(leave) = policy.routes.preflight(&host.name, &place.asked()) {
        let now = connection.worker.clock.now();
        return Ok(Taken::Answer(respond::of_preflight(leave, record, now)));
    }
    let token = sessions::token(request.fields);
    let visitor = || connection.visitor(&verdict, record);
    let kept = match (&token, known) {
        (Some(token), None) => rules.sessions.find(token, &visitor()),
        _ => None,
    };
    let session = match (&token, known.or(kept.as_ref())) {
        (None, _) => Claim::Nothing,
        (Some(_), None) => Claim::Unasked,
        (Some(_), Some(known)) => Claim::Asked(known),
    };
    let standing = match &session {
        Claim::Asked(Known::Holds(standing)) => Some(standing.clone()),
        _ => None,
    };
    let claims = Claims { verdict: &verdict, session };
    // Looked at once: a file that comes or goes meanwhile is for the next request.
    let notice = policy.routes.closed(&host.name, &place.asked());
    let grant = match gate::decide(policy, host, &claims, &place.asked(), notice.is_some()) {
        Ok(grant) => grant,
        Err(Denied::Unasked) => {
            let question = token.map(|token| Question { token, visitor: visitor() });
            return Err(question.map_or(Held::Failed(Failure::StateUnavailable), |question| {
                Held::Session(Box::new(question))
            }));
        }
        Err(denied) => {
            record.notice = notice.filter(|_| denied == Denied::Closed);
            return Err(place.denied(denied, record).into());
        }
    };
    let tunnels_by = token
        .filter(|_| request.upgrade && grant.by_session)
        .map(|token| Question { token, visitor: visitor() });
    let standing = standing.filter(|_| grant.by_session);
    if standing.as_ref().is_some_and(|standing| rules.is_suspended(&standing.session)) {
        return Err(place.denied(Denied::SignIn(Some(SessionEnd::Withdrawn)), record).into());
    }
    record.session = standing;
    if let Some(trace) = &mut record.trace {
        trace.is_at(grant.route.place());
    }
    let terms = grant.route.terms.clone();
    let target = Target { path: terms.rewritten(&target.path), query: target.query };
    let leave = terms.cors.as_ref().map(|cors| cors.leave(request.fields)).unwrap_or_default();
    // HTTP/1.0 has no chunks: there a length tells a whole answer, and it stays.
    let coding = terms.compression.as_ref().filter(|_| request.protocol != "1.0");
    let coding = coding.and_then(|compression| compression.choose(request.fields));
    let permit = grant.permit();
    let is_too_large =
        matches!(request.framing, Some(Framing::Length(length)) if length > terms.request_body);
    if permit.is_ok() && is_too_large {
        return Err(Failure::BodyTooLarge.into());
    }
    let session = record.session.clone();
    let identity = match (&session, verdict.standing()) {
        (Some(standing), _) => Some(&standing.session.identity),
        (None, Standing::Good(identity)) => Some(identity),
        (None, _) => None,
    };
    // What the gate answers by itself takes no room.
    if permit.is_ok() {
        make_room(connection, policy, record, identity.is_none())?;
    }
    let (sender, named) = (sender(connection, record, identity), &grant.route.rates);
    let per_identity = policy.rates.per_identity.iter().filter(|_| identity.is_some());
    count(policy, record, sender, named.iter().chain(per_identity))?;
    let permit = match permit {
        Ok(permit) => permit,
        Err(own) => {
            let now = connection.worker.clock.now();
            return Ok(Taken::Answer(respond::of_route(own, &grant, &target, leave, record, now)));
        }
    };
    let expects_continue = expects_continue(request);
    // The assertion is for the path that the backend sees.
    let place = Place { target: &target, ..place };
    let told = place.told(record, &policy.upstreams[permit.upstream()]);
    let forwarded = record.trail.as_ref().map(Trail::lines);
    let lines = forward::Lines {
        request,
        target: &target,
        authority: &authority,
        forwarded: forwarded.as_deref().unwrap_or(&verdict.forwarded),
        request_id: &record.request_id,
        told: told.parts(),
        edits: &terms.request,
        expects_continue,
    };
    Ok(Taken::Forward(Box::new(Admitted {
        head: forward::request_head(policy, &lines),
        claims: told.claims,
        permit,
        ends: terms.total.map(|total| clock::instant() + total),
        terms,
        leave,
        coding,
        framing: request.framing,
        expects_continue,
        upgrade: request.upgrade,
        tunnels_by,
        is_head: request.method == "HEAD",
        is_idempotent: matches!(request.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
    })))
}

/// Goes on with the trace of a trusted proxy, if that is wanted. Anybody else could have requests recorded, or tied to
/// whichever trace they like.
fn follow_trace(connection: &Connection, record: &mut Record, fields: &[Field<'_>]) {
    let verdict = record.verdict().clone();
    if let (Some(traces), Some(trace)) = (&verdict.rules.policy.traces, &mut record.trace)
        && traces.continues()
        && connection.is_trusted(&verdict)
    {
        trace.follow(fields);
    }
}

/// Counts a request by where it comes from, before anything else is looked at: on HTTP/2 the next one comes over the same
/// connection, whatever is wrong with this one.
pub(super) fn count_source(
    connection: &Connection,
    record: &mut Record,
    fields: &[Field<'_>],
) -> Result<(), Failure> {
    let verdict = record.verdict().clone();
    // A trail that can't be read says nothing: the peer itself is counted.
    record.trail = connection.trail(&verdict, fields).unwrap_or_default();
    let (policy, sender) = (&verdict.rules.policy, sender(connection, record, None));
    count(policy, record, sender, &policy.rates.per_source)
}

/// Who sends a request.
fn sender<'a>(connection: &Connection, record: &Record, identity: Option<&'a Identity>) -> Sender<'a> {
    Sender { source: Source::of(connection.address(record)), identity }
}

/// Counts a request by `limits`. The first that is reached refuses it, and those after it don't hear of it.
fn count<'l>(
    policy: &Policy,
    record: &mut Record,
    sender: Sender<'_>,
    limits: impl IntoIterator<Item = &'l Arc<Limit>>,
) -> Result<(), Failure> {
    for limit in limits {
        match limit.take(sender, record.micros()) {
            Ok(quota) if policy.rates.announce => record.quotas.push(quota),
            Ok(_) => {}
            Err(Exceeded(quota)) => {
                record.quotas.push(quota);
                return Err(Failure::RateLimited);
            }
        }
    }
    Ok(())
}

/// Takes a place among the requests on their way to an upstream, if the gate isn't overloaded.
fn make_room(
    connection: &Connection,
    policy: &Policy,
    record: &mut Record,
    is_anonymous: bool,
) -> Result<(), Failure> {
    let worker = &connection.worker;
    let placed = if worker.is_behind() {
        Err(Shed::Lag)
    } else if connection.is_reserve && worker.load.is_crowded(&policy.limits) {
        Err(Shed::Connections)
    } else {
        worker.load.begin_request(&policy.limits, is_anonymous)
    };
    record.open = Some(placed.map_err(|shed| {
        worker.metrics.shed.with_label_values(&[shed.code()]).inc();
        Failure::Overloaded(shed)
    })?);
    Ok(())
}

/// Whether the client waits to be asked for its body.
pub(super) fn expects_continue(request: &RequestHead<'_>) -> bool {
    let has_body = !matches!(request.framing, None | Some(Framing::Length(0)));
    // HTTP/1.0 doesn't know interim responses (RFC 9110, section 10.1.1).
    has_body
        && request.protocol != "1.0"
        && request
            .fields
            .iter()
            .any(|field| field.is("expect") && field.value.eq_ignore_ascii_case(b"100-continue"))
}

/// As the log shows it: nothing is allocated for those that there are.
fn method_as_sent(method: &str) -> Cow<'static, str> {
    const COMMON: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    match COMMON.iter().find(|common| **common == method) {
        Some(common) => Cow::Borrowed(common),
        None => Cow::Owned(method.chars().take(LONGEST_METHOD).collect()),
    }
}

fn path_as_sent(target: &[u8]) -> String {
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    String::from_utf8_lossy(&path[..path.len().min(1024)]).into_owned()
}

/// `CONNECT` opens tunnels, `TRACE` shows what only backends should see, `PRI` belongs to HTTP/2. Methods are in upper case:
/// a backend that takes `head` for `HEAD` sends no body where we would wait for one, and take the next answer for it.
fn check_method(method: &str) -> Result<(), Failure> {
    match method {
        "CONNECT" | "TRACE" | "PRI" => Err(Failure::MethodNotAllowed),
        _ if method.len() > LONGEST_METHOD => Err(Failure::MethodNotAllowed),
        _ if !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => {
            Err(Failure::MethodNotAllowed)
        }
        _ => Ok(()),
    }
}

fn check_fields(policy: &Policy, request: &RequestHead<'_>) -> Result<(), Failure> {
    if request.fields.len() > policy.limits.header_count.get() as usize {
        return Err(Failure::HeadTooLarge("more header fields than limits.header_count"));
    }
    if request.fields.iter().any(|field| is_disguised_framing(field.name)) {
        return Err(Failure::BadRequest("a framing field in disguise"));
    }
    Ok(())
}

/// The authority as the upstream gets it, once it is the connection's own host (T4). Its port may be any: the
/// client's view of it may differ from ours.
fn authority<'a>(given: &'a [u8], host: &str) -> Result<Cow<'a, str>, Failure> {
    let given =
        std::str::from_utf8(given).map_err(|_| Failure::BadRequest("an authority that is no text"))?;
    let (name, port) = match given.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (given, None),
    };
    if port
        .is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err())
    {
        return Err(Failure::BadRequest("an authority whose port is no number"));
    }
    if !name.eq_ignore_ascii_case(host) {
        return Err(Failure::Misdirected);
    }
    let is_lower = !given.bytes().any(|byte| byte.is_ascii_uppercase());
    Ok(if is_lower { given.into() } else { given.to_ascii_lowercase().into() })
}
