//! Signing in by certificate through the portal: over to the certificate host, and back with a session.

use sekisho::clock::Clock;
use sekisho::domain::SuspensionCause;

use crate::support::backend::Backend;
use crate::support::client::Response;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::people::{Browser, CONTRACT, ITO, TANAKA, gate, gate_with, identity, now, stores, yaml};

const SESSION: &str = "__Host-sekisho-session";
const BOTH: &str = "  certificate: certificate_and_pin\n  lockout:";

/// A browser with the certificate of `user`.
fn holder(gate: &Gate, user: &str) -> Browser {
    let credential = gate.ca.client(&format!("{CONTRACT} {user}"));
    Browser::with(gate, gate.client().with(&credential))
}

/// Presses the button on the sign-in page: what the certificate host answers.
fn press(browser: &mut Browser, to: &str) -> Response {
    let sent = browser.open(WWW, &format!("/sekisho/certificate?to={to}"));
    assert_eq!(sent.status, 303, "{}", sent.text());
    let (host, answer) = browser.follow(WWW, &sent);
    assert_eq!(host, CERT);
    answer
}

/// Follows the certificate host's answer back to the portal.
fn come_back(browser: &mut Browser, answer: &Response) -> Response {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let (host, arrived) = browser.follow(CERT, answer);
    assert_eq!(host, WWW);
    arrived
}

#[test]
fn the_button_leads_to_the_certificate_host_and_comes_back_signed_in() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut browser = holder(&gate, "suzuki");
    let answer = press(&mut browser, "/administration");
    let arrived = come_back(&mut browser, &answer);
    assert_eq!((arrived.status, arrived.value("location").as_deref()), (303, Some("/administration")));
    assert_eq!(browser.open(WWW, "/administration").status, 200);
    let received = backend.only();
    let value = |name: &str| received.value(name).unwrap_or_default();
    assert_eq!(
        [value("x-user-id"), value("x-user-role"), value("x-auth-method")],
        ["suzuki", "administrator", "certificate"]
    );
}

#[test]
fn who_has_shown_a_certificate_cannot_sign_in_by_pin_alone() {
    let gate = gate(&Backend::start());
    Browser::new(&gate).sign_in(TANAKA);
    let mut browser = holder(&gate, TANAKA.0);
    let answer = press(&mut browser, "/banking");
    come_back(&mut browser, &answer);
    let mut thief = Browser::new(&gate);
    assert_ne!(thief.try_pin(TANAKA.0, TANAKA.1).status, 303);
    assert_eq!(thief.cookie(WWW, SESSION), None);
}

#[test]
fn who_uses_a_certificate_anywhere_cannot_sign_in_by_pin_alone() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    // Not through the portal: a program on a route of its own.
    let credential = gate.ca.client(&format!("{CONTRACT} ito"));
    assert_eq!(gate.client().with(&credential).get(CERT, "/machine").status, 200);
    crate::support::eventually("the PIN alone is worth nothing", || {
        Browser::new(&gate).try_pin(ITO.0, ITO.1).status != 303
    });
    // Nor is the session that it had opened before.
    crate::support::eventually("the session is over", || browser.open(WWW, "/banking").status == 303);
    // It takes a right away, and is written down.
    let log = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let registered: Vec<_> =
        records.iter().filter(|record| record["kind"] == "credential_registered").collect();
    let [record] = &registered[..] else { panic!("{registered:?}") };
    let serial: String = credential.serial.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        [&record["user"], &record["by"], &record["source"], &record["detail"]],
        ["ito", "gateway", "127.0.0.1", &*serial]
    );
}

#[test]
fn the_code_that_carries_a_session_is_good_once_and_for_the_browser_that_began() {
    let gate = gate(&Backend::start());
    let mut browser = holder(&gate, "ito");
    let answer = press(&mut browser, "/banking");
    let location = answer.value("location").unwrap();
    let (_, target) = browser.resolve(CERT, &location);
    // Somebody who saw the address.
    let mut other = Browser::new(&gate);
    assert_eq!(other.open(WWW, &target).status, 400);
    other.open(WWW, "/sekisho/certificate");
    assert_eq!(other.open(WWW, &target).status, 400);
    assert_eq!(other.cookie(WWW, SESSION), None);
    // The session that was tampered with is no one's.
    assert_eq!(browser.open(WWW, &target).status, 400);
    let answer = press(&mut browser, "/banking");
    let (_, target) = browser.resolve(CERT, &answer.value("location").unwrap());
    let flow = browser.cookie(WWW, "__Host-sekisho-flow").unwrap().to_owned();
    assert_eq!(come_back(&mut browser, &answer).status, 303);
    browser.set_cookie(WWW, "__Host-sekisho-flow", &flow);
    assert_eq!(browser.open(WWW, &target).status, 400, "a second time");
}

#[test]
fn a_bank_may_want_the_pin_after_the_certificate() {
    let backend = Backend::start();
    let gate = gate_with(&backend, &yaml("").replace("  lockout:", BOTH), Clock::default());
    let mut browser = holder(&gate, "ito");
    // The certificate alone is not enough, on either host.
    let sent = browser.open(CERT, "/banking");
    assert_eq!(
        (sent.status, sent.value("location").as_deref()),
        (303, Some("/sekisho/certificate?to=%2Fbanking"))
    );
    let page = press(&mut browser, "/banking");
    assert_eq!(page.status, 200, "{}", page.head);
    let sent = browser.open(WWW, "/sekisho/certificate?to=/banking");
    let (_, target) = browser.resolve(WWW, &sent.value("location").unwrap());
    let page = browser.open(CERT, &target);
    let wrong = browser.post(CERT, &target, &page, &[("pin", "wrong1")]);
    assert_eq!(wrong.status, 200);
    assert_eq!(browser.cookie(CERT, SESSION), None);
    let right = browser.post(CERT, &target, &wrong, &[("pin", ITO.1)]);
    assert_eq!(come_back(&mut browser, &right).status, 303);
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    assert_eq!(backend.only().value("x-auth-method").as_deref(), Some("certificate+pin"));
}

#[test]
fn wrong_pins_behind_the_certificate_are_counted_for_themselves_and_stop_everything() {
    let backend = Backend::start();
    let gate = gate_with(&backend, &yaml("").replace("  lockout:", BOTH), Clock::default());
    // Somebody else used up the tries without the certificate.
    let mut stranger = Browser::new(&gate);
    for _ in 0..7 {
        stranger.try_pin(ITO.0, "wrong1");
    }
    let mut browser = holder(&gate, "ito");
    let mut page = browser.open(CERT, "/sekisho/certificate?to=/banking");
    for nth in 1..=6 {
        assert_eq!(page.status, 200, "{nth}: {}", page.text());
        page = browser.post(CERT, "/sekisho/certificate?to=/banking", &page, &[("pin", "wrong1")]);
    }
    assert_eq!(page.status, 403, "{}", page.text());
    crate::support::eventually("the certificate is stopped", || {
        holder(&gate, "ito").open(CERT, "/machine").status == 403
    });
    let user =
        now(stores(gate.folder.path()).directory.user(&identity("ito"), gate.clock.now())).unwrap().unwrap();
    let causes: Vec<_> = user.suspensions.iter().map(|suspension| suspension.cause.code()).collect();
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert!(causes.contains(&SuspensionCause::WrongPinsWithCertificate.code()), "{causes:?}");
}

#[test]
fn a_session_is_bound_to_the_certificate_that_it_was_made_with() {
    let backend = Backend::start();
    let gate = gate_with(&backend, &yaml("").replace("  lockout:", BOTH), Clock::default());
    let mut browser = holder(&gate, "ito");
    let page = browser.open(CERT, "/sekisho/certificate?to=/banking");
    let signed_in = browser.post(CERT, "/sekisho/certificate?to=/banking", &page, &[("pin", ITO.1)]);
    assert_eq!((signed_in.status, signed_in.value("location").as_deref()), (303, Some("/banking")));
    assert_eq!(browser.open(CERT, "/banking").status, 200);
    let token = browser.cookie(CERT, SESSION).unwrap().to_owned();
    // Another user's certificate, and another one of the same user.
    for user in ["tanaka", "ito"] {
        let mut thief = holder(&gate, user);
        thief.set_cookie(CERT, SESSION, &token);
        assert_eq!(thief.open(CERT, "/banking").status, 303, "{user}");
    }
    assert_eq!(browser.open(CERT, "/banking").status, 200);
}

#[test]
fn a_revoked_certificate_ends_the_session_that_was_made_with_it() {
    let gate = gate(&Backend::start());
    let credential = gate.ca.client(&format!("{CONTRACT} ito"));
    let mut browser = Browser::with(&gate, gate.client().with(&credential));
    let answer = press(&mut browser, "/banking");
    come_back(&mut browser, &answer);
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    gate.revoke(&[&credential]);
    crate::support::eventually("the session is over", || {
        let sent = browser.open(WWW, "/banking");
        sent.value("location").is_some_and(|location| location.starts_with("/sekisho/ended?why=withdrawn"))
    });
}

#[test]
fn a_good_certificate_of_nobody_in_the_directory_opens_no_session() {
    let gate = gate(&Backend::start());
    let mut browser = holder(&gate, "nobody");
    let told = press(&mut browser, "/banking");
    assert_eq!(told.status, 403);
    assert!(told.text().contains("nobody") && told.text().contains(CONTRACT), "{}", told.text());
    assert_eq!(browser.cookie(CERT, SESSION), None);
}

#[test]
fn a_suspended_holder_is_told_so() {
    let gate = gate(&Backend::start());
    let others = stores(gate.folder.path());
    now(others.directory.suspend_user(&identity("ito"), SuspensionCause::Staff, gate.clock.now())).unwrap();
    crate::support::eventually("suspended", || {
        let told = holder(&gate, "ito").open(CERT, "/banking");
        told.status == 403 && told.text().contains("利用中止")
    });
}
