//! `headers`: the names under which a backend gets the identity.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldName;

/// The gate owns these header fields: it sets or removes them on every request, whatever a client sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// The contract ID.
    pub contract: FieldName,
    /// The user ID.
    pub user: FieldName,
    /// The user's role.
    pub role: FieldName,
    /// How the user proved who they are: `certificate`, `pin` or `certificate+pin`.
    pub auth_method: FieldName,
    /// The request ID that is also in the access log.
    pub request_id: FieldName,
    /// More names that no client may send, for backends that read others.
    pub remove: Vec<FieldName>,
}

/// Names that speak of where the client is, or who, and that a gateway writes anew (RFC 7239; RFC 9440, section 4).
/// `proxy` becomes `HTTP_PROXY` in a CGI environment (CVE-2016-5385).
const ALWAYS_OURS: [&str; 9] = [
    "forwarded",
    "x-real-ip",
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-sekisho-assertion",
    "true-client-ip",
    "via",
    "proxy",
];

/// Every name that starts so is the gate's as well.
pub const OUR_PREFIX: &str = "x-forwarded-";

/// What hands a trace on. Theirs are the gate's as well as long as it makes traces.
pub const TRACE_FIELDS: [&str; 2] = ["traceparent", "tracestate"];

impl Headers {
    /// The names that the gate owns, whatever is configured or as it is, besides those that start with [`OUR_PREFIX`].
    pub fn owned(&self) -> impl Iterator<Item = &str> {
        let Self { contract, user, role, auth_method, request_id, remove } = self;
        let configured = [contract, user, role, auth_method, request_id].into_iter().chain(remove);
        configured.map(FieldName::as_str).chain(ALWAYS_OURS)
    }

    /// Whether the gate owns this name.
    pub(super) fn own(&self, name: &FieldName) -> bool {
        let name = name.as_str().to_ascii_lowercase();
        name.starts_with(OUR_PREFIX) || self.owned().any(|owned| owned.eq_ignore_ascii_case(&name))
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            contract: FieldName::known("X-Contract-Id"),
            user: FieldName::known("X-User-Id"),
            role: FieldName::known("X-User-Role"),
            auth_method: FieldName::known("X-Auth-Method"),
            request_id: FieldName::known("X-Request-Id"),
            remove: Vec::new(),
        }
    }
}
