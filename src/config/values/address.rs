//! Addresses: where the gate listens, and where the backends do.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::HostName;

/// What a Unix socket's address begins with.
const UNIX: &str = "unix:";
/// sun_path of `sockaddr_un`, less its end.
const LONGEST_PATH: usize = 107;

/// Reads an IP address and a port; for `#[serde(deserialize_with)]`.
pub(in crate::config) fn socket_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "expected an IP address and a port such as `0.0.0.0:443` or `[::]:443`, found `{text}`"
        ))
    })
}

/// Where a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// An IP address and a port.
    Address(SocketAddr),
    /// A host name and a port.
    Name(&'a str, u16),
    /// A Unix socket.
    Unix(&'a Path),
}

/// The address of a backend: an IP address or a host name, and a port; or a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct EndpointAddress(String);

impl EndpointAddress {
    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is.
    pub fn place(&self) -> Place<'_> {
        if let Some(path) = self.0.strip_prefix(UNIX) {
            return Place::Unix(Path::new(path));
        }
        self.0.parse().map_or_else(
            |_| {
                let (name, port) = self.0.rsplit_once(':').unwrap_or((&self.0, ""));
                Place::Name(name, port.parse().unwrap_or_default())
            },
            Place::Address,
        )
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return if path.len() > 1
                && path.starts_with('/')
                && path.len() <= LONGEST_PATH
                && !path.contains('\0')
            {
                Ok(Self(text.to_owned()))
            } else {
                Err(format!(
                    "expected an absolute path of at most {LONGEST_PATH} bytes such as `unix:/run/app.sock`, found `{text}`"
                ))
            };
        }
        let by_name = text.rsplit_once(':').is_some_and(|(host, port)| {
            HostName::try_from(host.to_owned()).is_ok()
                && !port.starts_with('+')
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if by_name || text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected an address such as `10.0.1.11:8080` or `app.internal:8080`, found `{text}`"
            ))
        }
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    EndpointAddress,
    "an address such as `10.0.1.11:8080` or `app.internal:8080`",
    "^(.+:[0-9]+|unix:/.+)$",
    "An address such as `10.0.1.11:8080`, `app.internal:8080` or `unix:/run/app.sock`."
);

#[cfg(test)]
mod tests {
    use super::EndpointAddress;

    #[test]
    fn an_endpoint_has_a_host_and_a_port() {
        for good in ["10.0.1.11:8080", "[::1]:80", "app.internal:8080", "localhost:1", "unix:/run/app.sock"] {
            assert!(EndpointAddress::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app",
            "app:",
            ":80",
            "app:0",
            "app:+80",
            "app:65536",
            "::1:80",
            "10.0.0.1",
            "http://app:80",
            "App:80",
            "unix:app.sock",
            "unix:/",
            "unix:",
        ] {
            assert!(EndpointAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
