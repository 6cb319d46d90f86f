//! `upstreams`: the applications behind the gate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Endpoint;

/// A named group of backends.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Addresses of the backends, `host:port`, spoken to over HTTP/1.1 and taken in turn.
    pub endpoints: Vec<Endpoint>,
    /// What the backend is told of the identity.
    #[serde(default)]
    pub identity: UpstreamIdentity,
}

/// What the backend is told of the identity.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamIdentity {
    /// Whether the identity header fields are set.
    #[serde(default)]
    pub headers: IdentityHeaders,
}

/// Whether the identity header fields are set. Copies sent by a client are removed either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdentityHeaders {
    /// In plain text, under the names of `headers`.
    #[default]
    Plain,
    /// Not at all.
    None,
}
