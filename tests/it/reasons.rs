//! Every reason for which a certificate is refused: what its bearer sees, what is logged and counted, and that no
//! backend hears of it.

use crate::support::backend::Backend;
use crate::support::client::Response;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;
use crate::support::reasons::somebody;

#[test]
fn no_certificate_is_answered_by_a_page() {
    is_refused("absent", 403, "電子証明書が提示されていません", "No certificate was presented");
}

#[test]
fn a_certificate_of_another_authority_is_answered_by_a_page() {
    is_refused("unknown_authority", 403, "当行の電子証明書ではありません", "This certificate is not ours");
}

#[test]
fn an_expired_certificate_is_answered_by_a_page() {
    is_refused("expired", 403, "電子証明書の有効期限が切れています", "Your certificate has expired");
}

#[test]
fn a_certificate_of_the_future_is_answered_by_a_page() {
    is_refused(
        "not_yet_valid",
        403,
        "電子証明書の有効期間が始まっていません",
        "Your certificate is not valid yet",
    );
}

#[test]
fn a_revoked_certificate_is_answered_by_a_page() {
    is_refused("revoked", 403, "電子証明書は失効しています", "Your certificate was revoked");
}

#[test]
fn a_stale_revocation_list_is_answered_by_a_page_that_says_try_again() {
    is_refused(
        "revocation_unknown",
        503,
        "電子証明書の状態を確認できません",
        "Your certificate can&#39;t be checked at the moment",
    );
}

#[test]
fn a_certificate_for_something_else_is_answered_by_a_page() {
    is_refused(
        "wrong_usage",
        403,
        "ログイン用の電子証明書ではありません",
        "This is not a certificate for signing in",
    );
}

#[test]
fn a_weak_key_is_answered_by_a_page_though_it_proves_nothing() {
    is_refused(
        "weak_key",
        403,
        "電子証明書の鍵の強度が足りません",
        "The key of your certificate is too weak",
    );
}

#[test]
fn a_subject_that_names_no_user_is_answered_by_a_page() {
    is_refused(
        "bad_subject",
        403,
        "電子証明書から利用者を特定できません",
        "The certificate does not say who you are",
    );
}

#[test]
fn what_is_no_certificate_is_answered_by_a_page_though_it_proves_nothing() {
    is_refused("malformed", 403, "電子証明書を読み取れません", "Your certificate can&#39;t be read");
}

#[test]
fn somebody_who_takes_time_to_ask_gets_the_page_as_well() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let client = somebody(&gate, "expired", rustls::ALL_VERSIONS);
    let mut connection = client.connect(CERT).unwrap();
    let mut h2 = Http2::connect(&client, CERT);
    // The gate has one thread: once it has answered somebody else, it has gone back to waiting for these two.
    assert_eq!(gate.tanaka().get(CERT, "/banking/").status, 200);
    for _ in 0..2 {
        connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        let page = connection.response().expect("a page");
        is_careful(&page, 403, "text/html; charset=utf-8");
        let answer = h2.get(CERT, "/banking/");
        assert_eq!((answer.status, answer.code()), (403, "expired".to_owned()));
    }
    assert_eq!(backend.received().len(), 1);
}

/// Asks three times, as a Japanese reader, as an English one and as a program.
fn is_refused(reason: &str, status: u16, japanese: &str, english: &str) {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for versions in [[&rustls::version::TLS13], [&rustls::version::TLS12]] {
        let client = somebody(&gate, reason, &versions);
        for (language, words) in [("ja", japanese), ("en-GB,en", english)] {
            let page = client.get_with(CERT, "/banking/", &format!("Accept-Language: {language}\r\n"));
            is_careful(&page, status, "text/html; charset=utf-8");
            assert!(page.text().contains(&format!("<h1>{words}</h1>")), "{}", page.text());
            assert!(page.text().contains(&format!("<code>{reason}</code>")), "{}", page.text());
        }
        let problem = client.get_with(CERT, "/banking/", "Accept: application/json\r\n");
        is_careful(&problem, status, "application/problem+json");
        assert_eq!(problem.code(), reason);
    }
    assert_eq!((backend.connections(), backend.received().len()), (0, 0));
    is_logged_and_counted(&gate, reason, status);
}

fn is_careful(response: &Response, status: u16, content_type: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let is = |name: &str, value: &str| assert_eq!(response.values(name), [value], "{}", response.head);
    is("content-type", content_type);
    is("cache-control", "no-store");
    is("x-content-type-options", "nosniff");
    is("referrer-policy", "same-origin");
    is("strict-transport-security", "max-age=63072000");
    is(
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    let patience = (status == 503).then(|| "60".to_owned());
    assert_eq!(response.value("retry-after"), patience);
}

fn is_logged_and_counted(gate: &Gate, reason: &str, status: u16) {
    eventually("six lines in the access log", || gate.access_log().len() == 6);
    for line in gate.access_log() {
        assert_eq!((&line["standing"], &line["failure"]), (&reason.into(), &reason.into()), "{line}");
        assert_eq!(
            (&line["status"], &line["upstream"]),
            (&status.into(), &serde_json::Value::Null),
            "{line}"
        );
        assert_eq!((&line["contract"], &line["user"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }
    let standings = format!("sekisho_standings_total{{host=\"{CERT}\",standing=\"{reason}\"}}");
    // Every connection was judged at least once; one that lived on over a second's end, where the reason allows, again.
    assert!(gate.metric(&standings) >= 6.0, "{}", gate.metrics());
    assert_eq!(gate.metric(&format!("sekisho_failures_total{{code=\"{reason}\"}}")), 6.0);
}

#[test]
fn every_refusal_of_the_gate_has_a_page_of_its_own() {
    let pages = sekisho::portal::refusal_codes();
    for code in sekisho::edge::codes() {
        assert!(pages.contains(&code), "{code} would get the words of another");
    }
}
