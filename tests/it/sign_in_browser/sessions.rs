//! How a session ends, and what a browser remembers beyond it.

use super::{SIGN_OUT, assert_banking, sign_in, stage, submit};
use crate::support::demo::WWW;

#[test]
fn after_signing_out_the_way_back_shows_nothing() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    sign_in(&window, &demo, "/sekisho/home", "ito");
    window.follow("a[href='/banking']");
    assert_banking(&window, "ito", "pin");
    window.back();
    assert_eq!(window.path(), "/sekisho/home");
    window.follow(SIGN_OUT);
    assert_eq!(window.path(), "/sekisho/ended?why=signed_out");
    assert_eq!(window.text_of("h1"), "ログアウトしました");
    assert!(!window.cookies().iter().any(|(name, _)| name == "__Host-sekisho-session"));
    // Home was there before, and browsers keep pages whole for the way back: this one asks anew.
    window.back();
    window.until("location.pathname === '/sekisho/sign-in' && document.readyState === 'complete'");
    assert!(!window.has(".facts") && !window.html().contains("ito"), "{}", window.html());
    // Nor is what was typed still there.
    assert_eq!(["#contract", "#user", "#pin"].map(|field| window.value_of(field)), ["", "", ""]);
    // An application isn't shown either, and a click on it leads to signing in.
    window.open_url(&demo.url(WWW, "/banking/"));
    assert_eq!(window.path(), "/sekisho/sign-in?to=%2Fbanking%2F");
    submit(&window, "ito", &demo.pin("ito"));
    assert_banking(&window, "ito", "pin");
}

#[test]
fn a_sign_in_elsewhere_ends_the_first_and_its_window_is_told() {
    let (demo, chrome) = stage();
    let (first, second) = (chrome.window("ja"), chrome.window("ja"));
    sign_in(&first, &demo, "/sekisho/home", "ito");
    sign_in(&second, &demo, "/sekisho/home", "ito");
    first.follow("a[href='/sekisho/pin']");
    assert_eq!(first.path(), "/sekisho/ended?why=replaced");
    assert_eq!(first.text_of("h1"), "別の画面でログインされました");
    assert!(first.text().contains("お心当たりがない場合は、すぐに銀行の窓口へご連絡ください。"));
    second.follow("a[href='/banking']");
    assert_banking(&second, "ito", "pin");
    // The same in an application.
    sign_in(&first, &demo, "/banking/", "ito");
    // The gate keeps for a moment what it found of a session.
    crate::support::eventually("the second window is told", || {
        second.open_url(&demo.url(WWW, "/banking/"));
        second.text_of("h1") == "別の画面でログインされました"
    });
}

#[test]
fn language_and_size_of_the_text_are_remembered() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in?to=/banking/"));
    let size = || window.evaluate("getComputedStyle(document.body).fontSize");
    let standard = size();
    for (choice, label) in [("small", "小"), ("large", "大"), ("standard", "標準")] {
        window.follow(&format!(".preferences [value={choice}]"));
        assert_eq!(window.text_of(".preferences [aria-current]"), label);
        assert_eq!(size() == standard, choice == "standard", "{choice}: {}", size());
        assert_eq!(window.path(), "/sekisho/sign-in?to=/banking/");
    }
    window.follow(".preferences [value=large]");
    let large = size();
    window.follow(".preferences [value=en]");
    assert_eq!((window.title().as_str(), size()), ("User sign-in | Mihon Bank", large.clone()));
    // Not only on this page, and the person's own language in the directory doesn't overrule what they chose.
    submit(&window, "ito", &demo.pin("ito"));
    window.open_url(&demo.url(WWW, "/"));
    assert_eq!((window.title().as_str(), size()), ("Home | Mihon Bank", large));
    window.follow(".preferences [value=ja]");
    assert_eq!(window.title(), "ホーム | みほん銀行");
    // Somebody who chose nothing gets what their browser prefers.
    let other = chrome.window("en-GB");
    other.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    assert_eq!(other.title(), "User sign-in | Mihon Bank");
}

#[test]
fn without_scripts_signing_in_works_and_the_software_keyboard_is_not_offered() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    assert!(window.shows(".keyboard-opener"), "with scripts it is");
    window.without_scripts();
    window.open_url(&demo.url(WWW, "/banking/"));
    assert!(window.has(".keyboard-opener") && !window.shows(".keyboard-opener"));
    submit(&window, "ito", "wrong1");
    assert!(window.shows("#error"));
    submit(&window, "ito", &demo.pin("ito"));
    assert_banking(&window, "ito", "pin");
}
