//! A WebSocket over HTTP/2 (RFC 8441). To the gate it is the `GET` with `Upgrade` that it would have been over HTTP/1.1, and
//! to the backend it is one: there we are the WebSocket's client, with a key of our own (RFC 6455, section 4.1).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use hyper::Request;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::relay::Stream;
use crate::edge::connection::Connection;
use crate::edge::failure::Failure;
use crate::edge::forward::{Exchange, ResponseHead};
use crate::edge::record::Record;
use crate::edge::sessions::Question;
use crate::edge::timer::Timer;
use crate::edge::tunnel;

/// What a server adds to the key before it hashes it.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket that a client asks for.
pub(super) struct Opening {
    /// What the backend is asked with.
    pub(super) key: String,
    stream: OnUpgrade,
}

impl Opening {
    /// What is asked for, if it is a WebSocket. Any other `:protocol` leaves the request the `CONNECT` that it is.
    pub(super) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        request.extensions().get::<Protocol>().filter(|protocol| protocol.as_str() == "websocket")?;
        // It shows that the answer is to this request, and keeps nothing secret.
        let key = STANDARD.encode(fastrand::u128(..).to_be_bytes());
        Some(Self { key, stream: hyper::upgrade::on(request) })
    }

    /// Whether the backend has opened it; then `head` is what the client is told. A success that opens nothing would have
    /// the client think that it does.
    pub(super) fn is_opened_by(&self, head: &mut ResponseHead) -> Result<bool, Failure> {
        match head.status {
            101 if !head.is_websocket => Err(Failure::UpstreamBroken("it switched to no WebSocket")),
            101 if !accepts(&self.key, head) => {
                Err(Failure::UpstreamBroken("its Sec-WebSocket-Accept doesn't fit the key"))
            }
            101 => {
                head.become_stream();
                Ok(true)
            }
            200..300 => Err(Failure::UpstreamBroken("it answered a WebSocket's request with no WebSocket")),
            _ => Ok(false),
        }
    }

    /// Carries its bytes, once the head of the answer is on its way and `stream` is the client's.
    pub(super) fn carry(
        self,
        exchange: Exchange,
        connection: Arc<Connection>,
        (record, timer): (Box<Record>, Timer),
        session: Option<Question>,
        stream: Stream,
    ) {
        tokio::spawn(async move {
            // A client that is gone by now leaves its record as such.
            let (Ok(upgraded), Some(link)) = (self.stream.await, exchange.into_link()) else { return };
            let io = TokioIo::new(upgraded);
            tunnel::run(io, BytesMut::new(), link, &connection, &timer, record, session).await;
            drop(stream);
        });
    }
}

/// Whether the backend has seen the key, and knows what it means.
fn accepts(key: &str, head: &ResponseHead) -> bool {
    let expected = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let mut given = head.fields().filter(|field| field.is("sec-websocket-accept"));
    matches!((given.next(), given.next()), (Some(field), None) if field.value == expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(lines: &str) -> bool {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
        let head = ResponseHead::take(&mut BytesMut::from(&*head), head.len(), false).unwrap();
        accepts("dGhlIHNhbXBsZSBub25jZQ==", &head)
    }

    /// The key and its answer are those of RFC 6455, section 1.3.
    #[test]
    fn a_backend_has_to_have_seen_the_key() {
        assert!(is_accepted("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!is_accepted("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n"));
        assert!(!is_accepted("Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!is_accepted(&"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".repeat(2)));
        assert!(!is_accepted(""));
    }
}
