//! The PROXY protocol, versions 1 and 2: how a load balancer says whose connection it passes on. Only the grammar is
//! here; whom to believe is the listener's.
//!
//! Stricter than the specification where it leaves a choice: a header is short, and says one thing.

pub(super) mod introduction;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// The shortest header there is: `PROXY UNKNOWN` and the end of the line.
const SHORTEST: usize = 15;
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// The part of version 2 that says how long the rest is.
const PREAMBLE: usize = 16;
/// A header of version 2 may be so long. Addresses take 216 bytes at most; the rest is details that nobody reads here.
const LONGEST: usize = 4 << 10;
/// The detail that holds a checksum, and its length.
const CRC32C: (u8, usize) = (3, 4);

/// What is known after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// At least so many more bytes belong to it.
    More(usize),
    /// It is whole.
    Whole { length: usize, source: Source },
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The proxy's own, or of somebody whose address it can't tell.
    Peer,
    /// That of a client there.
    Client(SocketAddr),
}

/// Why it is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The connection ended.
    Closed,
    /// Something else came.
    Broken(Broken),
}

/// Reads a header and not a byte more: what follows is TLS's.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Source, Missing> {
    let mut bytes = Vec::with_capacity(LONGEST_LINE);
    loop {
        match parse(&bytes).map_err(Missing::Broken)? {
            Header::Whole { source, .. } => return Ok(source),
            Header::More(more) => match io.take(more as u64).read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return Err(Missing::Closed),
                Ok(_) => {}
            },
        }
    }
}

/// Reads the header that `bytes` begin with.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, Broken> {
    if bytes.is_empty() {
        Ok(Header::More(SHORTEST))
    } else if begins(bytes, SIGNATURE) {
        version2(bytes)
    } else if begins(bytes, WORD) {
        version1(bytes)
    } else {
        Err(Broken("no PROXY header"))
    }
}

/// Whether `bytes` begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn version1(bytes: &[u8]) -> Result<Header, Broken> {
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = line.iter().position(|&byte| byte == b'\n') else {
        if line.iter().rev().skip(1).any(|&byte| byte == b'\r') {
            return Err(Broken("a carriage return inside the line"));
        }
        // What is missing at least: the end of the line, or of the shortest one.
        let end = if line.last() == Some(&b'\r') { 1 } else { 2 };
        let more = SHORTEST.saturating_sub(line.len()).max(end);
        return if line.len() + more > LONGEST_LINE {
            Err(Broken("a line of more than 107 bytes"))
        } else {
            Ok(Header::More(more))
        };
    };
    let text = line[..end].strip_suffix(b"\r").ok_or(Broken("a line without a carriage return"))?;
    if text.contains(&b'\r') {
        return Err(Broken("a carriage return inside the line"));
    }
    let whole = |source| Header::Whole { length: end + 1, source };
    let rest = text.strip_prefix(WORD).ok_or(Broken("no PROXY header"))?;
    // Whatever follows UNKNOWN is to be ignored.
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Ok(whole(Source::Peer));
    }
    let text = std::str::from_utf8(rest).map_err(|_| Broken("a line that is no text"))?;
    let parts: Vec<&str> = text.split(' ').collect();
    let &[family, source, destination, source_port, destination_port] = parts.as_slice() else {
        return Err(Broken("a line that doesn't have six words"));
    };
    let address = |text: &str| match family {
        "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| Broken("no IPv4 address")),
        "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| Broken("no IPv6 address")),
        _ => Err(Broken("neither TCP4, TCP6 nor UNKNOWN")),
    };
    let client = SocketAddr::new(address(source)?, port(source_port)?);
    address(destination)?;
    port(destination_port)?;
    Ok(whole(Source::Client(client)))
}

fn port(text: &str) -> Result<u16, Broken> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(Broken("no port"))
}

fn version2(bytes: &[u8]) -> Result<Header, Broken> {
    let Some(preamble) = bytes.first_chunk::<PREAMBLE>() else {
        return Ok(Header::More(PREAMBLE - bytes.len()));
    };
    let [.., command, family, high, low] = *preamble;
    let length = PREAMBLE + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(Broken("a header of more than 4 KiB"));
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Broken("neither LOCAL nor PROXY of version 2")),
    };
    let addresses = match family {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err(Broken("a transport that is not TCP")),
    };
    let Some(header) = bytes.get(..length) else { return Ok(Header::More(length - bytes.len())) };
    let whole = |source| Ok(Header::Whole { length, source });
    // Nothing of these two is to be looked at: there may be addresses or not.
    if is_local || family == 0 {
        return whole(Source::Peer);
    }
    let body = &header[PREAMBLE..];
    if body.len() < addresses {
        return Err(Broken("a header too short for its addresses"));
    }
    check_details(header, PREAMBLE + addresses)?;
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    whole(match (family, body.first_chunk::<4>(), body.first_chunk::<16>()) {
        (0x11, Some(&v4), _) => Source::Client(SocketAddr::new(Ipv4Addr::from(v4).into(), port(8))),
        (0x21, _, Some(&v6)) => Source::Client(SocketAddr::new(Ipv6Addr::from(v6).into(), port(32))),
        _ => Source::Peer,
    })
}

/// Whether the details behind the addresses are well-formed, and the checksum right, if there is one.
fn check_details(header: &[u8], begin: usize) -> Result<(), Broken> {
    let mut at = begin;
    let mut has_checksum = false;
    while at < header.len() {
        let Some(&[kind, high, low]) = header[at..].first_chunk::<3>() else {
            return Err(Broken("a detail that is cut off"));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        at += 3;
        let value = header.get(at..at + length).ok_or(Broken("a detail that is cut off"))?;
        if kind == CRC32C.0 {
            if length != CRC32C.1 || std::mem::replace(&mut has_checksum, true) {
                return Err(Broken("a checksum that is none"));
            }
            let zeroed = header[..at].iter().chain(&[0; CRC32C.1]).chain(&header[at + length..]);
            if crc32c(zeroed).to_be_bytes() != *value {
                return Err(Broken("a wrong checksum"));
            }
        }
        at += length;
    }
    Ok(())
}

fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
    }

    fn v4_body() -> Vec<u8> {
        vec![203, 0, 113, 9, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb]
    }

    /// Version 2 with a checksum.
    fn checked() -> Vec<u8> {
        let mut header = v2(0x21, 0x11, &[v4_body(), vec![3, 0, 4, 0, 0, 0, 0]].concat());
        let checksum = crc32c(header.iter()).to_be_bytes();
        let at = header.len() - 4;
        header[at..].copy_from_slice(&checksum);
        header
    }

    fn client(address: &str) -> Source {
        Source::Client(address.parse().unwrap())
    }

    fn good() -> Vec<(Vec<u8>, Source)> {
        let mut v6 = vec![0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 9;
        v6[33] = 80;
        vec![
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 12345 443\r\n".to_vec(), client("203.0.113.9:12345")),
            (b"PROXY TCP6 2001:db8::9 fd00::1 1 443\r\n".to_vec(), client("[2001:db8::9]:1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Source::Peer),
            (b"PROXY UNKNOWN what ever\r\n".to_vec(), Source::Peer),
            (format!("PROXY UNKNOWN {}\r\n", "x".repeat(91)).into_bytes(), Source::Peer),
            (v2(0x21, 0x11, &v4_body()), client("203.0.113.9:12345")),
            (v2(0x21, 0x21, &v6), client("[2001::9]:80")),
            (v2(0x21, 0x11, &[v4_body(), vec![4, 0, 1, 7]].concat()), client("203.0.113.9:12345")),
            (checked(), client("203.0.113.9:12345")),
            (v2(0x20, 0x00, &[]), Source::Peer),
            (v2(0x20, 0x11, &v4_body()), Source::Peer),
            (v2(0x21, 0x00, &[1, 2, 3]), Source::Peer),
            (v2(0x21, 0x31, &[0; 216]), Source::Peer),
        ]
    }

    #[test]
    fn a_header_says_whose_connection_it_is() {
        for (header, source) in good() {
            let length = header.len();
            let with_tls = [&header[..], &[0x16, 3, 1]].concat();
            assert_eq!(parse(&with_tls), Ok(Header::Whole { length, source }), "{header:?}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
    }

    #[test]
    fn every_beginning_of_a_header_asks_for_no_more_than_its_rest() {
        for (header, _) in good() {
            for length in 0..header.len() {
                match parse(&header[..length]) {
                    Ok(Header::More(more)) => assert!((1..=header.len() - length).contains(&more)),
                    other => panic!("{other:?} of {:?}", &header[..length]),
                }
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let mut wrong_checksum = checked();
        wrong_checksum[16] ^= 1;
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
        let line = |text: &str| text.as_bytes().to_vec();
        for (header, why) in [
            (vec![0x16, 3, 1], "no PROXY header"),
            (line("GET / HTTP/1.1\r\n"), "no PROXY header"),
            (line(&long), "a line of more than 107 bytes"),
            (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), "a line without a carriage return"),
            (line("PROXY TCP4 1.2.3.4\r1.2.3.4 1 2\r\n"), "a carriage return inside the line"),
            (line("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), "a line that doesn't have six words"),
            (line("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n"), "no IPv4 address"),
            (line("PROXY TCP4 ::1 1.2.3.4 1 2\r\n"), "no IPv4 address"),
            (line("PROXY TCP6 1.2.3.4 ::1 1 2\r\n"), "no IPv6 address"),
            (line("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"), "no port"),
            (line("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), "no port"),
            (line("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), "no port"),
            (line("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), "neither TCP4, TCP6 nor UNKNOWN"),
            (v2(0x21, 0x11, &[0; 65535]), "a header of more than 4 KiB"),
            (v2(0x11, 0x11, &v4_body()), "neither LOCAL nor PROXY of version 2"),
            (v2(0x22, 0x11, &v4_body()), "neither LOCAL nor PROXY of version 2"),
            (v2(0x21, 0x12, &v4_body()), "a transport that is not TCP"),
            (v2(0x21, 0x11, &[0; 11]), "a header too short for its addresses"),
            (v2(0x21, 0x11, &[v4_body(), vec![4, 0]].concat()), "a detail that is cut off"),
            (v2(0x21, 0x11, &[v4_body(), vec![4, 0, 2, 0]].concat()), "a detail that is cut off"),
            (wrong_checksum, "a wrong checksum"),
        ] {
            assert_eq!(parse(&header), Err(Broken(why)), "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(start in 0..3_usize, rest in prop::collection::vec(any::<u8>(), 0..300)) {
            let starts: [&[u8]; 3] = [b"", WORD, SIGNATURE];
            let bytes = [starts[start], &rest].concat();
            match parse(&bytes) {
                Ok(Header::Whole { length, .. }) => prop_assert!(length <= bytes.len()),
                Ok(Header::More(more)) => prop_assert!(more > 0),
                Err(_) => {}
            }
        }
    }
}
