//! From the bytes of a head to a request that may go on.

use super::head::{BadHead, Request, parse_request};
use crate::edge::connection::Connection;
use crate::edge::failure::Failure;
use crate::edge::fields::tokens;
use crate::edge::framing::{self, Framing};
use crate::edge::intake::{self, Held, RequestHead, Taken};
use crate::edge::record::Record;
use crate::edge::sessions::Known;
use crate::edge::wants::Wants;

/// What a response has to know of the client.
pub(super) struct Client {
    /// The minor version of its HTTP: 0 or 1.
    pub(super) minor: u8,
    /// Whether it may send another request after this one.
    pub(super) keeps_alive: bool,
    /// Whether something follows its head that is no request, or nothing at all.
    pub(super) has_more: bool,
}

/// A request that was taken in, or why not, with whether something follows that is no request.
pub(super) type Read = Result<(Taken, Client), (Held, bool)>;

/// Reads a head and takes its request in. A failure comes with whether something follows that is no request: a body,
/// or what was sent ahead for another protocol (T24).
pub(super) fn take(
    connection: &Connection,
    record: &mut Record,
    head: &[u8],
    known: Option<&Known>,
) -> (Read, Wants) {
    let request = match parse_request(head) {
        Ok(request) => request,
        Err(bad) => return (Err((bad_head(bad).into(), true)), Wants::default()),
    };
    if request.minor == 0 {
        record.protocol = "1.0";
    }
    let wants = Wants::of(&request.fields);
    let framing = match framing::declared(&request.fields) {
        Ok(framing) => framing,
        Err(bad) => return (Err((Failure::BadRequest(bad.0).into(), true)), wants),
    };
    let keeps_alive = keeps_alive(&request);
    // Or wants nothing more: then the connection ends with the answer as well (RFC 9112, section 9.6).
    let has_more = !matches!(framing, None | Some(Framing::Length(0)))
        || request.fields.iter().any(|field| field.is("upgrade"))
        || !keeps_alive;
    let taken = request_head(&request, framing, (keeps_alive, has_more))
        .map_err(Held::from)
        .and_then(|(head, client)| Ok((intake::admit(connection, record, &head, known)?, client)))
        .map_err(|held| (held, has_more));
    (taken, wants)
}

/// Whether the client wants to go on with this connection.
fn keeps_alive(request: &Request<'_>) -> bool {
    let mut words = tokens(&request.fields, "connection");
    request.minor == 1 && !words.any(|word| word.eq_ignore_ascii_case(b"close"))
}

fn request_head<'a>(
    request: &'a Request<'a>,
    framing: Option<Framing>,
    (keeps_alive, has_more): (bool, bool),
) -> Result<(RequestHead<'a>, Client), Failure> {
    let fields = &request.fields;
    let connection_says =
        |word: &str| tokens(fields, "connection").any(|token| token.eq_ignore_ascii_case(word.as_bytes()));
    if request.minor == 0 && framing == Some(Framing::Chunked) {
        return Err(Failure::BadRequest("chunks in HTTP/1.0"));
    }
    let mut hosts = fields.iter().filter(|field| field.is("host"));
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Failure::BadRequest("not exactly one Host"));
    };
    let (target, authority) = origin_form(request.target, host.value)?;
    let upgrade = request.minor == 1
        && request.method == "GET"
        && matches!(framing, None | Some(Framing::Length(0)))
        && fields.iter().any(|field| field.is("upgrade") && field.value.eq_ignore_ascii_case(b"websocket"))
        && connection_says("upgrade");
    let client = Client { minor: request.minor, keeps_alive, has_more };
    let protocol = if request.minor == 0 { "1.0" } else { "1.1" };
    Ok((
        RequestHead {
            method: request.method,
            target,
            authority,
            fields,
            framing,
            upgrade,
            websocket_key: None,
            protocol,
        },
        client,
    ))
}

/// Splits a target in absolute form (RFC 9112, section 3.2.2); then `Host` must say the same.
fn origin_form<'a>(target: &'a str, host: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Failure> {
    let Some((scheme, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return Ok((target.as_bytes(), host));
    };
    let slash = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    if !scheme.eq_ignore_ascii_case("https") || !authority.as_bytes().eq_ignore_ascii_case(host) {
        return Err(Failure::BadRequest("a target that contradicts Host"));
    }
    Ok((if path.is_empty() { b"/" } else { path.as_bytes() }, authority.as_bytes()))
}

pub(super) const fn bad_head(bad: BadHead) -> Failure {
    match bad {
        BadHead::Malformed(why) => Failure::BadRequest(why),
        BadHead::TooManyFields => Failure::HeadTooLarge("more header fields than are ever read"),
    }
}
