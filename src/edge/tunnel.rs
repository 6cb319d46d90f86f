//! A WebSocket after the upstream's 101: bytes both ways, until either side ends, nothing moves for too long, it has been open
//! for long enough, the certificate is refused (T3), or the session that it stands on is over.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::backstage::{FoundSession, Later};
use super::connection::Connection;
use super::record::Record;
use super::rules::Rules;
use super::sessions::Question;
use super::timer::Timer;
use super::upstream::Link;
use crate::clock;

/// How often a silent tunnel looks whether it may still be open: notAfter passes without anybody saying so.
const LOOK: Duration = Duration::from_secs(2);
/// How long a backend may still talk to a client that has nothing more to say. Over HTTP/2, browsers end their side together with
/// their close frame, and wait for the backend's.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes that may wait in each direction.
const WINDOW: usize = 16 << 10;

/// Carries bytes until the tunnel ends. `early` is what the client sent behind its request; `session`, what the tunnel
/// stands on, if it isn't the certificate.
pub(super) async fn run<Io: AsyncRead + AsyncWrite + Unpin>(
    mut client: Io,
    early: BytesMut,
    link: Link,
    connection: &Connection,
    timer: &Timer,
    mut record: Box<Record>,
    session: Option<Question>,
) {
    let (worker, rules) = (&connection.worker, record.rules().clone());
    let mut watch = session.map(|question| Watch { question, looking: None, carried: 0 });
    // It is a connection now, and no request that will end soon.
    record.open = None;
    let open = worker.metrics.tunnels.clone();
    open.inc();
    let Link { io: mut upstream, read, .. } = link;
    let mut up = Direction { waiting: early, ..Direction::default() };
    let mut down = Direction { waiting: read, ..Direction::default() };
    let idle = rules.policy.timeouts.tunnel_idle.get();
    let mut moved_at = clock::instant();
    let age = rules.policy.timeouts.tunnel_age.get();
    let end = record.now().saturating_add(age).unwrap_or(Timestamp::MAX);
    let look = LOOK.min(idle).min(age);
    timer.set(look);
    let mut has_said_all = false;
    std::future::poll_fn(|cx| {
        timer.register(cx);
        let before = (up.carried, down.carried);
        if !has_said_all && let Poll::Ready(end) = up.poll(cx, &mut client, &mut upstream) {
            if end.is_err() {
                return Poll::Ready(());
            }
            has_said_all = true;
            timer.set(LAST_WORDS);
        }
        // A backend that closes has closed the WebSocket, once its last bytes are through.
        if down.poll(cx, &mut upstream, &mut client).is_ready() {
            return Poll::Ready(());
        }
        if (up.carried, down.carried) != before {
            moved_at = clock::instant();
        }
        let is_due = timer.is_late();
        if is_due && has_said_all {
            return Poll::Ready(());
        }
        if is_due {
            timer.set(look);
        }
        // The registry wakes everybody when somebody is suspended; the state has to be asked.
        let is_suspended = record.session.as_ref().is_some_and(|held| rules.is_suspended(&held.session));
        let is_over =
            is_suspended || watch.as_mut().is_some_and(|watch| watch.is_over(cx, &rules, is_due, up.carried));
        let is_idle = clock::instant().saturating_duration_since(moved_at) > idle;
        let is_old = record.now() >= end;
        if is_idle || is_old || is_over || connection.has_lost_standing() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    record.bytes_in = up.carried;
    record.bytes_out = down.carried;
    record.complete();
    timer.set(LOOK);
    let _ = timer.bound(client.shutdown()).await;
    open.dec();
}

/// The session that a tunnel stands on, looked at again and again.
struct Watch {
    question: Question,
    looking: Option<Later<FoundSession>>,
    /// What the client had sent when it was looked at last.
    carried: u64,
}

impl Watch {
    /// Whether the session is known to hold no longer, or can't be looked up: then nobody may go on. It is looked at
    /// when that `is_due`, and used only if the client has sent something: an open window isn't a person.
    fn is_over(&mut self, cx: &mut Context<'_>, rules: &Rules, is_due: bool, carried: u64) -> bool {
        if is_due && self.looking.is_none() {
            let counts = carried != self.carried;
            self.carried = carried;
            let Question { token, visitor } = self.question.clone();
            self.looking = Some(rules.backstage.session(token, visitor, counts));
        }
        let Some(looking) = &mut self.looking else { return false };
        let Poll::Ready(found) = looking.as_mut().poll(cx) else { return false };
        self.looking = None;
        !matches!(found, FoundSession::Holds(_))
    }
}

#[derive(Default)]
struct Direction {
    waiting: BytesMut,
    carried: u64,
}

impl Direction {
    /// Ready when the source has ended and everything is through, or when either side broke.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.waiting.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting))?;
                self.carried += written as u64;
                self.waiting.advance(written);
            }
            // Bytes that were written may still wait in TLS's own buffer.
            if Pin::new(&mut *to).poll_flush(cx)?.is_pending() {
                return Poll::Pending;
            }
            self.waiting.reserve(WINDOW);
            if ready!(pin!(from.read_buf(&mut self.waiting)).poll(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
