//! What OpenSSL's responder says of the gateway's certificate reaches OpenSSL's client, whatever the responder does.

use std::fs;
use std::process::Command;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, SerialNumber};
use sekisho::clock::Clock;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{Gate, Settings, WWW, lay_out};
use crate::support::pki::Ca;
use crate::support::responder::{Conduct, Responder};

const EXPIRY: &str = "sekisho_ocsp_response_expiry_timestamp_seconds";
const FAILURES: &str = "sekisho_ocsp_failures_total";

/// A gate whose portal host has a certificate about which a responder is asked.
struct House {
    gate: Gate,
    responder: Responder,
}

impl House {
    /// With a responder that signs as the CA, and behaves like this from the beginning.
    fn new(conduct: Conduct, clock: Clock) -> Self {
        Self::signed_by(conduct, clock, |ca| (ca.pem(), ca.key_pem()))
    }

    fn signed_by(conduct: Conduct, clock: Clock, signer: impl FnOnce(&Ca) -> (String, String)) -> Self {
        let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
        let responder = Responder::start(&ca, signer(&ca), conduct);
        let yaml = "reload: { on_change: false }";
        let folder = lay_out(&[backend.address], &ca, &Settings { yaml, ..Settings::default() });
        let file = folder.path().join("sekisho.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let usual = format!("{WWW}: {{ tls: {{ certificate: server.pem, key: server.key }}");
        assert!(text.contains(&usual));
        let ours =
            format!("{WWW}: {{ tls: {{ certificate: chain.pem, key: chain.key, ocsp: '{}' }}", responder.url);
        fs::write(file, text.replace(&usual, &ours)).unwrap();
        let mut params = CertificateParams::new(vec![WWW.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(Responder::SERIAL.to_vec()));
        let server = ca.issue(params);
        fs::write(folder.path().join("chain.pem"), format!("{}{}", server.pem, ca.pem())).unwrap();
        fs::write(folder.path().join("chain.key"), &server.key_pem).unwrap();
        let gate = Gate::in_folder_at(folder, ca, clock);
        gate.follow();
        Self { gate, responder }
    }

    /// What `openssl s_client -status` prints.
    fn shake_hands(&self, version: &str) -> String {
        let authority = self.gate.folder.path().join("ca.pem");
        let output = Command::new("openssl")
            .args(["s_client", version, "-status", "-servername", WWW, "-verify_return_error"])
            .args(["-connect", &self.gate.address.to_string(), "-CAfile", authority.to_str().unwrap()])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn is_stapled(&self) -> bool {
        let each = ["-tls1_3", "-tls1_2"].map(|version| {
            let printed = self.shake_hands(version);
            assert!(printed.contains("Verify return code: 0 (ok)"), "{printed}");
            let good = printed.contains("Cert Status: good");
            assert_eq!(printed.contains("OCSP response: no response sent"), !good, "{printed}");
            good
        });
        assert_eq!(each[0], each[1]);
        each[0]
    }

    fn metric(&self, name: &str) -> f64 {
        self.gate.metric(&format!("{name}{{algorithm=\"ecdsa\",host=\"{WWW}\"}}"))
    }

    /// Moves the time.
    fn after(&self, hours: i64) {
        self.gate.clock.set(self.gate.clock.now() + jiff::SignedDuration::from_hours(hours));
    }
}

/// A clock that begins now, when OpenSSL's responses begin, and stands still.
fn standing() -> Clock {
    Clock::manual(Clock::System.now() + jiff::SignedDuration::from_secs(30))
}

#[test]
fn openssl_understands_the_question_and_its_answer_is_stapled_from_the_first_connection() {
    let house = House::new(Conduct::Good, Clock::System);
    assert!(house.is_stapled());
    assert_eq!(house.responder.asked(), 1);
    assert!(house.metric(EXPIRY) > 0.0);
    assert_eq!(house.metric(FAILURES), 0.0);
}

#[test]
fn an_appointed_responder_is_believed_and_any_other_of_the_ca_is_not() {
    for (usage, believed) in
        [(ExtendedKeyUsagePurpose::OcspSigning, true), (ExtendedKeyUsagePurpose::ServerAuth, false)]
    {
        let house = House::signed_by(Conduct::Good, Clock::System, |ca| {
            let mut params = Ca::client_params("OCSP");
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![usage];
            let responder = ca.issue(params);
            (responder.pem, responder.key_pem)
        });
        eventually("an answer", || house.metric(FAILURES) > 0.0 || house.metric(EXPIRY) > 0.0);
        assert_eq!(house.is_stapled(), believed);
    }
}

#[test]
fn what_no_good_response_comes_for_is_served_without_one() {
    for conduct in
        [Conduct::Down, Conduct::Silent, Conduct::Garbage, Conduct::Huge, Conduct::Revoked, Conduct::Unknown]
    {
        let house = House::new(conduct, Clock::System);
        assert!(!house.is_stapled(), "{conduct:?}");
        if conduct != Conduct::Silent {
            eventually("a failure", || house.metric(FAILURES) > 0.0);
        }
        assert_eq!(house.metric(EXPIRY), 0.0, "{conduct:?}");
    }
}

#[test]
fn a_response_is_renewed_without_a_reload_and_taken_off_when_it_has_run_out() {
    let house = House::new(Conduct::Good, standing());
    assert!(house.is_stapled());
    let until = house.metric(EXPIRY);
    // OpenSSL says when the responses end, by its own clock.
    house.responder.conducts(Conduct::GoodFor(3));
    house.after(14);
    eventually("a renewed response", || house.metric(EXPIRY) > until);
    assert!(house.is_stapled());
    assert_eq!(house.responder.asked(), 2);

    house.responder.conducts(Conduct::Down);
    house.after(45);
    eventually("a failure", || house.metric(FAILURES) == 1.0);
    assert!(house.is_stapled(), "the last good one goes on");
    house.after(24);
    assert!(!house.is_stapled());
    // Both, before the responder is another: what fails is left alone for a while.
    eventually("0", || house.metric(EXPIRY) == 0.0);
    eventually("another failure", || house.metric(FAILURES) == 2.0);
    house.responder.conducts(Conduct::GoodFor(30));
    house.after(1);
    eventually("a response again", || house.metric(EXPIRY) > 0.0);
    assert!(house.is_stapled());
}

#[test]
fn a_reload_asks_nobody_about_what_has_not_changed() {
    let house = House::new(Conduct::Good, standing());
    house.gate.write("sekisho.yaml", &house.gate.file("sekisho.yaml").replace("/public", "/open"));
    assert_eq!(house.gate.reload(), Ok(()));
    assert!(house.is_stapled());
    assert_eq!(house.responder.asked(), 1);
    // It is renewed under the new configuration.
    let until = house.metric(EXPIRY);
    house.responder.conducts(Conduct::GoodFor(3));
    house.after(14);
    eventually("a renewed response", || house.metric(EXPIRY) > until);
    assert_eq!(house.responder.asked(), 2);
}

#[test]
fn a_certificate_that_is_revoked_while_it_serves_is_no_longer_called_good() {
    let house = House::new(Conduct::Good, standing());
    assert!(house.is_stapled());
    // Its thisUpdate is not before that of the last one.
    house.responder.conducts(Conduct::Revoked);
    house.after(14);
    eventually("the staple to be gone", || house.metric(EXPIRY) == 0.0);
    assert!(!house.is_stapled());
}

#[test]
fn a_file_that_is_replaced_is_stapled_by_itself() {
    let house = House::new(Conduct::Good, Clock::System);
    let response = house.gate.folder.path().join("www.ocsp");
    fs::write(&response, house.responder.answer(Conduct::Unknown)).unwrap();
    let text = house.gate.file("sekisho.yaml");
    let text = text.replace(&format!("'{}'", house.responder.url), "www.ocsp");
    house.gate.write("sekisho.yaml", &text.replace("on_change: false", "on_change: true"));
    assert_eq!(house.gate.reload(), Ok(()));
    assert!(!house.is_stapled());
    let new = house.gate.folder.path().join("new");
    fs::write(&new, house.responder.answer(Conduct::Good)).unwrap();
    fs::rename(new, response).unwrap();
    eventually("the file's response", || house.metric(EXPIRY) > 0.0);
    assert!(house.is_stapled());
}
