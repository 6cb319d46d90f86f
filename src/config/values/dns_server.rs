//! Where a DNS server is.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The address of a DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct DnsServer(SocketAddr);

impl DnsServer {
    /// Address and port.
    pub const fn address(self) -> SocketAddr {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let by_address = || text.parse::<IpAddr>().map(|ip| SocketAddr::from((ip, 53)));
        text.parse().or_else(|_| by_address()).map(Self).map_err(|_| {
            format!("expected an IP address such as `10.0.0.53` or `10.0.0.53:5353`, found `{text}`")
        })
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    DnsServer,
    "an IP address, with or without a port",
    "^[0-9a-fA-F:.\\[\\]]+$",
    "IP address of a DNS server, with or without a port: `10.0.0.53`, `10.0.0.53:5353`, `[fd00::53]:53`."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_dns_server_is_53_if_nothing_else_is_said() {
        for (text, address) in [
            ("10.0.0.53", "10.0.0.53:53"),
            ("10.0.0.53:5353", "10.0.0.53:5353"),
            ("fd00::53", "[fd00::53]:53"),
            ("[fd00::53]:54", "[fd00::53]:54"),
        ] {
            assert_eq!(DnsServer::parse(text).unwrap().to_string(), address);
        }
        assert_eq!(
            DnsServer::parse("dns.internal").unwrap_err(),
            "expected an IP address such as `10.0.0.53` or `10.0.0.53:5353`, found `dns.internal`"
        );
    }
}
