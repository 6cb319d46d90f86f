//! Where a syslog server is.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where a syslog server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum SyslogAddress {
    /// `host:port`, one datagram per record.
    Udp(String),
    /// `host:port`, with octet counting (RFC 6587).
    Tcp(String),
    /// A datagram socket of this machine.
    Unix(PathBuf),
}

impl SyslogAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let port = |rest: &str| {
            let (host, port) = rest.rsplit_once(':')?;
            let whole = !host.is_empty() && !host.contains(['/', '@', ' ']);
            port.parse::<u16>().ok().filter(|port| whole && *port != 0).map(|_| rest.to_owned())
        };
        let address = if let Some(path) = text.strip_prefix("unix:") {
            (!path.is_empty()).then(|| Self::Unix(path.into()))
        } else if let Some(rest) = text.strip_prefix("udp://") {
            port(rest).map(Self::Udp)
        } else {
            text.strip_prefix("tcp://").and_then(port).map(Self::Tcp)
        };
        address.ok_or_else(|| {
            format!("expected `udp://host:port`, `tcp://host:port` or `unix:PATH`, found `{text}`")
        })
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

text_value!(
    SyslogAddress,
    "`udp://host:port`, `tcp://host:port` or `unix:PATH`",
    "^(udp://.+:[0-9]+|tcp://.+:[0-9]+|unix:.+)$",
    "`udp://host:port`, `tcp://host:port` or `unix:PATH`."
);

#[cfg(test)]
mod tests {
    use super::SyslogAddress;

    #[test]
    fn an_address_has_a_transport_and_a_place() {
        for good in ["udp://log.internal:514", "tcp://[::1]:601", "unix:/dev/log"] {
            assert_eq!(SyslogAddress::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "log:514", "udp://log", "udp://:514", "tcp://log:0", "tcp://a/b:1", "unix:"] {
            assert!(SyslogAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
