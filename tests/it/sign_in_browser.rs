//! Signing in and out as a person does it: Debian's Chromium before `sekisho demo`.

mod keyboard;
mod sessions;

use crate::support::chrome::{Chrome, Home, Window};
use crate::support::demo::{CERT, CONTRACT, Demo, WWW};

/// The button that signs in.
const SUBMIT: &str = "form[action='/sekisho/sign-in'] button[type=submit]";
/// The button below the PIN that is asked for after the certificate.
pub const PIN_SUBMIT: &str = "form[action^='/sekisho/certificate'] button[type=submit]";
/// The button that leads to sign-in by certificate.
pub const CERTIFICATE: &str = "a[href^='/sekisho/certificate']";
const SIGN_OUT: &str = "form[action='/sekisho/sign-out'] button";
/// What is said whatever was wrong.
const REFUSED: &str = "契約法人ID、利用者ID、利用者暗証番号のいずれかが正しくないか、ID・暗証番号方式ではログインできない利用者です。\
    電子証明書を取得済みの場合は、電子証明書方式でログインしてください。";

/// A demo and a browser without a certificate.
fn stage() -> (Demo, Chrome) {
    let demo = Demo::start();
    let chrome = Chrome::trusting(&demo.file("ca.pem"));
    (demo, chrome)
}

/// A demo and a browser with the certificate of one of its people.
pub fn stage_with(certificate: &str) -> (Demo, Chrome) {
    let demo = Demo::start();
    let p12 = demo.file(&format!("clients/{certificate}.p12"));
    let chrome = Chrome::start(Home::trusting(&demo.file("ca.pem")).holding(&p12, "demo"));
    (demo, chrome)
}

/// The same where the bank wants the PIN too.
pub fn stage_with_both() -> (Demo, Chrome) {
    let from = "\n  certificate: certificate ";
    let demo = Demo::serving(|yaml| {
        assert!(yaml.contains(from), "{yaml}");
        yaml.replace(from, "\n  certificate: certificate_and_pin ")
    });
    let p12 = demo.file("clients/user.p12");
    let chrome = Chrome::start(Home::trusting(&demo.file("ca.pem")).holding(&p12, "demo"));
    (demo, chrome)
}

/// Types PINs on the page for changing one's PIN, and clicks on the button.
#[track_caller]
pub fn change_pin(window: &Window<'_>, present: &str, new: &str, again: &str) {
    for (field, text) in [("#present", present), ("#new", new), ("#again", again)] {
        window.fill(field, text);
    }
    window.follow("form[action='/sekisho/pin'] button[type=submit]");
}

/// Types IDs and PIN on the sign-in page, and clicks on the button.
#[track_caller]
pub fn submit(window: &Window<'_>, user: &str, pin: &str) {
    window.fill("#contract", CONTRACT);
    window.fill("#user", user);
    window.fill("#pin", pin);
    window.follow(SUBMIT);
}

/// Signs in by ID and PIN, from the address of a page of the open host.
#[track_caller]
pub fn sign_in(window: &Window<'_>, demo: &Demo, path: &str, user: &str) {
    window.open_url(&demo.url(WWW, path));
    submit(window, user, &demo.pin(user));
}

/// Asserts that the sample application is open, and who it says is there.
#[track_caller]
fn assert_banking(window: &Window<'_>, user: &str, method: &str) {
    let facts = ["contract", "user", "auth-method"].map(|id| window.text_of(&format!("td#{id}")));
    assert_eq!(facts, [CONTRACT, user, method], "{}", window.url());
}

/// A line of the facts on the home page.
#[track_caller]
fn fact(window: &Window<'_>, name: &str) -> String {
    let text = window.text_of(".facts");
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.find(|line| *line == name).unwrap_or_else(|| panic!("no {name} in {text}"));
    lines.next().unwrap().to_owned()
}

#[test]
fn a_person_lands_where_they_wanted_to_go() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/banking/?account=1"));
    assert_eq!(window.url(), demo.url(WWW, "/sekisho/sign-in?to=%2Fbanking%2F%3Faccount%3D1"));
    assert_eq!(window.title(), "利用者ログイン | みほん銀行");
    submit(&window, "ito", &demo.pin("ito"));
    assert_eq!(window.url(), demo.url(WWW, "/banking/?account=1"));
    assert_banking(&window, "ito", "pin");
    // Who wanted nothing in particular goes home.
    let other = chrome.window("ja");
    sign_in(&other, &demo, "/", "ito");
    assert_eq!(other.url(), demo.url(WWW, "/sekisho/home"));
    assert_eq!((fact(&other, "契約法人ID"), fact(&other, "利用者ID")), (CONTRACT.into(), "ito".into()));
    assert_eq!(fact(&other, "ログイン方式"), "ID・暗証番号方式");
    assert_ne!(fact(&other, "前回のログイン"), "ありません");
}

#[test]
fn a_wrong_pin_is_refused_on_the_same_page_and_nothing_says_what_was_wrong() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/banking/"));
    // A wrong PIN; the right PIN of somebody who must use their certificate; somebody who doesn't exist.
    let tanaka = demo.pin("tanaka");
    let pages = [("ito", "wrong1"), ("tanaka", tanaka.as_str()), ("nobody", "wrong1")].map(|(user, pin)| {
        submit(&window, user, pin);
        assert_eq!(window.path(), "/sekisho/sign-in", "{user}");
        assert_eq!(window.title(), "エラー：利用者ログイン | みほん銀行", "{user}");
        assert!(window.text_of("#error").contains(REFUSED), "{}", window.text());
        assert_eq!(window.value_of("#contract"), CONTRACT);
        assert_eq!(window.value_of("#user"), user);
        assert_eq!(window.value_of("#pin"), "");
        assert!(!window.html().contains(pin), "{user}'s PIN is on the page");
        assert!(!window.cookies().iter().any(|(name, _)| name.contains("session")), "{user} has a session");
        let token = window.value_of("[name=token]");
        (window.status(), window.html().replace(&token, "").replace(user, ""))
    });
    assert_eq!(pages[0].0, 200);
    assert!(pages.iter().all(|page| *page == pages[0]), "the pages differ: {pages:#?}");
    // And the way to where they wanted to go isn't lost.
    submit(&window, "ito", &demo.pin("ito"));
    assert_eq!(window.path(), "/banking/");
}

#[test]
fn six_wrong_pins_suspend_and_the_right_one_fails_after_them() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    let mut ends = Vec::new();
    for _ in 0..6 {
        if !window.has("#pin") {
            window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
        }
        submit(&window, "watanabe", "wrong1");
        ends.push(window.text_of("h1"));
    }
    assert_eq!(ends[..5], ["利用者ログイン"; 5]);
    assert_eq!(ends[5], "利用を中止しています");
    assert!(window.text().contains("貴社の管理者にご連絡ください"), "{}", window.text());
    sign_in(&window, &demo, "/banking/", "watanabe");
    assert_eq!((window.status(), window.text_of("h1").as_str()), (403, "利用を中止しています"));
    // Nobody else is.
    sign_in(&window, &demo, "/banking/", "ito");
    assert_banking(&window, "ito", "pin");
}

#[test]
fn a_changed_pin_signs_in_and_the_old_one_does_not() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    sign_in(&window, &demo, "/sekisho/home", "ito");
    window.follow("a[href='/sekisho/pin']");
    let change = |present: &str, new: &str, again: &str| change_pin(&window, present, new, again);
    let old = demo.pin("ito");
    for (present, new, again, message) in [
        ("wrong1", "Kaede2026", "Kaede2026", "現在の利用者暗証番号が正しくありません。"),
        (&old, "Kaede2026", "Kaede2027", "新しい利用者暗証番号と確認用の入力が一致しません。"),
        (&old, "7777", "7777", "同じ文字だけの番号は使えません。"),
        (&old, &old, &old, "現在と同じ番号は使えません。"),
    ] {
        change(present, new, again);
        assert!(window.text_of("#error").contains(message), "{}", window.text());
        assert_eq!(["#present", "#new", "#again"].map(|id| window.value_of(id)), ["", "", ""]);
    }
    let before = window.cookies();
    change(&old, "Kaede2026", "Kaede2026");
    assert_eq!(window.text_of("[role=status]"), "利用者暗証番号を変更しました。");
    let session = |cookies: &[(String, String)]| {
        cookies.iter().find(|(name, _)| name == "__Host-sekisho-session").unwrap().1.clone()
    };
    assert_ne!(session(&before), session(&window.cookies()), "the session has a new token");
    let other = chrome.window("ja");
    other.open_url(&demo.url(WWW, "/banking/"));
    submit(&other, "ito", &old);
    assert!(other.text_of("#error").contains(REFUSED), "{}", other.text());
    submit(&other, "ito", "Kaede2026");
    assert_banking(&other, "ito", "pin");
}

#[test]
fn a_certificate_signs_in_by_the_button_and_comes_back() {
    let (demo, chrome) = stage_with("user");
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/banking/"));
    window.follow(CERTIFICATE);
    assert_eq!(window.url(), demo.url(WWW, "/banking/"));
    assert_banking(&window, "tanaka", "certificate");
    window.open_url(&demo.url(WWW, "/"));
    assert_eq!(window.url(), demo.url(WWW, "/sekisho/home"));
    assert_eq!(fact(&window, "ログイン方式"), "電子証明書方式");
    assert!(!window.text().contains("管理者メニュー"), "a user sees no administration");
    window.open_url(&demo.url(CERT, "/admin-app/"));
    assert_eq!(window.status(), 403);
}

#[test]
fn where_the_bank_wants_both_the_pin_is_asked_for_after_the_handshake() {
    let (demo, chrome) = stage_with_both();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in?to=/sekisho/pin"));
    window.follow(CERTIFICATE);
    assert_eq!(window.text_of("h1"), "利用者暗証番号の入力");
    assert_eq!(fact(&window, "利用者ID"), "tanaka");
    for (pin, title) in
        [("wrong1", "エラー：利用者暗証番号の入力"), (&demo.pin("tanaka"), "利用者暗証番号の変更")]
    {
        window.fill("#pin", pin);
        window.follow(PIN_SUBMIT);
        assert_eq!(window.title(), format!("{title} | みほん銀行"), "{}", window.url());
    }
    assert_eq!(window.url(), demo.url(WWW, "/sekisho/pin"));
    window.open_url(&demo.url(WWW, "/"));
    assert_eq!(fact(&window, "ログイン方式"), "電子証明書と暗証番号");
}

#[test]
fn a_temporary_pin_opens_nothing_but_its_change() {
    let (demo, chrome) = stage();
    let temporary = demo.temporary_pin("watanabe");
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/banking/"));
    submit(&window, "watanabe", &temporary);
    assert_eq!(window.path(), "/sekisho/pin?to=/banking/");
    assert!(window.text().contains("現在の暗証番号は仮のものです。"), "{}", window.text());
    for path in ["/banking/", "/sekisho/home"] {
        window.open_url(&demo.url(WWW, path));
        assert_eq!(window.text_of("h1"), "利用者暗証番号の変更", "{path}");
    }
    window.open_url(&demo.url(WWW, "/sekisho/pin?to=/banking/"));
    change_pin(&window, &temporary, "Kaede2026", "Kaede2026");
    assert_eq!(window.path(), "/banking/");
    assert_banking(&window, "watanabe", "pin");
}

#[test]
fn an_administrator_opens_the_administration_application_from_home() {
    let (demo, chrome) = stage_with("administrator");
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow(CERTIFICATE);
    assert_eq!((window.path().as_str(), fact(&window, "権限").as_str()), ("/sekisho/home", "管理者"));
    assert_eq!(fact(&window, "利用者ID"), "suzuki");
    window.follow("a[href$='/admin-app']");
    assert_eq!(window.url(), demo.url(CERT, "/admin-app/"));
    assert_banking(&window, "suzuki", "certificate");
}

#[test]
fn a_browser_without_a_certificate_is_told_so_at_the_button() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow(CERTIFICATE);
    assert_eq!((window.status(), window.text_of("h1").as_str()), (403, "電子証明書が提示されていません"));
    assert!(window.url().starts_with(&demo.url(CERT, "/sekisho/certificate?")), "{}", window.url());
}
