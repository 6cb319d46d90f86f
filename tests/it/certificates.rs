//! What makes a certificate one to sign in with (T6). The full list is beside the judge; these come by the gate.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};
use crate::support::pki::{COMMON_NAME, Ca, Credential};

#[test]
fn a_leaf_without_client_auth_is_refused() {
    is_refused_leaf("the extendedKeyUsage of a certificate of the path lacks clientAuth", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
}

#[test]
fn a_leaf_without_extended_key_usage_is_refused() {
    is_refused_leaf("extendedKeyUsage is absent", |params| params.extended_key_usages = Vec::new());
}

#[test]
fn a_leaf_without_digital_signature_is_refused() {
    is_refused_leaf("keyUsage lacks digitalSignature", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    });
}

#[test]
fn a_leaf_that_is_a_ca_is_refused() {
    is_refused_leaf("the certificate is a CA's", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
}

fn is_refused_leaf(detail: &str, change: impl FnOnce(&mut CertificateParams)) {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut params = Ca::client_params(COMMON_NAME);
    change(&mut params);
    is_refused(&gate, &backend, &gate.ca.issue(params), "wrong_usage", detail);
}

#[test]
fn an_authority_of_the_same_name_is_still_another_one() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let impostor = Ca::new("Mihon Bank CA-G1");
    let mut credential = impostor.client(COMMON_NAME);
    let detail = "no path leads to one of the authorities";
    is_refused(&gate, &backend, &credential, "unknown_authority", detail);
    // Its root comes along, and convinces nobody.
    credential.chain.push(impostor.der());
    is_refused_as(2, &gate, &backend, &credential, "unknown_authority", detail);
}

#[test]
fn an_intermediate_without_key_cert_sign_vouches_for_nobody() {
    is_refused_below("an issuer in the path is no CA, or its keyUsage lacks keyCertSign", |params| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
}

#[test]
fn a_clients_certificate_vouches_for_nobody() {
    is_refused_below("an issuer in the path is no CA, or its keyUsage lacks keyCertSign", |params| {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
}

fn is_refused_below(detail: &str, change: impl FnOnce(&mut CertificateParams)) {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let below = gate.ca.below("Mihon Bank Sub CA", change);
    let mut credential = below.client(COMMON_NAME);
    credential.chain.push(below.der());
    is_refused(&gate, &backend, &credential, "wrong_usage", detail);
}

#[test]
fn a_path_longer_than_the_authority_allows_is_refused() {
    let backend = Backend::start();
    // Its path length is 1: one CA may stand between it and a leaf, not two.
    let gate = Gate::start(&backend);
    let first = gate.ca.below("Mihon Bank Sub CA 1", |_| {});
    let second = first.below("Mihon Bank Sub CA 2", |_| {});
    let mut credential = second.client(COMMON_NAME);
    credential.chain.extend([second.der(), first.der()]);
    let detail = "the path is longer than a CA's path length allows";
    is_refused(&gate, &backend, &credential, "wrong_usage", detail);
}

fn is_refused(gate: &Gate, backend: &Backend, credential: &Credential, reason: &str, detail: &str) {
    is_refused_as(1, gate, backend, credential, reason, detail);
}

fn is_refused_as(
    number: usize,
    gate: &Gate,
    backend: &Backend,
    credential: &Credential,
    reason: &str,
    detail: &str,
) {
    let client = gate.client().with(credential);
    let response = client.get_with(CERT, "/banking/", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code()), (403, reason.to_owned()));
    assert_eq!(backend.connections(), 0);
    let line = gate.log_line(number);
    assert_eq!((&line["failure"], &line["detail"]), (&reason.into(), &detail.into()), "{line}");
}
