//! Getting a credential over the portal's pages: as a file, and with the helper's protocol.

mod by_helper;
mod crash;
mod renewal;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{CertificateParams, DnType, KeyPair, SigningKey as _};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sekisho::clock::Clock;
use sekisho::domain::{CredentialState, RevocationCause, SuspensionCause};
use sekisho::stores::{CredentialRecord, PermitOutcome};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::backend::Backend;
use crate::support::client::{Client, Response};
use crate::support::gate::{CERT, Gate, Settings, WWW, start_in};
use crate::support::people::{Browser, CONTRACT, ITO, ROUTES, SUZUKI, TANAKA, identity, now, stores, yaml};
use crate::support::pki::{Ca, Credential};
use crate::support::process::run;
use crate::support::{eventually, write_secret};

/// A gate that issues certificates, and takes no other than those.
pub fn gate(clock: Clock) -> Gate {
    gate_with("", clock)
}

pub fn gate_with(more: &str, clock: Clock) -> Gate {
    gate_before(&Backend::start(), more, clock)
}

pub fn gate_before(backend: &Backend, more: &str, clock: Clock) -> Gate {
    let yaml = yaml(more);
    let settings = Settings {
        yaml: &yaml,
        routes: Some(ROUTES),
        clock,
        people: true,
        issuer: Some("required"),
        ..Settings::default()
    };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// Permits a user to acquire a certificate.
pub fn permit(gate: &Gate, user: &str) {
    let directory = stores(gate.folder.path()).directory;
    let at = gate.clock.now();
    let until = at.checked_add(jiff::SignedDuration::from_hours(24 * 80)).unwrap();
    let done = now(directory.permit(&identity(user), "staff:test", until, at)).unwrap();
    assert_eq!(done, PermitOutcome::Permitted);
}

/// Moves a gate's clock.
pub fn later(clock: &Clock, by: jiff::SignedDuration) {
    clock.set(clock.now().checked_add(by).unwrap());
}

/// What became of a user's credentials, the newest first.
pub fn history(gate: &Gate, user: &str) -> Vec<CredentialRecord> {
    let directory = stores(gate.folder.path()).directory;
    now(directory.credential_history(&identity(user), gate.clock.now())).unwrap()
}

/// Their states, the newest first.
pub fn states(gate: &Gate, user: &str) -> Vec<CredentialState> {
    history(gate, user).iter().map(|record| record.state).collect()
}

/// Types IDs and PIN on the acquisition page.
pub fn try_acquisition(browser: &mut Browser, user: &str, pin: &str) -> Response {
    let page = browser.open(WWW, "/sekisho/acquisition");
    assert_eq!(page.status, 200, "{}", page.text());
    let fields = [("contract", CONTRACT), ("user", user), ("pin", pin)];
    browser.post(WWW, "/sekisho/acquisition", &page, &fields)
}

/// Signs in on the acquisition page.
pub fn begin(browser: &mut Browser, (user, pin): (&str, &str)) {
    let response = try_acquisition(browser, user, pin);
    assert_eq!(response.status, 303, "{}", response.text());
    assert_eq!(response.value("location").as_deref(), Some("/sekisho/acquisition/certificate"));
}

/// Presses the button for the file.
pub fn fetch_file(browser: &mut Browser, host: &str) -> Vec<u8> {
    let page = browser.open(host, "/sekisho/acquisition/file");
    assert_eq!(page.status, 200, "{}", page.text());
    let file = browser.post(host, "/sekisho/acquisition/file", &page, &[]);
    assert_eq!(file.status, 200, "{}", file.head);
    assert_eq!(file.value("content-type").as_deref(), Some("application/x-pkcs12"), "{}", file.head);
    assert_eq!(file.value("cache-control").as_deref(), Some("no-store"));
    let disposition = file.value("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename=\"certificate.p12\"");
    file.body
}

/// The password that the page after it shows.
pub fn password(browser: &mut Browser, host: &str) -> String {
    let page = browser.open(host, "/sekisho/acquisition/done");
    assert_eq!(page.status, 200, "{}", page.text());
    find_password(&page.text())
}

pub fn find_password(page: &str) -> String {
    let at = page.find("data-password=\"").unwrap_or_else(|| panic!("no password in {page}"));
    page[at + 15..].split('"').next().unwrap().to_owned()
}

/// Unpacks a PKCS#12 file as OpenSSL does.
pub fn unpack(file: &[u8], password: &str) -> Credential {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificate.p12");
    write_secret(&path, file);
    let words = ["pkcs12", "-in", path.to_str().unwrap(), "-nodes", "-passin", &format!("pass:{password}")];
    let pem = run("openssl", &words).good();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    Credential {
        chain: chain[..1].to_vec(),
        key: key.into(),
        serial: Vec::new(),
        pem: pem.clone(),
        key_pem: pem,
    }
}

/// A browser with this certificate.
pub fn holder(gate: &Gate, credential: &Credential) -> Browser {
    Browser::with(gate, gate.client().with(credential))
}

/// What the application says to the holder of this certificate.
pub fn machine(gate: &Gate, credential: &Credential) -> Response {
    holder(gate, credential).open(CERT, "/machine")
}

/// Waits until the gate lets this certificate in.
#[track_caller]
pub fn gets_in(gate: &Gate, credential: &Credential) {
    eventually("the certificate's holder to get in", || machine(gate, credential).status == 200);
}

/// Posts JSON as the helper does.
pub fn post_json(client: &Client, target: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut connection = client.connect(WWW).unwrap();
    connection.send(
        format!(
            "POST {target} HTTP/1.1\r\nHost: {WWW}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    let response = connection.response_to("POST").expect("an answer");
    (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

/// The helper, in code: its key, and the certificate once it has one.
pub struct Helper {
    key: KeyPair,
    pub credential: Option<Credential>,
}

impl Helper {
    pub fn new() -> Self {
        Self { key: KeyPair::generate().unwrap(), credential: None }
    }

    /// Asks for a certificate, with a request that asks for more than it gets.
    pub fn redeem(&mut self, gate: &Client, code: &str) -> u16 {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "20000000000002 president");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let request = params.serialize_request(&self.key).unwrap();
        let (status, answer) = redeem(gate, code, request.der());
        if status == 200 {
            let pem = answer["chain"].as_str().unwrap().to_owned();
            let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
            self.credential = Some(Credential {
                chain: chain[..1].to_vec(),
                key: PrivatePkcs8KeyDer::from(self.key.serialize_der()).into(),
                serial: Vec::new(),
                pem,
                key_pem: self.key.serialize_pem(),
            });
        }
        status
    }

    /// Proves that it has the key.
    pub fn prove(&self, gate: &Client) -> (u16, Value) {
        let certificate = &self.credential.as_ref().unwrap().chain[0];
        let fingerprint: String =
            Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
        let message = format!("sekisho proof of possession\n{fingerprint}\n");
        let signature = self.key.sign(message.as_bytes()).unwrap();
        prove(gate, certificate, &signature)
    }
}

pub fn redeem(gate: &Client, code: &str, request: &[u8]) -> (u16, Value) {
    let body = json!({ "code": code, "request": BASE64_STANDARD.encode(request) });
    post_json(gate, "/sekisho/helper/certificate", &body)
}

pub fn prove(gate: &Client, certificate: &[u8], signature: &[u8]) -> (u16, Value) {
    let body = json!({
        "certificate": BASE64_STANDARD.encode(certificate),
        "signature": BASE64_STANDARD.encode(signature),
    });
    post_json(gate, "/sekisho/helper/proof", &body)
}

/// Has the page make a code.
pub fn code(browser: &mut Browser, host: &str) -> String {
    let page = browser.open(host, "/sekisho/acquisition/certificate?done=again");
    assert_eq!(page.status, 200, "{}", page.text());
    let page = browser.post(host, "/sekisho/acquisition/code", &page, &[]);
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let at = text.find("data-code=\"").unwrap_or_else(|| panic!("no code in {text}"));
    text[at + 11..].split('"').next().unwrap().to_owned()
}

#[test]
fn a_file_is_fetched_opened_with_the_password_and_signs_in() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    let page = browser.open(WWW, "/sekisho/acquisition/done").text();
    let records = history(&gate, ITO.0);
    for shown in ["Mihon Bank, Ltd.", "Mihon Bank CA-G2", "10000000000001 ito"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let credential = unpack(&file, &find_password(&page));
    gets_in(&gate, &credential);
    let (_, parsed) = x509_parser::parse_x509_certificate(&credential.chain[0]).unwrap();
    assert_eq!(
        parsed.subject().to_string(),
        "O=Mihon Bank, Ltd., OU=Mihon Bank CA-G2, CN=10000000000001 ito"
    );
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live]);
    assert_eq!(records.len(), 1);
}

#[test]
fn once_the_file_is_fetched_ids_and_pin_are_worth_nothing_and_the_answer_is_that_to_a_wrong_pin() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    fetch_file(&mut browser, WWW);
    let strip = |response: Response| {
        let text = response.text();
        // The form's token and the request's ID differ from page to page.
        let lines = text.lines().filter(|line| !line.contains("token") && !line.contains("request-id"));
        (response.status, lines.map(str::to_owned).collect::<Vec<_>>())
    };
    let mut thief = Browser::new(&gate);
    let right = strip(try_acquisition(&mut thief, ITO.0, ITO.1));
    let wrong = strip(try_acquisition(&mut thief, ITO.0, "wrong0"));
    assert_eq!(right, wrong);
    assert_eq!(right.0, 200);
    assert_eq!(thief.try_pin(ITO.0, ITO.1).status, 200);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live]);
}

#[test]
fn of_two_presses_of_the_button_the_last_file_counts() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let page = browser.open(WWW, "/sekisho/acquisition/file");
    let press = |browser: &mut Browser| browser.post(WWW, "/sekisho/acquisition/file", &page, &[]);
    let first = press(&mut browser);
    let first_password = password(&mut browser, WWW);
    let second = press(&mut browser);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live, CredentialState::Revoked]);
    let second_password = password(&mut browser, WWW);
    assert_ne!(first_password, second_password);
    let second = unpack(&second.body, &second_password);
    gets_in(&gate, &second);
    let refused = machine(&gate, &unpack(&first.body, &first_password));
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("失効"), "{}", refused.text());
    // It is in use now: it can't be given up any more.
    let third = press(&mut browser);
    assert_eq!(third.value("content-type").as_deref(), Some("text/html; charset=utf-8"), "{}", third.head);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live, CredentialState::Revoked]);
}

#[test]
fn another_browser_gets_neither_password_nor_another_file() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    fetch_file(&mut browser, WWW);
    // A thief of the session alone.
    let session = browser.cookie(WWW, "__Host-sekisho-session").unwrap().to_owned();
    let mut thief = Browser::new(&gate);
    thief.open(WWW, "/sekisho/acquisition");
    thief.set_cookie(WWW, "__Host-sekisho-session", &session);
    let page = thief.open(WWW, "/sekisho/acquisition/done");
    assert!(!page.text().contains("data-password"), "{}", page.text());
    let page = thief.open(WWW, "/sekisho/acquisition");
    thief.post(WWW, "/sekisho/acquisition/file", &page, &[]);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live]);
}

#[test]
fn who_is_not_permitted_is_told_so_and_keeps_their_pin() {
    let gate = gate(Clock::default());
    let mut browser = Browser::new(&gate);
    for _ in 0..8 {
        let answer = try_acquisition(&mut browser, ITO.0, ITO.1);
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    browser.sign_in(ITO);
    // A permit that has lapsed is none.
    let directory = stores(gate.folder.path()).directory;
    let at = gate.clock.now();
    let past = at.checked_sub(jiff::SignedDuration::from_secs(5)).unwrap();
    now(directory.permit(&identity(ITO.0), "staff:test", past, past)).unwrap();
    assert_eq!(try_acquisition(&mut Browser::new(&gate), ITO.0, ITO.1).status, 403);
}

#[test]
fn the_session_of_an_acquisition_opens_nothing_else() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let sent = browser.open(WWW, "/banking");
    assert_eq!(sent.status, 303);
    assert!(sent.value("location").unwrap().starts_with("/sekisho/acquisition/certificate"));
    for path in ["/sekisho/home", "/sekisho/pin"] {
        assert_ne!(browser.open(WWW, path).status, 200, "{path}");
    }
}

#[test]
fn wrong_pins_count_together_on_both_pages() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    for nth in 0..6 {
        if nth % 2 == 0 {
            try_acquisition(&mut browser, ITO.0, "wrong0");
        } else {
            browser.try_pin(ITO.0, "wrong0");
        }
    }
    assert_ne!(try_acquisition(&mut browser, ITO.0, ITO.1).status, 303);
    assert_eq!(states(&gate, ITO.0), []);
}

#[test]
fn a_user_who_is_suspended_meanwhile_gets_nothing() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let code = code(&mut browser, WWW);
    let page = browser.open(WWW, "/sekisho/acquisition/file");
    let directory = stores(gate.folder.path()).directory;
    let ito = identity(ITO.0);
    assert!(now(directory.suspend_user(&ito, SuspensionCause::Staff, gate.clock.now())).unwrap());
    assert_eq!(Helper::new().redeem(&gate.client(), &code), 403);
    let answer = browser.post(WWW, "/sekisho/acquisition/file", &page, &[]);
    assert_ne!(answer.value("content-type").as_deref(), Some("application/x-pkcs12"));
    assert_eq!(states(&gate, ITO.0), []);
}

#[test]
fn only_registered_certificates_pass_and_each_other_one_is_told_why() {
    let gate = gate(Clock::default());
    // The CA's signature holds, but the directory has no such credential.
    let foreign = gate.ca.client(&format!("{CONTRACT} {}", TANAKA.0));
    let refused = machine(&gate, &foreign);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("登録されていません"), "{}", refused.text());
    assert_eq!(gate.logged(|line| line["failure"] == "unregistered")["standing"], "unregistered");
    assert_eq!(states(&gate, TANAKA.0), []);
    let _ = SUZUKI;
}

#[test]
fn certificates_are_signed_at_a_limited_rate() {
    let gate = gate_with("", Clock::manual(Clock::default().now()));
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let page = browser.open(WWW, "/sekisho/acquisition/file");
    let mut last = None;
    for _ in 0..61 {
        last = Some(browser.post(WWW, "/sekisho/acquisition/file", &page, &[]));
    }
    let last = last.unwrap();
    assert_eq!(last.status, 503, "{}", last.head);
    assert!(last.value("retry-after").is_some());
}

#[test]
fn neither_password_nor_code_nor_the_browsers_secret_is_kept_anywhere() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let code = code(&mut browser, WWW);
    fetch_file(&mut browser, WWW);
    let password = password(&mut browser, WWW);
    let visit = browser.cookie(WWW, "__Host-sekisho-visit").unwrap().to_owned();
    let session = browser.cookie(WWW, "__Host-sekisho-session").unwrap();
    let session = session.split('.').next().unwrap().to_owned();
    let mut folders = vec![gate.folder.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in [&code, &password, &visit, &session] {
                let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!is_there, "{secret} in {}", path.display());
            }
        }
    }
    assert!(files > 10, "{files} files");
}

/// A browser keeps only cookies with an age when it is closed: the file's password must not go with the others.
#[test]
fn the_password_of_a_file_is_still_there_after_the_browser_was_closed() {
    let gate = gate(Clock::default());
    permit(&gate, "ito");
    let mut browser = Browser::new(&gate);
    let begun = try_acquisition(&mut browser, ITO.0, ITO.1);
    let page = browser.open(WWW, "/sekisho/acquisition/file");
    let file = browser.post(WWW, "/sekisho/acquisition/file", &page, &[]);
    assert_eq!(file.status, 200);
    let mut reopened = Browser::new(&gate);
    let set = [begun.values("set-cookie"), file.values("set-cookie")].concat();
    for cookie in set.iter().filter(|cookie| cookie.contains("; Max-Age=1800")) {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        reopened.set_cookie(WWW, name, value);
    }
    unpack(&file.body, &password(&mut reopened, WWW));
}

/// The administrator works on one gateway, the user's connections are on another (T3).
#[test]
fn a_reissue_ends_what_is_open_on_every_gateway() {
    let backend = Backend::conversing(crate::under_change::converse);
    let gate = gate_before(&backend, "", Clock::default());
    permit(&gate, "ito");
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    let credential = unpack(&file, &password(&mut browser, WWW));
    let second = start_in(&gate.folder, Clock::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut client = gate.client().with(&credential);
    client.address = second.addresses()[0];
    let ask = |lines: &str, status: u16| {
        let mut connection = client.connect(CERT).unwrap();
        connection.send(format!("GET /machine/ HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, status);
        connection
    };
    let mut idle = ask("", 200);
    let mut tunnel = ask("Connection: Upgrade\r\nUpgrade: websocket\r\n", 101);
    tunnel.send(b"hello");
    assert_eq!(tunnel.read_exactly(5).as_deref(), Some(&b"hello"[..]));
    let (directory, at) = (stores(gate.folder.path()).directory, gate.clock.now());
    let until = at.checked_add(jiff::SignedDuration::from_hours(24)).ok();
    now(directory.revoke(&identity("ito"), RevocationCause::Reissued, SUZUKI.0, until, at)).unwrap();
    assert!(idle.is_closed());
    assert_eq!(tunnel.read_to_end(), b"");
    assert_eq!(client.get(CERT, "/machine/").status, 403);
    second.drain();
}
