//! Smuggling behind a request that looks fine so far (T24): crooked chunks, switched protocols, methods that open
//! tunnels. Whatever reaches the backend, it is never a second request.

use std::io::{Read, Write};

use crate::support::backend::{Backend, Received};
use crate::support::client::Connection;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Version;

/// What an attacker would like to have run.
const HIDDEN: &str = "GET /banking/hidden HTTP/1.1\r\nHost: cert.mihonbank.example\r\n\r\n";

fn heads(backend: &Backend) -> Vec<String> {
    backend.received().iter().map(|received| received.line().to_owned()).collect()
}

#[test]
fn a_crooked_chunk_ends_the_request_and_the_connection() {
    for chunks in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\n",
        "5\r\nhello\r\n0;\r\n\r\n",
        "5\r\nhello\r\n0\r\nA : b\r\n\r\n",
        "5\r\nhello\r\n0\r\n A: b\r\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\nX: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nno trailer\r\n\r\n",
    ] {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        let head = format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(format!("{head}{chunks}{HIDDEN}").as_bytes());
        let response = connection.response().unwrap_or_else(|| panic!("no answer to {chunks:?}"));
        assert_eq!(response.status, 400, "{chunks:?}");
        assert!(connection.is_closed(), "{chunks:?}");
        // The client first: the gate would wait for it to read the answer.
        drop(connection);
        drop(gate);
        // At most the head and what was fine of the body: never an end of it, never a second request.
        assert!(
            heads(&backend).iter().all(|line| line == "POST /banking/a"),
            "{chunks:?} {:?}",
            heads(&backend)
        );
        assert!(backend.received().len() < 2, "{chunks:?}");
        assert!(backend.received().iter().all(|received| received.body.is_empty()), "{chunks:?}");
    }
}

#[test]
fn a_size_in_chunks_is_written_anew() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!(
            "POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\ntransfer-encoding: \tChunked \r\n\r\n\
             0000000005\r\nhello\r\n0A\r\n0123456789\r\n000\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.response().unwrap().status, 200);
    let received = backend.only();
    assert_eq!(received.value("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(received.body, b"5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n");
}

/// Asks for a WebSocket with a request behind it that should never become one.
fn upgrade(connection: &mut Connection, path: &str, behind: &str) {
    connection.send(
        format!(
            "GET {path} HTTP/1.1\r\nHost: {CERT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{behind}"
        )
        .as_bytes(),
    );
}

#[test]
fn early_data_behind_a_refused_websocket_is_never_a_request() {
    // CVE-2026-2833: the backend answers 200, and what was meant for the tunnel is read as the next request.
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    upgrade(&mut connection, "/banking/ws", HIDDEN);
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.value("connection").as_deref()), (200, Some("close")));
    assert!(connection.is_closed());
    assert_eq!(backend.only().value("upgrade").as_deref(), Some("websocket"));
    assert_eq!(backend.only().value("connection").as_deref(), Some("Upgrade"));
    assert_eq!(backend.connections(), 1);
}

#[test]
fn early_data_behind_a_websocket_that_we_refuse_is_never_a_request() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    upgrade(&mut connection, "/nowhere", HIDDEN);
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.value("connection").as_deref()), (404, Some("close")));
    assert!(connection.is_closed());
    assert_eq!(backend.connections(), 0);
}

#[test]
fn early_data_behind_a_websocket_that_breaks_is_never_a_request() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    upgrade(&mut connection, "/banking/ws", HIDDEN);
    assert_eq!(connection.response().unwrap().status, 502);
    assert!(connection.is_closed());
    assert_eq!(heads(&backend), ["GET /banking/ws"]);
}

#[test]
fn only_a_websocket_may_be_asked_for() {
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        assert_eq!(gate.tanaka().get_with(CERT, "/banking/a", lines).status, 200);
        let received = backend.only();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(received.values(name).is_empty(), "{lines}{}", received.head);
        }
    }
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_a_broken_upstream() {
    for version in Version::BOTH {
        let backend = Backend::answering(|_| {
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec()
        });
        let gate = Gate::start(&backend);
        let fields = [("accept", "application/json")];
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        assert_eq!((response.status, response.code().as_str()), (502, "upstream_broken"), "{version:?}");
    }
}

#[test]
fn methods_that_open_tunnels_or_tell_secrets_are_not_forwarded() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for request in [
        format!("CONNECT {CERT}:443 HTTP/1.1\r\nHost: {CERT}\r\n\r\n"),
        format!("CONNECT /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n"),
        format!("TRACE /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n"),
        format!("AVERYLONGMETHODTHATNOBODYKNOWS /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n"),
    ] {
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(format!("{request}{HIDDEN}").as_bytes());
        let response = connection.response().unwrap();
        assert_eq!(response.status, 405, "{request}");
        let allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        assert_eq!(response.value("allow").as_deref(), Some(allow));
        // Whoever asked for a tunnel may already be talking through it.
        assert!(connection.is_closed(), "{request}");
    }
    // A backend that doesn't mind the case would send no body to `head`, and the next answer in its place.
    for method in ["trace", "Connect", "head", "Head", "get", "helloGET", "POST1", "GET_"] {
        for version in Version::BOTH {
            let response = version.ask(&gate.tanaka(), CERT, (method, "/banking/a"), &[], b"");
            assert_eq!(response.status, 405, "{version:?} {method}");
        }
    }
    for method in ["CONNECT", "TRACE", "connect", "Trace"] {
        let response = Version::Http2.ask(&gate.tanaka(), CERT, (method, "/banking/a"), &[], b"");
        assert_eq!(response.status, 405, "{method}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn nothing_is_sent_to_a_backend_behind_the_request_before_it_switched() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        // Whatever was sent ahead would be here by now, or come while we wait for it in vain.
        conversation.stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let early = conversation.stream.read(&mut [0; 16]).is_ok();
        conversation.stream.set_read_timeout(None).unwrap();
        let answer = if early { "500 Early" } else { "101 Switching Protocols" };
        let _ = write!(conversation.stream, "HTTP/1.1 {answer}\r\nContent-Type: x\r\n\r\n");
        let mut bytes = [0; 5];
        conversation.stream.read_exact(&mut bytes).unwrap();
        conversation.stream.write_all(&bytes).unwrap();
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    upgrade(&mut connection, "/banking/ws", "early");
    assert_eq!(connection.response().unwrap().status, 101);
    assert_eq!(connection.read_exactly(5).unwrap(), b"early");
    let Received { head, .. } = backend.only();
    assert!(head.starts_with("GET /banking/ws HTTP/1.1\r\n"));
}
