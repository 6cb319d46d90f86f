//! The head of an upstream's response: read strictly, and rid of what was for one hop only.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use crate::domain::OUR_COOKIES;
use crate::edge::fields::{Field, is_hop_by_hop, named_by_connection, tokens};
use crate::edge::framing::{self, Framing};
use crate::edge::http1::{BadHead, parse_response};
use crate::edge::route::{Cors, Edits, Leave, Terms};

/// A response's head, with its own copy of the bytes.
#[derive(Debug)]
pub(in crate::edge) struct ResponseHead {
    pub(in crate::edge) status: u16,
    /// How the body is delimited; `Length(0)` where the status or the method forbids one.
    pub(in crate::edge) framing: Framing,
    /// The length that the fields declare, also where there is no body (`HEAD`, 304).
    pub(in crate::edge) declared_length: Option<u64>,
    /// Whether the connection may carry another request.
    pub(super) keeps_alive: bool,
    /// Whether it says that the connection is a WebSocket from here on.
    pub(in crate::edge) is_websocket: bool,
    /// Whether to say that nobody may keep a copy: the backend said nothing of it, and it is personal.
    no_store: bool,
    /// Fields of ours.
    added: Vec<(&'static str, String)>,
    /// What the route sets and removes.
    terms: Option<Arc<Terms>>,
    /// What it tells pages of other origins.
    leave: Leave,
    bytes: Bytes,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl ResponseHead {
    /// Takes the head of `length` bytes out of `buffer`.
    pub(in crate::edge) fn take(
        buffer: &mut BytesMut,
        length: usize,
        is_head: bool,
    ) -> Result<Box<Self>, &'static str> {
        let bytes = buffer.split_to(length).freeze();
        let response = parse_response(&bytes).map_err(|bad| match bad {
            BadHead::Malformed(why) => why,
            BadHead::TooManyFields => "too many header fields",
        })?;
        let mut head = Self::new(&bytes, response.status, &response.fields, is_head)?;
        let closes = tokens(&response.fields, "connection").any(|token| token.eq_ignore_ascii_case(b"close"));
        head.keeps_alive = response.minor == 1 && !closes && head.framing != Framing::UntilClose;
        Ok(head)
    }

    /// The head of a response over HTTP/2; `is_whole` if nothing follows.
    pub(in crate::edge) fn of_http2(
        status: StatusCode,
        headers: &HeaderMap,
        (is_head, is_whole): (bool, bool),
    ) -> Result<Box<Self>, &'static str> {
        let lengths = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let mut bytes = BytesMut::with_capacity(lengths.sum());
        let mut ends = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            // Its white space is none of the value's (RFC 9113, section 8.2.1).
            let value = value.as_bytes().trim_ascii();
            bytes.extend_from_slice(name.as_str().as_bytes());
            let end = bytes.len();
            bytes.extend_from_slice(value);
            ends.push((end, bytes.len()));
        }
        let (bytes, mut start) = (bytes.freeze(), 0);
        let mut fields = Vec::with_capacity(ends.len());
        for (name, value) in ends {
            fields.push(Field { name: &bytes[start..name], value: &bytes[name..value] });
            start = value;
        }
        let mut head = Self::new(&bytes, status.as_u16(), &fields, is_head)?;
        match head.framing {
            Framing::Chunked => return Err("a transfer coding in HTTP/2"),
            Framing::Length(length) if is_whole && length > 0 => {
                return Err("a body that is shorter than its Content-Length");
            }
            // The end of the stream delimits it.
            Framing::UntilClose if !is_whole => head.framing = Framing::Chunked,
            Framing::UntilClose => {
                head.framing = Framing::Length(0);
                head.declared_length = Some(0);
            }
            Framing::Length(_) => {}
        }
        Ok(head)
    }

    fn new(
        bytes: &Bytes,
        status: u16,
        fields: &[Field<'_>],
        is_head: bool,
    ) -> Result<Box<Self>, &'static str> {
        let declared = framing::declared(fields).map_err(|bad| bad.0)?;
        if status < 100 || (status < 200 && declared.is_some()) {
            return Err("a status that can't be");
        }
        let has_no_body = is_head || status < 200 || status == 204 || status == 304;
        let framing = if has_no_body { Framing::Length(0) } else { declared.unwrap_or(Framing::UntilClose) };
        let says = |name, word: &[u8]| tokens(fields, name).any(|token| token.eq_ignore_ascii_case(word));
        let is_websocket = says("connection", b"upgrade") && says("upgrade", b"websocket");
        let origin = bytes.as_ptr().addr();
        let range = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(origin);
            start..start + part.len()
        };
        // By what only the gate says of the client, which no cache on the way can know (RFC 9440, section 2.4).
        let varies_by_ours = tokens(fields, "vary").any(is_only_for_requests);
        let passed = passed(fields).filter(|field| !(varies_by_ours && field.is("vary")));
        let ranges = passed.map(|field| (range(field.name), range(field.value))).collect();
        Ok(Box::new(Self {
            status,
            framing,
            declared_length: match declared {
                Some(Framing::Length(length)) if status != 204 && status >= 200 => Some(length),
                _ => None,
            },
            keeps_alive: false,
            is_websocket,
            no_store: false,
            added: varies_by_ours.then(|| ("Vary", "*".to_owned())).into_iter().collect(),
            terms: None,
            leave: Leave::new(),
            fields: ranges,
            bytes: bytes.clone(),
        }))
    }

    /// The fields that go on to the client: neither framing nor of one hop only.
    pub(in crate::edge) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        const NO_STORE: Field<'_> = Field { name: b"Cache-Control", value: b"no-store" };
        let passed = self.fields.iter().map(|(name, value)| Field {
            // An empty value may lie anywhere, even outside of the head.
            name: self.bytes.get(name.clone()).unwrap_or_default(),
            value: self.bytes.get(value.clone()).unwrap_or_default(),
        });
        let edits = self.terms.as_ref().map(|terms| &terms.response);
        let has_cors = self.terms.as_ref().is_some_and(|terms| terms.cors.is_some());
        let (leave, added) = (self.leave.iter(), self.added.iter());
        passed
            .filter(move |field| !edits.is_some_and(|edits| edits.drop(field.name)))
            .filter(move |field| !(has_cors && Cors::owns(field.name)))
            .chain(edits.into_iter().flat_map(Edits::set))
            .chain(leave.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }))
            .chain(self.no_store.then_some(NO_STORE))
            .chain(added.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }))
    }

    /// Adds fields of ours.
    pub(in crate::edge) fn add(&mut self, fields: impl Iterator<Item = (&'static str, String)>) {
        self.added.extend(fields);
    }

    /// Says what HTTP/2 says of a WebSocket that is open (RFC 8441, section 5).
    pub(in crate::edge) fn become_stream(&mut self) {
        const HTTP1_ONLY: &[u8] = b"sec-websocket-accept";
        let Self { status, fields, bytes, .. } = self;
        *status = 200;
        fields.retain(|(name, _)| !bytes[name.clone()].eq_ignore_ascii_case(HTTP1_ONLY));
    }

    /// Has it say these fields and no others: what the route edits, and what we add, is among them.
    pub(super) fn say_instead(&mut self, bytes: Bytes, fields: Vec<(Range<usize>, Range<usize>)>) {
        (self.bytes, self.fields) = (bytes, fields);
        (self.terms, self.leave, self.no_store) = (None, Leave::new(), false);
        self.added.clear();
    }

    /// Has the route's own fields set and removed, and says what pages of other origins may do.
    pub(super) fn edit(&mut self, terms: &Arc<Terms>, leave: Leave) {
        self.terms = Some(terms.clone());
        self.leave = leave;
    }

    /// Has caches keep no copy of what is personal, unless the backend has said itself what they may (T28).
    pub(super) fn keep_personal(&mut self) {
        self.no_store = self.status >= 200 && !self.fields().any(|field| field.is("cache-control"));
    }
}

/// Fields that tell a backend of the client, and that no response may have (RFC 9440, sections 2.2 and 2.3). A client that got
/// one back could take it elsewhere.
fn is_only_for_requests(name: &[u8]) -> bool {
    ["client-cert", "client-cert-chain", "x-sekisho-assertion"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

fn passed<'a>(fields: &'a [Field<'a>]) -> impl Iterator<Item = &'a Field<'a>> {
    let named = named_by_connection(fields);
    fields.iter().filter(move |field| {
        // A backend that set the portal's cookies could sign people in as somebody else (T48).
        let is_ours =
            || field.is("set-cookie") && field.value.trim_ascii_start().starts_with(OUR_COOKIES.as_bytes());
        !(is_hop_by_hop(field.name)
            || field.is("content-length")
            || is_ours()
            || is_only_for_requests(field.name)
            || named.iter().any(|name| name.eq_ignore_ascii_case(field.name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(head: &str, is_head: bool) -> Result<Box<ResponseHead>, &'static str> {
        ResponseHead::take(&mut BytesMut::from(head), head.len(), is_head)
    }

    #[test]
    fn the_body_is_delimited_as_the_rfc_says() {
        for (head, is_head, framing) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Framing::Length(5)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Framing::Length(0)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Framing::Chunked),
            ("HTTP/1.1 200 OK\r\n\r\n", false, Framing::UntilClose),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, Framing::Length(0)),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, Framing::Length(0)),
        ] {
            assert_eq!(take(head, is_head).unwrap().framing, framing, "{head}");
        }
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let head = take(
            "HTTP/1.1 200 OK\r\nSet-Cookie: __Host-sekisho-session=a\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nX-End: \r\nA: b\r\n\r\n",
            false,
        )
        .unwrap();
        let fields: Vec<_> = head.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        assert_eq!(fields, [(b"X-End".to_vec(), b"".to_vec()), (b"A".to_vec(), b"b".to_vec())]);
    }

    #[test]
    fn what_only_a_backend_sees_of_the_client_ends_here_and_no_cache_is_told_to_vary_by_it() {
        for (lines, expected) in [
            ("Client-Cert: :a:\r\nclient-cert-chain: :a:\r\nX-Sekisho-Assertion: a\r\nA: b\r\n", "A: b\n"),
            ("Vary: Accept, Client-Cert\r\nA: b\r\n", "A: b\nVary: *\n"),
            ("vary: accept\r\nVARY: client-cert-chain\r\n", "Vary: *\n"),
            ("Vary: x-sekisho-assertion\r\n", "Vary: *\n"),
            ("Vary: Client-Certs\r\n", "Vary: Client-Certs\n"),
            ("Client-Certs: a\r\n", "Client-Certs: a\n"),
        ] {
            let head = take(&format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"), false).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let line = |field: Field<'_>| format!("{}: {}\n", text(field.name), text(field.value));
            assert_eq!(head.fields().map(line).collect::<String>(), expected, "{lines}");
        }
    }

    #[test]
    fn framing_in_two_ways_is_no_response() {
        assert!(
            take("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false)
                .is_err()
        );
    }
}
