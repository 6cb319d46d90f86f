//! Our own answers: every failure becomes a status, a page or a problem document, and the fields of a careful server.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, DATE};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::failure::Failure;
use super::gate::Grant;
use super::rates;
use super::record::Record;
use super::route::{Leave, Own};
use super::target::Target;
use super::wants::{Format, Wants};

/// What a request's target may hold and a URI may not (RFC 3986, section 2).
const NO_URI: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

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
    let mut is_own = false;
    let (content_type, body): (_, Bytes) = if as_problem {
        let problem = serde_json::json!({
            "type": format!("urn:sekisho:problem:{}", failure.code()),
            "title": page.title,
            "status": failure.status(),
            "detail": page.what,
            "code": failure.code(),
            "request_id": &*record.request_id,
        });
        ("application/problem+json", problem.to_string().into())
    } else {
        let own = record.notice.as_ref().and_then(|notice| notice.page.clone());
        is_own = own.is_some();
        ("text/html; charset=utf-8", own.unwrap_or_else(|| page.html.into()))
    };
    // The operator's page brings its style with it, and nothing that runs.
    let content_security_policy = match is_own {
        true => "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
        false => backstage.content_security_policy(),
    };
    let mut fields = vec![
        ("content-type".into(), content_type.to_owned()),
        ("content-length".into(), body.len().to_string()),
        ("date".into(), date(now)),
        ("cache-control".into(), "no-store".to_owned()),
        ("vary".into(), "accept, accept-language, cookie".to_owned()),
        ("content-security-policy".into(), content_security_policy.to_owned()),
        ("x-content-type-options".into(), "nosniff".to_owned()),
        ("x-frame-options".into(), "DENY".to_owned()),
        ("cross-origin-resource-policy".into(), "same-origin".to_owned()),
        ("referrer-policy".into(), "same-origin".to_owned()),
        ("strict-transport-security".into(), "max-age=63072000".to_owned()),
        ("x-request-id".into(), record.request_id.to_string()),
    ];
    match failure {
        Failure::MethodNotAllowed => {
            let all = || "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned();
            fields.push(("allow".into(), record.allow.clone().unwrap_or_else(all)));
        }
        // RFC 9110, section 15.5.2, demands a challenge. There is no registered scheme for a page to sign in on.
        Failure::SignInNeeded => fields.push(("www-authenticate".into(), "Session".to_owned())),
        Failure::Maintenance => {
            let seconds = record.notice.as_ref().map_or(0, |notice| notice.retry_after.as_secs());
            fields.push(("retry-after".into(), seconds.to_string()));
        }
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
    Reply { status: failure.status(), fields, body }
}

/// What a route answers by itself. The target's path is the one that a backend would have got.
pub(super) fn of_route(
    own: &Own,
    grant: &Grant<'_>,
    target: &Target<'_>,
    leave: Leave,
    record: &Record,
    now: Timestamp,
) -> Reply {
    let mut fields: Vec<(Cow<'static, str>, String)> = Vec::new();
    let (status, body) = match own {
        Own::Fixed { status, body, content_type } => {
            if !body.is_empty() {
                fields.push(("content-type".into(), content_type.to_string()));
                fields.push(("x-content-type-options".into(), "nosniff".to_owned()));
            }
            (*status, body.clone())
        }
        Own::Redirect { to, status } => {
            let encoded = |part| utf8_percent_encode(part, NO_URI).to_string();
            let location = to.expand(&encoded(&target.path), target.query.map(encoded).as_deref());
            fields.push(("location".into(), location));
            (*status, Bytes::new())
        }
    };
    let edits = &grant.route.terms.response;
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    fields.retain(|(name, _)| !edits.drop(name.as_bytes()));
    fields.extend(edits.set().map(|field| (text(field.name).into(), text(field.value))));
    fields.extend(leave.into_iter().map(|(name, value)| (name.into(), value)));
    if grant.is_personal && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("cache-control")) {
        fields.push(("cache-control".into(), "no-store".to_owned()));
    }
    if !matches!(status, 204 | 304) {
        fields.push(("content-length".into(), body.len().to_string()));
    }
    fields.push(("date".into(), date(now)));
    fields.push(("x-request-id".into(), record.request_id.to_string()));
    fields.extend(quotas(record));
    Reply { status, fields, body }
}

/// The answer to a preflight.
pub(super) fn of_preflight(leave: Leave, record: &Record, now: Timestamp) -> Reply {
    let mut fields: Vec<(Cow<'static, str>, String)> =
        leave.into_iter().map(|(name, value)| (name.into(), value)).collect();
    fields.push(("date".into(), date(now)));
    fields.push(("x-request-id".into(), record.request_id.to_string()));
    Reply { status: 204, fields, body: Bytes::new() }
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
    fields.push(("x-request-id".into(), record.request_id.to_string()));
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
