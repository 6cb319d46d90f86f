//! The way with the helper, step by step: the code, the request, the proof.

use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use sekisho::clock::Clock;
use sekisho::domain::CredentialState;
use serde_json::{Value, json};

use super::{Helper, begin, code, gate, gets_in, later, machine, permit, post_json, prove, redeem, states};
use crate::support::gate::WWW;
use crate::support::people::{Browser, ITO};

/// How far the page thinks it is.
fn stage(browser: &mut Browser, host: &str) -> String {
    let answer = browser.open(host, "/sekisho/acquisition/progress");
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["stage"].as_str().unwrap().to_owned()
}

#[test]
fn the_helper_gets_a_certificate_that_lives_from_its_proof_on() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    assert_eq!(stage(&mut browser, WWW), "ready");
    let code = code(&mut browser, WWW);
    let mut helper = Helper::new();
    assert_eq!(helper.redeem(&gate.client(), &code.to_lowercase().replace('-', "")), 200);
    assert_eq!(stage(&mut browser, WWW), "issued");
    let credential = helper.credential.clone().unwrap();
    // Its subject is the directory's, whatever the request said.
    let (_, parsed) = x509_parser::parse_x509_certificate(&credential.chain[0]).unwrap();
    assert!(parsed.subject().to_string().ends_with("CN=10000000000001 ito"));
    assert!(!parsed.is_ca());
    let early = machine(&gate, &credential);
    assert_eq!(early.status, 403);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Issued]);
    let (status, details) = helper.prove(&gate.client());
    assert_eq!(status, 200, "{details}");
    assert_eq!(
        (details["organization"].as_str(), details["unit"].as_str(), details["common_name"].as_str()),
        (Some("Mihon Bank, Ltd."), Some("Mihon Bank CA-G2"), Some("10000000000001 ito"))
    );
    assert_eq!(stage(&mut browser, WWW), "held");
    gets_in(&gate, &credential);
    // Once more is once.
    assert_eq!(helper.prove(&gate.client()).0, 200);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live]);
    let done = browser.open(WWW, "/sekisho/acquisition/done");
    assert_eq!(done.status, 200);
    assert!(!done.text().contains("data-password"));
}

#[test]
fn a_code_is_good_once_for_its_time_and_for_its_session() {
    let clock = Clock::manual(Clock::default().now());
    let gate = gate(clock.clone());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let used = code(&mut browser, WWW);
    assert_eq!(Helper::new().redeem(&gate.client(), &used), 200);
    assert_eq!(Helper::new().redeem(&gate.client(), &used), 403);
    assert_eq!(Helper::new().redeem(&gate.client(), "AAAA-BBBB-CCCC"), 403);
    let old = code(&mut browser, WWW);
    later(&clock, jiff::SignedDuration::from_mins(11));
    assert_eq!(Helper::new().redeem(&gate.client(), &old), 403);
    let orphan = code(&mut browser, WWW);
    let page = browser.open(WWW, "/sekisho/acquisition/certificate");
    assert_eq!(browser.post(WWW, "/sekisho/sign-out", &page, &[]).status, 303);
    assert_eq!(Helper::new().redeem(&gate.client(), &orphan), 403);
}

#[test]
fn a_certificate_whose_acquisition_was_taken_up_again_can_be_proven_no_more() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let mut crashed = Helper::new();
    let first = code(&mut browser, WWW);
    assert_eq!(crashed.redeem(&gate.client(), &first), 200);
    let mut helper = Helper::new();
    let second = code(&mut browser, WWW);
    assert_eq!(helper.redeem(&gate.client(), &second), 200);
    assert_eq!(crashed.prove(&gate.client()).0, 403);
    assert_eq!(helper.prove(&gate.client()).0, 200);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live, CredentialState::Revoked]);
}

#[test]
fn requests_and_proofs_that_prove_nothing_are_refused() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    let mut broken = request.der().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let wrong = code(&mut browser, WWW);
    assert_eq!(redeem(&gate.client(), &wrong, &broken).0, 400);
    let wrong = code(&mut browser, WWW);
    assert_eq!(redeem(&gate.client(), &wrong, b"no request").0, 400);
    let mut helper = Helper::new();
    let right = code(&mut browser, WWW);
    assert_eq!(helper.redeem(&gate.client(), &right), 200);
    let certificate = helper.credential.clone().unwrap().chain[0].clone();
    let strange = KeyPair::generate().unwrap().sign(b"anything").unwrap();
    assert_eq!(prove(&gate.client(), &certificate, &strange).0, 403);
    assert_eq!(prove(&gate.client(), b"no certificate", &strange).0, 403);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Issued]);
    assert_eq!(post_json(&gate.client(), "/sekisho/helper/certificate", &json!([1])).0, 400);
}
