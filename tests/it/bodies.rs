//! Bodies: both ways, at once, in every framing, byte for byte.

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

use crate::support::backend::{Backend, Conversation};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::{Http2, Version};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LARGE: usize = 64 << 20;

/// Bytes that repeat nowhere near a buffer's size.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn post(lines: &str) -> String {
    format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}\r\n")
}

#[test]
fn a_large_upload_arrives_whole() {
    let body = noise(LARGE);
    for version in Version::BOTH {
        let backend = Backend::answering(|received| {
            let text = sum(&received.body);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
        });
        let gate = Gate::start(&backend);
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &body);
        assert_eq!(response.text(), sum(&body), "{version:?}");
        let line = gate.logged(|line| line["status"] == 200);
        assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(LARGE as u64), Some(64)));
    }
}

#[test]
fn a_large_download_arrives_whole_in_every_framing() {
    let body = std::sync::Arc::new(noise(LARGE));
    for chunked in [false, true] {
        let sent = body.clone();
        let backend = Backend::answering(move |_| {
            let mut response = b"HTTP/1.1 200 OK\r\n".to_vec();
            if !chunked {
                response.extend_from_slice(format!("Content-Length: {LARGE}\r\n\r\n").as_bytes());
                response.extend_from_slice(&sent);
                return response;
            }
            response.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in sent.chunks(100_003) {
                response.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                response.extend_from_slice(chunk);
                response.extend_from_slice(b"\r\n");
            }
            response.extend_from_slice(b"0\r\n\r\n");
            response
        });
        let gate = Gate::start(&backend);
        for version in Version::BOTH {
            let response = version.get(&gate.tanaka(), CERT, "/banking/a");
            assert_eq!(sum(&response.body), sum(&body), "{version:?} chunked: {chunked}");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_chunked_response_ends_once_however_slowly_it_is_read() {
    // More responses than the sockets' buffers hold, each small enough that its end is queued while the client is
    // waited for.
    const RESPONSES: usize = 600;
    let backend = Backend::answering(|_| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n";
        [head.as_slice(), &[b'x'; 30_000], b"\r\n0\r\n\r\n"].concat()
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect_narrow(CERT).unwrap();
    let request = format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n");
    connection.send(request.repeat(RESPONSES).as_bytes());
    let mut before = 0;
    eventually("the gate waits for the client", || {
        let now = backend.received().len();
        now > 0 && std::mem::replace(&mut before, now) == now
    });
    assert!(before < RESPONSES, "the sockets hold them all");
    for _ in 0..RESPONSES {
        let response = connection.response().unwrap();
        assert_eq!((response.status, response.body.len()), (200, 30_000));
    }
}

#[test]
fn a_response_without_a_length_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello");
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..2 {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        let response = connection.response().unwrap();
        assert_eq!(response.value("transfer-encoding").as_deref(), Some("chunked"));
        assert_eq!(response.text(), "hello");
    }
    let mut old = gate.tanaka().connect(CERT).unwrap();
    old.send(format!("GET /banking/a HTTP/1.0\r\nHost: {CERT}\r\nConnection: keep-alive\r\n\r\n").as_bytes());
    let response = old.response().unwrap();
    assert_eq!(response.value("transfer-encoding"), None);
    assert_eq!(
        (response.text(), response.value("connection").as_deref()),
        ("hello".to_owned(), Some("close"))
    );
    assert_eq!(Version::Http2.get(&gate.tanaka(), CERT, "/banking/a").text(), "hello");
    gate.logged(|line| line["protocol"] == "1.0");
}

#[test]
fn chunks_of_an_upstream_are_not_for_an_http_1_0_client() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n".to_vec()
    });
    let gate = Gate::start(&backend);
    let mut old = gate.tanaka().connect(CERT).unwrap();
    old.send(format!("GET /banking/a HTTP/1.0\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(old.response().unwrap().text(), "hello");
}

#[test]
fn trailers_go_both_ways_but_for_what_headers_may_not_say_either() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nConnection: x-sum\r\n\
          Content-Length: 9\r\nSet-Cookie: a=b\r\nX-Contract-Id: 2\r\n\r\n"
            .to_vec()
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection
        .send((post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\nX-In: 1\r\n\r\n").as_bytes());
    let bytes = connection.read_until(b"\r\n\r\n").unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
    assert_eq!(connection.read_until(b"\r\n\r\n").unwrap(), b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(backend.only().body, b"5\r\nhello\r\n0\r\nX-In: 1\r\n\r\n");
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let pending = http2.send("GET", "/banking/a", &[], true);
    let (response, trailers) = http2.finish(pending).unwrap();
    assert_eq!(response.text(), "ok");
    let trailers: Vec<_> =
        trailers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(trailers, [("x-sum", "1")]);
}

/// A backend that answers `first` to the head, and `ok` to the body.
fn expecting(first: &'static [u8]) -> Backend {
    Backend::conversing(move |mut conversation| {
        let Some((_, received)) = conversation.receive_head() else { return };
        assert_eq!(received.value("expect").as_deref(), Some("100-continue"));
        let _ = conversation.stream.write_all(first);
        if first.starts_with(b"HTTP/1.1 4") {
            let mut rest = Vec::new();
            let _ = conversation.stream.read_to_end(&mut rest);
            return conversation.note(&format!("{} bytes behind the head", rest.len()));
        }
        let body = conversation.read_exactly(5).unwrap();
        assert_eq!(body, b"hello");
        let _ = conversation.stream.write_all(OK);
    })
}

#[test]
fn a_body_is_asked_for_when_the_backend_asks_for_it() {
    // The second backend says nothing; after a second the body is asked for anyway (RFC 9110, section 10.1.1).
    for first in [b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), b""] {
        let backend = expecting(first);
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 100);
        connection.send(b"hello");
        assert_eq!(connection.response().unwrap().text(), "ok");
        let http2 = Version::Http2.ask(
            &gate.tanaka(),
            CERT,
            ("POST", "/banking/a"),
            &[("expect", "100-continue")],
            b"hello",
        );
        assert_eq!(http2.text(), "ok");
    }
}

#[test]
fn a_body_that_the_backend_does_not_want_is_not_asked_for() {
    let backend = expecting(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n").as_bytes());
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.text()), (413, "no".to_owned()));
    // The client can't know whether it should send the body before the next request.
    assert_eq!(response.value("connection").as_deref(), Some("close"));
    assert!(connection.is_closed());
    eventually("nothing came behind the head", || {
        backend.received().iter().any(|received| received.head == "0 bytes behind the head")
    });
}

#[test]
fn an_answer_may_come_while_the_body_is_still_sent() {
    fn echo(mut conversation: Conversation) {
        conversation.receive_head();
        let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            let Some(byte) = conversation.read_exactly(1) else { return };
            let _ = conversation.stream.write_all(&byte);
        }
    }
    let backend = Backend::conversing(echo);
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(post("Content-Length: 10\r\n").as_bytes());
    connection.read_until(b"\r\n\r\n").unwrap();
    for byte in b'0'..=b'9' {
        connection.send(&[byte]);
        assert_eq!(connection.read_exactly(1).unwrap(), [byte]);
    }
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = http2.send("POST", "/banking/a", &[("content-length", "10")], false);
    let mut body = http2.head(&mut pending).unwrap().into_body();
    for byte in b'0'..=b'9' {
        http2.send_data(&mut pending, &[byte], byte == b'9').unwrap();
        assert_eq!(http2.wait(body.data()).unwrap().unwrap(), [byte].as_slice());
    }
}

#[test]
fn an_answer_that_does_not_wait_for_the_body_ends_the_connection() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive_head();
        let _ = conversation.stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        let _ = conversation.stream.read_to_end(&mut Vec::new());
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send((post("Content-Length: 1000\r\n") + "GET /banking/hidden HTTP/1.1\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().text(), "no");
    assert!(connection.is_closed());
    assert_eq!(backend.received().len(), 1);
}
