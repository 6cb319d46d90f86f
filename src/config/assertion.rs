//! `assertion`: what signs for backends who sends a request.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HttpsUrl, Period};

/// What signs for backends who sends a request: an ES256 JWT for each request to an upstream with `identity.assertion`. The
/// public keys are at `/.well-known/jwks.json` of the ops listener. See docs/backends.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// `iss`: the same on all gateways. Nothing is fetched there.
    pub issuer: HttpsUrl,
    /// PEM files with a P-256 key each (`sekisho assertion key`). The first signs, all are published, so that backends know the
    /// next one before it signs. Nobody but their owner
    /// and their group may read them.
    pub keys: Vec<PathBuf>,
    /// How long an assertion is good for, from 5 to 60 seconds.
    #[serde(default = "Assertion::default_lifetime")]
    pub lifetime: Period,
}

impl Assertion {
    const fn default_lifetime() -> Period {
        Period::seconds(30)
    }
}
