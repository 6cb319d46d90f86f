//! A client that speaks HTTP/2, one connection at a time. It blocks, as everything here does.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use super::client::Client;

/// An open connection.
pub struct H2 {
    runtime: Runtime,
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The `code` of a problem document.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

impl H2 {
    /// Connects to the host `name` as `client`, and speaks HTTP/2.
    pub fn connect(client: &Client, name: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = Arc::new(client.clone().offering(&["h2"]).config);
        let (address, server) = (client.address, ServerName::try_from(name.to_owned()).unwrap());
        let (send, driver) = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let tls = TlsConnector::from(config).connect(server, tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (send, connection) = h2::client::handshake(tls).await.unwrap();
            (send, tokio::spawn(connection))
        });
        Self { runtime, send, driver }
    }

    /// One `GET`, with JSON asked for.
    pub fn get(&mut self, name: &str, path: &str) -> Answer {
        let request = Request::get(format!("https://{name}{path}")).header("accept", "application/json");
        self.request(request.body(()).unwrap(), b"", None).unwrap()
    }

    /// Sends a request and reads the whole response. An empty body without trailers ends the stream with its head.
    pub fn request(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let body = Bytes::copy_from_slice(body);
        let exchange = exchange(self.send.clone(), request, body, trailers);
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time") })
    }

    /// Waits until the gate has closed the connection. Whether the client's own goodbye still got through is luck.
    pub fn wait_closed(self) {
        let Self { runtime, send, driver } = self;
        // The handle stays: without one, this side would close.
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, driver).await });
        drop(send);
        let _ = ended.expect("the connection to be closed").unwrap();
    }
}

async fn exchange(
    send: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<Answer, h2::Error> {
    let has_body = !body.is_empty();
    let (response, mut stream) =
        send.ready().await?.send_request(request, !has_body && trailers.is_none())?;
    // What is refused early needn't take the rest: the response says why.
    if has_body {
        let _ = stream.send_data(body, trailers.is_none());
    }
    if let Some(trailers) = trailers {
        let _ = stream.send_trailers(trailers);
    }
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(part) = incoming.data().await {
        let part = part?;
        incoming.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    let trailers = poll_fn(|cx| incoming.poll_trailers(cx)).await?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, trailers })
}
