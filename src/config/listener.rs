//! `listeners` and `workers`: where and on how many threads the gate serves.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Network;
use super::values::socket_address;

/// One listening socket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port: `0.0.0.0:443`, or in quotes `"[::]:443"`. Port 0 takes a free one.
    #[serde(deserialize_with = "socket_address")]
    pub bind: SocketAddr,
    /// For a load balancer that speaks the PROXY protocol, version 1 or 2. Every connection must then begin with its
    /// header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// Which load balancers are believed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Their networks: `[10.0.0.0/8, "fd00::/8"]`. Connections from anywhere else are closed.
    pub from: Vec<Network>,
}

/// Threads of the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Workers {
    /// One per core that the process may use.
    #[default]
    Auto,
    /// So many.
    #[serde(untagged)]
    Count(NonZeroUsize),
}

/// Written out, because serde's `untagged` forgets what was wrong.
impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WorkersVisitor)
    }
}

struct WorkersVisitor;

impl Visitor<'_> for WorkersVisitor {
    type Value = Workers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`auto` or a whole number from 1")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Workers, E> {
        match text {
            "auto" => Ok(Workers::Auto),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Workers, E> {
        let count = usize::try_from(number).ok().and_then(NonZeroUsize::new);
        count.map(Workers::Count).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}
