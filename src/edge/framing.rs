//! How long a message body is, and reading one off an HTTP/1.1 connection (RFC 9112, sections 6 and 7).
//!
//! Stricter than the RFC where leniency is how requests are smuggled (T24): one `Content-Length` of digits only or
//! one `Transfer-Encoding: chunked`, never both; no bare LF; chunk extensions only from upstreams.

use bytes::{Buf, Bytes, BytesMut};

use super::fields::Field;

/// How a message's body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`; without a body, zero.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection. Responses only.
    UntilClose,
}

/// A body that can't be read in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadFraming(pub(super) &'static str);

/// The framing that a message's fields declare, or `None` if they declare none.
pub(super) fn declared(fields: &[Field<'_>]) -> Result<Option<Framing>, BadFraming> {
    let mut framing = None;
    for field in fields {
        let found = if field.is("content-length") {
            Framing::Length(length(field.value)?)
        } else if field.is("transfer-encoding") {
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(BadFraming("a transfer coding other than chunked"));
            }
            Framing::Chunked
        } else {
            continue;
        };
        if framing.replace(found).is_some() {
            return Err(BadFraming("more than one Content-Length or Transfer-Encoding"));
        }
    }
    Ok(framing)
}

fn length(value: &[u8]) -> Result<u64, BadFraming> {
    let bad = BadFraming("a Content-Length that is not a number");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or(bad)
}

/// Longest line of a chunk's size, extensions included.
const CHUNK_LINE: usize = 256;
/// Longest trailer section.
const TRAILERS: usize = 8 << 10;

/// What a decoder took out of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A part of the body.
    Data(Bytes),
    /// The body is over; the trailer section follows as raw lines, empty if there is none.
    End(Bytes),
    /// The buffer holds too little.
    More,
}

/// Reads one body off a connection's buffer.
#[derive(Debug)]
pub(super) enum Decoder {
    /// So many bytes are left.
    Length(u64),
    /// Chunked; `extensions` says whether they are tolerated.
    Chunked {
        /// Whether chunk extensions are skipped or refused.
        extensions: bool,
        /// Where in the coding the buffer stands.
        at: ChunkAt,
    },
    /// Until the connection ends.
    UntilClose,
}

/// Where in the chunked coding a buffer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkAt {
    /// At a chunk's size.
    Size,
    /// In a chunk, with so many bytes left.
    Data(u64),
    /// At the line end after a chunk.
    DataEnd,
    /// At the trailer section.
    Trailers,
    /// Behind it.
    End,
}

impl Decoder {
    /// A decoder for a request's body.
    pub(super) const fn request(framing: Framing) -> Self {
        Self::new(framing, false)
    }

    /// A decoder for a response's body.
    pub(super) const fn response(framing: Framing) -> Self {
        Self::new(framing, true)
    }

    const fn new(framing: Framing, extensions: bool) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked { extensions, at: ChunkAt::Size },
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the whole body was taken.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked { at: ChunkAt::End, .. })
    }

    /// Takes the next part out of `buffer`.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BadFraming> {
        match self {
            Self::Length(0) => Ok(Decoded::End(Bytes::new())),
            Self::Length(left) => Ok(take(buffer, left)),
            Self::UntilClose if buffer.is_empty() => Ok(Decoded::More),
            Self::UntilClose => Ok(Decoded::Data(buffer.split().freeze())),
            Self::Chunked { extensions, at } => decode_chunked(buffer, at, *extensions),
        }
    }
}

fn take(buffer: &mut BytesMut, left: &mut u64) -> Decoded {
    if buffer.is_empty() {
        return Decoded::More;
    }
    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= size as u64;
    Decoded::Data(buffer.split_to(size).freeze())
}

fn decode_chunked(buffer: &mut BytesMut, at: &mut ChunkAt, extensions: bool) -> Result<Decoded, BadFraming> {
    loop {
        match at {
            ChunkAt::Size => {
                let Some(line) = line(buffer, CHUNK_LINE, "a chunk size that is too long")? else {
                    return Ok(Decoded::More);
                };
                let size = chunk_size(&buffer[..line], extensions)?;
                buffer.advance(line + 2);
                *at = if size == 0 { ChunkAt::Trailers } else { ChunkAt::Data(size) };
            }
            ChunkAt::Data(left) => {
                let part = take(buffer, left);
                if *left == 0 {
                    *at = ChunkAt::DataEnd;
                }
                return Ok(part);
            }
            ChunkAt::DataEnd => {
                if buffer.len() < 2 {
                    return Ok(Decoded::More);
                }
                if &buffer[..2] != b"\r\n" {
                    return Err(BadFraming("a chunk that is longer than its size"));
                }
                buffer.advance(2);
                *at = ChunkAt::Size;
            }
            ChunkAt::Trailers => return trailers(buffer, at),
            ChunkAt::End => return Ok(Decoded::End(Bytes::new())),
        }
    }
}

fn trailers(buffer: &mut BytesMut, at: &mut ChunkAt) -> Result<Decoded, BadFraming> {
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        *at = ChunkAt::End;
        return Ok(Decoded::End(Bytes::new()));
    }
    match memchr::memmem::find(buffer, b"\r\n\r\n") {
        Some(end) if end <= TRAILERS => {
            let section = buffer.split_to(end + 2).freeze();
            // What reads the fields would take a bare LF for a line end.
            if memchr::memchr_iter(b'\n', &section).any(|at| at == 0 || section[at - 1] != b'\r') {
                return Err(BadFraming("a bare LF"));
            }
            buffer.advance(2);
            *at = ChunkAt::End;
            Ok(Decoded::End(section))
        }
        None if buffer.len() <= TRAILERS => Ok(Decoded::More),
        _ => Err(BadFraming("a trailer section that is too long")),
    }
}

/// The length of the line at the start of `buffer`, if it is complete. A bare LF is no line end.
fn line(buffer: &[u8], longest: usize, too_long: &'static str) -> Result<Option<usize>, BadFraming> {
    match memchr::memchr(b'\n', buffer) {
        Some(0) => Err(BadFraming("a bare LF")),
        Some(end) if buffer[end - 1] != b'\r' => Err(BadFraming("a bare LF")),
        Some(end) if end <= longest => Ok(Some(end - 1)),
        None if buffer.len() <= longest => Ok(None),
        _ => Err(BadFraming(too_long)),
    }
}

fn chunk_size(line: &[u8], extensions: bool) -> Result<u64, BadFraming> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let behind = &line[digits..];
    // Some upstreams pad a size with spaces, and some put extensions behind it: `5 5` is neither.
    let padding = behind.iter().take_while(|byte| b" \t".contains(byte)).count();
    let is_extension = matches!(behind[padding..], [] | [b';', ..]) && !behind.contains(&b'\r');
    if !(behind.is_empty() || extensions && is_extension) {
        return Err(BadFraming("a chunk size with something behind it"));
    }
    // Fifteen digits: no sum of a size and a buffer can overflow.
    if !(1..=15).contains(&digits) {
        return Err(BadFraming("a chunk size that is not a number"));
    }
    let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
    u64::from_str_radix(text, 16).map_err(|_| BadFraming("a chunk size that is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &[(&str, &str)]) -> Result<Option<Framing>, BadFraming> {
        let fields: Vec<Field<'_>> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        declared(&fields)
    }

    #[test]
    fn one_framing_field_of_one_form_is_understood() {
        assert_eq!(framing(&[("Accept", "*/*")]), Ok(None));
        assert_eq!(framing(&[("Content-Length", "10")]), Ok(Some(Framing::Length(10))));
        assert_eq!(framing(&[("transfer-encoding", "Chunked")]), Ok(Some(Framing::Chunked)));
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        let twice = "more than one Content-Length or Transfer-Encoding";
        let number = "a Content-Length that is not a number";
        let coding = "a transfer coding other than chunked";
        for (fields, why) in [
            (&[("Content-Length", "5"), ("Transfer-Encoding", "chunked")][..], twice),
            (&[("Transfer-Encoding", "chunked"), ("Content-Length", "5")], twice),
            (&[("Content-Length", "5"), ("Content-Length", "5")], twice),
            (&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], twice),
            (&[("Content-Length", "5, 5")], number),
            (&[("Content-Length", "+5")], number),
            (&[("Content-Length", "")], number),
            (&[("Content-Length", "99999999999999999999")], number),
            (&[("Transfer-Encoding", "gzip, chunked")], coding),
            (&[("Transfer-Encoding", "chunked, identity")], coding),
            (&[("Transfer-Encoding", "xchunked")], coding),
        ] {
            assert_eq!(framing(fields), Err(BadFraming(why)), "{fields:?}");
        }
    }

    /// Feeds `body` in pieces of `step` bytes and gathers what comes out.
    fn decode(
        decoder: &mut Decoder,
        body: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Option<Bytes>), BadFraming> {
        let (mut buffer, mut data) = (BytesMut::new(), Vec::new());
        for piece in body.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer)? {
                    Decoded::Data(part) => data.extend_from_slice(&part),
                    Decoded::More => break,
                    Decoded::End(trailers) => return Ok((data, Some(trailers))),
                }
            }
        }
        Ok((data, None))
    }

    #[test]
    fn chunks_are_read_however_they_are_cut() {
        let body = b"5\r\nhello\r\n00A\r\n, world!!!\r\n0\r\nX-Sum: 1\r\n\r\n";
        for step in 1..=body.len() {
            let (data, trailers) = decode(&mut Decoder::request(Framing::Chunked), body, step).unwrap();
            assert_eq!(
                (&data[..], trailers.as_deref()),
                (&b"hello, world!!!"[..], Some(&b"X-Sum: 1\r\n"[..]))
            );
        }
    }

    #[test]
    fn crooked_chunks_are_refused() {
        let behind = "a chunk size with something behind it";
        for (body, why) in [
            (&b"5;a=b\r\nhello\r\n0\r\n\r\n"[..], behind),
            (b"5 \r\nhello\r\n0\r\n\r\n", behind),
            (b"0x5\r\nhello\r\n", behind),
            (b"-1\r\n", behind),
            (b"\r\n", "a chunk size that is not a number"),
            (b"fffffffffffffffff\r\n", "a chunk size that is not a number"),
            (b"5\nhello\r\n0\r\n\r\n", "a bare LF"),
            (b"0\r\nA: b\nC: d\r\n\r\n", "a bare LF"),
            (b"0\r\n\nC: d\r\n\r\n", "a bare LF"),
            (b"5\r\nhello!\r\n0\r\n\r\n", "a chunk that is longer than its size"),
        ] {
            let result = decode(&mut Decoder::request(Framing::Chunked), body, body.len());
            assert_eq!(result, Err(BadFraming(why)), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_upstream_may_send_chunk_extensions() {
        for size in ["5;a=b", "5", "5  ", "5 ;a", "05\t"] {
            let mut decoder = Decoder::response(Framing::Chunked);
            let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
            let (data, end) = decode(&mut decoder, body.as_bytes(), 3).unwrap();
            assert_eq!((&data[..], end), (&b"hello"[..], Some(Bytes::new())), "{size}");
        }
        for size in ["5 5", "5\ta", "5 \r", "5a=b;", "5=;", " 5"] {
            let mut decoder = Decoder::response(Framing::Chunked);
            assert!(
                decode(&mut decoder, format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes(), 3).is_err(),
                "{size}"
            );
        }
    }
}
