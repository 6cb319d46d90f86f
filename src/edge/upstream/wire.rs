//! What carries bytes to an endpoint: TCP or a Unix socket, with TLS or without.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::unconstrained;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::Address;

/// TLS towards an endpoint.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub(in crate::edge) enum Wire {
    /// Without TLS.
    Plain(Plain),
    /// With TLS.
    Tls(Box<TlsStream<Plain>>),
}

/// A connection without TLS.
#[derive(Debug)]
pub(in crate::edge) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    /// Connects, says whose connection it is, if that is wanted, and shakes hands if there is TLS.
    pub(super) async fn connect(
        address: &Address,
        tls: Option<&Tls>,
        introduction: &[u8],
    ) -> io::Result<Self> {
        let mut plain = match address {
            Address::Ip(address) => {
                let tcp = TcpStream::connect(address).await?;
                tcp.set_nodelay(true)?;
                Plain::Tcp(tcp)
            }
            Address::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
        };
        plain.write_all(introduction).await?;
        let Some(tls) = tls else { return Ok(Self::Plain(plain)) };
        let connector = TlsConnector::from(tls.config.clone());
        Ok(Self::Tls(Box::new(connector.connect(tls.name.clone(), plain).await?)))
    }

    /// Whether the other side speaks HTTP/2, as far as there was a way to agree on it: without TLS there is none.
    pub(super) fn agrees_on_http2(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Whether nothing came on an idle connection. An end means that it was closed; a byte would be the answer to a
    /// question that nobody asked, and must not become the answer to the next one. Costs no system call while quiet.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Plain(Plain::Tcp(tcp)) => tcp.try_read(&mut byte),
            Self::Plain(Plain::Unix(unix)) => unix.try_read(&mut byte),
            Self::Tls(tls) => {
                // Whatever else TLS has to say (tickets, new keys) is taken in on the way.
                let mut cx = Context::from_waker(Waker::noop());
                // A task that has done much already would be told that there is nothing, whatever there is.
                let read = poll_fn(|cx| Pin::new(&mut **tls).poll_read(cx, &mut ReadBuf::new(&mut byte)));
                return pin!(unconstrained(read)).poll(&mut cx).is_pending();
            }
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when reading may bring something. With TLS nobody knows before it was tried.
    pub(in crate::edge) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(Plain::Tcp(tcp)) => tcp.poll_read_ready(cx),
            Self::Plain(Plain::Unix(unix)) => unix.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Hands a call on to whichever stream it is.
macro_rules! each {
    ($kind:ident { $($variant:ident),+ }, $self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() { $($kind::$variant($stream) => { let $stream = Pin::new($stream); $call })+ }
    };
}

macro_rules! stream {
    ($kind:ident { $($variant:ident),+ }) => {
        impl AsyncRead for $kind {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                each!($kind { $($variant),+ }, self, stream => stream.poll_read(cx, buffer))
            }
        }

        impl AsyncWrite for $kind {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                each!($kind { $($variant),+ }, self, stream => stream.poll_write(cx, bytes))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                each!($kind { $($variant),+ }, self, stream => stream.poll_write_vectored(cx, slices))
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!($kind { $($variant),+ }, self, stream => stream.poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                each!($kind { $($variant),+ }, self, stream => stream.poll_shutdown(cx))
            }
        }
    };
}

stream!(Wire { Plain, Tls });
stream!(Plain { Tcp, Unix });
