//! Uploads and downloads of any size, in constant memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{json_response, refusal};

/// The most that can be downloaded at once: 1 TiB.
const MAX_DOWNLOAD: u64 = 1 << 40;
/// Byte number i of a download is i modulo this, so that anybody can check any part of it. A prime: a shift by any
/// buffer's size shows.
const PERIOD: usize = 251;
/// The buffer that a download repeats: 251 KiB.
const BUFFER: usize = PERIOD * 1024;

/// Reads the body to its end (axum limits only what it collects, which this does not) and says what it was.
pub(super) async fn upload(mut body: Body) -> Response {
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                hash.update(&data);
                length += data.len() as u64;
            }
            // Trailers say nothing of the content.
            Ok(Err(_)) => {}
            Err(error) => return refusal(&format!("the upload ended early, after {length} bytes: {error}")),
        }
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    json_response(StatusCode::OK, &json!({ "length": length, "sha256": sha256 }))
}

#[derive(Deserialize)]
pub(super) struct Amount {
    bytes: u64,
}

/// So many bytes, with their number in Content-Length.
pub(super) async fn download(Query(Amount { bytes }): Query<Amount>) -> Response {
    if bytes > MAX_DOWNLOAD {
        return refusal(&format!("bytes is at most {MAX_DOWNLOAD}"));
    }
    let mut response = Response::new(Body::new(Download::new(bytes)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A body that gives one buffer again and again; each part shares its memory.
struct Download {
    buffer: Bytes,
    left: u64,
}

impl Download {
    fn new(bytes: u64) -> Self {
        let content = (0..=u8::MAX).take(PERIOD).cycle().take(BUFFER);
        Self { buffer: content.collect::<Vec<u8>>().into(), left: bytes }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        // Every part but the last is a whole buffer, so that each begins with byte 0 of the period.
        let length = usize::try_from(self.left).unwrap_or(BUFFER).min(BUFFER);
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.buffer.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
