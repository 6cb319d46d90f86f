//! What goes out to the client: lines and small parts first, then one large part, then the goodbye. A client that doesn't
//! take it is waited for so long and no longer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use tokio::io::AsyncWriteExt;

use super::{After, Http1, LINGER, SMALL, response_head, scratch};
use crate::clock;
use crate::edge::failure::Failure;
use crate::edge::record::Record;
use crate::edge::respond::Reply;
use crate::edge::slowness::TooSlow;
use crate::edge::socket::ClientIo;
use crate::edge::spare;

impl<Io: ClientIo> Http1<Io> {
    /// The client doesn't take what is there for it (T26): from here on the deadline is its own.
    pub(super) fn poll_stalled(&mut self, cx: &Context<'_>, patience: Duration) -> Poll<Result<(), Failure>> {
        let taken = self.io.written();
        // Who takes something, though not all, is slow at most.
        if self.is_stalled && taken > self.taken {
            self.go_on()?;
        }
        if !self.is_stalled {
            (self.is_stalled, self.taken) = (true, taken);
            let left = self.slowness.waits(clock::instant()).unwrap_or_default();
            self.timer.set(patience.min(left));
        }
        self.timer.register(cx);
        if self.timer.is_late() { Poll::Ready(Err(Failure::ClientStalled)) } else { Poll::Pending }
    }

    /// The client, if it was waited for, took something.
    pub(super) fn go_on(&mut self) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.is_stalled, false) {
            return Ok(());
        }
        let taken = self.io.written() - self.taken;
        self.slowness.moved(taken, clock::instant()).map_err(|TooSlow| Failure::ClientStalled)
    }

    /// Writes what waits for the client, or finds that it doesn't read.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        let patience = self.rules.policy.timeouts.body_idle.get();
        std::future::poll_fn(|cx| match self.poll_flush(cx) {
            Poll::Pending => self.poll_stalled(cx, patience),
            Poll::Ready(Ok(())) => Poll::Ready(self.go_on()),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Failure::ClientGone)),
        })
        .await
    }

    pub(super) fn queue(&mut self, data: Bytes, is_chunked: bool) {
        self.have_buffer();
        if is_chunked {
            self.write.put_slice(format!("{:x}\r\n", data.len()).as_bytes());
        }
        if is_chunked || data.len() <= SMALL {
            self.write.put_slice(&data);
        } else {
            self.data = data;
        }
        // A chunk's line end has no place behind `data`: that is why chunks are always copied.
        if is_chunked {
            self.write.put_slice(b"\r\n");
        }
    }

    /// The last chunk, with the lines of the trailer section.
    pub(super) fn queue_end(&mut self, trailers: &[u8]) {
        self.write.put_slice(b"0\r\n");
        self.write.put_slice(trailers);
        self.write.put_slice(b"\r\n");
    }

    /// Sends an answer of our own.
    pub(super) async fn say(&mut self, mut record: Box<Record>, reply: &Reply, keeps_alive: bool) -> After {
        let body: &[u8] = if record.method == "HEAD" { &[] } else { &reply.body };
        self.have_buffer();
        response_head::write_own(&mut self.write, reply, keeps_alive);
        self.write.put_slice(body);
        record.status = reply.status;
        record.bytes_out = body.len() as u64;
        match self.flush().await {
            Ok(()) => record.complete(),
            Err(_) => return After::Close,
        }
        if keeps_alive { After::Next } else { After::Linger }
    }

    /// Has a buffer to write to.
    pub(super) fn have_buffer(&mut self) {
        if self.write.capacity() == 0 {
            self.write = spare::take();
        }
    }

    /// Writes some of what waits for the client.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.data))?;
            self.data.advance(written);
        } else {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.write))?;
            self.write.advance(written);
            if self.write.is_empty() {
                // An idle connection holds no buffer.
                spare::give(std::mem::take(&mut self.write));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything that waits for the client, down to the socket.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.write.is_empty() || !self.data.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Says goodbye. A client that is still sending would lose the answer to a reset, so it is read on for a moment.
    pub(super) async fn close(mut self, lingers: bool) {
        self.timer.set(LINGER);
        let Self { io, read, timer, .. } = &mut self;
        let goodbye = async {
            if io.shutdown().await.is_err() || !lingers {
                return;
            }
            loop {
                read.clear();
                let more = std::future::poll_fn(|cx| scratch::poll_read(io, cx, read));
                if !matches!(more.await, Ok(1..)) {
                    return;
                }
            }
        };
        let _ = timer.bound(goodbye).await;
    }
}
