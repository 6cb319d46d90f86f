//! WebSockets over both versions of HTTP, and a backend that opens them: bytes in, bytes out, without frames.

use std::io::{Read, Write};
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::RecvStream;

use super::backend::{Backend, Conversation, Received};
use super::client::{Client, Connection, Response};
use super::http2::{Http2, Pending, Version};

/// The key of RFC 6455's example.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// An open tunnel. Ends with this.
pub enum Tunnel {
    Http1(Box<Connection>),
    Http2(Box<Stream>),
}

/// A tunnel in a stream of its own connection.
pub struct Stream {
    pub http2: Http2,
    pending: Pending,
    answer: RecvStream,
    buffer: Vec<u8>,
}

impl Tunnel {
    /// Asks for a tunnel on a connection of its own; it has to be opened.
    pub fn open(version: Version, client: &Client, host: &str, path: &str) -> Self {
        let asked = Self::ask(version, client, (host, path), &[]);
        asked.unwrap_or_else(|refused| panic!("{}{}", refused.head, refused.text())).1
    }

    /// The same with more fields. What opened it and the tunnel, or the answer that refuses it.
    pub fn ask(
        version: Version,
        client: &Client,
        (host, path): (&str, &str),
        fields: &[(&str, &str)],
    ) -> Result<(Response, Self), Response> {
        let fields = [&[("sec-websocket-version", "13")], fields].concat();
        if version == Version::Http2 {
            return Self::ask_on(Http2::connect(client, host), path, &fields);
        }
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut connection = client.connect(host).unwrap();
        connection.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                 Sec-WebSocket-Key: {KEY}\r\n{lines}\r\n"
            )
            .as_bytes(),
        );
        let response = connection.response().expect("a response");
        if response.status == 101 { Ok((response, Self::Http1(Box::new(connection)))) } else { Err(response) }
    }

    fn ask_on(mut http2: Http2, path: &str, fields: &[(&str, &str)]) -> Result<(Response, Self), Response> {
        let mut pending = http2.ask_protocol("websocket", path, fields);
        let (head, answer) = http2.head(&mut pending).unwrap().into_parts();
        let mut stream = Box::new(Stream { http2, pending, answer, buffer: Vec::new() });
        let mut response = Response::of(&head);
        if response.status == 200 {
            return Ok((response, Self::Http2(stream)));
        }
        while stream.fill().is_some() {}
        response.body = stream.buffer;
        Err(response)
    }

    /// Sends bytes. That the gate has hung up by now is for the reading side to find.
    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(connection) => connection.send(bytes),
            Self::Http2(stream) => {
                let _ = stream.http2.send_data(&mut stream.pending, bytes, false);
            }
        }
    }

    /// Sends the last bytes, and says that they are.
    pub fn send_last(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(connection) => {
                connection.stream.conn.writer().write_all(bytes).unwrap();
                connection.stream.conn.send_close_notify();
                connection.stream.flush().unwrap();
            }
            Self::Http2(stream) => stream.http2.send_data(&mut stream.pending, bytes, true).unwrap(),
        }
    }

    /// Sends until nobody takes any more for a moment, but no more than `most`: how many bytes that were.
    pub fn send_until_held_up(&mut self, most: usize) -> usize {
        let (part, moment) = (vec![0; 64 << 10], Duration::from_millis(300));
        let mut sent = 0;
        match self {
            Self::Http1(connection) => {
                connection.stream.sock.set_write_timeout(Some(moment)).unwrap();
                while sent < most && connection.stream.write_all(&part).is_ok() {
                    sent += part.len();
                }
            }
            Self::Http2(stream) => {
                let body = &mut stream.pending.body;
                body.reserve_capacity(part.len());
                while sent < most
                    && let Ok(room) = stream.http2.wait(async {
                        tokio::time::timeout(moment, std::future::poll_fn(|cx| body.poll_capacity(cx))).await
                    })
                {
                    let room = room.unwrap().unwrap().min(part.len());
                    body.send_data(Bytes::copy_from_slice(&part[..room]), false).unwrap();
                    body.reserve_capacity(part.len());
                    sent += room;
                }
            }
        }
        sent
    }

    /// So many bytes; `None` if it ends before.
    pub fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        match self {
            Self::Http1(connection) => connection.read_exactly(length),
            Self::Http2(stream) => {
                while stream.buffer.len() < length {
                    stream.fill()?;
                }
                Some(stream.buffer.drain(..length).collect())
            }
        }
    }

    /// Everything until its end, for which it waits.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        match self {
            Self::Http1(connection) => connection.read_to_end(),
            Self::Http2(stream) => {
                while stream.fill().is_some() {}
                std::mem::take(&mut stream.buffer)
            }
        }
    }

    /// Has the backend send something back.
    #[track_caller]
    pub fn echoes(&mut self) {
        self.send(b"hello");
        assert_eq!(self.read_exactly(5).as_deref(), Some(&b"hello"[..]));
    }
}

impl Stream {
    fn fill(&mut self) -> Option<()> {
        let answer = &mut self.answer;
        let part = self.http2.wait(async move {
            let part = answer.data().await?.ok()?;
            answer.flow_control().release_capacity(part.len()).unwrap();
            Some(part)
        })?;
        self.buffer.extend_from_slice(&part);
        Some(())
    }
}

/// A backend that opens every tunnel that it is asked for, and then sends back what it gets.
pub fn echo() -> Backend {
    Backend::conversing(|mut conversation| {
        if let Some(received) = conversation.receive() {
            conversation.stream.write_all(&switched(&received, "")).unwrap();
            send_back(&mut conversation);
        }
    })
}

/// Sends back what comes, until nothing does.
pub fn send_back(conversation: &mut Conversation) {
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = conversation.stream.read(&mut part) {
        if conversation.stream.write_all(&part[..length]).is_err() {
            return;
        }
    }
}

/// The head that opens the tunnel of a request, with more lines.
pub fn switched(received: &Received, lines: &str) -> Vec<u8> {
    let key =
        received.value("sec-websocket-key").unwrap_or_default() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes()));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
    .into_bytes()
}
