//! Our own answers: every failure becomes a status, a page or a problem document, and the fields of a careful server.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::failure::Failure;
use super::pages::{self, Wants};

/// A whole answer of our own.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

static POLICY: LazyLock<String> = LazyLock::new(pages::content_security_policy);

/// The answer to a failure. The only place where failures become responses.
pub(super) fn reply(failure: Failure, wants: Wants, request_id: &str, now: Timestamp) -> Reply {
    let rendered = pages::render(failure, wants, request_id);
    let mut fields = vec![
        ("content-type", rendered.content_type.to_owned()),
        ("content-length", rendered.body.len().to_string()),
        ("date", now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("cache-control", "no-store".to_owned()),
        ("vary", "accept, accept-language".to_owned()),
        ("content-security-policy", POLICY.clone()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("strict-transport-security", "max-age=31536000".to_owned()),
        ("x-request-id", request_id.to_owned()),
    ];
    match failure {
        Failure::MethodNotAllowed => {
            fields.push(("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()));
        }
        Failure::Certificate(_) if failure.status() == 503 => fields.push(("retry-after", "60".to_owned())),
        _ => {}
    }
    Reply { status: failure.status(), fields, body: rendered.body }
}

/// The reason phrase of a status that we or an upstream may send (RFC 9110, section 15).
pub(super) fn phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}
