//! `hosts`: a TLS server name, its certificate, and what it asks of a client.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One host name that the gate answers for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The server certificate of this name.
    pub tls: ServerCertificate,
    /// Whether a client certificate is asked for.
    pub client_certificate: ClientCertificate,
    /// Where a bad or missing client certificate is refused.
    #[serde(default)]
    pub rejection: Rejection,
}

/// A certificate chain and its key. ECDSA (P-256, P-384), RSA (2048 bits or more) or Ed25519.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerCertificate {
    /// PEM file: the certificate first, then its intermediates.
    pub certificate: PathBuf,
    /// PEM file: the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Whether a host asks for a client certificate. It can't be asked for by path (RFC 9113, section 9.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificate {
    /// Never asked for.
    None,
    /// Asked for; routes decide whether they need it.
    Optional,
    /// Nothing is served without a good one.
    Required,
}

/// How a client without a good certificate is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rejection {
    /// The handshake succeeds and a page says what is wrong and whom to ask.
    #[default]
    Page,
    /// The handshake fails with a TLS alert.
    Handshake,
}
