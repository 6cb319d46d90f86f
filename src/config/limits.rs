//! `limits`: every cap of the data path.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByteRate, Period, Size};

/// Sizes are written as `512`, `16KiB`, `1MiB`, `10GiB`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open client connections of the process; more are closed at accept. On the last sixteenth, only the portal answers.
    pub connections: NonZeroU32,
    /// Open client connections of one source: an IPv4 address, or an IPv6 network of 64 bits. More are closed before TLS. No
    /// limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_source: Option<NonZeroU32>,
    /// Requests of the process that are at an upstream, or on their way to or from it; more are answered with 503. Those that
    /// prove nobody's identity stand back from seven eighths on. An open WebSocket is none.
    pub requests: NonZeroU32,
    /// Responses of the process that are compressed at the same time, each with up to 2 MiB of memory; further ones go on
    /// as they came.
    pub compressed_responses: u32,
    /// How far a thread of the data path may be behind its work before it turns new requests away with 503.
    pub lag: Period,
    /// The least that a client must send of a request body, and take of a response, while it is waited for (408, or the end of
    /// the response).
    pub min_rate: ByteRate,
    /// How far a client may be behind `min_rate`: a pause of this length is none too many.
    pub min_rate_grace: Period,
    /// Bytes that a client may send before its ClientHello is complete.
    pub client_hello: Size,
    /// Bytes that a client may send in its whole handshake, certificates included.
    pub handshake: Size,
    /// Bytes of a request's head: request line and header fields (431).
    pub header_bytes: Size,
    /// Header fields of a request (431).
    pub header_count: NonZeroU32,
    /// Bytes of a request body (413).
    pub body: Size,
    /// HTTP/2 streams that a client may have open at once.
    pub h2_streams: NonZeroU32,
    /// HTTP/2 streams that a client may reset before they were answered; then the connection is closed.
    pub h2_resets: NonZeroU32,
    /// HTTP/2 frames that are no part of a request (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, unknown ones) that a
    /// client may send; then the connection is closed. Each request gives back four of them, each KiB of responses one, and
    /// each second a twentieth of them all.
    pub h2_frames: NonZeroU32,
    /// Unused connections that are kept per endpoint and worker.
    pub upstream_idle_connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let count = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            connections: count(20_000),
            connections_per_source: None,
            requests: count(20_000),
            compressed_responses: 256,
            lag: Period::milliseconds(500),
            min_rate: ByteRate::new(240),
            min_rate_grace: Period::seconds(60),
            client_hello: Size::kib(16),
            handshake: Size::kib(64),
            header_bytes: Size::kib(32),
            header_count: count(100),
            body: Size::kib(1 << 20),
            h2_streams: count(128),
            h2_resets: count(64),
            h2_frames: count(1_000),
            upstream_idle_connections: 128,
        }
    }
}
