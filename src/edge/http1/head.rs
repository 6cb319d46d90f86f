//! Heads of HTTP/1.1 messages: finding their end, and reading them strictly (RFC 9112, sections 2 to 5).

use std::mem::MaybeUninit;

use crate::edge::fields::Field;

/// More fields than this are never read, whatever the configuration says.
pub(in crate::edge) const MOST_FIELDS: usize = 256;

/// A head that isn't one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::edge) enum BadHead {
    /// Not well-formed.
    Malformed(&'static str),
    /// More fields than are read.
    TooManyFields,
}

/// Looks for the end of a head as bytes come in, each byte once.
#[derive(Debug, Default)]
pub(in crate::edge) struct HeadEnd {
    scanned: usize,
}

impl HeadEnd {
    /// The length of the head at the start of `buffer`, its empty line included, once that is there.
    ///
    /// Lines end in CRLF. A bare LF is refused here, because others take it for a line end (T24).
    pub(in crate::edge) fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, BadHead> {
        for at in memchr::memchr_iter(b'\n', &buffer[self.scanned..]) {
            let at = self.scanned + at;
            if at == 0 || buffer[at - 1] != b'\r' {
                return Err(BadHead::Malformed("a line that ends in a bare LF"));
            }
            if at >= 3 && &buffer[at - 3..at] == b"\r\n\r" {
                return Ok(Some(at + 1));
            }
        }
        self.scanned = buffer.len();
        Ok(None)
    }
}

/// A request's head, borrowed from the connection's buffer.
#[derive(Debug)]
pub(in crate::edge) struct Request<'a> {
    pub(in crate::edge) method: &'a str,
    pub(in crate::edge) target: &'a str,
    /// The minor version: 0 or 1.
    pub(in crate::edge) minor: u8,
    pub(in crate::edge) fields: Vec<Field<'a>>,
}

/// Reads a whole head of a request.
pub(in crate::edge) fn parse_request(head: &[u8]) -> Result<Request<'_>, BadHead> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(head, &mut storage).map_err(malformed)?;
    match (status, request.method, request.path, request.version) {
        (httparse::Status::Complete(length), Some(method), Some(target), Some(minor))
            if length == head.len() =>
        {
            Ok(Request { method, target, minor, fields: collect(request.headers) })
        }
        _ => Err(BadHead::Malformed("a head that ends in its middle")),
    }
}

/// A response's head, borrowed from the connection's buffer.
#[derive(Debug)]
pub(in crate::edge) struct Response<'a> {
    pub(in crate::edge) status: u16,
    /// The minor version: 0 or 1.
    pub(in crate::edge) minor: u8,
    pub(in crate::edge) fields: Vec<Field<'a>>,
}

/// Reads a whole head of a response.
pub(in crate::edge) fn parse_response(head: &[u8]) -> Result<Response<'_>, BadHead> {
    let mut storage = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, head, &mut storage)
        .map_err(malformed)?;
    match (status, response.code, response.version) {
        (httparse::Status::Complete(length), Some(status), Some(minor)) if length == head.len() => {
            Ok(Response { status, minor, fields: collect(response.headers) })
        }
        _ => Err(BadHead::Malformed("a head that ends in its middle")),
    }
}

/// Reads the lines of a trailer section, which come without the empty line behind them.
pub(in crate::edge) fn parse_trailers(lines: &[u8]) -> Result<Vec<(String, Vec<u8>)>, BadHead> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let section = [lines, b"\r\n"].concat();
    let mut storage = [httparse::EMPTY_HEADER; MOST_FIELDS];
    match httparse::parse_headers(&section, &mut storage).map_err(malformed)? {
        httparse::Status::Complete((length, fields)) if length == section.len() => Ok(fields
            .iter()
            .map(|field| (field.name.to_owned(), field.value.trim_ascii().to_owned()))
            .collect()),
        _ => Err(BadHead::Malformed("a trailer section that ends in its middle")),
    }
}

fn collect<'a>(headers: &[httparse::Header<'a>]) -> Vec<Field<'a>> {
    headers
        .iter()
        .map(|header| Field { name: header.name.as_bytes(), value: header.value.trim_ascii() })
        .collect()
}

const fn malformed(error: httparse::Error) -> BadHead {
    match error {
        httparse::Error::TooManyHeaders => BadHead::TooManyFields,
        httparse::Error::HeaderName => BadHead::Malformed("a field name that is no token"),
        httparse::Error::HeaderValue => BadHead::Malformed("a field value with a control character"),
        httparse::Error::NewLine => BadHead::Malformed("a line that doesn't end in CRLF"),
        httparse::Error::Status => BadHead::Malformed("a status that is no number"),
        httparse::Error::Token => BadHead::Malformed("a start line that is no HTTP"),
        httparse::Error::Version => BadHead::Malformed("a version that is not HTTP/1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(bytes: &[u8], step: usize) -> Result<Option<usize>, BadHead> {
        let mut finder = HeadEnd::default();
        for length in (1..=bytes.len()).step_by(step).chain([bytes.len()]) {
            if let Some(end) = finder.find(&bytes[..length])? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for step in 1..=head.len() {
            assert_eq!(end(head, step), Ok(Some(head.len())));
        }
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n", 3), Ok(None));
    }

    #[test]
    fn a_bare_lf_ends_no_line() {
        for bytes in [&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost: a\n\n", b"\n"] {
            assert_eq!(end(bytes, 1), Err(BadHead::Malformed("a line that ends in a bare LF")));
        }
    }

    #[test]
    fn what_is_no_strict_head_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc: d\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
            "GET / HTTP/1.1\r\nA\x01: b\r\n\r\n",
            "GET / HTTP/1.1\r\n: b\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / x HTTP/1.1\r\n\r\n",
            "G ET / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert!(matches!(parse_request(head.as_bytes()), Err(BadHead::Malformed(_))), "{head:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1));
        assert_eq!(parse_request(many.as_bytes()).map(|_| ()), Err(BadHead::TooManyFields));
    }

    #[test]
    fn trailers_are_fields() {
        assert_eq!(
            parse_trailers(b"A: 1\r\nb:2\r\n"),
            Ok(vec![("A".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())])
        );
        assert!(parse_trailers(b"A 1\r\n").is_err());
        assert!(parse_trailers(b" A: 1\r\n").is_err());
        assert!(parse_trailers(b"A : 1\r\n").is_err());
    }
}
