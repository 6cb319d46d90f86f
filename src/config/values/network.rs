//! Networks: whose word is taken for where a client is.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A network: an address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it. One of IPv4 that was mapped into IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<IpNet>() {
            Ok(network) if network.trunc() == network => Ok(Self(network)),
            Ok(network) => Err(format!("`{text}` has bits set behind its prefix: `{}`", network.trunc())),
            Err(_) => Err(format!("expected a network such as `10.0.0.0/8` or `fd00::/8`, found `{text}`")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    Network,
    "a network such as `10.0.0.0/8` or `fd00::/8`",
    "^[0-9a-fA-F.:]+/[0-9]+$",
    "A network such as `10.0.0.0/8` or `fd00::/8`."
);

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_is_an_address_and_a_prefix() {
        for good in ["10.0.0.0/8", "fd00::/8", "127.0.0.1/32", "0.0.0.0/0"] {
            assert!(Network::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "proxy/8"] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        let network = Network::parse("10.0.0.0/8").unwrap();
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.0.0.0".parse().unwrap()));
    }
}
