//! `Client-Cert` and `Client-Cert-Chain` (RFC 9440): the certificate of a connection, and those that vouch for it.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::CertificateDer;

/// The header lines of one good certificate.
#[derive(Default)]
pub(super) struct ClientCert {
    pub(super) leaf: Box<[u8]>,
    pub(super) chain: Box<[u8]>,
}

impl ClientCert {
    /// `issuers` are those of the path that was verified, never what else a client has sent.
    pub(super) fn new(leaf: &CertificateDer<'_>, issuers: &[Arc<CertificateDer<'static>>]) -> Self {
        let issuers: Vec<String> = issuers.iter().map(|issuer| byte_sequence(issuer)).collect();
        let leaf = format!("Client-Cert: {}\r\n", byte_sequence(leaf));
        let chain = format!("Client-Cert-Chain: {}\r\n", issuers.join(", "));
        Self { leaf: leaf.into_bytes().into(), chain: chain.into_bytes().into() }
    }
}

/// RFC 9651, section 3.3.5.
fn byte_sequence(bytes: &[u8]) -> String {
    format!(":{}:", BASE64_STANDARD.encode(bytes))
}
