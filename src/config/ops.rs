//! `ops`: the listener for operators.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::socket_address;

/// Where `/metrics`, `/livez` and `/readyz` are served, in plain HTTP: keep it off public networks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    /// IP address and port.
    #[serde(deserialize_with = "socket_address")]
    pub bind: SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)) }
    }
}
