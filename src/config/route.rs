//! `routes`: which requests go where, and what they demand.

mod answers;
mod compression;
mod cors;
mod matching;
mod terms;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ExactPath, FieldName, HostName, LimitName, Maintenance, OneOrMany, PathPrefix, Pattern, RouteContract,
    Title, UpstreamName,
};
use crate::domain::Role;

pub use answers::{FixedAnswer, Redirect, RedirectStatus, RedirectTarget};
pub use compression::{Coding, Compression, MediaRange};
pub use cors::{Cors, Origin};
pub use matching::{FieldMatch, FieldPattern, Method, PathPlace};
pub use terms::{FieldEdits, Rewrite, RouteLimits, RouteTimeouts};

/// One route. The path decides first: `exact` before the longest `path`. Only then, among the routes with that same path, the
/// other conditions do: routes that name the host first, then those with more conditions, then the order of the file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Path and everything below it: `/banking` matches `/banking` and `/banking/…`, not `/bankings`. `/` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPrefix>,
    /// Instead of `path`: this path alone, nothing below it and no slash behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactPath>,
    /// Only if the whole path matches this regular expression. It chooses among the routes of one `path`, and never takes a
    /// request from a longer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Only with one of these methods; with all if absent. `GET` is `HEAD` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Only with these header fields: `X-Version: "2"`, or `X-Version: { pattern: "2|3" }`. A client can send what it
    /// likes, so this chooses a backend and protects nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_headers: BTreeMap<FieldName, FieldMatch>,
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
    /// Another path for the backend, or for a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Header fields that the backend gets, or doesn't.
    #[serde(default, skip_serializing_if = "FieldEdits::is_empty")]
    pub request_headers: FieldEdits,
    /// Header fields that the client gets, or doesn't.
    #[serde(default, skip_serializing_if = "FieldEdits::is_empty")]
    pub response_headers: FieldEdits,
    /// Which pages of other origins may read the answers; what the backend says decides if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// Which answers are compressed for clients that take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Closes this route while a file is there, as the global `maintenance` closes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// In the place of the global `limits`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: RouteLimits,
    /// In the place of the global `timeouts`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: RouteTimeouts,
    /// Where it is forwarded. This, `redirect` or `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamName>,
    /// Sends the client elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// The same answer for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<FixedAnswer>,
}

impl Route {
    /// Where it is on the tree of paths.
    pub fn place(&self) -> PathPlace<'_> {
        match &self.exact {
            Some(exact) => PathPlace::Exact(exact.as_str()),
            None => PathPlace::Below(self.path.as_ref().map_or("/", PathPrefix::as_str)),
        }
    }

    /// Sorts routes into the order in which they are tried; those of one place stand together. The sort must be stable.
    pub fn precedence(&self) -> impl Ord + use<> {
        let (rank, path) = match self.place() {
            PathPlace::Exact(path) => (0, path),
            PathPlace::Below(path) => (1, path),
        };
        (rank, Reverse(path.len()), path.to_owned(), self.hosts.is_empty(), Reverse(self.conditions()))
    }

    /// How many conditions it has beside its path and its hosts.
    pub fn conditions(&self) -> usize {
        usize::from(self.pattern.is_some()) + usize::from(!self.methods.is_empty()) + self.match_headers.len()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
