//! A person's browser: Debian's Chromium, headless, with its certificates in an NSS database.
//!
//! Each browser has a home, a profile and a policy of its own: `unshare` gives it a view of the machine in which
//! `/etc/chromium` is the test's folder. Its policy chooses the certificate in the person's place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sekisho::clock::Clock;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::demo::{CERT, CONTRACT, Demo};
use crate::support::gate::{self, Gate, Settings};
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::process::{outcome, run};

/// A browser that trusts one CA.
struct Browser {
    home: TempDir,
}

impl Browser {
    fn trusting(ca: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let browser = Self { home };
        fs::create_dir_all(browser.home.path().join(".pki/nssdb")).unwrap();
        browser.certutil(&["-N", "--empty-password"]);
        browser.certutil(&["-A", "-n", "ca", "-t", "C,,", "-i", ca]);
        let policies = browser.home.path().join("etc/policies/managed");
        fs::create_dir_all(&policies).unwrap();
        let pattern = r#"{"pattern":"*","filter":{}}"#;
        let policy = serde_json::json!({ "AutoSelectCertificateForUrls": [pattern] });
        fs::write(policies.join("test.json"), policy.to_string()).unwrap();
        browser
    }

    fn database(&self) -> String {
        format!("sql:{}", self.home.path().join(".pki/nssdb").display())
    }

    fn certutil(&self, words: &[&str]) {
        run("certutil", &[&["-d", &self.database()], words].concat()).good();
    }

    /// Gives it a certificate with its key.
    fn holding(self, p12: &str, password: &str) -> Self {
        run("pk12util", &["-d", &self.database(), "-i", p12, "-W", password]).good();
        self
    }

    fn command(&self, language: &str, words: &[&str]) -> Command {
        let path = |name: &str| self.home.path().join(name).display().to_string();
        let namespace: &[&str] =
            if rustix::process::getuid().is_root() { &["--mount"] } else { &["--mount", "--map-root-user"] };
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "60", "unshare"])
            .args(namespace)
            .args(["sh", "-c", r#"mount --bind "$0" /etc/chromium && exec chromium "$@""#, &path("etc")])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server"])
            .arg("--host-resolver-rules=MAP * 127.0.0.1")
            .arg(format!("--user-data-dir={}", path("profile")))
            .arg(format!("--accept-lang={language}"))
            .args(words)
            .env("HOME", self.home.path());
        command
    }

    /// The document as the person sees it, as HTML.
    fn open(&self, language: &str, url: &str) -> String {
        outcome(&mut self.command(language, &["--dump-dom", url])).good()
    }

    /// A picture of the page, for `docs/images`.
    fn picture(&self, name: &str, width: u32, url: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
        fs::create_dir_all(&folder).unwrap();
        let file: PathBuf = folder.join(format!("{name}.png"));
        let (screenshot, size) =
            (format!("--screenshot={}", file.display()), format!("--window-size={width},640"));
        outcome(&mut self.command("ja", &[&screenshot, &size, url])).good();
        let bytes = fs::read(file).unwrap();
        assert!(
            bytes.starts_with(b"\x89PNG") && bytes[16..20] == width.to_be_bytes(),
            "a picture of that width"
        );
    }
}

#[test]
fn the_application_knows_whose_certificate_the_browser_holds() {
    let demo = Demo::start();
    let browser = Browser::trusting(&demo.file("ca.pem")).holding(&demo.file("clients/user.p12"), "demo");
    let url = demo.url(CERT, "/banking/");
    let page = browser.open("ja", &url);
    assert!(page.contains(&format!(r#"<td id="contract">{CONTRACT}</td>"#)), "{page}");
    assert!(page.contains(r#"<td id="user">tanaka</td>"#), "{page}");
    assert!(page.contains(r#"<td id="auth-method">certificate</td>"#), "{page}");
    browser.picture("banking", 800, &url);
    browser.picture("banking-narrow", 320, &url);
}

#[test]
fn a_browser_without_a_certificate_is_told_so() {
    let demo = Demo::start();
    let browser = Browser::trusting(&demo.file("ca.pem"));
    let url = demo.url(CERT, "/banking/");
    let page = browser.open("ja,en", &url);
    assert!(page.contains("<h1>電子証明書が提示されていません</h1>"), "{page}");
    assert!(page.contains(r#"<html lang="ja">"#) && page.contains("<code>absent</code>"), "{page}");
    let page = browser.open("en-GB", &url);
    assert!(page.contains("<h1>No certificate was presented</h1>"), "{page}");
    browser.picture("absent", 800, &url);
    browser.picture("absent-narrow", 320, &url);
}

#[test]
fn chromium_keeps_an_expired_certificate_to_itself_and_the_page_says_that_this_happens() {
    let demo = Demo::start();
    let browser = Browser::trusting(&demo.file("ca.pem")).holding(&demo.file("clients/expired.p12"), "demo");
    let page = browser.open("ja", &demo.url(CERT, "/banking/"));
    assert!(page.contains("<code>absent</code>"), "{page}");
    assert!(page.contains("有効期限が切れた電子証明書は、選択画面に表示されないことがあります。"), "{page}");
    let page = browser.open("en", &demo.url(CERT, "/banking/"));
    assert!(page.contains("Browsers may not offer a certificate that has expired"), "{page}");
}

#[test]
fn a_revoked_certificate_gets_its_page() {
    let demo = Demo::start();
    let browser = Browser::trusting(&demo.file("ca.pem")).holding(&demo.file("clients/revoked.p12"), "demo");
    let page = browser.open("ja", &demo.url(CERT, "/banking/"));
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
    let browser = Browser::trusting(&file("ca.pem")).holding(&p12, "p12");
    let url = format!("https://{}:{}/banking/", gate::CERT, gate.address.port());
    let page = browser.open("ja", &url);
    assert!(page.contains("<h1>電子証明書の有効期限が切れています</h1>"), "{page}");
    let page = browser.open("en", &url);
    assert!(page.contains("<h1>Your certificate has expired</h1>"), "{page}");
    browser.picture("expired", 800, &url);
    browser.picture("expired-narrow", 320, &url);
    assert_eq!(backend.connections(), 0, "no byte reaches a backend");
}
