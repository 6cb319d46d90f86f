//! The listener for operators, in plain HTTP/1.1: `/metrics`, `/livez`, `/readyz`; from the machine itself also `/config`,
//! `/upstreams` and, by POST, `/reload` and `/upstreams/NAME/ENDPOINT/drain`. For backends: the keys that assertions are
//! verified with.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Metrics, Readiness};

/// What a command of ours says of itself.
pub const COMMAND: &str = "sekisho-command";
/// Where the keys are that backends verify assertions with.
const KEY_SET: &str = "/.well-known/jwks.json";
/// How long a copy of them may be used. docs/backends.md counts on it.
const KEY_SET_AGE: &str = "max-age=300";
/// How long a connection may stay open after a hand-over.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What the app answers. All but the keys is for the machine itself.
pub trait Operations: Send + Sync + 'static {
    /// Reads the configuration anew, or says what is wrong with it. May block.
    fn reload(&self) -> Result<(), String>;
    /// The configuration in force, as YAML.
    fn config(&self) -> String;
    /// The upstreams, and how their endpoints are, as JSON.
    fn upstreams(&self) -> String;
    /// Keeps new requests from an endpoint, or lets them in again; `false` if there is no such endpoint.
    fn drain(&self, upstream: &str, endpoint: &str, is_drained: bool) -> bool;
    /// The keys that assertions are verified with, in JSON; `None` if nothing is signed.
    fn key_set(&self) -> Option<Arc<String>>;
}

/// Serves until it is dropped, or until `handed_over` is true: then somebody else accepts at this address, and
/// connections are closed after the answer in hand, so that whoever keeps one to scrape finds the successor.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    operations: Arc<dyn Operations>,
    handed_over: watch::Receiver<bool>,
) {
    let mut over = handed_over.clone();
    // Closed when the last connection has dropped its end.
    let (open, mut closed) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut over) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Whoever is on the machine may see and do more than those who only look.
                let is_local =
                    peer.ip().is_loopback() || stream.local_addr().is_ok_and(|own| own.ip() == peer.ip());
                let answering = Answering {
                    metrics: metrics.clone(),
                    readiness: readiness.clone(),
                    operations: operations.clone(),
                    is_local,
                };
                let service = service_fn(move |request| {
                    let answering = answering.clone();
                    async move { Ok::<_, Infallible>(answering.answer(&request).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .serve_connection(TokioIo::new(stream), service);
                let (mut over, open) = (handed_over.clone(), open.clone());
                tokio::spawn(async move {
                    let _open = open;
                    let mut connection = pin!(connection);
                    tokio::select! {
                        // What goes wrong with a connection is its client's to notice.
                        _ = connection.as_mut() => return,
                        // Whoever connected a moment before has a request on its way, and hyper would close.
                        () = async { ended(&mut over).await; tokio::time::sleep(LAST_CALL).await } => {}
                    }
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: let some close before the next try.
                tracing::warn!(%error, "The ops listener can't accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(open);
    closed.recv().await;
}

/// Waits for the hand-over, for ever if there will be none.
async fn ended(handed_over: &mut watch::Receiver<bool>) {
    if handed_over.wait_for(|over| *over).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What one connection is answered from.
#[derive(Clone)]
struct Answering {
    metrics: Metrics,
    readiness: Readiness,
    operations: Arc<dyn Operations>,
    /// Whether who asks is on this machine.
    is_local: bool,
}

impl Answering {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let is_local = self.is_local && !was_forwarded(request);
        match (request.method(), path) {
            (&Method::POST, "/reload" | "/upstreams") if !is_local => return from_elsewhere(),
            (&Method::POST, path) if path.starts_with("/upstreams/") && !is_local => return from_elsewhere(),
            (&Method::POST, "/reload") => return self.reload(request).await,
            (&Method::POST, path) if path.starts_with("/upstreams/") => return self.drain(request, path),
            (&Method::GET | &Method::HEAD, _) => {}
            _ => return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
        }
        match path {
            "/metrics" => text(StatusCode::OK, self.metrics.scrape()),
            "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => {
                let (status, detail) = self.readiness.look(is_local);
                text(status, detail)
            }
            "/config" if is_local => text(StatusCode::OK, self.operations.config()),
            "/config" => from_elsewhere(),
            KEY_SET => match self.operations.key_set() {
                Some(keys) => key_set(&keys),
                None => text(StatusCode::NOT_FOUND, "no `assertion` is configured\n".to_owned()),
            },
            "/upstreams" if is_local => text(StatusCode::OK, self.operations.upstreams()),
            "/upstreams" => from_elsewhere(),
            _ => {
                let told = format!("try /metrics, /livez, /readyz, /config, /upstreams or {KEY_SET}\n");
                text(StatusCode::NOT_FOUND, told)
            }
        }
    }

    async fn reload(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let operations = self.operations.clone();
        if let Err(refused) = is_command(request) {
            return refused;
        }
        match tokio::task::spawn_blocking(move || operations.reload()).await {
            Ok(Ok(())) => text(StatusCode::OK, "reloaded\n".to_owned()),
            Ok(Err(problem)) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{problem}\n")),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the reload panicked\n".to_owned()),
        }
    }

    fn drain(&self, request: &Request<Incoming>, path: &str) -> Response<Full<Bytes>> {
        if let Err(refused) = is_command(request) {
            return refused;
        }
        // An endpoint may be a Unix socket, with a path of its own.
        let parts = path.strip_prefix("/upstreams/").and_then(|rest| rest.split_once('/'));
        let parts = parts.and_then(|(upstream, rest)| Some((upstream, rest.rsplit_once('/')?)));
        let is_drained = match parts {
            Some((upstream, (endpoint, "drain"))) => self.operations.drain(upstream, endpoint, true),
            Some((upstream, (endpoint, "undrain"))) => self.operations.drain(upstream, endpoint, false),
            _ => false,
        };
        if is_drained {
            text(StatusCode::OK, "done\n".to_owned())
        } else {
            text(StatusCode::NOT_FOUND, "there is no such endpoint: see /upstreams\n".to_owned())
        }
    }
}

/// Whether a proxy passes somebody else's request on: whoever that is, it isn't the machine itself.
fn was_forwarded(request: &Request<Incoming>) -> bool {
    let says_so = |name: &HeaderName| {
        matches!(name.as_str(), "forwarded" | "via") || name.as_str().starts_with("x-forwarded-")
    };
    request.headers().keys().any(says_so)
}

/// Whether one of our commands asks: no page in a browser of this machine can send that without being asked first (CORS).
#[expect(clippy::result_large_err, reason = "it is the response itself")]
fn is_command(request: &Request<Incoming>) -> Result<(), Response<Full<Bytes>>> {
    if request.headers().contains_key(COMMAND) {
        Ok(())
    } else {
        Err(text(StatusCode::FORBIDDEN, format!("this takes the header field {COMMAND}\n")))
    }
}

fn from_elsewhere() -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "only from this machine\n".to_owned())
}

fn key_set(keys: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(keys.to_owned().into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static(KEY_SET_AGE));
    response
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}
