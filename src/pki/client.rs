//! The gateway as a client of somebody else's TLS: of backends, of the bank's systems, of servers with lists.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use super::pem;

/// TLS that believes the authorities of this PEM file only, or else the system's, and shows this certificate, whose
/// chain and key are in PEM files, to whoever asks. What is wrong names the file.
pub fn client_config(
    authorities: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(file) => {
            for authority in pem::certificates(file).map_err(|error| error.to_string())? {
                roots.add(authority).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        // Some of the system's may be unreadable; a server that needed one of them will say so.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((certificate, key_file)) = own else { return Ok(builder.with_no_client_auth()) };
    let chain = pem::certificates(certificate).map_err(|error| error.to_string())?;
    let key = pem::private_key(key_file).map_err(|error| error.to_string())?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("{}: it can't be used: {error}", key_file.display()))
}

/// Whether this machine knows any authorities.
pub fn knows_authorities() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

/// What went wrong with a connection, with its causes, which is where the cause is.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}
