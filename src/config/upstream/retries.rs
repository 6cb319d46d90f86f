//! What is done for a request that an endpoint has failed, and what the endpoints can bear.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Period;

/// When a request that one endpoint has failed is sent to another one: only a GET, HEAD, OPTIONS, PUT or DELETE (RFC 9110,
/// section 9.2.2) that has no body, and as long as nothing of the response has reached the client.
///
/// Without any of this a request goes on to the next endpoint as long as none could be reached, and is repeated once if
/// a connection that had been kept turned out to be closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// How often one request is sent again.
    pub most: u32,
    /// Also when the endpoint didn't answer in time, not only when it broke off.
    pub timeouts: bool,
    /// Also when the endpoint answered with one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// The most that are sent again, in percent of all requests: an upstream that is overloaded must not get twice the
    /// work. The first ten go without.
    pub budget_percent: u8,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 0, timeouts: false, statuses: Vec::new(), budget_percent: 20 }
    }
}

/// What an upstream's endpoints together can bear at once, from this gateway. What is over it waits, then is answered
/// with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamLimits {
    /// Connections, used or not; any number if absent. Tunnels count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<NonZeroU32>,
    /// Requests in flight; any number if absent. Tunnels count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<NonZeroU32>,
    /// Requests that wait for their turn; more are refused at once.
    pub queued: u32,
    /// How long one may wait.
    pub wait: Period,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self { connections: None, requests: None, queued: 1000, wait: Period::seconds(1) }
    }
}
