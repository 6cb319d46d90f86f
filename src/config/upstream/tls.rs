//! TLS towards an upstream's endpoints.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::HostName;

/// TLS towards an upstream's endpoints, 1.3 or 1.2.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// The name that the endpoints' certificates must have, also sent as the server name; each endpoint's own name or IP
    /// address if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<HostName>,
    /// PEM file with the authorities that their certificates must lead to; the system's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// PEM file with the gateway's own certificate and its intermediates, for endpoints that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}
