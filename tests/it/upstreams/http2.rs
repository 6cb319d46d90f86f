//! Upstreams that speak HTTP/2: the same rules as over HTTP/1.1, and what is different.

mod bodies;
mod connections;
mod grpc;
mod hostile;
mod kept;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::backend::{Backend, Conversation};
use crate::support::frames::{ACK, DATA, END_HEADERS, HEADERS, PING, SETTINGS, field, frame};
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::Http2;
use crate::support::http2_backend::Http2Backend;
use crate::support::pki::Ca;

/// A gate before backends that speak HTTP/2, with more of the upstream.
fn before(addresses: &[SocketAddr], upstream: &str) -> Gate {
    with(addresses, upstream, Settings::default())
}

fn with(addresses: &[SocketAddr], upstream: &str, settings: Settings<'_>) -> Gate {
    let upstream = format!("protocol: http2, {upstream}");
    Gate::before(addresses, Ca::new("Mihon Bank CA-G1"), Settings { upstream: &upstream, ..settings })
}

/// A backend that answers each request when it is let.
fn held(builder: &h2::server::Builder) -> (Http2Backend, Arc<Semaphore>) {
    let turns = Arc::new(Semaphore::new(0));
    let waiting = turns.clone();
    let backend = Http2Backend::serving(builder, move |mut call| {
        let waiting = waiting.clone();
        async move {
            call.read().await;
            waiting.acquire().await.unwrap().forget();
            call.answer(200, &[], b"ok").await;
        }
    });
    (backend, turns)
}

/// The status of one `GET` over a connection that is open.
fn ask(client: &mut Http2, path: &str) -> u16 {
    client.get_with(CERT, path, &[]).status
}

/// The code of the problem that one request comes back with.
fn problem(gate: &Gate, method: &str) -> (u16, String) {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let lines = "Accept: application/json\r\n";
    connection.send(format!("{method} /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n").as_bytes());
    let response = connection.response().unwrap();
    (response.status, response.code())
}

/// An endpoint that speaks HTTP/2 frame by frame, for what no library would say.
struct Peer(Conversation);

impl Peer {
    /// A backend whose connections are left to `converse`, once both sides have said their first word. Its argument is the
    /// number of the connection, from 0.
    fn backend(converse: impl Fn(Peer, usize) + Send + Sync + 'static) -> Backend {
        let number = std::sync::atomic::AtomicUsize::new(0);
        Backend::conversing(move |mut conversation| {
            if conversation.read_exactly(24).as_deref() != Some(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
                return;
            }
            let mut peer = Self(conversation);
            peer.send(&frame(SETTINGS, 0, 0, b""));
            converse(peer, number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        })
    }

    fn send(&mut self, frames: &[u8]) {
        let _ = self.0.stream.write_all(frames);
    }

    /// The next frame: its kind, flags, stream and payload. SETTINGS and PINGs are answered.
    fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.0.read_exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.0.read_exactly(length)?;
        if matches!(head[3], SETTINGS | PING) && head[4] & ACK == 0 {
            let echoed = if head[3] == PING { payload.as_slice() } else { b"" };
            self.send(&frame(head[3], ACK, 0, echoed));
        }
        Some((head[3], head[4], stream, payload))
    }

    /// The stream of the next request.
    fn request(&mut self) -> Option<u32> {
        loop {
            let (kind, _, stream, _) = self.next()?;
            if kind == HEADERS {
                self.0.note(&format!("stream {stream}"));
                return Some(stream);
            }
        }
    }

    /// Reads whatever comes, to the end of the connection.
    fn drain(&mut self) {
        while self.next().is_some() {}
    }
}

/// A head with these fields; `:status` is one of them.
fn head(stream: u32, flags: u8, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, END_HEADERS | flags, stream, &block)
}

fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, bytes)
}
