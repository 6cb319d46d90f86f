//! A request on its way over HTTP/1.1: bytes that wait for the upstream to take them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::edge::upstream::Wire;

/// Parts up to this size are gathered into one write.
const SMALL: usize = 8 << 10;

/// The head, then framing and small parts, then one large part: written in this order.
pub(super) struct Sending {
    head: Bytes,
    lines: BytesMut,
    data: Bytes,
    is_chunked: bool,
}

impl Sending {
    pub(super) fn new(head: Bytes, is_chunked: bool) -> Self {
        Self { head, lines: BytesMut::new(), data: Bytes::new(), is_chunked }
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.head.is_empty() && self.lines.is_empty() && self.data.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.data.is_empty() && self.lines.len() < 2 * SMALL
    }

    /// Adds a part of the body. Only called with room.
    pub(super) fn add(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        if self.is_chunked {
            self.lines.put_slice(format!("{:x}\r\n", part.len()).as_bytes());
        }
        if self.is_chunked || part.len() <= SMALL {
            self.lines.put_slice(&part);
        } else {
            self.data = part;
        }
        // A chunk's line end has no place behind `data`: that is why chunks are always copied.
        if self.is_chunked {
            self.lines.put_slice(b"\r\n");
        }
    }

    /// Adds the end of the body, with the lines of its trailer section.
    pub(super) fn end(&mut self, trailers: &[u8]) {
        if self.is_chunked {
            self.lines.put_slice(b"0\r\n");
            self.lines.put_slice(trailers);
            self.lines.put_slice(b"\r\n");
        }
    }

    /// Gives up what waits.
    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.lines.clear();
        self.data.clear();
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, io: &mut Wire) -> Poll<io::Result<()>> {
        let slices = [IoSlice::new(&self.head), IoSlice::new(&self.lines), IoSlice::new(&self.data)];
        let mut written = ready!(Pin::new(io).poll_write_vectored(cx, &slices))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let head = written.min(self.head.len());
        self.head.advance(head);
        written -= head;
        let lines = written.min(self.lines.len());
        self.lines.advance(lines);
        self.data.advance(written - lines);
        Poll::Ready(Ok(()))
    }
}
