//! A client that speaks HTTP/2 well, and one way to ask the same over both versions.

use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::client::{Client, Response};
use super::{PATIENCE, eventually};

/// An open connection. Its frames move on a thread of their own.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    name: String,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request whose answer isn't here yet.
pub struct Pending {
    pub answer: ResponseFuture,
    pub body: SendStream<Bytes>,
}

impl Http2 {
    /// Connects to the host `name`.
    pub fn connect(client: &Client, name: &str) -> Self {
        Self::connect_with(client, name, &Builder::new())
    }

    /// Connects with settings of its own.
    pub fn connect_with(client: &Client, name: &str, builder: &Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = client.clone().offering(&["h2"]).config;
        let tcp = client.dial().unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (sender, connection) = runtime.block_on(async {
            let mut tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
            tcp.write_all(&client.greeting.concat()).await.unwrap();
            let server = ServerName::try_from(name.to_owned()).unwrap();
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            let tls = connector.connect(server, tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            let (sender, connection) = builder.handshake(tls).await.unwrap();
            (sender, tokio::spawn(connection))
        });
        Self { runtime, sender, name: name.to_owned(), connection }
    }

    /// Sends the head of a request; with `end`, there is no body.
    pub fn send(&mut self, method: &str, path: &str, fields: &[(&str, &str)], end: bool) -> Pending {
        let name = self.name.clone();
        self.send_to(&name, (method, path), fields, end)
    }

    /// The same with another authority than the connection's.
    fn send_to(
        &mut self,
        authority: &str,
        (method, path): (&str, &str),
        fields: &[(&str, &str)],
        end: bool,
    ) -> Pending {
        let uri = if method == "CONNECT" {
            format!("{authority}:443")
        } else {
            format!("https://{authority}{path}")
        };
        let mut request = Request::new(());
        *request.method_mut() = method.parse::<Method>().unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        request.headers_mut().extend(headers(fields));
        let sender = self.sender.clone();
        let (answer, body) =
            self.wait(async move { sender.ready().await.unwrap().send_request(request, end) }).unwrap();
        Pending { answer, body }
    }

    /// Asks for a tunnel of this protocol (RFC 8441), once the gate has said that it may.
    pub fn ask_protocol(&mut self, protocol: &str, path: &str, fields: &[(&str, &str)]) -> Pending {
        let mut request = Request::connect(format!("https://{}{path}", self.name)).body(()).unwrap();
        request.extensions_mut().insert(Protocol::from(protocol));
        request.headers_mut().extend(headers(fields));
        let sender = self.sender.clone();
        eventually("extended CONNECT", || sender.is_extended_connect_protocol_enabled());
        let (answer, body) =
            self.wait(async move { sender.ready().await.unwrap().send_request(request, false) }).unwrap();
        Pending { answer, body }
    }

    /// Sends a part of a body, as far as the gate takes it; the last one with `end`.
    pub fn send_data(&self, pending: &mut Pending, data: &[u8], end: bool) -> Result<(), h2::Error> {
        let body = &mut pending.body;
        self.wait(async {
            let mut left = Bytes::copy_from_slice(data);
            while !left.is_empty() {
                body.reserve_capacity(left.len());
                let Some(room) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.transpose()? else {
                    return Err(h2::Reason::CANCEL.into());
                };
                let part = left.split_to(room.min(left.len()));
                body.send_data(part, end && left.is_empty())?;
            }
            if data.is_empty() && end { body.send_data(Bytes::new(), true) } else { Ok(()) }
        })
    }

    /// The head of an answer, and its body still to come.
    pub fn head(&self, pending: &mut Pending) -> Result<http::Response<RecvStream>, h2::Error> {
        self.wait(&mut pending.answer)
    }

    /// The whole answer, with its trailers.
    pub fn finish(&self, mut pending: Pending) -> Result<(Response, HeaderMap), h2::Error> {
        let (parts, mut body) = self.head(&mut pending)?.into_parts();
        let mut bytes = Vec::new();
        let trailers = self.wait(async {
            while let Some(data) = body.data().await {
                let data = data?;
                body.flow_control().release_capacity(data.len())?;
                bytes.extend_from_slice(&data);
            }
            body.trailers().await
        })?;
        Ok((Response { body: bytes, ..Response::of(&parts) }, trailers.unwrap_or_default()))
    }

    /// One request with a body that is there from the beginning.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, h2::Error> {
        let mut pending = self.send(method, path, fields, body.is_empty());
        if !body.is_empty() {
            // The answer may come before the body is through; then that is what counts.
            let _ = self.send_data(&mut pending, body, true);
        }
        Ok(self.finish(pending)?.0)
    }

    /// One `GET` for any authority, with JSON asked for.
    pub fn get(&mut self, authority: &str, path: &str) -> Response {
        self.get_with(authority, path, &[])
    }

    /// The same with more fields.
    pub fn get_with(&mut self, authority: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields: Vec<_> = fields.iter().copied().chain([("accept", "application/json")]).collect();
        let pending = self.send_to(authority, ("GET", path), &fields, true);
        self.finish(pending).unwrap().0
    }

    /// The status of one `GET`; an error if the gate is about to close the connection, or has.
    pub fn try_get(&mut self, path: &str) -> Result<u16, h2::Error> {
        let uri = format!("https://{}{path}", self.name);
        let sender = self.sender.clone();
        self.wait(async move {
            let request = Request::get(uri).body(()).unwrap();
            Ok(sender.ready().await?.send_request(request, true)?.0.await?.status().as_u16())
        })
    }

    /// Streams that the gate allows at once.
    pub fn allowed_streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Waits for the end of the connection, which must not be an error of HTTP/2. That our own goodbye finds nobody
    /// to read it any more is no error.
    pub fn ended(mut self) {
        let connection = &mut self.connection;
        let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, connection).await });
        if let Err(error) = ended.expect("the gate keeps the connection open").unwrap() {
            assert!(error.is_io(), "{error}");
        }
    }

    /// Waits for something that should happen.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        let patience: Duration = PATIENCE;
        self.runtime
            .block_on(async { tokio::time::timeout(patience, future).await })
            .unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}"))
    }
}

impl Response {
    /// One without its body.
    pub fn of(parts: &http::response::Parts) -> Self {
        let status = parts.status.as_u16();
        let mut head = format!("HTTP/2 {status}\r\n");
        for (name, value) in &parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        Self { status, head, body: Vec::new() }
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect::<Vec<_>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

impl Version {
    /// What nearly every rule has to hold for.
    pub const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    /// One request on a connection of its own.
    pub fn ask(
        self,
        client: &Client,
        name: &str,
        (method, path): (&str, &str),
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let length = body.len().to_string();
        let length = Some(("content-length", length.as_str())).filter(|_| !body.is_empty());
        let fields: Vec<_> = fields.iter().copied().chain(length).collect();
        if self == Self::Http2 {
            return Http2::connect(client, name).ask(method, path, &fields, body).unwrap();
        }
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut connection = client.connect(name).unwrap();
        connection.send(format!("{method} {path} HTTP/1.1\r\nHost: {name}\r\n{lines}\r\n").as_bytes());
        connection.send(body);
        connection.response_to(method).expect("a response")
    }

    /// One `GET` on a connection of its own.
    pub fn get(self, client: &Client, name: &str, path: &str) -> Response {
        self.ask(client, name, ("GET", path), &[], b"")
    }
}
