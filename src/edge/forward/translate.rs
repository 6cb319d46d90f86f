//! Between the lines of HTTP/1.1 and the fields of HTTP/2 (RFC 9113, section 8).

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::edge::http1::parse_trailers;

/// A head that HTTP/2 can't say. We wrote it ourselves, of what was checked.
const UNSAYABLE: &str = "a head that HTTP/2 can't say";

/// The request whose head these lines are, which `request_head` wrote: so nothing is told over one version and not
/// over the other.
pub(super) fn request(head: &[u8], scheme: Scheme) -> Result<Request<()>, &'static str> {
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|&byte| byte == b' ');
    let method = words.next().and_then(|method| Method::from_bytes(method).ok()).ok_or(UNSAYABLE)?;
    let target = words.next().and_then(path_and_query).ok_or(UNSAYABLE)?;
    let mut headers = HeaderMap::with_capacity(32);
    let mut authority = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line).ok_or(UNSAYABLE)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| UNSAYABLE)?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| UNSAYABLE)?;
        if name == HOST {
            authority = Authority::try_from(value.as_bytes()).ok();
        } else if ![CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(&name)
            && (name != TE || value == "trailers")
        {
            headers.append(name, value);
        }
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(authority.ok_or(UNSAYABLE)?);
    uri.path_and_query = Some(target);
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_parts(uri).map_err(|_| UNSAYABLE)?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok(request)
}

/// A target, with those few bytes encoded that clients send raw in HTTP/1.1 and no URI holds.
fn path_and_query(target: &[u8]) -> Option<PathAndQuery> {
    let is_odd = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`');
    if !target.iter().any(is_odd) {
        return PathAndQuery::try_from(target).ok();
    }
    let mut encoded = Vec::with_capacity(target.len() + 16);
    for byte in target {
        if is_odd(byte) {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.push(*byte);
        }
    }
    PathAndQuery::try_from(encoded.as_slice()).ok()
}

/// Fields of HTTP/2 as lines.
pub(in crate::edge) fn field_lines(fields: &HeaderMap) -> Bytes {
    let mut lines = Vec::new();
    for (name, value) in fields {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines.into()
}

/// Lines as fields of HTTP/2.
pub(in crate::edge) fn field_map(lines: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in parse_trailers(lines).unwrap_or_default() {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(&value)) {
            fields.append(name, value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(head: &str) -> Request<()> {
        request(head.as_bytes(), Scheme::HTTP).unwrap()
    }

    #[test]
    fn host_becomes_the_authority_and_nothing_of_one_hop_stays() {
        let request = translated(
            "POST /a?b=c HTTP/1.1\r\nHost: cert.example:8443\r\nA: 1\r\na: 2\r\nEmpty: \r\nContent-Length: 3\r\n\
             Connection: TE\r\nTE: trailers\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\nX: \u{e9}\r\n\r\n",
        );
        assert_eq!(request.uri(), "http://cert.example:8443/a?b=c");
        assert_eq!((request.method(), request.version()), (&Method::POST, Version::HTTP_2));
        let fields: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(&str, &[u8]); 6] = [
            ("a", b"1"),
            ("a", b"2"),
            ("empty", b""),
            ("content-length", b"3"),
            ("te", b"trailers"),
            ("x", "\u{e9}".as_bytes()),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn every_target_that_is_taken_can_be_said() {
        use crate::edge::target::Target;

        let all: String = (0x21..=0x7e).map(char::from).filter(|byte| !"#\\%;?".contains(*byte)).collect();
        let target = format!("/{all}?{all};?%41");
        Target::parse(target.replace('/', "").replacen('!', "/!", 1).as_bytes()).unwrap();
        let request = translated(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let said = request.uri().path_and_query().unwrap().as_str();
        let expected = target.replace('"', "%22").replace('<', "%3C").replace('>', "%3E").replace('`', "%60");
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_no_head_is_not_said() {
        for head in [
            "",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nbad name: 1\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(request(head.as_bytes(), Scheme::HTTP).is_err(), "{head}");
        }
    }
}
