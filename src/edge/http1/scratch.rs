//! Reading through one buffer per thread, so that a connection that waits holds none of its own.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 << 10].into());
}

/// Reads what is there, and appends it to `buffer`.
pub(super) fn poll_read<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut read = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(cx, &mut read))?;
        buffer.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
}

/// Takes the first `length` bytes. Without anything behind them they take the buffer along: two that share one count who
/// still needs it, on the heap.
pub(super) fn split_to(buffer: &mut BytesMut, length: usize) -> BytesMut {
    if length == buffer.len() { std::mem::take(buffer) } else { buffer.split_to(length) }
}
