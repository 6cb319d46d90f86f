//! `upstreams`: the applications behind the gate.

mod endpoint;
mod health;
mod retries;
mod tls;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use endpoint::Endpoint;
pub use health::{Ejection, Health};
pub use retries::{Retries, UpstreamLimits};
pub use tls::UpstreamTls;

use super::Period;

/// A named group of backends that do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Addresses of the backends, `host:port` or `unix:/path`, or mappings with `address`, `weight` and `drain`. A host name
    /// stands for all addresses that it resolves to, and is resolved again by the TTL of its records.
    pub endpoints: Vec<Endpoint>,
    /// What is spoken to the endpoints.
    #[serde(default)]
    pub protocol: Protocol,
    /// TLS towards the endpoints. Without it, requests go in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Whether each connection begins with a PROXY header that names the client: its address, as `listeners[].proxy_protocol` and
    /// `trusted_proxies` have it, and the gateway's own. Such a connection carries one request and is closed; looks at
    /// endpoints are marked as the gateway's own (LOCAL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocolVersion>,
    /// How the endpoint of a request is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// Looks at each endpoint again and again, and keeps requests from those that are not well. Without it none is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// What keeps requests for a while from an endpoint that has failed with them.
    #[serde(default)]
    pub ejection: Ejection,
    /// For how long an endpoint that comes, or comes back, gets less than its share: a tenth at first, then more and
    /// more. Without it, all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<Period>,
    /// When a request that one endpoint has failed is sent to another one. A request that was never sent always is.
    #[serde(default)]
    pub retries: Retries,
    /// What the backends can bear at once, from this gateway.
    #[serde(default)]
    pub limits: UpstreamLimits,
    /// What the backend is told of the identity.
    #[serde(default)]
    pub identity: UpstreamIdentity,
}

/// What is spoken to an upstream's endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1: one request at a time on each connection.
    #[default]
    Http1,
    /// HTTP/2: many at once, and gRPC. With `tls` the endpoint must agree on it (ALPN); without, it must know that it comes
    /// (prior knowledge). No WebSockets.
    Http2,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocolVersion {
    /// The binary one, with the addresses and no more.
    V2,
}

/// How the endpoint of a request is chosen, among those that are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The less busy one of two that are drawn by lot, by weight.
    LeastRequests,
    /// Always the same one for the same user, as long as it is well; for others, the same for the same source address. When
    /// endpoints come or go, only their users move (rendezvous hashing).
    User,
}

/// What the backend is told of the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamIdentity {
    /// Whether the identity header fields are set.
    pub headers: IdentityHeaders,
    /// Whether `X-Sekisho-Assertion` is set: the same, signed. Needs `assertion`.
    pub assertion: bool,
    /// Whether `Client-Cert` and `Client-Cert-Chain` (RFC 9440) are set.
    pub client_certificate: ForwardedCertificate,
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

/// What of a connection's good certificate is passed on (RFC 9440). Copies sent by a client are removed either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForwardedCertificate {
    /// Nothing.
    #[default]
    None,
    /// The certificate itself, in `Client-Cert`.
    Leaf,
    /// Also those that vouch for it, up to the one in `trust.authorities`, in `Client-Cert-Chain`.
    Chain,
}
