//! A second reader of HTTP/1.1, as short as can be: lines end in CRLF, words are parted by one space.

use bytes::{Buf, Bytes};

use crate::edge::fields::Field;

/// A head: its first line, and its fields with their names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) start: String,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    pub(super) fn of(start: String, fields: &[Field<'_>]) -> Self {
        let text = |name: &[u8]| String::from_utf8(name.to_ascii_lowercase()).expect("a token");
        let fields = fields.iter().map(|field| (text(field.name), field.value.to_vec())).collect();
        Self { start, fields }
    }

    /// Reads a head and gives what is behind it; `None` if anything about it is odd.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (lines, rest) = split(bytes, b"\r\n\r\n")?;
        let mut lines = Lines(lines);
        let start = String::from_utf8_lossy(lines.next()?).into_owned();
        let mut fields = Vec::new();
        for line in lines {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
            let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
            if name.is_empty() || !name.iter().all(is_token) || !value.iter().all(is_text) {
                return None;
            }
            let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
            fields.push((name, value.trim_ascii().to_vec()));
        }
        Some((Self { start, fields }, rest))
    }

    /// The values of a field.
    pub(super) fn values(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value).collect()
    }

    pub(super) fn is_chunked(&self) -> bool {
        !self.values("transfer-encoding").is_empty()
    }
}

/// Lines that end in CRLF, the last one without.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (line, rest) = split(self.0, b"\r\n").unwrap_or((self.0, &[]));
        self.0 = rest;
        Some(line)
    }
}

/// What is before the first `mark`, and what behind it.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

/// A chunked body and its trailer lines, taken out of `bytes`.
pub(super) fn dechunk(bytes: &mut Bytes) -> Option<(Vec<u8>, Bytes)> {
    let mut body = Vec::new();
    loop {
        let line = line(bytes)?;
        let size = line[..line.len() - 2].split(|&byte| byte == b';').next()?;
        let size = std::str::from_utf8(size).ok()?.trim_end_matches([' ', '\t']);
        let size = usize::from_str_radix(size, 16).ok().filter(|_| !size.starts_with('+'))?;
        if size == 0 {
            break;
        }
        if bytes.len() < size + 2 || &bytes[size..size + 2] != b"\r\n" {
            return None;
        }
        body.extend_from_slice(&bytes.split_to(size));
        bytes.advance(2);
    }
    let mut trailers = Vec::new();
    loop {
        let line = line(bytes)?;
        if &line[..] == b"\r\n" {
            return Some((body, trailers.into()));
        }
        trailers.extend_from_slice(&line);
    }
}

/// The next line with its end.
fn line(bytes: &mut Bytes) -> Option<Bytes> {
    let (line, _) = split(bytes, b"\r\n")?;
    let length = line.len() + 2;
    Some(bytes.split_to(length))
}
