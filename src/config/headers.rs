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
    /// How the user proved who they are: `certificate`.
    pub auth_method: FieldName,
    /// The request ID that is also in the access log.
    pub request_id: FieldName,
    /// More names that no client may send, for backends that read others.
    pub remove: Vec<FieldName>,
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
