//! The sample banking application: a backend that shows what a backend sees, and takes and gives any amount of data.
//!
//! The same pages are under `/banking/`, `/admin-app/` and `/public/`. It trusts whoever reaches it, as a backend behind the gate may.

mod page;
mod transfer;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Redirect, Response};
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// The longest wait that can be asked for.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// The application, running on threads of its own so that it takes nothing from the gate's.
pub(super) struct SampleApplication {
    address: SocketAddr,
    runtime: Runtime,
}

impl SampleApplication {
    /// Serves on a socket that is bound already.
    pub(super) fn start(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sample")
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let listener = listener.tap_io(|stream| {
            // A small answer must not wait for more; without it the answer still comes.
            let _ = stream.set_nodelay(true);
        });
        // Accepting never ends, and never fails for good.
        runtime.spawn(async move { axum::serve(listener, router()).await });
        Ok(Self { address, runtime })
    }

    /// Where it is reached.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and whatever it is still answering.
    pub(super) fn stop(self) {
        self.runtime.shutdown_background();
    }
}

fn router() -> Router {
    ["/banking", "/admin-app", "/public"].into_iter().fold(Router::new(), |router, prefix| {
        let at = |name: &str| format!("{prefix}/{name}");
        router
            // The page's links are relative.
            .route(prefix, get(move || async move { Redirect::permanent(&format!("{prefix}/")) }))
            .route(&at(""), get(page::page))
            .route(&at("headers"), any(headers))
            .route(&at("upload"), post(transfer::upload).put(transfer::upload))
            .route(&at("download"), get(transfer::download))
            .route(&at("slow"), get(slow))
            .route(&at("ws"), get(echo))
    })
}

/// All header fields of the request, name → value. Several fields of one name are joined as RFC 9110 5.3 joins them.
async fn headers(headers: HeaderMap) -> Response {
    let mut object = Map::new();
    for name in headers.keys() {
        object.insert(name.to_string(), Value::String(joined(&headers, name.as_str())));
    }
    json_response(StatusCode::OK, &Value::Object(object))
}

/// The values of a header field; bytes that are no UTF-8 are shown as U+FFFD.
fn joined(headers: &HeaderMap, name: &str) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ")
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

async fn slow(Query(Slow { ms }): Query<Slow>) -> Response {
    let wait = Duration::from_millis(ms);
    if wait > MAX_WAIT {
        return refusal(&format!("ms is at most {}", MAX_WAIT.as_millis()));
    }
    tokio::time::sleep(wait).await;
    json_response(StatusCode::OK, &json!({ "waited_ms": ms }))
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            // Pings are answered, and a close is returned, by axum itself.
            if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err()
            {
                return;
            }
        }
    })
}

fn refusal(why: &str) -> Response {
    json_response(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{value}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
