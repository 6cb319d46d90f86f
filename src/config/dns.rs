//! `dns`: who is asked for the addresses of upstreams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DnsServer, Period};

/// Who is asked for the addresses of upstreams that are given by name. `/etc/hosts` comes first in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// DNS servers, as IP addresses with or without a port (53); those of `/etc/resolv.conf` if absent, or this machine's own
    /// if it names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<DnsServer>,
    /// How long one try may take. There are three for a name, for IPv4 and again for IPv6. A start and a reload wait for five
    /// seconds in all, whatever this says.
    pub timeout: Period,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Period::seconds(2) }
    }
}
