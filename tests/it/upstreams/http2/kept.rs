//! What backends over HTTP/2 are told, and clients of them: the same as over HTTP/1.1.

use h2::server::Builder;

use super::{ask, before, with};
use crate::support::gate::{CERT, Settings};
use crate::support::http2::{Http2, Version};
use crate::support::http2_backend::Http2Backend;

#[test]
fn requests_of_both_versions_reach_a_backend_over_one_connection() {
    let backend = Http2Backend::start();
    let gate = before(&[backend.address], "");
    for version in Version::BOTH {
        for body in [b"".as_slice(), b"a=b", &[b'x'; 300_000]] {
            let fields =
                [("x-a", "1"), ("x-user-id", "admin"), ("x-user_id", "admin"), ("forwarded", "for=1")];
            let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a?b=c"), &fields, body);
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{version:?}");
            let seen = backend.received().pop().unwrap();
            assert_eq!((seen.body.as_slice(), seen.connection), (body, 1));
            assert_eq!(seen.head.uri.to_string(), format!("http://{CERT}/banking/a?b=c"));
            assert_eq!(seen.values("x-contract-id"), ["10000000000001"]);
            assert_eq!(
                (seen.values("x-user-id"), seen.values("x-a")),
                (vec!["tanaka".into()], vec!["1".into()])
            );
            let protocol = if version == Version::Http1 { "1.1" } else { "2.0" };
            assert_eq!(seen.values("via"), [format!("{protocol} sekisho")]);
            assert_eq!((seen.values("forwarded").len(), seen.values("x-request-id").len()), (1, 1));
            for name in ["host", "connection", "transfer-encoding", "te", "upgrade", "x-user_id"] {
                assert!(seen.values(name).is_empty(), "{name}");
            }
        }
    }
    assert_eq!(backend.connections(), 1);
    let line = gate.log_line(6);
    assert_eq!(
        (&line["endpoint"], &line["bytes_in"]),
        (&backend.address.to_string().into(), &300_000.into())
    );
}

#[test]
fn fields_of_one_hop_end_at_the_gate_and_cookies_come_in_one() {
    let backend = Http2Backend::start();
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let lines = "Connection: x-hop, X-Contract-Id\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nCookie: a=b\r\nCookie: c=d";
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
    let seen = backend.only();
    for name in ["x-hop", "keep-alive", "te", "connection"] {
        assert!(seen.values(name).is_empty(), "{name}");
    }
    assert_eq!(seen.values("x-contract-id"), ["10000000000001"]);
    assert_eq!(seen.values("cookie"), ["a=b; c=d"]);
}

#[test]
fn a_routes_edits_hold_for_requests_and_responses() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        call.read().await;
        let fields = [
            ("server", "a"),
            ("x-kept", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("client-cert", ":a:"),
        ];
        call.answer(200, &fields, b"ok").await;
    });
    let routes = "  - path: /banking
    require: certificate
    upstream: banking
    request_headers: { set: { X-Entrance: api }, remove: [X-Debug] }
    response_headers: { set: { X-Set: here }, remove: [Server] }
    rewrite: { prefix: /other }";
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = with(&[backend.address], "", settings);
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[("x-debug", "1")], b"");
        let values = |name| response.values(name);
        assert_eq!((values("server"), values("client-cert")), (vec![], vec![]));
        assert_eq!((values("x-set"), values("x-kept")), (vec!["here".into()], vec!["1".into()]));
        assert_eq!(
            (values("set-cookie"), values("cache-control")),
            (vec!["a=1".into(), "b=2".into()], vec!["no-store".into()])
        );
        let seen = backend.received().pop().unwrap();
        assert_eq!((seen.values("x-entrance"), seen.values("x-debug")), (vec!["api".into()], vec![]));
        assert_eq!(seen.head.uri.path(), "/other/a");
    }
}

#[test]
fn an_upgrade_is_ignored_and_interim_answers_reach_the_client() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        let mut interim = http::Response::new(());
        *interim.status_mut() = http::StatusCode::EARLY_HINTS;
        for _ in 0..3 {
            call.respond.send_informational(interim.clone()).unwrap();
        }
        call.read().await;
        call.answer(426, &[], b"").await;
    });
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n\r\n").as_bytes());
    let statuses = [(); 4].map(|()| connection.response().unwrap().status);
    assert_eq!(statuses, [103, 103, 103, 426]);
    assert!(backend.only().values("upgrade").is_empty());
}

#[test]
fn answers_without_a_body_leave_the_clients_connection_as_it_was() {
    let backend = Http2Backend::serving(&Builder::new(), |mut call| async move {
        match call.head.uri.path() {
            "/banking/head" => call.answer(200, &[("content-length", "5")], b"").await,
            "/banking/304" => call.answer(304, &[("etag", "\"a\""), ("content-length", "5")], b"").await,
            "/banking/204" => call.answer(204, &[], b"").await,
            // The end comes behind the head.
            "/banking/later" => {
                let mut stream = call.begin(200, &[], false);
                tokio::task::yield_now().await;
                stream.send_data(bytes::Bytes::new(), true).unwrap();
            }
            _ => call.answer(200, &[], b"").await,
        }
    });
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let mut client = Http2::connect(&gate.tanaka(), CERT);
    for (method, path, status, length) in [
        ("HEAD", "head", 200, Some("5")),
        ("GET", "304", 304, Some("5")),
        ("GET", "204", 204, None),
        ("GET", "later", 200, None),
        ("GET", "none", 200, Some("0")),
        ("HEAD", "none", 200, None),
    ] {
        connection.send(format!("{method} /banking/{path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        let response = connection.response_to(if status == 304 { "HEAD" } else { method }).unwrap();
        assert_eq!(
            (response.status, response.value("content-length").as_deref()),
            (status, length),
            "{path}"
        );
        assert_eq!(
            client.ask(method, &format!("/banking/{path}"), &[], b"").unwrap().status,
            status,
            "{path}"
        );
    }
    assert_eq!(ask(&mut client, "/banking/none"), 200);
}

#[test]
fn a_target_that_only_http1_says_raw_reaches_the_backend_encoded() {
    let backend = Http2Backend::start();
    let gate = before(&[backend.address], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a?b=<\"`>|{{}} HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
    assert_eq!(backend.only().head.uri.query(), Some("b=%3C%22%60%3E|{}"));
}
