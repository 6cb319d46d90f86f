//! The head that the upstream gets: what the client sent, less what it may not say, with what only the gate says.

use bytes::Bytes;

use crate::edge::fields::{
    is_disguised_framing, is_hop_by_hop, named_by_connection, tokens, without_our_cookies,
};
use crate::edge::framing::Framing;
use crate::edge::http1::parse_trailers;
use crate::edge::intake::RequestHead;
use crate::edge::policy::Policy;
use crate::edge::route::Edits;
use crate::edge::target::Target;

/// What a head is written from.
pub(in crate::edge) struct Lines<'a> {
    pub(in crate::edge) request: &'a RequestHead<'a>,
    pub(in crate::edge) target: &'a Target<'a>,
    pub(in crate::edge) authority: &'a str,
    /// Header lines that say where the client is, up to where the authority follows.
    pub(in crate::edge) forwarded: &'a [u8],
    pub(in crate::edge) request_id: &'a str,
    /// Header lines that say who is there, as far as the upstream is told.
    pub(in crate::edge) told: [&'a [u8]; 3],
    /// What the route sets and removes.
    pub(in crate::edge) edits: &'a Edits,
    pub(in crate::edge) expects_continue: bool,
}

/// Writes the head.
///
/// Order matters (T21): what `Connection` names is dropped from the client's fields before the gate's own are added,
/// so no client can have the identity stripped on the way.
pub(in crate::edge) fn request_head(policy: &Policy, lines: &Lines<'_>) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    put(&mut out, &[lines.request.method.as_bytes(), b" ", lines.target.path.as_bytes()]);
    if let Some(query) = lines.target.query {
        put(&mut out, &[b"?", query.as_bytes()]);
    }
    put(&mut out, &[b" HTTP/1.1\r\nHost: ", lines.authority.as_bytes(), b"\r\n"]);
    put_client_fields(&mut out, policy, lines.edits, lines.request);
    for field in lines.edits.set() {
        put(&mut out, &[field.name, b": ", field.value, b"\r\n"]);
    }
    put_framing(&mut out, lines);
    put(&mut out, &lines.told);
    let authority = lines.authority.as_bytes();
    put(&mut out, &[lines.forwarded, authority, b"\"\r\nX-Forwarded-Host: ", authority, b"\r\n"]);
    let id_name = policy.headers.request_id.as_str().as_bytes();
    put(&mut out, &[id_name, b": ", lines.request_id.as_bytes(), b"\r\n"]);
    put(&mut out, &[b"Via: ", lines.request.protocol.as_bytes(), b" sekisho\r\n\r\n"]);
    out.into()
}

/// The client's fields that may go on.
fn put_client_fields(out: &mut Vec<u8>, policy: &Policy, edits: &Edits, request: &RequestHead<'_>) {
    let fields = request.fields;
    let named = named_by_connection(fields);
    let mut cookies = None;
    for field in fields {
        let is_ours = is_hop_by_hop(field.name)
            || policy.owned.owns(field.name)
            || edits.drop(field.name)
            || ["host", "content-length", "expect"].iter().any(|name| field.is(name))
            || (request.websocket_key.is_some() && field.is("sec-websocket-key"))
            || named.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        if is_ours {
            continue;
        }
        if field.is("cookie") {
            // HTTP/2 may split it; HTTP/1.1 knows one line only (RFC 9113, section 8.2.3).
            let cookies = cookies.get_or_insert_with(Vec::new);
            // A backend that knew the session's token could be its user.
            let others = without_our_cookies(field.value);
            let value = others.as_deref().unwrap_or(field.value);
            if !cookies.is_empty() && !value.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
            continue;
        }
        put(out, &[field.name, b": ", field.value, b"\r\n"]);
    }
    if let Some(cookies) = cookies.filter(|cookies: &Vec<u8>| !cookies.is_empty()) {
        put(out, &[b"Cookie: ", &cookies, b"\r\n"]);
    }
}

fn put_framing(out: &mut Vec<u8>, lines: &Lines<'_>) {
    match lines.request.framing {
        Some(Framing::Length(length)) => {
            put(out, &[b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes(), b"\r\n"]);
        }
        Some(Framing::Chunked) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Some(Framing::UntilClose) | None => {}
    }
    if lines.expects_continue {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    if lines.request.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        if let Some(key) = lines.request.websocket_key {
            put(out, &[b"Sec-WebSocket-Key: ", key.as_bytes(), b"\r\n"]);
        }
    } else if tokens(lines.request.fields, "te").any(|token| token.eq_ignore_ascii_case(b"trailers")) {
        out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n");
    }
}

/// The trailer fields that may go on, as lines. A trailer can say nothing that a header may not, and
/// nothing that routes, frames or authenticates (RFC 9110, section 6.5.1).
pub(super) fn trailer_lines(policy: &Policy, edits: &Edits, section: &[u8]) -> Result<Vec<u8>, &'static str> {
    let fields = parse_trailers(section).map_err(|_| "a trailer section that is not well-formed")?;
    let mut out = Vec::new();
    for (name, value) in fields {
        let name = name.as_bytes();
        let is_forbidden = is_hop_by_hop(name)
            || is_disguised_framing(name)
            || policy.owned.owns(name)
            || edits.drop(name)
            || [
                "host",
                "cookie",
                "set-cookie",
                "authorization",
                "content-length",
                "content-type",
                "content-encoding",
            ]
            .iter()
            .any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()));
        if !is_forbidden {
            for part in [name, b": ", &value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    Ok(out)
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
