//! The listener for operators: `/metrics`, `/livez`, `/readyz`, in plain HTTP/1.1.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::Metrics;

/// How long a connection may stay open after a hand-over.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Whether traffic should be sent here. False before the gate serves and as soon as it drains.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether traffic should be sent here from now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Serves until it is dropped, or until `handed_over` is true: then somebody else accepts at this address, and
/// connections are closed after the answer in hand, so that whoever keeps one to scrape finds the successor.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
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
            Ok((stream, _)) => {
                let (metrics, readiness) = (metrics.clone(), readiness.clone());
                let service = service_fn(move |request| {
                    let response = answer(&request, &metrics, &readiness);
                    async move { Ok::<_, Infallible>(response) }
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

fn answer(request: &Request<Incoming>, metrics: &Metrics, readiness: &Readiness) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => text(StatusCode::OK, metrics.scrape()),
        "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" if readiness.get() => text(StatusCode::OK, "ready\n".to_owned()),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "try /metrics, /livez or /readyz\n".to_owned()),
    }
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
