//! What routes answer without a backend: redirects that lead nowhere else, and fixed answers.

use crate::support::backend::Backend;
use crate::support::gate::{Gate, OPTIONAL, Settings, WWW};
use crate::support::http2::Version;
use crate::support::pki::Ca;

fn gate(routes: &str) -> (Backend, Gate) {
    let backend = Backend::start();
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    (backend, gate)
}

#[test]
fn a_redirect_leads_to_the_operators_host_whatever_is_asked_for() {
    let (backend, gate) = gate(
        "
  - { path: /, require: nothing, redirect: { to: 'https://new.example{path}{query}', status: 308 } }
  - { path: /old, require: nothing, rewrite: { prefix: /new }, redirect: { to: '{path}{query}' } }
  - { exact: /gone, require: nothing, redirect: { to: /elsewhere, status: 301 } }",
    );
    for version in Version::BOTH {
        for (path, status, location) in [
            ("/", 308, "https://new.example/"),
            ("/a%20b?c=d&e=%0d%0a", 308, "https://new.example/a%20b?c=d&e=%0d%0a"),
            ("/@evil.example/", 308, "https://new.example/@evil.example/"),
            ("/.evil.example", 308, "https://new.example/.evil.example"),
            ("/a?b|c", 308, "https://new.example/a?b%7Cc"),
            ("/old/a?b", 302, "/new/a?b"),
            ("/old", 302, "/new"),
            ("/gone?a", 301, "/elsewhere"),
        ] {
            let response = version.get(&gate.client(), WWW, path);
            assert_eq!(response.status, status, "{version:?} {path}");
            assert_eq!(response.values("location"), [location], "{version:?} {path}");
            assert_eq!(response.text(), "");
        }
        for path in ["//evil.example", "/old//evil.example", "/old/%2fevil.example", "/old/..//evil.example"]
        {
            let response = version.get(&gate.client(), WWW, path);
            assert_eq!((response.status, response.values("location").len()), (400, 0), "{version:?} {path}");
        }
    }
    let raw = gate.client().get(WWW, "/a[b]?c\"<>^`{|}");
    assert_eq!(raw.values("location"), ["https://new.example/a%5Bb%5D?c%22%3C%3E%5E%60%7B%7C%7D"]);
    assert!(backend.received().is_empty());
}

#[test]
fn a_fixed_answer_demands_what_its_route_demands() {
    let (backend, gate) = gate(
        "
  - exact: /robots.txt
    require: nothing
    answer: { body: 'User-agent: *' }
    response_headers: { set: { Cache-Control: max-age=60 } }
  - { exact: /secret, require: certificate, answer: { status: 418, body: tea, content_type: text/tea } }
  - { exact: /empty, require: nothing, answer: { status: 204 } }
  - { exact: /file, require: nothing, answer: { file: server.pem } }",
    );
    for version in Version::BOTH {
        let robots = version.get(&gate.client(), OPTIONAL, "/robots.txt");
        assert_eq!((robots.status, robots.text().as_str()), (200, "User-agent: *"));
        assert_eq!(robots.values("content-type"), ["text/plain; charset=utf-8"]);
        assert_eq!(robots.values("cache-control"), ["max-age=60"]);
        assert_eq!(robots.values("x-content-type-options"), ["nosniff"]);
        let head = version.ask(&gate.client(), OPTIONAL, ("HEAD", "/robots.txt"), &[], b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.values("content-length"), ["13"]);
        assert_eq!(version.get(&gate.client(), OPTIONAL, "/secret").status, 403);
        let secret = version.get(&gate.tanaka(), OPTIONAL, "/secret");
        assert_eq!((secret.status, secret.text().as_str()), (418, "tea"));
        assert_eq!(secret.values("content-type"), ["text/tea"]);
        assert_eq!(secret.values("cache-control"), ["no-store"]);
        let empty = version.get(&gate.client(), OPTIONAL, "/empty");
        assert_eq!((empty.status, empty.values("content-length").len()), (204, 0));
        assert_eq!(version.get(&gate.client(), OPTIONAL, "/file").text(), gate.file("server.pem"));
    }
    assert!(backend.received().is_empty());
}

#[test]
fn what_follows_an_answered_request_is_not_taken_for_another() {
    let (_, gate) = gate("  - { path: /, require: nothing, answer: { body: ok } }");
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(format!("GET / HTTP/1.1\r\nHost: {WWW}\r\n\r\n").repeat(2).as_bytes());
    assert_eq!([1, 2].map(|_| connection.response().unwrap().text()), ["ok", "ok"]);
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {WWW}\r\n\r\n");
    let length = hidden.len();
    connection.send(
        format!("POST / HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: {length}\r\n\r\n{hidden}").as_bytes(),
    );
    let response = connection.response().unwrap();
    assert_eq!((response.text().as_str(), response.values("connection")), ("ok", vec!["close".to_owned()]));
    assert!(connection.is_closed());
}
