//! What an upstream may answer (T24, from the other side): a response that can be read in two ways is a broken
//! upstream, and its connection never carries another.

use std::io::Write;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The first connection answers with these bytes, every other one well.
fn crooked_once(answer: &[u8]) -> Backend {
    let answer = answer.to_vec();
    Backend::answering(
        move |received| {
            if received.line().ends_with("/crooked") { answer.clone() } else { OK.to_vec() }
        },
    )
}

#[test]
fn a_crooked_head_is_a_broken_upstream() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(70 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "A: b\r\n".repeat(300));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\nA: b\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "garbage\n",
        &long,
        &many,
    ] {
        let backend = crooked_once(answer.as_bytes());
        let gate = Gate::start(&backend);
        for version in Version::BOTH {
            let fields = [("accept", "application/json")];
            let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/crooked"), &fields, b"");
            let what = &answer[..answer.len().min(80)];
            assert_eq!(
                (response.status, response.code().as_str()),
                (502, "upstream_broken"),
                "{version:?} {what}"
            );
            assert_eq!(version.get(&gate.tanaka(), CERT, "/banking/a").text(), "ok");
        }
        // The crooked connections were not used again, the good one was.
        assert_eq!(backend.connections(), 3, "{answer:.80}");
    }
}

#[test]
fn a_crooked_body_is_cut_off() {
    for body in
        ["x\r\nhello\r\n0\r\n\r\n", "2\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "-1\r\nhello\r\n"]
    {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n{body}");
        let backend = crooked_once(answer.as_bytes());
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(format!("GET /banking/crooked HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        let bytes = connection.read_to_end();
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&bytes));
        let mut http2 = Http2::connect(&gate.tanaka(), CERT);
        let ended = http2.ask("GET", "/banking/crooked", &[], b"");
        assert!(ended.as_ref().is_err_and(h2::Error::is_reset), "{ended:?}");
        assert_eq!(http2.ask("GET", "/banking/a", &[], b"").unwrap().text(), "ok");
        assert_eq!(backend.connections(), 3, "{body}");
        gate.logged(|line| line["failure"] == "upstream_broken" && line["protocol"] == "1.1");
    }
}

#[test]
fn bytes_behind_a_response_are_never_the_next_response() {
    for extra in ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "x", "\r\n"] {
        let answer = [OK, extra.as_bytes()].concat();
        let backend = Backend::answering(move |_| answer.clone());
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        for _ in 0..3 {
            connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
            assert_eq!(connection.response().unwrap().text(), "ok");
        }
        assert_eq!(backend.connections(), 3, "{extra:?}");
    }
}

#[test]
fn bytes_on_an_idle_connection_are_never_the_next_response() {
    let (poison, poisoned) = std::sync::mpsc::channel();
    let poison = std::sync::Mutex::new(poison);
    let backend = Backend::conversing(move |mut conversation| {
        while conversation.receive().is_some() {
            conversation.stream.write_all(OK).unwrap();
            let _ = poison.lock().unwrap().send(conversation.stream.try_clone().unwrap());
        }
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for request in 1..3 {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().text(), "ok");
        let mut stream = poisoned.recv().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").unwrap();
        // The gate notices by itself that there is something, and closes: the write side breaks at last.
        eventually("the poisoned connection is closed", || stream.write_all(b"x").is_err());
        assert_eq!(backend.connections(), request);
    }
}

/// What is said before the answer: hints, one that nobody knows, and a leave that nobody asked for.
const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nServer: b\r\nClient-Cert: :a:\r\n\
    Set-Cookie: __Host-sekisho-session=a\r\nX-Hop: 1\r\nConnection: x-hop\r\n\r\n\
    HTTP/1.1 199 \r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";

fn hinting() -> (Backend, Gate) {
    let backend = Backend::answering(|_| [INTERIM.as_bytes(), OK].concat());
    let routes = "  - { path: /banking, require: certificate, upstream: banking, response_headers: { remove: [Server], set: { X-Route: a } } }";
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    (backend, gate)
}

#[test]
fn interim_responses_reach_a_client_of_http_1_1_under_the_rules_of_all_responses() {
    let (_backend, gate) = hinting();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    let hints = connection.response().unwrap();
    let expected = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX-Route: a\r\n\r\n";
    assert_eq!(hints.head, expected);
    assert_eq!(connection.response().unwrap().head, "HTTP/1.1 199 \r\nA: b\r\nX-Route: a\r\n\r\n");
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.text(), response.value("link")), (200, "ok".to_owned(), None));
    // The access log has the answer alone.
    assert_eq!(gate.log_line(1)["status"], 200);
}

#[test]
fn other_clients_get_the_answer_alone() {
    let (_backend, gate) = hinting();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.0\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().text(), "ok");
    let response = Version::Http2.get(&gate.tanaka(), CERT, "/banking/a");
    assert_eq!((response.status, response.text(), response.value("link")), (200, "ok".to_owned(), None));
}

#[test]
fn interim_responses_without_end_end_with_the_deadline() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(8000));
        while conversation.stream.write_all(hint.as_bytes()).is_ok() {}
    });
    let gate = Gate::configured(&backend, "timeouts: { upstream_first_byte: 1s, body_idle: 1s }");
    let mut connection = gate.tanaka().connect_narrow(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(gate.log_line(1)["failure"], "upstream_timeout");
}

#[test]
fn chunk_extensions_of_an_upstream_are_dropped() {
    let answer =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\" ; c\r\nhello\r\n0;d\r\n\r\n";
    let backend = Backend::answering(move |_| answer.to_vec());
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection
        .send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\nConnection: close\r\n\r\n").as_bytes());
    let bytes = String::from_utf8(connection.read_to_end()).unwrap();
    assert!(bytes.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{bytes}");
    assert_eq!(Version::Http2.get(&gate.tanaka(), CERT, "/banking/a").text(), "hello");
}
