//! On which terms a route takes a request: what is changed on the way, how much may pass, and how long it may take.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ExactPath, FieldName, FieldValue, PathPrefix, Period, Size};

/// Another path in the place of the one that was asked for. One of the three; the query stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Leaves the route's `path` out: `/banking/a` becomes `/a`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip_prefix: bool,
    /// This in the place of the route's `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<PathPrefix>,
    /// This in the place of the route's `exact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<ExactPath>,
}

/// Header fields that are set or removed. Neither can be one that carries the identity, frames a message or belongs to one hop.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldEdits {
    /// With this value, in the place of all that were there. No secrets: values are shown with the configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<FieldName, FieldValue>,
    /// Not passed on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<FieldName>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// A route's own caps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteLimits {
    /// Bytes of a request body (413); `limits.body` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<Size>,
    /// Bytes of a response body (502, or cut off where its length isn't declared); unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_body: Option<Size>,
}

/// A route's own deadlines. Those that are absent are the global ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// From the end of the request to the head of the response (504).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_first_byte: Option<Period>,
    /// Between two parts of a response body, from the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_body_idle: Option<Period>,
    /// Between two parts of a request body (408).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_idle: Option<Period>,
    /// From the end of a request's head to the end of its response (504, or cut off), tunnels excepted; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Period>,
}
