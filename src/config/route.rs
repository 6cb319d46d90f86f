//! `routes`: which requests go to which upstream, and what they demand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, LimitName, OneOrMany, PathPrefix, RouteContract, Title, UpstreamName};
use crate::domain::Role;

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
    /// Only for users with one of these roles; for all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RouteRole>,
    /// Only for these contracts; for all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contracts: Vec<RouteContract>,
    /// Rate limits for this route, by their names in `rate_limits.named`: one, or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<OneOrMany<LimitName>>,
    /// What the application is called on the signed-in person's home page; not listed there if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Where it is forwarded.
    pub upstream: UpstreamName,
}

/// What a route demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Nothing: anybody may pass, without an identity unless a good certificate was presented.
    Nothing,
    /// Somebody who has signed in: a session of the portal or, with `sign_in.certificate: certificate`, a good client
    /// certificate.
    SignedIn,
    /// A good client certificate.
    Certificate,
}

/// A role that a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteRole {
    /// The contract's own administrators.
    Administrator,
    /// Users who are no administrators.
    User,
}

impl RouteRole {
    /// In the domain's word.
    pub const fn role(self) -> Role {
        match self {
            Self::Administrator => Role::Administrator,
            Self::User => Role::User,
        }
    }
}
