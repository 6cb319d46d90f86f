//! The other way round: how the gate says to an upstream whose request comes. Version 2, the addresses and nothing else, as
//! HAProxy's `send-proxy-v2` does. Who the person is, is in header fields.

use std::net::{IpAddr, SocketAddr};

use super::{PREAMBLE, SIGNATURE};

/// Version 2, for a connection that is ours: to see whether an endpoint is well.
pub(in crate::edge) const LOCAL: [u8; PREAMBLE] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// The header for `client`, who connected to `server`.
pub(in crate::edge) fn of(client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let (family, addresses) = match (client.ip(), server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => (0x11, [client.octets(), server.octets()].concat()),
        // A trusted proxy may name a client of the other family. The header has room for one: IPv6 can say both.
        (client, server) => (0x21, [mapped(client), mapped(server)].concat()),
    };
    header.extend([0x21, family, 0, u8::try_from(addresses.len() + 4).unwrap_or_default()]);
    header.extend(addresses);
    header.extend(client.port().to_be_bytes());
    header.extend(server.port().to_be_bytes());
    header
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Source, parse};
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_meant() {
        for (client, server, length, expected) in [
            ("192.0.2.1:4711", "198.51.100.1:443", 28, "192.0.2.1:4711"),
            ("[2001:db8::1]:4711", "[2001:db8::2]:443", 52, "[2001:db8::1]:4711"),
            ("192.0.2.1:0", "[2001:db8::2]:443", 52, "[::ffff:192.0.2.1]:0"),
            ("[2001:db8::1]:1", "198.51.100.1:443", 52, "[2001:db8::1]:1"),
        ] {
            let header = of(client.parse().unwrap(), server.parse().unwrap());
            let source = Source::Client(expected.parse().unwrap());
            assert_eq!(parse(&header), Ok(Header::Whole { length, source }), "{client} {server}");
            assert_eq!(header.len(), length);
        }
        assert_eq!(parse(&LOCAL), Ok(Header::Whole { length: 16, source: Source::Peer }));
    }
}
