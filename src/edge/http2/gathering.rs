//! What HTTP/2 writes, gathered: h2 sends each larger DATA frame by itself, which would be a TLS record and a system call
//! for each response. Here it finds that everything is sent at once, and whoever polls it sends all of it afterwards.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edge::spare;

/// Bytes that are gathered at most: four TLS records. Then h2 waits for the client.
const MOST: usize = 64 << 10;

/// A connection to a client in two hands: h2 reads from it and writes to it, and who polls h2 sends what it wrote.
pub(super) struct Gathering<Io>(Arc<Mutex<Gathered<Io>>>);

struct Gathered<Io> {
    io: Io,
    waiting: BytesMut,
}

impl<Io> Clone for Gathering<Io> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Io> Gathering<Io> {
    pub(super) fn new(io: Io) -> Self {
        Self(Arc::new(Mutex::new(Gathered { io, waiting: BytesMut::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Gathered<Io>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Io: AsyncWrite + Unpin> Gathering<Io> {
    /// Sends what was gathered, down to the socket. The task is woken as soon as the client takes more of it.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.lock();
        ready!(gathered.poll_write_out(cx))?;
        Pin::new(&mut gathered.io).poll_flush(cx)
    }
}

impl<Io: AsyncWrite + Unpin> Gathered<Io> {
    /// Hands what waits to the connection.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        // A connection that waits holds no buffer.
        spare::give(std::mem::take(&mut self.waiting));
        Poll::Ready(Ok(()))
    }

    /// Takes what there is room for.
    fn poll_gather(&mut self, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting.len() == MOST {
            ready!(self.poll_write_out(cx))?;
        }
        if self.waiting.capacity() == 0 {
            self.waiting = spare::take();
        }
        let before = self.waiting.len();
        for part in parts {
            let room = MOST - self.waiting.len();
            self.waiting.extend_from_slice(&part[..room.min(part.len())]);
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Gathering<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Gathering<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lock().poll_gather(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// That is for whoever polls h2: see [`Gathering::poll_send`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.lock();
        ready!(gathered.poll_write_out(cx))?;
        Pin::new(&mut gathered.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes, and remembers each write.
    #[derive(Default)]
    struct Peer {
        room: usize,
        writes: Vec<Vec<u8>>,
        flushes: usize,
        is_over: bool,
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.room == 0 {
                return Poll::Pending;
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_over = true;
            Poll::Ready(Ok(()))
        }
    }

    fn write(gathering: &mut Gathering<Peer>, parts: &[&[u8]]) -> Poll<usize> {
        let parts: Vec<_> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
        let mut cx = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut *gathering).poll_write_vectored(&mut cx, &parts).map(Result::unwrap);
        assert!(Pin::new(gathering).poll_flush(&mut cx).is_ready());
        written
    }

    fn send(gathering: &Gathering<Peer>) -> Poll<()> {
        gathering.poll_send(&mut Context::from_waker(Waker::noop())).map(Result::unwrap)
    }

    #[test]
    fn what_is_written_and_flushed_in_parts_goes_out_in_one() {
        let mut gathering = Gathering::new(Peer { room: usize::MAX, ..Peer::default() });
        assert_eq!(write(&mut gathering, &[b"head", b"body"]), Poll::Ready(8));
        assert_eq!(write(&mut gathering, &[b"another"]), Poll::Ready(7));
        assert!(gathering.lock().io.writes.is_empty());
        assert_eq!(send(&gathering), Poll::Ready(()));
        assert_eq!(send(&gathering), Poll::Ready(()));
        let gathered = gathering.lock();
        assert_eq!(gathered.io.writes, [b"headbodyanother"]);
        assert_eq!(gathered.io.flushes, 2);
        // Nothing is kept for a connection that has nothing to send.
        assert_eq!(gathered.waiting.capacity(), 0);
    }

    #[test]
    fn who_does_not_take_it_gets_no_more_than_is_gathered_and_all_of_that_in_order() {
        let mut gathering = Gathering::new(Peer::default());
        let bytes: Vec<u8> = (0..MOST + 3000).map(|number| (number % 251) as u8).collect();
        let (first, rest) = bytes.split_at(MOST - 10);
        assert_eq!(write(&mut gathering, &[first]), Poll::Ready(MOST - 10));
        assert_eq!(write(&mut gathering, &[&rest[..6], &rest[6..]]), Poll::Ready(10));
        assert_eq!(write(&mut gathering, &[&rest[10..]]), Poll::Pending);
        assert_eq!(send(&gathering), Poll::Pending);
        gathering.lock().io.room = 1000;
        assert_eq!(send(&gathering), Poll::Pending);
        assert_eq!(write(&mut gathering, &[&rest[10..]]), Poll::Ready(1000));
        assert_eq!(write(&mut gathering, &[&rest[1010..]]), Poll::Pending);
        gathering.lock().io.room = usize::MAX;
        assert_eq!(write(&mut gathering, &[&rest[1010..]]), Poll::Ready(2000));
        assert_eq!(send(&gathering), Poll::Ready(()));
        assert_eq!(gathering.lock().io.writes.concat(), bytes);
    }

    #[test]
    fn the_goodbye_comes_behind_what_was_gathered() {
        let mut gathering = Gathering::new(Peer { room: 2, ..Peer::default() });
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(write(&mut gathering, &[b"goaway"]), Poll::Ready(6));
        assert!(Pin::new(&mut gathering).poll_shutdown(&mut cx).is_pending());
        assert!(!gathering.lock().io.is_over);
        gathering.lock().io.room = 10;
        assert!(Pin::new(&mut gathering).poll_shutdown(&mut cx).is_ready());
        assert!(gathering.lock().io.is_over);
        assert_eq!(gathering.lock().io.writes.concat(), b"goaway");
    }
}
