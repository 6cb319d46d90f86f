//! The gate's own pages in a person's browser: Debian's Chromium, with its certificates in an NSS database.
//!
//! Its policy chooses the certificate in the person's place; [`Home`] says how each browser has one of its own.

use std::fs;

use sekisho::clock::Clock;

use crate::support::backend::Backend;
use crate::support::chrome::{Chrome, Home, Look, Window};
use crate::support::demo::{CERT, CONTRACT, Demo};
use crate::support::eventually;
use crate::support::gate::{self, Gate, Settings};
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::process::run;

/// The document at an address as the person sees it, as HTML.
fn open(browser: &Chrome, language: &str, url: &str) -> String {
    let window = browser.window(language);
    window.open_url(url);
    window.html()
}

/// Pictures of the page, for `docs/images`.
fn pictures(window: &Window<'_>, name: &str) {
    for (name, look) in [(name, Look { width: 800, ..Look::WIDE }), (&format!("{name}-narrow"), Look::NARROW)]
    {
        window.look(look);
        let bytes = fs::read(window.picture("tmp/images", name)).unwrap();
        let width = look.width * look.scale;
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes[16..20] == width.to_be_bytes(),
            "a picture of that width"
        );
    }
}

fn browser_with(demo: &Demo, certificate: &str) -> Chrome {
    let p12 = demo.file(&format!("clients/{certificate}.p12"));
    Chrome::start(Home::trusting(&demo.file("ca.pem")).holding(&p12, "demo"))
}

#[test]
fn the_application_knows_whose_certificate_the_browser_holds() {
    let demo = Demo::start();
    let browser = browser_with(&demo, "user");
    let url = demo.url(CERT, "/banking/");
    let window = browser.window("ja");
    window.open_url(&url);
    let page = window.html();
    assert!(page.contains(&format!(r#"<td id="contract">{CONTRACT}</td>"#)), "{page}");
    assert!(page.contains(r#"<td id="user">tanaka</td>"#), "{page}");
    assert!(page.contains(r#"<td id="auth-method">certificate</td>"#), "{page}");
    pictures(&window, "banking");
}

#[test]
fn a_pages_websocket_is_a_stream_of_the_browsers_one_connection() {
    let demo = Demo::start();
    let browser = browser_with(&demo, "user");
    let window = browser.window("ja");
    // A page without a policy of its own.
    window.open_url(&demo.url(CERT, "/banking/headers"));
    window.evaluate(
        "socket = new WebSocket(`wss://${location.host}/banking/ws`); said = [];
         socket.onopen = () => socket.send('こんにちは');
         socket.onmessage = ({ data }) => { said.push(data); socket.close(1000); };
         socket.onclose = ({ code }) => said.push(code);",
    );
    window.until("said.length === 2");
    assert_eq!(window.evaluate("said.join()"), "こんにちは,1000");
    let mut lines = Vec::new();
    eventually("the WebSocket's line in the log", || {
        let log = demo.read("access.log");
        lines = log.lines().filter(|line| line.contains("/banking/ws")).map(str::to_owned).collect();
        !lines.is_empty()
    });
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["protocol"], &line["status"], lines.len()), (&"2".into(), &101.into(), 1));
    assert_eq!(line["user"], "tanaka");
}

#[test]
fn a_browser_without_a_certificate_is_told_so() {
    let demo = Demo::start();
    let browser = Chrome::trusting(&demo.file("ca.pem"));
    let url = demo.url(CERT, "/banking/");
    let window = browser.window("ja,en");
    window.open_url(&url);
    let page = window.html();
    assert!(page.contains("<h1>電子証明書が提示されていません</h1>"), "{page}");
    assert!(page.contains(r#"<html lang="ja""#) && page.contains("<code>absent</code>"), "{page}");
    let page = open(&browser, "en-GB", &url);
    assert!(page.contains("<h1>No certificate was presented</h1>"), "{page}");
    pictures(&window, "absent");
}

#[test]
fn chromium_keeps_an_expired_certificate_to_itself_and_the_page_says_that_this_happens() {
    let demo = Demo::start();
    let browser = browser_with(&demo, "expired");
    let page = open(&browser, "ja", &demo.url(CERT, "/banking/"));
    assert!(page.contains("<code>absent</code>"), "{page}");
    assert!(page.contains("有効期限が切れた電子証明書は、選択画面に表示されないことがあります。"), "{page}");
    let page = open(&browser, "en", &demo.url(CERT, "/banking/"));
    assert!(page.contains("Browsers may not offer a certificate that has expired"), "{page}");
}

#[test]
fn a_revoked_certificate_gets_its_page() {
    let demo = Demo::start();
    let browser = browser_with(&demo, "revoked");
    let page = open(&browser, "ja", &demo.url(CERT, "/banking/"));
    assert!(page.contains("<h1>電子証明書は失効しています</h1>"), "{page}");
}

#[test]
fn an_expired_certificate_gets_its_page() {
    // The browser offers it only while its own clock calls it good: here the gate's clock is a year ahead.
    let clock = Clock::System;
    let later = clock.now().checked_add(jiff::SignedDuration::from_hours(24 * 360)).unwrap();
    let ca = Ca::new("Mihon Bank CA-G1");
    let backend = Backend::start();
    let settings = Settings { clock: Clock::manual(later), yaml: "", ..Settings::default() };
    let gate = Gate::with(&backend, ca, settings);
    let tanaka = gate.ca.client(COMMON_NAME);
    let file = |name: &str| gate.folder.path().join(name).display().to_string();
    fs::write(file("tanaka.pem"), &tanaka.pem).unwrap();
    fs::write(file("tanaka.key"), &tanaka.key_pem).unwrap();
    let (pem, key, p12) = (file("tanaka.pem"), file("tanaka.key"), file("tanaka.p12"));
    run("openssl", &["pkcs12", "-export", "-in", &pem, "-inkey", &key, "-out", &p12, "-passout", "pass:p12"])
        .good();
    let browser = Chrome::start(Home::trusting(&file("ca.pem")).holding(&p12, "p12"));
    let url = format!("https://{}:{}/banking/", gate::CERT, gate.address.port());
    let window = browser.window("ja");
    window.open_url(&url);
    let page = window.html();
    assert!(page.contains("<h1>電子証明書の有効期限が切れています</h1>"), "{page}");
    let page = open(&browser, "en", &url);
    assert!(page.contains("<h1>Your certificate has expired</h1>"), "{page}");
    pictures(&window, "expired");
    assert_eq!(backend.connections(), 0, "no byte reaches a backend");
}
