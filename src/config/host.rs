//! `hosts`: a TLS server name, its certificate, and what it asks of a client.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{OneOrMany, SignedSource};

/// One host name that the gate answers for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The server certificate of this name, or a list of them: one for each kind of key.
    #[schemars(with = "OneOrMany<ServerCertificate>")]
    pub tls: ServerCertificates,
    /// Whether a client certificate is asked for.
    pub client_certificate: ClientCertificate,
    /// Where a bad or missing client certificate is refused.
    #[serde(default)]
    pub rejection: Rejection,
}

/// One certificate, or a list of them.
#[derive(Debug, Clone, Serialize)]
pub struct ServerCertificates(Vec<ServerCertificate>);

impl ServerCertificates {
    /// The certificates, however they were written.
    pub fn as_slice(&self) -> &[ServerCertificate] {
        &self.0
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [ServerCertificate] {
        &mut self.0
    }
}

/// Written out, because serde's `untagged` forgets what was wrong with a value and where.
impl<'de> Deserialize<'de> for ServerCertificates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const FIELDS: &[&str] = &["certificate", "key", "ocsp"];
        deserializer.deserialize_struct("ServerCertificate[]", FIELDS, OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = ServerCertificates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list of mappings")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        let one = ServerCertificate::deserialize(MapAccessDeserializer::new(entries))?;
        Ok(ServerCertificates(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(ServerCertificates)
    }
}

/// A certificate chain and its key. ECDSA (P-256, P-384), RSA (2048 bits or more) or Ed25519.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerCertificate {
    /// PEM file: the certificate first, then its intermediates.
    pub certificate: PathBuf,
    /// PEM file: the private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// An OCSP response about the certificate, stapled while it is good: a DER file, or the URL (`http` or `https`) of a
    /// responder that is asked for it again and again. Needs the issuer's certificate in the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<SignedSource>,
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
