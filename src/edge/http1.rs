//! HTTP/1.1 towards the client: our own, because every leniency of a general parser is somebody's way to smuggle a
//! request (T24), and because a request and its exchange then run in one task with one write per small response.

mod head;
mod outgoing;
mod request;
mod request_body;
mod response_head;
mod scratch;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[cfg(any(test, fuzzing))]
pub(super) use self::head::parse_request;
pub(super) use self::head::{BadHead, HeadEnd, parse_response, parse_trailers};
use self::request::{Client, bad_head, take};
use self::request_body::RequestBody;
use self::response_head::Delimiting;
use super::backstage;
use super::connection::Connection;
use super::failure::{Failure, Fault};
use super::forward::{self, Answer, BodySource, Broken, Exchange, Part, ResponseHead, Waiting};
use super::framing::{Decoder, Framing};
use super::intake::{Admitted, ForPortal, Held, Taken};
use super::rates;
use super::record::Record;
use super::respond;
use super::rules::Rules;
use super::sessions::Question;
use super::slowness::Slowness;
use super::socket::ClientIo;
use super::timer::{LAST_CALL, Timer};
use super::tunnel;
use super::wants::Wants;

/// Response bytes that may wait for a slow client before the upstream is read on.
const HIGH_WATER: usize = 64 << 10;
/// Parts up to this size are copied behind the lines before them, and go out in one record with them.
const SMALL: usize = 16 << 10;
/// Bytes of the next requests that may wait while a response is under way.
const PIPELINED: usize = 16 << 10;
/// The client may send its body.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How long a connection is read on after an error, so that the client gets to see the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(super) async fn serve<Io: ClientIo>(io: Io, connection: Arc<Connection>, timer: Timer) {
    let rules = connection.worker.rules();
    let http1 = Http1 {
        io,
        read: BytesMut::new(),
        write: BytesMut::new(),
        data: Bytes::new(),
        is_stalled: false,
        is_new: true,
        is_last_call: false,
        slowness: Slowness::new(&rules.policy.limits),
        taken: 0,
        rules,
        connection,
        timer,
    };
    http1.run().await;
}

struct Http1<Io> {
    io: Io,
    /// What the client sent and nobody has taken yet.
    read: BytesMut,
    /// Lines and small parts on their way to the client, then one large part.
    write: BytesMut,
    data: Bytes,
    /// Whether the client is waited for to take what was written: then the deadline is its own.
    is_stalled: bool,
    /// How slowly it takes that, and how many bytes it had taken when it was looked at last.
    slowness: Slowness,
    taken: u64,
    /// Whether no request has come yet, and whether it is too late for one to come slowly.
    is_new: bool,
    is_last_call: bool,
    connection: Arc<Connection>,
    /// Those of the request under way.
    rules: Arc<Rules>,
    timer: Timer,
}

/// What was found while waiting for a request.
enum Next {
    /// A head of so many bytes.
    Head(usize),
    /// A head that can't be taken.
    Bad(Failure),
    /// Nothing: the client is gone, was idle for too long or isn't welcome any more.
    End,
}

/// What comes after a request.
enum After {
    Next,
    Close,
    /// Close without TLS's goodbye: what was sent isn't whole, and for HTTP/1.0 nothing else would say so.
    Cut,
    /// Close, but let the client read the answer first: it may still be sending.
    Linger,
    Tunnel(Box<(Exchange, Box<Record>, Option<Question>)>),
}

impl<Io: ClientIo> Http1<Io> {
    async fn run(mut self) {
        loop {
            let next = self.next_head().await;
            self.is_new = false;
            let after = match next {
                // On the heap, so that an idle connection doesn't hold room for an exchange.
                Next::Head(length) => Box::pin(self.turn(length)).await,
                Next::Bad(failure) => {
                    let record = Record::begin(&self.connection, "1.1");
                    self.refuse(record, failure, Wants::default(), false).await
                }
                Next::End => After::Close,
            };
            match after {
                After::Next => {}
                After::Close => return Box::pin(self.close(false)).await,
                After::Cut => return,
                After::Linger => return Box::pin(self.close(true)).await,
                After::Tunnel(upgraded) => {
                    let (exchange, record, session) = *upgraded;
                    let Self { io, read, connection, timer, .. } = self;
                    let Some(link) = exchange.into_link() else { return };
                    return Box::pin(tunnel::run(io, read, link, &connection, &timer, record, session)).await;
                }
            }
        }
    }

    /// Waits for the head of the next request.
    async fn next_head(&mut self) -> Next {
        self.rules = self.connection.worker.rules();
        let mut end = HeadEnd::default();
        let mut begun = false;
        self.timer.set(self.rules.policy.timeouts.idle.get());
        loop {
            // An empty line before a request is somebody's leftover (RFC 9112, section 2.2).
            if !begun && self.read.starts_with(b"\r\n") {
                self.read.advance(2);
                continue;
            }
            if !begun && !self.read.is_empty() {
                begun = true;
                self.rules = self.connection.worker.rules();
                self.timer.set(self.rules.policy.timeouts.headers.get());
            }
            let limits = &self.rules.policy.limits;
            match end.find(&self.read) {
                Ok(Some(length)) if length as u64 <= limits.header_bytes.bytes() => {
                    return Next::Head(length);
                }
                Ok(None) if self.read.len() as u64 <= limits.header_bytes.bytes() => {}
                Ok(_) => return Next::Bad(Failure::HeadTooLarge("more bytes than limits.header_bytes")),
                Err(bad) => return Next::Bad(bad_head(bad)),
            }
            match std::future::poll_fn(|cx| self.poll_wait(cx, begun)).await {
                Wait::Bytes => {}
                Wait::Late if begun => return Next::Bad(Failure::RequestTimeout),
                Wait::Late | Wait::Unwelcome | Wait::Gone => return Next::End,
            }
        }
    }

    /// Waits for bytes of a head. Between requests it also ends when the gate drains or the certificate was refused
    /// in the meantime (T3): [`Timers::wake_all`](super::timer::Timers::wake_all) has it look.
    fn poll_wait(&mut self, cx: &mut Context<'_>, begun: bool) -> Poll<Wait> {
        self.timer.register(cx);
        match scratch::poll_read(&mut self.io, cx, &mut self.read) {
            Poll::Ready(Ok(1..)) => return Poll::Ready(Wait::Bytes),
            Poll::Ready(_) => return Poll::Ready(Wait::Gone),
            Poll::Pending => {}
        }
        if self.timer.is_late() {
            return Poll::Ready(Wait::Late);
        }
        // Who is idle must not keep rules of before, and their connections to upstreams, from going.
        if !begun && !self.connection.worker.goes_by(&self.rules) {
            self.rules = self.connection.worker.rules();
        }
        if !begun && self.connection.has_lost_standing() {
            return Poll::Ready(Wait::Unwelcome);
        }
        if !begun && self.connection.worker.is_draining() && !self.is_last_call {
            if !self.is_new {
                return Poll::Ready(Wait::Unwelcome);
            }
            // Whoever connected a moment before the drain has a request on its way.
            self.is_last_call = true;
            self.timer.set(LAST_CALL);
        }
        Poll::Pending
    }

    /// One request, from its head to the end of its response.
    async fn turn(&mut self, head: usize) -> After {
        let mut record = Record::begin(&self.connection, "1.1");
        self.rules = record.rules().clone();
        (self.is_stalled, self.slowness) = (false, Slowness::new(&self.rules.policy.limits));
        let bytes = scratch::split_to(&mut self.read, head);
        let (mut taken, wants) = take(&self.connection, &mut record, &bytes, None);
        if let Err((Held::Session(question), _)) = taken {
            let known = Box::pin(self.rules.ask(*question)).await;
            (taken, _) = take(&self.connection, &mut record, &bytes, Some(&known));
        }
        drop(bytes);
        match taken {
            Ok((Taken::Forward(admitted), client)) => self.exchange(record, admitted, client, wants).await,
            // On the heap as well: the portal's way is long, and rare beside the others.
            Ok((Taken::Portal(request), client)) => {
                Box::pin(self.portal(record, request, &client, wants)).await
            }
            Ok((Taken::Answer(reply), client)) => {
                let keeps_alive = !client.has_more && !self.connection.worker.is_draining();
                Box::pin(self.say(record, &reply, keeps_alive)).await
            }
            Err((Held::Failed(failure), has_more)) => self.refuse(record, failure, wants, !has_more).await,
            // It was looked up, and is asked for again: there is nothing to decide by.
            Err((Held::Session(_), has_more)) => {
                self.refuse(record, Failure::StateUnavailable, wants, !has_more).await
            }
        }
    }

    /// Forwards an admitted request and brings back the response.
    async fn exchange(
        &mut self,
        mut record: Box<Record>,
        admitted: Box<Admitted>,
        client: Client,
        wants: Wants,
    ) -> After {
        let mut decoder = Decoder::request(admitted.framing.unwrap_or(Framing::Length(0)));
        let mut waiting = Turn { http1: self, decoder: &mut decoder, minor: client.minor };
        let answered = forward::answer(&mut record, &admitted, &mut waiting).await;
        let (mut exchange, mut head) = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                let is_drained = decoder.is_over() && !admitted.upgrade && client.keeps_alive;
                return self.refuse(record, failure, wants, is_drained).await;
            }
        };
        record.answered(head.status);
        head.add(rates::fields(&record.quotas));
        self.have_buffer();
        if head.status == 101 {
            response_head::write(&mut self.write, &head, Delimiting::Upgrade);
            return match self.flush().await {
                Ok(()) => After::Tunnel(Box::new((exchange, record, admitted.tunnels_by))),
                Err(_) => After::Close,
            };
        }
        // A body that isn't read to its end would be taken for the next request.
        let keeps_alive = client.keeps_alive
            && !self.connection.worker.is_draining()
            && !admitted.upgrade
            && (decoder.is_over() || exchange.takes_body());
        let delimiting = Delimiting::of(&head, admitted.is_head, client.minor, keeps_alive);
        response_head::write(&mut self.write, &head, delimiting);
        // In chunks, a body that is over still has its last one.
        let mut is_ended = !delimiting.is_chunked() && exchange.is_over();
        let relayed = std::future::poll_fn(|cx| {
            let ending = (delimiting.is_chunked(), &mut is_ended);
            self.poll_relay(cx, &mut exchange, &mut decoder, &mut record, ending)
        })
        .await;
        record.bytes_in = exchange.bytes_in();
        if let Err(failure) = relayed {
            // Too late for another answer: cut it off, so that the client sees it isn't whole.
            record.fail(failure);
            if failure.fault() != Fault::Client {
                let _ = self.flush().await;
            }
            return After::Cut;
        }
        record.complete();
        exchange.finish();
        match (delimiting.keeps_alive() && decoder.is_over(), decoder.is_over()) {
            (true, _) => After::Next,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        }
    }

    /// Has the portal answer.
    async fn portal(
        &mut self,
        mut record: Box<Record>,
        request: ForPortal,
        client: &Client,
        wants: Wants,
    ) -> After {
        if request.expects_continue {
            self.write.put_slice(CONTINUE);
            if self.flush().await.is_err() {
                return After::Close;
            }
        }
        let mut decoder = Decoder::request(request.framing.unwrap_or(Framing::Length(0)));
        let worker = self.connection.worker.clone();
        let Self { io, read, timer, rules, .. } = self;
        let form = backstage::collect(timer, rules.policy.timeouts.body_idle.get(), |cx| {
            RequestBody { io: &mut *io, read: &mut *read, decoder: &mut decoder }.poll_part(cx)
        });
        let form = match form.await {
            Ok(form) => form,
            Err(failure) => return self.refuse(record, failure, wants, false).await,
        };
        record.bytes_in = form.len() as u64;
        let response = self.rules.backstage.portal(request.request.map(|()| form)).await;
        let reply = respond::of_portal(response, &record, worker.clock.now());
        let keeps_alive = client.keeps_alive && !worker.is_draining();
        self.say(record, &reply, keeps_alive).await
    }

    /// Moves an exchange on until its answer is here, as long as the client is.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        decoder: &mut Decoder,
    ) -> Poll<Result<Answer, Broken>> {
        let gone = Broken::from(Failure::ClientGone);
        if !self.write.is_empty()
            && let Poll::Ready(Err(_)) = self.poll_flush(cx)
        {
            return Poll::Ready(Err(gone));
        }
        let mut source = RequestBody { io: &mut self.io, read: &mut self.read, decoder };
        if let Poll::Ready(answer) = exchange.poll_answer(cx, &mut source, &self.timer) {
            return Poll::Ready(answer);
        }
        // Nobody waits for the answer any more: the exchange is dropped, and the upstream sees its connection close.
        if self.is_client_gone(cx, exchange) { Poll::Ready(Err(gone)) } else { Poll::Pending }
    }

    /// Brings the response's body to the client: in chunks or not, and up to where it has ended.
    fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        decoder: &mut Decoder,
        record: &mut Record,
        (is_chunked, is_ended): (bool, &mut bool),
    ) -> Poll<Result<(), Failure>> {
        loop {
            while !*is_ended && !self.is_stalled && self.data.is_empty() && self.write.len() < HIGH_WATER {
                let mut source = RequestBody { io: &mut self.io, read: &mut self.read, decoder };
                match exchange.poll_part(cx, &mut source, &self.timer) {
                    Poll::Ready(Ok(Part::Data(data))) => {
                        record.bytes_out += data.len() as u64;
                        self.queue(data, is_chunked);
                    }
                    Poll::Ready(Ok(Part::End(trailers))) => {
                        *is_ended = true;
                        if is_chunked {
                            let lines = exchange.trailer_lines(&trailers).map_err(Failure::UpstreamBroken)?;
                            self.queue_end(&lines);
                        }
                    }
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => break,
                }
            }
            let is_written = self.write.is_empty() && self.data.is_empty();
            match if is_written { self.poll_flush(cx) } else { self.poll_write(cx) } {
                Poll::Pending => {
                    let patience = exchange.patience(self.rules.policy.timeouts.body_idle.get());
                    return self.poll_stalled(cx, patience);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failure::ClientGone)),
                Poll::Ready(Ok(())) if self.is_stalled || !is_written => {
                    // The client takes something: now it is the upstream's turn.
                    self.go_on()?;
                    exchange.await_part(&self.timer);
                }
                Poll::Ready(Ok(())) if *is_ended => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if self.is_client_gone(cx, exchange) => {
                    return Poll::Ready(Err(Failure::ClientGone));
                }
                Poll::Ready(Ok(())) => return Poll::Pending,
            }
        }
    }

    /// Whether the client went away while it should wait. What it sends instead is the next request's.
    fn is_client_gone(&mut self, cx: &mut Context<'_>, exchange: &Exchange) -> bool {
        // While the body is wanted, its source reads the connection and sees its end.
        !exchange.takes_body() && poll_gone(&mut self.io, &mut self.read, cx).is_ready()
    }

    /// Answers a failure ourselves. On the heap, because it is rare, and every connection would have room for it.
    fn refuse(
        &mut self,
        mut record: Box<Record>,
        failure: Failure,
        wants: Wants,
        is_drained: bool,
    ) -> Pin<Box<impl Future<Output = After>>> {
        Box::pin(async move {
            record.fail(failure);
            if failure.status() == 0 {
                return After::Close;
            }
            let keeps_alive =
                is_drained && !failure.poisons_connection() && !self.connection.worker.is_draining();
            let reply = respond::reply(failure, wants, &record, self.connection.worker.clock.now());
            self.say(record, &reply, keeps_alive).await
        })
    }
}

/// Ready once the client is gone. What it sends meanwhile is kept, up to a bound.
fn poll_gone(io: &mut impl ClientIo, read: &mut BytesMut, cx: &mut Context<'_>) -> Poll<()> {
    while read.len() < PIPELINED {
        match ready!(scratch::poll_read(io, cx, read)) {
            Ok(1..) => {}
            // It has said all that it had to say; that it still listens shows a layer below.
            Ok(0) => return io.poll_gone(cx),
            Err(_) => return Poll::Ready(()),
        }
    }
    Poll::Pending
}

/// A client that waits for the answer to its request, whose body `decoder` reads.
struct Turn<'a, Io> {
    http1: &'a mut Http1<Io>,
    decoder: &'a mut Decoder,
    /// The minor version of its HTTP.
    minor: u8,
}

impl<Io: ClientIo> Waiting for Turn<'_, Io> {
    fn parts(&mut self) -> (&Timer, impl FnMut(&mut Context<'_>) -> Poll<()>) {
        let Http1 { io, read, timer, .. } = &mut *self.http1;
        (timer, |cx: &mut Context<'_>| poll_gone(io, read, cx))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Result<Answer, Broken>> {
        self.http1.poll_answer(cx, exchange, self.decoder)
    }

    fn go_on(&mut self) {
        self.http1.write.put_slice(CONTINUE);
    }

    /// HTTP/1.0 has no interim responses (RFC 9110, section 15.2). A client that doesn't read them does without: they are hints.
    fn hear(&mut self, interim: &ResponseHead) {
        if self.minor == 1 && self.http1.write.len() < HIGH_WATER {
            response_head::write_interim(&mut self.http1.write, interim);
        }
    }
}

/// What ended a wait.
enum Wait {
    Bytes,
    Late,
    Unwelcome,
    Gone,
}
