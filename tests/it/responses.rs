//! What an upstream may answer (T24, from the other side): a response that can be read in two ways is a broken
//! upstream, and its connection never carries another.

use std::io::Write;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::{Http2, Version};

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

#[test]
fn interim_responses_stay_here() {
    for version in Version::BOTH {
        let backend = Backend::answering(|_| {
            [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", OK].concat()
        });
        let gate = Gate::start(&backend);
        let response = version.get(&gate.tanaka(), CERT, "/banking/a");
        assert_eq!((response.status, response.text()), (200, "ok".to_owned()), "{version:?}");
        assert_eq!(response.value("link"), None);
    }
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
