//! The trail of trusted proxies that a request came along, as `Forwarded` or `X-Forwarded-For` tell it (T22).
//!
//! Each proxy adds at the right the address that it was asked from. So the walk goes from right to left, from one
//! trusted proxy to the next, and the first address that isn't one of them is the client's. What stands left of it
//! nobody vouches for: it is dropped, as everything that a client says of its own address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::fields::Field;
use crate::config::Network;

/// Where a request came along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trail {
    client: IpAddr,
    /// The client first, then the proxies in order.
    hops: Vec<IpAddr>,
}

impl Trail {
    /// Follows the trail back from `peer`. `None` if it is no trusted proxy, or says nothing.
    pub(super) fn follow(
        fields: &[Field<'_>],
        peer: IpAddr,
        trusted: &[Network],
    ) -> Result<Option<Self>, &'static str> {
        if !is_trusted(peer, trusted) {
            return Ok(None);
        }
        let values = |name| fields.iter().filter(move |field| field.is(name)).map(|field| field.value);
        let (mut standard, mut common) = (Vec::new(), Vec::new());
        for value in values("forwarded") {
            forwarded(value, &mut standard).ok_or("a Forwarded field that is not well-formed")?;
        }
        for value in values("x-forwarded-for") {
            common.extend(value.split(|&byte| byte == b',').map(node));
        }
        let walk = |nodes: &[Option<IpAddr>]| (!nodes.is_empty()).then(|| Self::walk(nodes, peer, trusted));
        match (walk(&standard), walk(&common)) {
            // One of the two came from the client, through a proxy that only knows the other. Which one, nobody knows.
            (Some(standard), Some(common)) if standard != common => {
                Err("Forwarded and X-Forwarded-For disagree")
            }
            (standard, common) => Ok(standard.or(common)),
        }
    }

    fn walk(nodes: &[Option<IpAddr>], peer: IpAddr, trusted: &[Network]) -> Self {
        let mut hops = vec![peer];
        for node in nodes.iter().rev() {
            // A name instead of an address, or none: the last proxy that has one stands for what is behind it.
            let Some(address) = node else { break };
            hops.push(*address);
            if !is_trusted(*address, trusted) {
                break;
            }
        }
        let client = hops.last().copied().unwrap_or(peer);
        hops.reverse();
        Self { client, hops }
    }

    /// The client's address.
    pub(super) const fn client(&self) -> IpAddr {
        self.client
    }

    /// The header lines that hand it on, up to where the authority of the request follows.
    pub(super) fn lines(&self) -> Box<[u8]> {
        let join = |each: fn(&IpAddr) -> String| self.hops.iter().map(each).collect::<Vec<_>>().join(", ");
        let common = join(IpAddr::to_string);
        // RFC 7239, section 6: an IPv6 address is quoted and in brackets.
        let standard = join(|address| match address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        });
        format!(
            "X-Forwarded-For: {common}\r\nX-Forwarded-Proto: https\r\nForwarded: {standard};proto=https;host=\""
        )
        .into_bytes()
        .into()
    }
}

/// Whether an address is one of the trusted proxies.
pub(super) fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Appends the `for` of each element; `None` if the field is not well-formed (RFC 7239, section 4).
fn forwarded(mut rest: &[u8], nodes: &mut Vec<Option<IpAddr>>) -> Option<()> {
    let mut element: Option<Option<IpAddr>> = None;
    loop {
        rest = rest.trim_ascii_start();
        let name_end = rest.iter().position(|&byte| !is_token(byte))?;
        let (name, after) = rest.split_at(name_end);
        let (value, after) = value(after.strip_prefix(b"=").filter(|_| !name.is_empty())?)?;
        if name.eq_ignore_ascii_case(b"for") && element.replace(node(&value)).is_some() {
            return None;
        }
        match after.trim_ascii_start().split_first() {
            None => {
                nodes.push(element.flatten());
                return Some(());
            }
            Some((b';', after)) => rest = after,
            Some((b',', after)) => {
                nodes.push(element.take().flatten());
                rest = after;
            }
            Some(_) => return None,
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let end = bytes.iter().position(|&byte| !is_token(byte)).unwrap_or(bytes.len());
        return (end > 0).then(|| (bytes[..end].to_vec(), &bytes[end..]));
    };
    let mut text = Vec::new();
    let mut signs = quoted.iter().enumerate();
    while let Some((at, &byte)) = signs.next() {
        match byte {
            b'"' => return Some((text, &quoted[at + 1..])),
            b'\\' => text.push(*signs.next()?.1),
            _ => text.push(byte),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An address, with or without a port; `None` for anything else, such as `unknown` or `_hidden`.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let bare = || text.parse::<IpAddr>().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(fields: &[(&str, &str)]) -> Result<Option<String>, &'static str> {
        let trusted: Vec<Network> =
            ["10.0.0.0/8", "fd00::/8"].map(|text| Network::try_from(text.to_owned()).unwrap()).into();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        let trail = Trail::follow(&fields, "10.0.0.1".parse().unwrap(), &trusted)?;
        Ok(trail.map(|trail| trail.hops.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")))
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_no_trusted_proxy() {
        for (name, value, hops) in [
            ("X-Forwarded-For", "203.0.113.9", "203.0.113.9 10.0.0.1"),
            ("x-forwarded-for", "1.1.1.1, 203.0.113.9", "203.0.113.9 10.0.0.1"),
            ("X-Forwarded-For", "1.1.1.1,203.0.113.9:5 , 10.0.0.2", "203.0.113.9 10.0.0.2 10.0.0.1"),
            ("X-Forwarded-For", "2001:db8::9, fd00::2", "2001:db8::9 fd00::2 10.0.0.1"),
            ("X-Forwarded-For", "[2001:db8::9]:443", "2001:db8::9 10.0.0.1"),
            ("X-Forwarded-For", "203.0.113.9, nonsense, 10.0.0.2", "10.0.0.2 10.0.0.1"),
            ("X-Forwarded-For", "10.0.0.3, 10.0.0.2", "10.0.0.3 10.0.0.2 10.0.0.1"),
            ("X-Forwarded-For", "", "10.0.0.1"),
            ("Forwarded", "for=203.0.113.9;proto=https", "203.0.113.9 10.0.0.1"),
            ("Forwarded", "For=\"[2001:db8::9]:443\" ; by=_x", "2001:db8::9 10.0.0.1"),
            ("Forwarded", "for=1.1.1.1, for=_hidden, for=10.0.0.2", "10.0.0.2 10.0.0.1"),
            ("Forwarded", "for=1.1.1.1, proto=https", "10.0.0.1"),
            ("Forwarded", "for=\"a, for=1.1.1.1\", for=203.0.113.9", "203.0.113.9 10.0.0.1"),
        ] {
            assert_eq!(follow(&[(name, value)]), Ok(Some(hops.to_owned())), "{value}");
        }
        assert_eq!(follow(&[]), Ok(None));
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.9, 10.0.0.2")];
        assert_eq!(follow(&lines), Ok(Some("203.0.113.9 10.0.0.2 10.0.0.1".to_owned())));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let malformed = Err("a Forwarded field that is not well-formed");
        for value in
            ["", "for", "for=", "for=\"1.1.1.1", "for=1.1.1.1;for=2.2.2.2", "for=1.1.1.1 x", "for=[::1]"]
        {
            assert_eq!(follow(&[("Forwarded", value)]), malformed, "{value}");
        }
        let both = |common| follow(&[("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", common)]);
        assert_eq!(both("1.1.1.1, 203.0.113.9"), Ok(Some("203.0.113.9 10.0.0.1".to_owned())));
        assert_eq!(both("1.1.1.1"), Err("Forwarded and X-Forwarded-For disagree"));
    }
}
