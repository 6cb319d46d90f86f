//! HTTP/2 towards the client: hyper reads the frames, we judge each request as HTTP/1.1's and answer it.

mod crew;
mod gathering;
mod meter;
mod relay;
mod websocket;

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use self::crew::Crew;
use self::gathering::Gathering;
use self::meter::Metered;
pub(super) use self::relay::Streams;
use self::relay::{Body, RequestBody};
use self::websocket::Opening;
use super::backstage;
use super::connection::Connection;
use super::failure::Failure;
use super::fields::Field;
use super::forward::{self, Answer, BodySource, Broken, Exchange, ResponseHead, Waiting};
use super::framing::{self, Framing};
use super::intake::{self, ForPortal, Held, RequestHead, Taken};
use super::rates;
use super::record::Record;
use super::respond::{self, Reply};
use super::sessions::Known;
use super::socket::Client;
use super::timer::{LAST_CALL, Timer};
use super::wants::Wants;

/// How often a busy connection looks for streams whose client has stopped reading.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes that a client may send ahead on one stream, and on all of a connection's together.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of a response that may wait for a client's window.
const SEND_BUFFER: usize = 128 << 10;

/// Serves one connection to its end.
pub(super) async fn serve(io: Client, connection: Arc<Connection>, timer: Timer) {
    let (worker, streams) = (connection.worker.clone(), Arc::new(Streams::default()));
    let policy = worker.rules().policy.clone();
    let (limits, timeouts) = (policy.limits, policy.timeouts);
    // On the heap: hyper and the runtime hand the future on from one to the other, byte by byte.
    let service = service_fn(|request| Box::pin(answer(connection.clone(), streams.clone(), request)));
    let has_too_many_frames = Arc::new(AtomicBool::new(false));
    let io = Gathering::new(Metered::new(io, limits.h2_frames.get(), has_too_many_frames.clone()));
    let mut crew = Crew::default();
    let serving = hyper::server::conn::http2::Builder::new(crew.arrivals())
        .max_concurrent_streams(limits.h2_streams.get())
        .max_pending_accept_reset_streams(limits.h2_resets.get() as usize)
        .max_local_error_reset_streams(limits.h2_resets.get() as usize)
        .max_header_list_size(u32::try_from(limits.header_bytes.bytes()).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .auto_date_header(false)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(io.clone()), service);
    let mut serving = pin!(serving);
    let mut was_idle = false;
    let mut is_ending = false;
    // Whoever connected a moment before the drain has a request on its way.
    let (mut is_new, mut is_last_call) = (true, false);
    let flood = std::future::poll_fn(|cx| {
        timer.register(cx);
        crew.work(cx);
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            // The last requests end as others do, with their line in the log; and what was said before the end goes out.
            crew.begin(cx);
            let _ = io.poll_send(cx);
            let is_calmed = ended.err().is_some_and(|error| is_calmed(&error));
            let has_too_many_frames = has_too_many_frames.load(Ordering::Relaxed);
            return Poll::Ready(match (has_too_many_frames, is_calmed) {
                (true, _) => Some("frames"),
                (_, true) => Some("protocol"),
                _ => None,
            });
        }
        crew.begin(cx);
        if let Poll::Ready(Err(_)) = io.poll_send(cx) {
            return Poll::Ready(None);
        }
        let is_idle = streams.open.load(Ordering::Relaxed) == 0;
        if is_idle != was_idle || (!is_idle && timer.is_late()) {
            was_idle = is_idle;
            timer.set(if is_idle { timeouts.idle.get() } else { LOOK });
        }
        if streams.is_flooded(limits.h2_resets.get() as usize) {
            return Poll::Ready(Some("resets"));
        }
        if streams.is_stalled() || (is_ending && timer.is_late()) {
            // A client that opens streams and doesn't read them, or doesn't go: no goodbye.
            return Poll::Ready(None);
        }
        is_new &= is_idle;
        let is_draining = worker.is_draining();
        if is_draining && is_new && !is_last_call {
            is_last_call = true;
            timer.set(LAST_CALL);
        }
        let is_unwelcome = (is_draining && !is_new) || connection.has_lost_standing();
        if !is_ending && (timer.is_late() || is_unwelcome) {
            is_ending = true;
            serving.as_mut().graceful_shutdown();
            if is_idle {
                timer.set(LOOK);
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    if let Some(cause) = flood {
        connection.note_flood(cause);
    }
}

/// Whether h2 ended the connection because of more than it takes of something: it says ENHANCE_YOUR_CALM then.
fn is_calmed(error: &hyper::Error) -> bool {
    let reason = error.source().and_then(|source| source.downcast_ref::<h2::Error>()?.reason());
    reason == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// One request, from its head to the head of its response; the response's body goes its own way.
async fn answer(
    connection: Arc<Connection>,
    streams: Arc<Streams>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut stream = streams.begin();
    let mut record = Record::begin(&connection, "2");
    let opening = Opening::of(&mut request);
    let key = opening.as_ref().map(|opening| &*opening.key);
    let (parts, body) = request.into_parts();
    let fields: Vec<Field<'_>> = parts
        .headers
        .iter()
        .map(|(name, value)| Field { name: name.as_str().as_bytes(), value: value.as_bytes() })
        .collect();
    let wants = Wants::of(&fields);
    let mut taken = take(&connection, &mut record, (&parts, &body, &fields), key, None);
    if let Err(Held::Session(question)) = taken {
        let rules = record.rules().clone();
        let known = Box::pin(rules.ask(*question)).await;
        taken = take(&connection, &mut record, (&parts, &body, &fields), key, Some(&known));
    }
    let is_head = parts.method == http::Method::HEAD;
    let mut source = RequestBody::new(body);
    let timer = connection.worker.timers.timer();
    let mut session = None;
    let answered = match taken {
        Ok(Taken::Portal(_) | Taken::Answer(_)) if opening.is_some() => {
            Err(Failure::BadRequest("a WebSocket where the gate answers itself"))
        }
        Ok(Taken::Forward(mut admitted)) => {
            session = admitted.tunnels_by.take();
            let mut waiting = Turn { source: &mut source, timer: &timer };
            forward::answer(&mut record, &admitted, &mut waiting).await
        }
        // On the heap: the portal's way is long, and rare beside the others.
        Ok(Taken::Portal(request)) => {
            match Box::pin(portal(&connection, &mut record, request, source, &timer)).await {
                Ok(reply) => {
                    stream.answered();
                    return Ok(say(&reply, record, is_head));
                }
                Err(failure) => {
                    if failure != Failure::ClientGone {
                        stream.answered();
                    }
                    return Ok(refuse(&connection, failure, wants, record, is_head));
                }
            }
        }
        Ok(Taken::Answer(reply)) => {
            stream.answered();
            return Ok(say(&reply, record, is_head));
        }
        Err(Held::Failed(failure)) => Err(failure),
        // It was looked up, and is asked for again: there is nothing to decide by.
        Err(Held::Session(_)) => Err(Failure::StateUnavailable),
    };
    if !matches!(answered, Err(Failure::ClientGone)) {
        stream.answered();
    }
    let opened = answered.and_then(|(exchange, mut head)| {
        record.answered(head.status);
        head.add(rates::fields(&record.quotas));
        let is_open = opening.as_ref().map_or(Ok(false), |opening| opening.is_opened_by(&mut head))?;
        Ok((exchange, head, opening.filter(|_| is_open)))
    });
    Ok(match opened {
        Ok((exchange, head, Some(opening))) => {
            opening.carry(exchange, connection, (record, timer), session, stream);
            response(&head).map(|()| Body::Over)
        }
        Ok((exchange, head, None)) => {
            let is_over = exchange.is_over();
            let mut body = Body::relay(exchange, source, timer, record, stream);
            if is_over {
                // Said with the head: a 304 with a length and a DATA frame, even an empty one, confuses clients.
                body.end();
            }
            response(&head).map(|()| body)
        }
        Err(failure) => refuse(&connection, failure, wants, record, is_head),
    })
}

/// Takes a request in.
fn take(
    connection: &Connection,
    record: &mut Record,
    (parts, body, fields): (&Parts, &Incoming, &[Field<'_>]),
    websocket_key: Option<&str>,
    known: Option<&Known>,
) -> Result<Taken, Held> {
    match read((parts, body, fields), websocket_key) {
        Ok(request) => intake::admit(connection, record, &request, known),
        Err(failure) => {
            intake::count_source(connection, record, fields)?;
            Err(failure.into())
        }
    }
}

/// Refuses what HTTP/2 lets pass and HTTP/1.1 can't say (T24; RFC 9113, section 8.3.1).
fn read<'r>(
    (parts, body, fields): (&'r Parts, &Incoming, &'r [Field<'r>]),
    websocket_key: Option<&'r str>,
) -> Result<RequestHead<'r>, Failure> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(|host| host.as_bytes());
    if hosts.next().is_some() {
        return Err(Failure::BadRequest("more than one host field"));
    }
    let authority = match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Failure::BadRequest("a host field that contradicts :authority"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(Failure::BadRequest("neither :authority nor host")),
    };
    let length = framing::declared(fields).map_err(|bad| Failure::BadRequest(bad.0))?;
    let framing = match length {
        Some(Framing::Length(length)) => Some(Framing::Length(length)),
        Some(_) => return Err(Failure::BadRequest("a transfer coding in HTTP/2")),
        // What follows is no body, but the WebSocket.
        None if websocket_key.is_some() => None,
        None if body.is_end_stream() => None,
        None => Some(Framing::Chunked),
    };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    Ok(RequestHead {
        method: if websocket_key.is_some() { "GET" } else { parts.method.as_str() },
        target: target.as_bytes(),
        authority,
        fields,
        framing,
        upgrade: websocket_key.is_some(),
        websocket_key,
        protocol: "2.0",
    })
}

/// Has the portal answer.
async fn portal(
    connection: &Connection,
    record: &mut Record,
    request: ForPortal,
    mut source: RequestBody,
    timer: &Timer,
) -> Result<Reply, Failure> {
    let rules = record.rules().clone();
    let idle = rules.policy.timeouts.body_idle.get();
    let form = backstage::collect(timer, idle, |cx| source.poll_part(cx)).await?;
    record.bytes_in = form.len() as u64;
    let response = rules.backstage.portal(request.request.map(|()| form)).await;
    Ok(respond::of_portal(response, record, connection.worker.clock.now()))
}

/// A stream that waits for the answer to its request.
struct Turn<'a> {
    source: &'a mut RequestBody,
    timer: &'a Timer,
}

impl Waiting for Turn<'_> {
    /// hyper drops what nobody waits for.
    fn parts(&mut self) -> (&Timer, impl FnMut(&mut Context<'_>) -> Poll<()>) {
        (self.timer, |_: &mut Context<'_>| Poll::Pending)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Result<Answer, Broken>> {
        exchange.poll_answer(cx, self.source, self.timer)
    }

    /// The client isn't told: hyper's server can't, and no client waits for it longer than a second.
    fn go_on(&mut self) {}

    /// Nor is it told this, for the same reason.
    fn hear(&mut self, _: &ResponseHead) {}
}

fn response(head: &ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = response.headers_mut();
    headers.reserve(head.fields().count() + usize::from(head.declared_length.is_some()));
    for field in head.fields() {
        let name = http::HeaderName::from_bytes(field.name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(field.value)) {
            headers.append(name, value);
        }
    }
    if let Some(length) = head.declared_length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    response
}

fn refuse(
    connection: &Connection,
    failure: Failure,
    wants: Wants,
    mut record: Box<Record>,
    is_head: bool,
) -> Response<Body> {
    record.fail(failure);
    let reply = respond::reply(failure, wants, &record, connection.worker.clock.now());
    say(&reply, record, is_head)
}

/// Sends an answer of our own.
fn say(reply: &Reply, mut record: Box<Record>, is_head: bool) -> Response<Body> {
    let mut response = Response::new(());
    // A client that is gone gets no answer; its stream is reset by then.
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_REQUEST);
    for (name, value) in &reply.fields {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            response.headers_mut().append(name, value);
        }
    }
    record.status = reply.status;
    let body = if is_head { Bytes::new() } else { reply.body.clone() };
    record.bytes_out = body.len() as u64;
    record.complete();
    response.map(|()| Body::own(body))
}
