//! What routes change on the way, how much may pass, and how long it may take.

use std::io::Write;

use crate::support::backend::{Backend, Received};
use crate::support::gate::{CERT, Gate, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

fn gate(backend: &Backend, routes: &str) -> Gate {
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

fn lines(backend: &Backend) -> Vec<String> {
    backend.received().iter().map(|received| received.line().to_owned()).collect()
}

#[test]
fn a_backend_gets_the_rewritten_path_and_the_query_as_it_came() {
    let routes = "
  - { path: /app, require: nothing, rewrite: { strip_prefix: true }, upstream: banking }
  - { path: /old, require: nothing, rewrite: { prefix: /new/v2 }, upstream: banking }
  - { exact: /one, require: nothing, rewrite: { path: /another/ }, upstream: banking }";
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = gate(&backend, routes);
        for path in [
            "/app",
            "/app/",
            "/app/a%2Fb",
            "/%61pp/a?x=%2e%2e/",
            "/old/%e3%81%82?",
            "/old",
            "/one?a=b",
            "/one/",
        ] {
            version.get(&gate.client(), WWW, path);
        }
        let expected = [
            "GET /",
            "GET /",
            "GET /a?x=%2e%2e/",
            "GET /new/v2/%E3%81%82?",
            "GET /new/v2",
            "GET /another/?a=b",
        ];
        assert_eq!(lines(&backend), expected, "{version:?}");
        // The log says what was asked for.
        let first = gate.log_line(1 + 7)["path"].clone();
        assert_eq!(first, "/one/");
    }
}

#[test]
fn header_fields_are_set_and_removed_in_every_spelling_and_identity_stays() {
    let routes = "
  - path: /
    require: certificate
    request_headers: { set: { X-Entrance: www }, remove: [X-Debug, Cookie] }
    response_headers: { set: { Strict-Transport-Security: max-age=1 }, remove: [Server, Set-Cookie, X-Sum] }
    upstream: banking";
    for version in Version::BOTH {
        let backend = Backend::answering(|_| {
            b"HTTP/1.1 200 OK\r\nServer: a\r\nserver: b\r\nStrict-Transport-Security: no\r\nSet-Cookie: a=b\r\n\
              X-Kept: c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
                .to_vec()
        });
        let gate = gate(&backend, routes);
        let fields = [
            ("x-entrance", "forged"),
            ("x_entrance", "forged"),
            ("x-debug", "forged"),
            ("x.debug", "forged"),
            ("cookie", "forged=1"),
            ("x-contract-id", "forged"),
            ("x-kept", "d"),
        ];
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/a"), &fields, b"");
        let received = backend.only();
        assert!(!received.head.contains("forged"), "{}", received.head);
        assert_eq!(received.value("x-entrance").as_deref(), Some("www"));
        assert_eq!(received.value("x-kept").as_deref(), Some("d"));
        assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
        assert_eq!(response.values("strict-transport-security"), ["max-age=1"]);
        assert_eq!(response.values("x-kept"), ["c"]);
        assert_eq!(response.values("cache-control"), ["no-store"]);
        for gone in ["server", "set-cookie", "x-sum"] {
            assert_eq!(response.values(gone), [""; 0], "{version:?} {gone}");
        }
        assert_eq!(response.text(), "ok");
    }
}

#[test]
fn what_a_route_sets_and_removes_holds_for_a_switch_of_protocols_too() {
    let routes = "
  - path: /
    require: certificate
    response_headers: { set: { X-Set: here }, remove: [Set-Cookie] }
    upstream: banking";
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSet-Cookie: a=b\r\n\r\n".to_vec()
    });
    let gate = gate(&backend, routes);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let lines = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    connection.send(format!("GET / HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n").as_bytes());
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.value("set-cookie")), (101, None));
    assert_eq!(response.value("x-set").as_deref(), Some("here"));
}

#[test]
fn what_a_route_removes_comes_in_no_trailer_either() {
    let backend = Backend::start();
    let routes =
        "  - { path: /, require: nothing, request_headers: { remove: [X-Debug] }, upstream: banking }";
    let gate = gate(&backend, routes);
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(
        format!(
            "POST / HTTP/1.1\r\nHost: {WWW}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX_Debug: 1\r\nX-Sum: 2\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.response().unwrap().status, 200);
    assert_eq!(String::from_utf8_lossy(&backend.only().body), "0\r\nX-Sum: 2\r\n\r\n");
}

#[test]
fn a_route_has_caps_of_its_own() {
    let routes = "
  - { path: /, require: nothing, upstream: banking }
  - { path: /small, require: nothing, limits: { request_body: 4, response_body: 4 }, upstream: banking }";
    let answer = |received: &Received| match received.line() {
        "GET /small/declared" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        "GET /small/chunks" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n".to_vec()
        }
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour".to_vec(),
    };
    let backend = Backend::answering(answer);
    let gate = gate(&backend, routes);
    for version in Version::BOTH {
        let ask = |path, body: &[u8]| version.ask(&gate.client(), WWW, ("POST", path), &[], body).status;
        assert_eq!((ask("/small", b"four"), ask("/small", b"fives"), ask("/a", b"fives")), (200, 413, 200));
        assert_eq!(version.get(&gate.client(), WWW, "/small/declared").status, 502);
        // The answer to a HEAD has no body.
        assert_eq!(version.ask(&gate.client(), WWW, ("HEAD", "/small/declared"), &[], b"").status, 200);
    }
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(format!("GET /small/chunks HTTP/1.1\r\nHost: {WWW}\r\n\r\n").as_bytes());
    assert!(connection.response().is_none_or(|response| response.body != b"hello"));
    let mut http2 = Http2::connect(&gate.client(), WWW);
    assert!(http2.ask("GET", "/small/chunks", &[], b"").is_err());
    gate.counts(r#"sekisho_failures_total{code="upstream_broken"}"#, 4.0);
}

#[test]
fn a_route_has_deadlines_of_its_own() {
    let routes = "
  - { path: /, require: nothing, upstream: banking }
  - { path: /first, require: nothing, timeouts: { upstream_first_byte: 100ms }, upstream: banking }
  - { path: /body, require: nothing, timeouts: { body_idle: 100ms }, upstream: banking }
  - { path: /total, require: nothing, timeouts: { total: 500ms }, upstream: banking }";
    let backend = Backend::conversing(|mut conversation| {
        let Some(received) = conversation.receive() else { return };
        if received.line() == "GET /total" {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = conversation.stream.write_all(head);
            // It goes on and on, and never is idle.
            while conversation.stream.write_all(b"1\r\na\r\n").is_ok() {
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
        } else {
            let _ = conversation.receive();
        }
    });
    let gate = gate(&backend, routes);
    for version in Version::BOTH {
        assert_eq!(version.get(&gate.client(), WWW, "/first").status, 504, "{version:?}");
    }
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(format!("POST /body HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: 5\r\n\r\nhe").as_bytes());
    assert_eq!(connection.response().unwrap().status, 408);
    let mut http2 = Http2::connect(&gate.client(), WWW);
    assert!(http2.ask("GET", "/total", &[], b"").is_err());
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(format!("GET /total HTTP/1.1\r\nHost: {WWW}\r\n\r\n").as_bytes());
    assert!(connection.response().is_none());
    gate.counts(r#"sekisho_failures_total{code="upstream_timeout"}"#, 4.0);
}
