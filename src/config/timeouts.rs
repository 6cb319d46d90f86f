//! `timeouts`: every deadline of the data path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Times are written as `500ms`, `10s`, `5m` or `1h`. Each deadline is checked at least four times a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From accept to the end of the TLS handshake.
    pub handshake: Period,
    /// From the first byte of a request to the end of its header section.
    pub headers: Period,
    /// Between two parts of a request body (408), or of a response body that the client reads too slowly.
    pub body_idle: Period,
    /// Between two requests on a connection.
    pub idle: Period,
    /// For a TCP connection to an endpoint (502).
    pub upstream_connect: Period,
    /// From the end of the request to the head of the response (504).
    pub upstream_first_byte: Period,
    /// Between two parts of a response body, from the upstream.
    pub upstream_body_idle: Period,
    /// How long an unused connection to an endpoint is kept.
    pub upstream_idle: Period,
    /// Silence in both directions of a WebSocket.
    pub tunnel_idle: Period,
    /// From the beginning of a WebSocket to its end, however much it carries. The page that opened it opens another one, and is
    /// asked anew who it is.
    pub tunnel_age: Period,
    /// For requests in flight, once the gate was told to stop.
    pub drain: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Period::seconds(10),
            headers: Period::seconds(10),
            body_idle: Period::seconds(30),
            idle: Period::seconds(75),
            upstream_connect: Period::seconds(3),
            upstream_first_byte: Period::seconds(60),
            upstream_body_idle: Period::seconds(60),
            upstream_idle: Period::seconds(60),
            tunnel_idle: Period::seconds(3600),
            tunnel_age: Period::seconds(8 * 3600),
            drain: Period::seconds(30),
        }
    }
}
