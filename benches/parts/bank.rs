//! A bank's CA with a server's and a client's certificate, and how that client speaks TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use sekisho::clock::Clock;
use sekisho::domain::{ContractId, Identity, UserId};
use sekisho::pki::development::{Authority, AuthorityName, Existing, FileStem, KeyKind};

pub(crate) const HOST: &str = "cert.localhost";

/// Puts `ca.pem`, `ca.crl`, `server.pem` and `client.pem` into a folder, and the keys beside them.
pub(crate) fn lay_out(folder: &Path) {
    let now = Clock::System.now();
    let mut authority =
        Authority::create(folder, &AuthorityName::default(), Existing::Replace, now).expect("a CA");
    let server = FileStem::new("server").expect("a name");
    let issued = authority.issue_server(&server, &[HOST.to_owned()], KeyKind::EcdsaP256, 30, now);
    issued.and_then(|issued| issued.write(folder, &server, None)).expect("a server's certificate");
    let client = FileStem::new("client").expect("a name");
    let identity = Identity {
        contract: ContractId::new("10000000000001").expect("a contract ID"),
        user: UserId::new("tanaka").expect("a user ID"),
    };
    let issued = authority.issue_client(&client, &identity, 30, now);
    issued.and_then(|issued| issued.write(folder, &client, None)).expect("a client's certificate");
}

/// The client with that certificate.
pub(crate) fn client(folder: &Path) -> ClientConfig {
    let chain = vec![CertificateDer::from_pem_file(folder.join("client.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(folder.join("client.key")).expect("a key");
    anybody(folder).with_client_auth_cert(chain, key).expect("a certificate")
}

/// Somebody who trusts the CA.
pub(crate) fn anybody(folder: &Path) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).expect("a CA")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
}
