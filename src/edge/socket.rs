//! A client's TCP connection with a budget: how many bytes it may send before its handshake is through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection once its handshake is through.
pub(super) trait ClientIo: AsyncRead + AsyncWrite + Unpin {
    /// Ready once the client is gone for good, for after it has said that it sends nothing more.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Bytes that the client's side of the network has taken so far.
    fn written(&self) -> u64;
}

/// A client's connection. On the heap: it is large, and every future that it moves through would hold room for it.
pub(super) type Client = Box<TlsStream<Socket>>;

impl ClientIo for Client {
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.get_ref().0.poll_closed(cx)
    }

    fn written(&self) -> u64 {
        self.get_ref().0.written
    }
}

/// A TCP stream that stops reading when its budget is spent.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    budget: u64,
    read: u64,
    written: u64,
}

impl Socket {
    /// Allows `budget` bytes.
    pub(super) const fn new(tcp: TcpStream, budget: u64) -> Self {
        Self { tcp, budget, read: 0, written: 0 }
    }

    /// Allows `budget` bytes in all, counted from the first.
    pub(super) const fn allow(&mut self, budget: u64) {
        self.budget = budget;
    }

    /// Ready once the client has closed its side of the TCP connection, or it broke. For after a close_notify, which
    /// ends only what the client sends (RFC 8446, section 6.1): a client may well wait for the answer behind it.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(self.tcp.poll_peek(cx, &mut ReadBuf::new(&mut [0]))) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Whether more was sent than was allowed.
    pub(super) const fn is_overdrawn(&self) -> bool {
        self.read > self.budget
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        self.read += (buffer.filled().len() - before) as u64;
        if self.is_overdrawn() {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the handshake is too large",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, bytes))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
