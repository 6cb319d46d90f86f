//! How it is found out that an endpoint isn't well: by asking it, and by what becomes of requests.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{HostName, Period};

/// Looks at an endpoint again and again. Its first look decides alone, the later ones by the thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Path, and query, of a GET that a well endpoint answers with one of `statuses`. Without it, a connection is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Host that the GET is for; the endpoint's own address if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Statuses of a well endpoint; 200 to 299 if absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// From one look to the next, give or take a tenth.
    pub every: Period,
    /// How long a look may take, from the connection to the head of the response.
    pub timeout: Period,
    /// Good looks in a row that bring an endpoint back.
    pub healthy: NonZeroU32,
    /// Bad looks in a row that take it away.
    pub unhealthy: NonZeroU32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: None,
            host: None,
            statuses: Vec::new(),
            every: Period::seconds(10),
            timeout: Period::seconds(2),
            healthy: NonZeroU32::MIN.saturating_add(1),
            unhealthy: NonZeroU32::MIN.saturating_add(2),
        }
    }
}

/// What keeps requests from an endpoint that has failed with them: it couldn't be reached, broke off, was too slow, or
/// answered 502, 503 or 504.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ejection {
    /// Failures in a row that eject an endpoint; 0: never.
    pub failures: u32,
    /// For how long; twice, three times, … as long if it fails again soon, ten times at most.
    #[serde(rename = "for")]
    pub period: Period,
    /// Most endpoints that are ejected at once, in percent of all. An upstream's only endpoint never is.
    pub most_percent: u8,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, period: Period::seconds(30), most_percent: 50 }
    }
}
