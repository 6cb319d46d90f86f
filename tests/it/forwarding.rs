//! The way of a request to a backend and back: framing, order, connections, and what is said when it fails.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

const JSON: (&str, &str) = ("accept", "application/json");

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n")
}

fn answer(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

#[test]
fn methods_go_through_and_bodies_with_them() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let body: &[u8] = if matches!(method, "GET" | "OPTIONS") { b"" } else { b"hello" };
            let response = version.ask(&gate.tanaka(), CERT, (method, "/banking/a"), &[], body);
            assert_eq!((response.status, response.text()), (200, "ok".to_owned()), "{version:?} {method}");
            let received = backend.received().pop().unwrap();
            assert_eq!((received.line(), &received.body[..]), (&*format!("{method} /banking/a"), body));
            let length = Some(body.len().to_string()).filter(|_| !body.is_empty());
            assert_eq!(received.value("content-length"), length, "{version:?} {method}");
        }
    }
}

#[test]
fn head_brings_the_length_and_no_body() {
    for version in Version::BOTH {
        let backend = Backend::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".to_vec());
        let gate = Gate::start(&backend);
        let response = version.ask(&gate.tanaka(), CERT, ("HEAD", "/banking/a"), &[], b"");
        assert_eq!(response.value("content-length").as_deref(), Some("12345"), "{version:?}");
        assert_eq!((response.status, response.body.len()), (200, 0));
        let refused = version.ask(&gate.tanaka(), CERT, ("HEAD", "/nowhere"), &[], b"");
        assert_eq!((refused.status, refused.body.len()), (404, 0));
    }
}

#[test]
fn some_statuses_have_no_body() {
    for version in Version::BOTH {
        for (head, length) in [("204 No Content", None), ("304 Not Modified\r\nContent-Length: 5", Some("5"))]
        {
            let backend =
                Backend::answering(move |_| format!("HTTP/1.1 {head}\r\nA: b\r\n\r\n").into_bytes());
            let gate = Gate::start(&backend);
            for _ in 0..2 {
                let response = version.get(&gate.tanaka(), CERT, "/banking/a");
                assert_eq!(response.status.to_string(), head[..3], "{version:?}");
                assert_eq!(response.value("content-length").as_deref(), length);
                assert_eq!(response.value("a").as_deref(), Some("b"));
            }
            assert_eq!(backend.connections(), 1);
        }
    }
}

#[test]
fn requests_in_a_row_are_answered_in_order_over_one_connection_each_way() {
    let backend = Backend::answering(|received| answer(received.line()));
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let paths: Vec<String> = (0..50).map(|number| format!("/banking/{number}")).collect();
    // All of them at once.
    connection.send(paths.iter().map(|path| request("GET", path)).collect::<String>().as_bytes());
    for path in &paths {
        assert_eq!(connection.response().unwrap().text(), format!("GET {path}"));
    }
    assert_eq!((backend.connections(), backend.received().len()), (1, 50));
}

#[test]
fn streams_of_one_connection_are_answered_side_by_side() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::answering(move |received| {
        if received.line() == "GET /banking/slow" {
            gone.lock().unwrap().recv().unwrap();
        }
        answer(received.line())
    });
    let gate = Gate::start(&backend);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let slow = http2.send("GET", "/banking/slow", &[], true);
    assert_eq!(http2.ask("GET", "/banking/quick", &[], b"").unwrap().text(), "GET /banking/quick");
    go.send(()).unwrap();
    assert_eq!(http2.finish(slow).unwrap().0.text(), "GET /banking/slow");
}

#[test]
fn a_stale_connection_is_tried_again_for_get_and_never_for_post() {
    for version in Version::BOTH {
        for (method, status, body) in [("GET", 200, b"".as_slice()), ("POST", 502, b"x"), ("POST", 502, b"")]
        {
            // Each connection answers once, and closes when it is asked again: nobody could have known before.
            let backend = Backend::conversing(|mut conversation| {
                conversation.receive();
                conversation.stream.write_all(&answer("ok")).unwrap();
                conversation.receive_head();
            });
            let gate = Gate::start(&backend);
            assert_eq!(version.get(&gate.tanaka(), CERT, "/banking/a").status, 200);
            let again = version.ask(&gate.tanaka(), CERT, (method, "/banking/b"), &[], body);
            assert_eq!(again.status, status, "{version:?} {method}");
            let tries = backend.received().iter().filter(|received| received.line().ends_with("/b")).count();
            assert_eq!(tries, if method == "GET" { 2 } else { 1 }, "{version:?} {method}");
        }
    }
}

#[test]
fn a_dead_endpoint_is_passed_over() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backend = Backend::start();
    let endpoints = [dead, backend.address];
    let gate = Gate::before(&endpoints, Ca::new("Mihon Bank CA-G1"), Settings::default());
    for version in Version::BOTH {
        for _ in 0..4 {
            assert_eq!(version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], b"x").status, 200);
        }
    }
    assert_eq!(backend.received().len(), 8);
}

#[test]
fn an_upstream_that_can_not_be_reached_is_a_502() {
    let backend = Backend::start();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gate = Gate::before(&[dead], Ca::new("Mihon Bank CA-G1"), Settings::default());
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[JSON], b"");
        assert_eq!((response.status, response.code().as_str()), (502, "upstream_unreachable"), "{version:?}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_response_that_ends_in_the_middle_is_seen_to() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let backend = Backend::conversing(move |mut conversation| {
            conversation.receive();
            let part = if framing.starts_with('C') { "hello" } else { "5\r\nhello\r\n" };
            let _ = write!(conversation.stream, "HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}");
        });
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(request("GET", "/banking/a").as_bytes());
        let bytes = String::from_utf8(connection.read_to_end()).unwrap();
        let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(["hello", "5\r\nhello\r\n"].contains(&body), "{body}");
        let ended = Http2::connect(&gate.tanaka(), CERT).ask("GET", "/banking/a", &[], b"");
        assert!(ended.as_ref().is_err_and(h2::Error::is_reset), "{ended:?}");
        eventually("both are logged", || {
            gate.access_log().iter().filter(|line| line["failure"] == "upstream_broken").count() == 2
        });
    }
}

#[test]
fn a_response_that_ends_in_the_middle_has_no_orderly_end_for_http_1_0_either() {
    let backend = Backend::conversing(move |mut conversation| {
        conversation.receive();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = conversation.stream.write_all(&[head.as_slice(), b"5\r\nhello\r\n"].concat());
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.0\r\nHost: {CERT}\r\n\r\n").as_bytes());
    connection.read_until(b"\r\n\r\nhello").unwrap();
    // Without TLS's close_notify a client knows that there should have been more.
    let end = connection.stream.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
}
