//! A tour of all pages in all states that a person can bring them into.

use crate::sign_in_browser::{
    CERTIFICATE, PIN_SUBMIT, change_pin, sign_in, stage_with, stage_with_both, submit,
};
use crate::support::chrome::{Chrome, Window};
use crate::support::demo::{CERT, Demo, WWW};

const NEW: &str = "Kaede2026";

/// Shows every page, with a name for each.
pub fn visit(language: &str, mut show: impl FnMut(&Window<'_>, &str)) {
    let (demo, chrome) = stage_with("user");
    let window = chrome.window(language);
    messages(&demo, &window, &mut show);
    signing_in(&demo, &window, &mut show);
    by_certificate(&demo, &chrome, language, &mut show);
    temporary_pin(&demo, &chrome.window(language), &mut show);
    by_both(language, &mut show);
    let without = Chrome::trusting(&demo.file("ca.pem"));
    let window = without.window(language);
    window.open_url(&demo.url(CERT, "/banking/"));
    show(&window, "refused-absent");
}

/// Pages that stand by themselves.
fn messages(demo: &Demo, window: &Window<'_>, show: &mut impl FnMut(&Window<'_>, &str)) {
    for why in ["closed", "signed_out", "idle", "too_old", "replaced", "withdrawn"] {
        window.open_url(&demo.url(WWW, &format!("/sekisho/ended?why={why}")));
        show(window, &format!("ended-{why}"));
    }
    for page in ["suspended", "unavailable", "nowhere"] {
        window.open_url(&demo.url(WWW, &format!("/sekisho/{page}")));
        show(window, page);
    }
    window.open_url(&demo.url(WWW, "/nowhere"));
    show(window, "refused-no-route");
}

/// From the sign-in page to a changed PIN.
fn signing_in(demo: &Demo, window: &Window<'_>, show: &mut impl FnMut(&Window<'_>, &str)) {
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.evaluate("document.querySelectorAll('details').forEach((notice) => { notice.open = true; })");
    show(window, "sign-in");
    window.click("[data-keyboard=pin]");
    show(window, "sign-in-keyboard");
    submit(window, "ito", "wrong1");
    show(window, "sign-in-refused");
    window.evaluate("document.querySelectorAll('[name=token]').forEach((field) => { field.value = 'x'; })");
    submit(window, "ito", "wrong1");
    show(window, "foreign-form");
    sign_in(window, demo, "/sekisho/home", "ito");
    choose(window);
    show(window, "home");
    window.open_url(&demo.url(WWW, "/sekisho/pin"));
    show(window, "pin");
    change_pin(window, "wrong1", NEW, NEW);
    show(window, "pin-refused");
    change_pin(window, &demo.pin("ito"), NEW, NEW);
    show(window, "home-pin-changed");
}

/// Somebody who has chosen no language gets the one of the directory once they are in: chooses it again.
fn choose(window: &Window<'_>) {
    let other = format!(".preferences [value={}]", window.language());
    if window.has(&other) {
        window.follow(&other);
    }
}

/// What needs a certificate.
fn by_certificate(demo: &Demo, chrome: &Chrome, language: &str, show: &mut impl FnMut(&Window<'_>, &str)) {
    let window = chrome.window(language);
    window.open_url(&demo.url(CERT, "/admin-app/"));
    show(&window, "refused-not-allowed");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow(CERTIFICATE);
    choose(&window);
    show(&window, "home-certificate");
}

/// What somebody sees whose PIN is new.
fn temporary_pin(demo: &Demo, window: &Window<'_>, show: &mut impl FnMut(&Window<'_>, &str)) {
    let pin = demo.temporary_pin("watanabe");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    submit(window, "watanabe", &pin);
    choose(window);
    show(window, "pin-temporary");
}

/// Where the bank wants certificate and PIN.
fn by_both(language: &str, show: &mut impl FnMut(&Window<'_>, &str)) {
    let (demo, chrome) = stage_with_both();
    let window = chrome.window(language);
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.follow(CERTIFICATE);
    show(&window, "certificate-pin");
    window.fill("#pin", "wrong1");
    window.follow(PIN_SUBMIT);
    show(&window, "certificate-pin-refused");
}
