//! Our own answers: every failure becomes a status, a page or a problem document, and the fields of a careful server.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, DATE};
use jiff::Timestamp;

use super::failure::Failure;
use super::rates;
use super::record::Record;
use super::wants::{Format, Wants};

/// A whole answer of our own.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(Cow<'static, str>, String)>,
    pub(super) body: Bytes,
}

/// The answer to a failure. The only place where failures become responses.
pub(super) fn reply(failure: Failure, wants: Wants, record: &Record, now: Timestamp) -> Reply {
    let backstage = &record.rules().backstage;
    let page = backstage.page(record.host(), failure.code(), wants.language, &record.request_id);
    // Whoever has to sign in and isn't a person who looks at pages is told in a machine's words.
    let as_problem = match failure {
        Failure::SignInNeeded => wants.format != Format::Navigation,
        _ => wants.format == Format::Problem,
    };
    let (content_type, body) = if as_problem {
        let problem = serde_json::json!({
            "type": format!("urn:sekisho:problem:{}", failure.code()),
            "title": page.title,
            "status": failure.status(),
            "detail": page.what,
            "code": failure.code(),
            "request_id": record.request_id,
        });
        ("application/problem+json", problem.to_string().into_bytes())
    } else {
        ("text/html; charset=utf-8", page.html)
    };
    let mut fields = vec![
        ("content-type".into(), content_type.to_owned()),
        ("content-length".into(), body.len().to_string()),
        ("date".into(), date(now)),
        ("cache-control".into(), "no-store".to_owned()),
        ("vary".into(), "accept, accept-language, cookie".to_owned()),
        ("content-security-policy".into(), backstage.content_security_policy().to_owned()),
        ("x-content-type-options".into(), "nosniff".to_owned()),
        ("x-frame-options".into(), "DENY".to_owned()),
        ("cross-origin-resource-policy".into(), "same-origin".to_owned()),
        ("referrer-policy".into(), "same-origin".to_owned()),
        ("strict-transport-security".into(), "max-age=63072000".to_owned()),
        ("x-request-id".into(), record.request_id.clone()),
    ];
    match failure {
        Failure::MethodNotAllowed => {
            fields.push(("allow".into(), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()));
        }
        // RFC 9110, section 15.5.2, demands a challenge. There is no registered scheme for a page to sign in on.
        Failure::SignInNeeded => fields.push(("www-authenticate".into(), "Session".to_owned())),
        Failure::RateLimited => {
            let after = record.quotas.last().map_or(1, rates::Quota::retry_after);
            fields.push(("retry-after".into(), after.to_string()));
        }
        Failure::StateUnavailable | Failure::Overloaded(_) | Failure::UpstreamDown => {
            fields.push(("retry-after".into(), "5".to_owned()))
        }
        Failure::UpstreamBusy => fields.push(("retry-after".into(), "1".to_owned())),
        Failure::Certificate(_) if failure.status() == 503 => {
            fields.push(("retry-after".into(), "60".to_owned()))
        }
        _ => {}
    }
    fields.extend(quotas(record));
    fields.extend(record.location.clone().map(|location| ("location".into(), location)));
    Reply { status: failure.status(), fields, body: body.into() }
}

/// The portal's answer.
pub(super) fn of_portal(response: Response<Bytes>, record: &Record, now: Timestamp) -> Reply {
    let (parts, body) = response.into_parts();
    let mut fields: Vec<(Cow<'static, str>, String)> = parts
        .headers
        .iter()
        .filter(|(name, _)| **name != CONTENT_LENGTH && **name != DATE)
        .filter_map(|(name, value)| Some((name.as_str().to_owned().into(), value.to_str().ok()?.to_owned())))
        .collect();
    // The answer to a HEAD says nothing of the length that a GET would have.
    if record.method != "HEAD" {
        fields.push(("content-length".into(), body.len().to_string()));
    }
    fields.push(("date".into(), date(now)));
    fields.push(("x-request-id".into(), record.request_id.clone()));
    fields.extend(quotas(record));
    Reply { status: parts.status.as_u16(), fields, body }
}

/// How the limits stand that the request was counted by, if anybody is to be told.
fn quotas(record: &Record) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    rates::fields(&record.quotas).map(|(name, value)| (name.into(), value))
}

fn date(now: Timestamp) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The reason phrase of a status that we or an upstream may send (RFC 9110, section 15).
pub(super) fn phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("")
}
