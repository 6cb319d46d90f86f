//! Getting a certificate as a person does it: Debian's Chromium before `sekisho demo`, without and with the helper; and
//! the administrator's pages.

use std::path::Path;

use serde_json::json;

use crate::accessibility::violations;
use crate::support::chrome::{Chrome, Home, Look, Window};
use crate::support::demo::{CERT, CONTRACT, Demo, WWW};
use crate::support::eventually;
use crate::support::process::outcome;
use crate::support::tools;

const PICTURES: &str = "screenshots/acquisition";

/// From the sign-in page to the two ways to a certificate.
fn begin(window: &Window<'_>, demo: &Demo, user: &str) {
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow("a[href='/sekisho/acquisition']");
    window.fill("#contract", CONTRACT);
    window.fill("#user", user);
    window.fill("#pin", &demo.pin(user));
    picture(window, "1-sign-in");
    window.follow("form[action='/sekisho/acquisition'] button[type=submit]");
    assert_eq!(window.path(), "/sekisho/acquisition/certificate");
}

/// The page as it is, narrow as well: nothing sticks out, and somebody can look at it.
fn picture(window: &Window<'_>, name: &str) {
    for width in [1280, 320] {
        window.look(Look { width, ..Look::WIDE });
        assert_eq!(window.beyond_the_edge(), Vec::<String>::new(), "{name} at {width}");
        let axe = tools::read("axe-core/axe.min.js");
        assert_eq!(violations(window, &axe), Vec::<String>::new(), "{name} at {width}");
        window.picture(PICTURES, &format!("{name}-{}-{width}", window.language()));
    }
    window.look(Look::WIDE);
}

/// Clicks on what downloads a file, and waits for it.
fn download(window: &Window<'_>, selector: &str, folder: &Path) -> Vec<u8> {
    let path = folder.to_str().unwrap();
    window.ask("Page.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": path }));
    window.click(selector);
    let file = folder.join("certificate.p12");
    eventually("the download", || file.exists());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    bytes
}

fn by_certificate(window: &Window<'_>, demo: &Demo) {
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow("a[href^='/sekisho/certificate']");
    assert_eq!(window.path(), "/sekisho/home", "{}", window.text());
}

#[test]
fn without_the_helper_the_file_is_imported_and_signs_in() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().unwrap();
    let (file, password) = {
        let chrome = Chrome::trusting(&demo.file("ca.pem"));
        let window = chrome.window("ja");
        begin(&window, &demo, "ito");
        picture(&window, "2-ways");
        window.follow("a[href='/sekisho/acquisition/file']");
        picture(&window, "3-file");
        let file = download(&window, "form[data-once] button", folder.path());
        window.follow("a[href='/sekisho/acquisition/done']");
        let password = window.text_of("code.secret");
        let shown = window.text();
        for text in ["Mihon Bank, Ltd.", "Mihon Bank CA-G2", "10000000000001 ito", "日本時間"] {
            assert!(shown.contains(text), "{text} in {shown}");
        }
        picture(&window, "4-done");
        // Back, forward and again: it is still there, and still the same.
        window.open_url(&demo.url(WWW, "/sekisho/acquisition"));
        window.open_url(&demo.url(WWW, "/sekisho/acquisition/done"));
        assert_eq!(window.text_of("code.secret"), password);
        (file, password)
    };
    // Every window is closed; the file is imported.
    let path = folder.path().join("imported.p12");
    std::fs::write(&path, file).unwrap();
    let home = Home::trusting(&demo.file("ca.pem")).holding(path.to_str().unwrap(), &password);
    let chrome = Chrome::start(home);
    let window = chrome.window("ja");
    by_certificate(&window, &demo);
    assert!(window.text().contains("電子証明書方式"));
    picture(&window, "5-home");
    // From now on the PIN alone is worth nothing.
    let other = Chrome::trusting(&demo.file("ca.pem"));
    let thief = other.window("en");
    thief.open_url(&demo.url(WWW, "/sekisho/acquisition"));
    thief.fill("#contract", CONTRACT);
    thief.fill("#user", "ito");
    thief.fill("#pin", &demo.pin("ito"));
    thief.follow("form[action='/sekisho/acquisition'] button[type=submit]");
    assert!(thief.text().contains("You could not go on"), "{}", thief.text());
    picture(&thief, "6-refused");
}

#[test]
fn with_the_helper_the_page_goes_on_by_itself_and_the_certificate_signs_in_at_once() {
    let demo = Demo::start();
    let chrome = Chrome::trusting(&demo.file("ca.pem"));
    let window = chrome.window("en");
    begin(&window, &demo, "ito");
    // The program that the page offers is the one that lies there, byte by byte.
    let shown = window.text();
    let program = std::fs::read(env!("CARGO_BIN_EXE_sekisho-client")).unwrap();
    let sum: String = {
        use sha2::{Digest, Sha256};
        Sha256::digest(&program).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert!(shown.contains(&sum), "{sum} in {shown}");
    picture(&window, "2-ways");
    window.follow("form[action='/sekisho/acquisition/code'] button");
    let code = window.text_of("code.secret");
    picture(&window, "3-code");
    let said = outcome(
        std::process::Command::new(env!("CARGO_BIN_EXE_sekisho-client"))
            .args([&format!("https://{WWW}:{}", demo.listen.port()), &code, "--ca", &demo.file("ca.pem")])
            .arg("--nss")
            .arg(chrome.home().path(".pki/nssdb"))
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", crate::helper::proxy(demo.listen))),
    );
    said.good();
    window.until("location.pathname === '/sekisho/acquisition/done'");
    assert!(window.text().contains("10000000000001 ito"));
    assert!(!window.has("code.secret"));
    picture(&window, "4-done");
    by_certificate(&window, &demo);
}

#[test]
fn a_helper_that_does_not_start_is_told_of_after_fifteen_seconds() {
    let demo = Demo::start();
    let chrome = Chrome::trusting(&demo.file("ca.pem"));
    let window = chrome.window("ja");
    begin(&window, &demo, "ito");
    // The page's own clock is put forward: nobody waits here.
    let ahead = "const real = Date.now; let calls = 0; Date.now = () => real() + 16000 * calls++;";
    window.ask("Page.addScriptToEvaluateOnNewDocument", json!({ "source": ahead }));
    window.follow("form[action='/sekisho/acquisition/code'] button");
    window.until("!document.getElementById('late').hidden");
    assert!(window.shows("#late a[href='/sekisho/acquisition/file']"));
    picture(&window, "3-late");
}

#[test]
fn an_administrator_reissues_while_the_users_page_is_open() {
    let demo = Demo::start();
    let of = |name: &str| {
        let p12 = demo.file(&format!("clients/{name}.p12"));
        Chrome::start(Home::trusting(&demo.file("ca.pem")).holding(&p12, "demo"))
    };
    let (user, administrator) = (of("user"), of("administrator"));
    let page = user.window("ja");
    page.open_url(&demo.url(CERT, "/banking/"));
    assert_eq!(page.status(), 200);
    let window = administrator.window("ja");
    by_certificate(&window, &demo);
    window.follow("a[href$='/sekisho/administration']");
    picture(&window, "7-users");
    window.follow("a[href$='user?id=tanaka']");
    picture(&window, "8-user");
    window.follow("a[href*='action=reissue']");
    window.fill("#pin", "wrong1");
    window.follow("form[action='/sekisho/administration/change'] button[type=submit]");
    assert!(window.text().contains("正しくありません"));
    picture(&window, "9-wrong-pin");
    window.fill("#pin", &demo.pin("suzuki"));
    window.follow("form[action='/sekisho/administration/change'] button[type=submit]");
    assert!(window.text().contains("新しい取得を許可しました"), "{}", window.text());
    picture(&window, "10-reissued");
    // The next click.
    page.open_url(&demo.url(CERT, "/banking/"));
    assert_eq!(page.status(), 403);
    assert!(page.text().contains("失効"), "{}", page.text());
    window.open_url(&demo.url(CERT, "/sekisho/administration/confirm?action=add"));
    picture(&window, "11-add");
}
