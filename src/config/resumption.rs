//! `resumption`: how TLS sessions are taken up again.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// Sessions live in tickets that the client keeps. A client that resumes is judged anew all the same.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resumption {
    /// Where the secrets come from that tickets are sealed with.
    pub keys: TicketSource,
    /// Files with a secret each: 32 or more random bytes. The first seals tickets, all open them. For `keys: files`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// File with 32 or more random bytes, the same at every gateway. What the gateways keep in the state is sealed with a
    /// key that is made from it. For `keys: state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// How long a secret that the gateways make themselves seals tickets. For `keys: process`, and for `keys: state`: at
    /// least 5 minutes and at least a 24th of `lifetime`.
    pub rotate: Period,
    /// How long a ticket is good for: 7 days at most.
    pub lifetime: Period,
}

impl Default for Resumption {
    fn default() -> Self {
        Self {
            keys: TicketSource::default(),
            files: Vec::new(),
            secret_file: None,
            rotate: Period::seconds(8 * 3600),
            lifetime: Period::seconds(12 * 3600),
        }
    }
}

/// Where the secrets come from that tickets are sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TicketSource {
    /// Each gateway makes its own: a session is resumed where it was made, until a restart.
    #[default]
    Process,
    /// From `files`: gateways with the same files resume each other's sessions.
    Files,
    /// The gateways of one `state` make them together and share them there, sealed with `secret_file`: they resume each
    /// other's sessions.
    State,
}
