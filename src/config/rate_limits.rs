//! `rate_limits`: how fast requests and connections may come, and from whom they are counted together.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LimitName, Period};

/// How fast requests and connections may come. Without any of these, they come as fast as they like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// New connections of one source: an IPv4 address, or an IPv6 network of 64 bits. More are closed before TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<RateLimit>,
    /// Requests of one source, to whatever it is on whichever host, pages of the portal included (429).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_source: Option<RateLimit>,
    /// Requests of all users of one contract together that a route takes (429).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_contract: Option<RateLimit>,
    /// Requests of one user that a route takes (429).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_user: Option<RateLimit>,
    /// More, by name, for the routes that name them (`routes[].rate`). Routes that name the same one count together.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<LimitName, NamedRateLimit>,
    /// Whether every response tells what is left (`RateLimit-Policy`, `RateLimit`); a refusal always does.
    pub announce: bool,
    /// For how many sources, contracts or users each limit is counted at once, at 17 bytes each. Where there are more, new
    /// ones share what one of them may have.
    pub entries: NonZeroU32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            handshakes: None,
            per_source: None,
            per_contract: None,
            per_user: None,
            named: BTreeMap::new(),
            announce: false,
            entries: NonZeroU32::MIN.saturating_add(65_535),
        }
    }
}

/// So many in so long, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many.
    pub requests: NonZeroU32,
    /// In how long.
    pub per: Period,
    /// How many at once, after a pause; as many as `requests` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Whether all gateways count together, through the state in Redis.
    #[serde(default)]
    pub shared: bool,
}

/// A limit for the routes that name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedRateLimit {
    /// Who is counted together.
    pub by: LimitBy,
    /// How many.
    pub requests: NonZeroU32,
    /// In how long.
    pub per: Period,
    /// How many at once, after a pause; as many as `requests` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Whether all gateways count together, through the state in Redis.
    #[serde(default)]
    pub shared: bool,
}

/// Who is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// An IPv4 address, or an IPv6 network of 64 bits.
    Source,
    /// All users of a contract. Who has no identity is counted by source.
    Contract,
    /// A user. Who has no identity is counted by source.
    User,
}

impl NamedRateLimit {
    /// Without whom it counts.
    pub const fn rate(self) -> RateLimit {
        RateLimit { requests: self.requests, per: self.per, burst: self.burst, shared: self.shared }
    }
}

impl RateLimits {
    /// Every limit, by its name in logs, metrics and response fields, with whom it counts together.
    pub fn all(&self) -> impl Iterator<Item = (&str, LimitBy, RateLimit)> {
        let fixed = [
            ("handshakes", LimitBy::Source, self.handshakes),
            ("per_source", LimitBy::Source, self.per_source),
            ("per_contract", LimitBy::Contract, self.per_contract),
            ("per_user", LimitBy::User, self.per_user),
        ];
        let fixed = fixed.into_iter().filter_map(|(name, by, rate)| Some((name, by, rate?)));
        fixed.chain(self.named.iter().map(|(name, named)| (name.as_str(), named.by, named.rate())))
    }

    /// Whether some limit is counted by all gateways together.
    pub fn is_shared(&self) -> bool {
        self.all().any(|(_, _, rate)| rate.shared)
    }
}
