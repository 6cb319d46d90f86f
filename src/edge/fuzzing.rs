//! What reaches the data path before anybody is known: heads, bodies, paths, cookies, PROXY headers, whole connections.
//! Whatever our own readers take is held against a second, naive one.

mod gate;
mod naive;

use bytes::{Buf, Bytes, BytesMut};

pub(crate) use self::gate::connection;
use self::naive::Head;
use super::fields::{self, Field};
use super::forward::ResponseHead;
use super::framing::{self, Decoded, Decoder, Framing};
use super::http1::{HeadEnd, parse_request, parse_trailers};
use super::proxy_protocol::{self, Header};
use super::sessions;
use super::target::Target;
use crate::domain::OUR_COOKIES;

/// A path that is taken has one form, no way up, and as many segments for whoever decodes it once more.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(target) = Target::parse(bytes) else { return };
    let path = &*target.path;
    let again = Target::parse(path.as_bytes()).expect("a path in its one form");
    assert_eq!((&*again.path, again.query), (path, None));
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    let segments = |path: &[u8]| path.split(|byte| b"/\\".contains(byte)).map(<[u8]>::to_vec).collect();
    let (plain, decoded): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (segments(path.as_bytes()), segments(&decoded));
    assert_eq!(plain.len(), decoded.len(), "{path}");
    for (at, segment) in decoded.iter().enumerate() {
        assert!(at == 0 || at + 1 == decoded.len() || !segment.is_empty(), "{path}");
        assert!(segment != b"." && segment != b"..", "{path}");
        assert!(!segment.iter().any(|byte| byte.is_ascii_control() || *byte == b';'), "{path}");
    }
}

/// A PROXY header ends where it says, whatever follows.
pub(crate) fn proxy_header(bytes: &[u8]) {
    match proxy_protocol::parse(bytes) {
        Ok(Header::Whole { length, source }) => {
            assert!(length <= bytes.len());
            assert_eq!(proxy_protocol::parse(&bytes[..length]), Ok(Header::Whole { length, source }));
        }
        Ok(Header::More(more)) => assert!(more > 0),
        Err(_) => {}
    }
}

/// The session in `Cookie` lines; no backend is told of it.
pub(crate) fn cookies(lines: &[u8]) -> Option<String> {
    let lines: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').collect();
    // Others don't get this far.
    if lines.iter().any(|line| http::HeaderValue::from_bytes(line).is_err()) {
        return None;
    }
    let is_ours = |line: &[u8]| {
        line.split(|&byte| byte == b';').any(|pair| pair.trim_ascii().starts_with(OUR_COOKIES.as_bytes()))
    };
    for line in &lines {
        match fields::without_our_cookies(line) {
            None => assert!(!is_ours(line)),
            Some(others) => assert!(is_ours(line) && !is_ours(&others)),
        }
    }
    let fields: Vec<_> = lines.iter().map(|value| Field { name: b"cookie", value }).collect();
    sessions::token(&fields).map(|token| token.to_cookie().to_string())
}

/// A message, read to its end.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// It ends in its middle.
    Cut,
    /// It is refused.
    Bad,
    Whole {
        head: Head,
        body: Vec<u8>,
        trailers: Bytes,
        rest: Vec<u8>,
    },
}

/// A request is read in one way, however it comes in, and in the same way by a naive reader.
pub(crate) fn request(bytes: &[u8]) {
    let whole = read(bytes, bytes.len(), &request_head);
    assert_eq!(whole, read(bytes, 1, &request_head));
    is_as_naive(bytes, whole, false);
}

/// The same of a response. The first byte says whether it answers a `HEAD`.
pub(crate) fn response(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let head = |buffer: &mut BytesMut, length| response_head(buffer, length, first & 1 == 1);
    let whole = read(bytes, bytes.len(), &head);
    assert_eq!(whole, read(bytes, 1, &head));
    is_as_naive(bytes, whole, true);
}

/// Takes a head out of a buffer, with what frames the body; `None` if it is refused.
type TakeHead<'a> = &'a dyn Fn(&mut BytesMut, usize) -> Option<(Head, Decoder)>;

fn request_head(buffer: &mut BytesMut, length: usize) -> Option<(Head, Decoder)> {
    let bytes = buffer.split_to(length);
    let request = parse_request(&bytes).ok()?;
    let framing = framing::declared(&request.fields).ok()?.unwrap_or(Framing::Length(0));
    let start = format!("{} {} HTTP/1.{}", request.method, request.target, request.minor);
    Some((Head::of(start, &request.fields), Decoder::request(framing)))
}

fn response_head(buffer: &mut BytesMut, length: usize, is_head: bool) -> Option<(Head, Decoder)> {
    let head = ResponseHead::take(buffer, length, is_head).ok()?;
    let fields: Vec<_> = head.fields().collect();
    for field in &fields {
        assert!(!fields::is_hop_by_hop(field.name) && !field.is("content-length"));
    }
    Some((Head::of(head.status.to_string(), &fields), Decoder::response(head.framing)))
}

/// Reads a message that comes in parts of `step` bytes.
fn read(bytes: &[u8], step: usize, take: TakeHead<'_>) -> Read {
    let mut parts = bytes.chunks(step.max(1));
    let mut buffer = BytesMut::new();
    let mut end = HeadEnd::default();
    let length = loop {
        match end.find(&buffer) {
            Err(_) => return Read::Bad,
            Ok(Some(length)) => break length,
            Ok(None) => match parts.next() {
                Some(part) => buffer.extend_from_slice(part),
                None => return Read::Cut,
            },
        }
    };
    let Some((head, mut decoder)) = take(&mut buffer, length) else { return Read::Bad };
    let mut body = Vec::new();
    loop {
        match decoder.decode(&mut buffer) {
            Err(_) => return Read::Bad,
            Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
            Ok(Decoded::End(trailers)) => {
                if parse_trailers(&trailers).is_err() {
                    return Read::Bad;
                }
                parts.for_each(|part| buffer.extend_from_slice(part));
                assert!(decoder.is_over());
                return Read::Whole { head, body, trailers, rest: buffer.to_vec() };
            }
            Ok(Decoded::More) => match parts.next() {
                Some(part) => buffer.extend_from_slice(part),
                None if matches!(decoder, Decoder::UntilClose) => {
                    return Read::Whole { head, body, trailers: Bytes::new(), rest: Vec::new() };
                }
                None => return Read::Cut,
            },
        }
    }
}

fn is_as_naive(mut bytes: &[u8], read: Read, is_response: bool) {
    let Read::Whole { head, body, trailers, rest } = read else { return };
    // An empty line before a message is somebody's leftover (RFC 9112, section 2.2).
    while let Some(behind) = bytes.strip_prefix(b"\r\n") {
        bytes = behind;
    }
    let (naive, after) = Head::read(bytes).expect("well-formed to anybody");
    if is_response {
        assert_eq!(naive.start.split(' ').nth(1), Some(&*head.start));
        assert!(head.fields.iter().all(|field| naive.fields.contains(field)));
    } else {
        assert_eq!(naive, head);
    }
    let consumed = after.len() - rest.len();
    let mut encoded = Bytes::copy_from_slice(&after[..consumed]);
    if naive.is_chunked() && !(is_response && body.is_empty() && consumed == 0) {
        let (naive_body, naive_trailers) = naive::dechunk(&mut encoded).expect("chunks to anybody");
        assert_eq!((naive_body, naive_trailers), (body, trailers));
        assert!(!encoded.has_remaining());
    } else {
        assert_eq!(body, encoded);
    }
}
