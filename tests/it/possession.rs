//! A certificate is public. Only its key says who is there.

use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, OPTIONAL, STRICT};
use crate::support::pki::COMMON_NAME;
use crate::support::reasons::unproven;

#[test]
fn a_good_certificate_without_its_key_gets_nowhere() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let stolen = gate.ca.client(COMMON_NAME);
    for host in [CERT, OPTIONAL, STRICT] {
        for version in [&TLS12, &TLS13] {
            let thief = unproven(&gate.client(), &[version], stolen.chain[0].clone());
            assert_eq!(thief.alert(host), AlertDescription::DecryptError, "{host} over {version:?}");
        }
    }
    gate.counts("sekisho_handshake_failures_total{cause=\"tls\"}", 6.0);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_refused_certificate_without_its_key_gets_nowhere_either() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let stolen = gate.ca.client(COMMON_NAME);
    gate.revoke(&[&stolen]);
    let thief = unproven(&gate.client(), rustls::ALL_VERSIONS, stolen.chain[0].clone());
    assert_eq!(thief.alert(CERT), AlertDescription::DecryptError);
}

#[test]
fn a_certificate_with_somebody_elses_key_gets_nowhere() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let (tanaka, mut mallory) = (gate.ca.client(COMMON_NAME), gate.ca.client("10000000000002 mallory"));
    mallory.chain = tanaka.chain;
    let mut client = gate.client();
    // rustls' own client would notice that key and certificate don't match: it isn't asked.
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&mallory.key).unwrap();
    let certified = rustls::sign::CertifiedKey::new(mallory.chain, key);
    client.config.client_auth_cert_resolver =
        std::sync::Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    assert_eq!(client.alert(CERT), AlertDescription::DecryptError);
    assert_eq!(backend.connections(), 0);
}
