//! `routes`: which requests go to which upstream, and what they demand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, PathPrefix, UpstreamName};

/// One route. Among the routes that match, the one with the longest path wins.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Path and everything below it: `/banking` matches `/banking` and `/banking/…`, not `/bankings`.
    pub path: PathPrefix,
    /// Only on these hosts; on all hosts if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostName>,
    /// What a request must bring.
    pub require: Require,
    /// Where it is forwarded.
    pub upstream: UpstreamName,
}

/// What a route demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Nothing: anybody may pass, without an identity unless a good certificate was presented.
    Nothing,
    /// A good client certificate.
    Certificate,
}
