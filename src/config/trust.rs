//! `trust`: whose client certificates are believed, and how their subject is read.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommonNamePattern, OneOrMany};

/// A certificate is good if it leads to an authority, its name has the right form, and it isn't revoked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// PEM file or files with the CA certificates that client certificates may lead to.
    pub authorities: OneOrMany<PathBuf>,
    /// Regular expression for the whole common name, with the named groups `contract` and `user`.
    #[serde(default)]
    pub common_name: CommonNamePattern,
    /// Whether a certificate must be registered in the directory.
    #[serde(default)]
    pub registration: Registration,
    /// Revocation lists. Without this, revocation is not checked by lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<Crl>,
}

/// Whether a certificate must be registered in the directory. One that the directory knows to be revoked, retired or
/// not yet acquired is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// A good certificate of the authorities is enough. It is registered when it is first seen.
    #[default]
    Optional,
    /// Only a live credential of the directory passes.
    Required,
}

/// Where revocation lists come from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crl {
    /// Files with one CRL each, DER or PEM. Every authority of a client's path needs one that is in force.
    pub sources: Vec<PathBuf>,
}
