//! Deadlines and caps (T26): whoever is slow, large or greedy is answered or cut off, and nobody else notices.

use std::io::Write;

use crate::support::backend::Backend;
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::frames::{DATA, Frames, GOAWAY, HEADERS, reset};
use crate::support::gate::{CERT, Gate};
use crate::support::http2::{Http2, Version};

const JSON: (&str, &str) = ("accept", "application/json");

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n")
}

fn is_refused(connection: &mut Connection, status: u16) {
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.value("connection").as_deref()), (status, Some("close")));
    assert!(connection.is_closed());
}

/// A backend that sends without end, and the number of its connections that broke meanwhile.
fn endless(chunked: bool) -> Backend {
    Backend::conversing(move |mut conversation| {
        conversation.receive();
        let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 99999999999" };
        let _ = write!(conversation.stream, "HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        while conversation.stream.write_all(&chunk).is_ok() {}
        // The end is written down as a request of its own.
        conversation.note("broken");
    })
}

fn broke(backend: &Backend) -> bool {
    backend.received().iter().any(|received| received.head == "broken")
}

#[test]
fn a_head_that_does_not_come_in_time_is_a_408() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "timeouts: { headers: 300ms }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(b"GET /banking/a HTTP/1.1\r\nHost: ");
    is_refused(&mut connection, 408);
    // One byte at a time doesn't help: the deadline is the head's, not a byte's.
    let mut slow = gate.tanaka().connect(CERT).unwrap();
    let mut sent = 0;
    eventually("the slow head is refused", || {
        slow.send(if sent == 0 { b"G" } else { b"E" });
        sent += 1;
        gate.access_log().iter().filter(|line| line["failure"] == "request_timeout").count() == 2
    });
    assert_eq!(slow.response().unwrap().status, 408);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "limits: { header_bytes: 8KiB }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\nA: {}\r\n\r\n", "a".repeat(8 << 10)).as_bytes(),
    );
    is_refused(&mut connection, 431);
    let mut endless = gate.tanaka().connect(CERT).unwrap();
    endless.send(format!("GET /{}", "a".repeat(9 << 10)).as_bytes());
    is_refused(&mut endless, 431);
    let long = "a".repeat(9 << 10);
    let fields = [("a", long.as_str())];
    let refused = Http2::connect(&gate.tanaka(), CERT).ask("GET", "/banking/a", &fields, b"");
    assert_eq!(refused.unwrap().status, 431);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_head_with_too_many_fields_is_a_431() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::configured(&backend, "limits: { header_count: 20 }");
        let fields = [("a", "b"); 21];
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        assert_eq!(response.status, 431, "{version:?}");
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields[..19], b"");
        assert_eq!(response.status, 200, "{version:?}");
        assert_eq!(backend.received().len(), 1);
    }
}

#[test]
fn a_body_that_says_it_is_too_large_reaches_nobody() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "limits: { body: 1KiB }");
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[JSON], &[b'x'; 1025]);
        assert_eq!((response.status, response.code().as_str()), (413, "body_too_large"), "{version:?}");
    }
    assert_eq!(backend.connections(), 0);
    for version in Version::BOTH {
        assert_eq!(version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &[b'x'; 1024]).status, 200);
    }
}

#[test]
fn a_body_that_turns_out_too_large_is_cut_off() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "limits: { body: 1KiB }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let head = format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(
        format!("{head}400\r\n{}\r\n1\r\nx\r\n0\r\n\r\n{}", "x".repeat(1024), get("/banking/b")).as_bytes(),
    );
    is_refused(&mut connection, 413);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = http2.send("POST", "/banking/a", &[], false);
    http2.send_data(&mut pending, &[b'x'; 1024], false).unwrap();
    let _ = http2.send_data(&mut pending, b"x", true);
    assert_eq!(http2.finish(pending).unwrap().0.status, 413);
    assert!(
        backend
            .received()
            .iter()
            .all(|received| received.body.is_empty() && received.line() == "POST /banking/a")
    );
}

#[test]
fn a_body_that_stalls_is_a_408() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "timeouts: { body_idle: 300ms }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!("POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\nContent-Length: 10\r\n\r\nhello").as_bytes(),
    );
    is_refused(&mut connection, 408);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = http2.send("POST", "/banking/a", &[], false);
    http2.send_data(&mut pending, b"hello", false).unwrap();
    assert_eq!(http2.finish(pending).unwrap().0.status, 408);
    // On the same connection, nobody else suffers.
    assert_eq!(http2.ask("GET", "/banking/b", &[], b"").unwrap().status, 200);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_upstream_too() {
    for chunked in [true, false] {
        let backend = endless(chunked);
        let gate = Gate::configured(&backend, "timeouts: { body_idle: 300ms }");
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(get("/banking/a").as_bytes());
        eventually("the upstream's connection breaks", || broke(&backend));
        gate.logged(|line| line["failure"] == "client_stalled" && line["status"] == 200);
    }
}

#[test]
fn an_http2_client_that_opens_no_window_is_cut_off_and_its_upstream_too() {
    let backend = endless(false);
    let gate = Gate::configured(&backend, "timeouts: { body_idle: 300ms }");
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    let request = frames.get(1, "/banking/a", &[]);
    frames.send(&request);
    // The first window's worth comes, and then nothing but the end.
    assert!(frames.next(&[DATA]).is_some());
    while frames.next(&[DATA]).is_some() {}
    eventually("the upstream's connection breaks", || broke(&backend));
}

#[test]
fn an_idle_connection_is_closed() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "timeouts: { idle: 300ms }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(get("/banking/a").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
    assert!(connection.is_closed());
    // A connection on which nothing was ever asked, and one on which empty lines are no request.
    let mut silent = gate.tanaka().connect(CERT).unwrap();
    silent.send(b"\r\n\r\n");
    assert!(silent.is_closed());
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    assert_eq!(http2.ask("GET", "/banking/a", &[], b"").unwrap().status, 200);
    http2.ended();
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    assert_eq!(frames.next(&[GOAWAY]).unwrap().payload[4..], [0; 4], "NO_ERROR");
    while frames.next(&[GOAWAY]).is_some() {}
}

#[test]
fn a_client_may_open_so_many_streams() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        conversation.receive();
    });
    let gate = Gate::configured(&backend, "limits: { h2_streams: 3 }");
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let _first = http2.send("GET", "/banking/a", &[], true);
    eventually("the settings are here", || http2.allowed_streams() == 3);
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    for stream in [1, 3, 5, 7] {
        let request = frames.get(stream, "/banking/a", &[]);
        frames.send(&request);
    }
    let refused = frames.next(&[crate::support::frames::RST_STREAM, HEADERS]).unwrap();
    assert_eq!((refused.stream, refused.payload), (7, 7_u32.to_be_bytes().to_vec()), "REFUSED_STREAM");
}

#[test]
fn a_client_that_resets_stream_after_stream_loses_its_connection_and_others_do_not() {
    let backend = Backend::conversing(|mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line() == "GET /banking/a" {
                let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    let gate = Gate::configured(&backend, "limits: { h2_resets: 10 }");
    let mut other = Http2::connect(&gate.tanaka(), CERT);
    assert_eq!(other.ask("GET", "/banking/a", &[], b"").unwrap().status, 200);
    // One after the other, each as soon as the backend has it; and then many at once, as a flood would.
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    for stream in (1..23).step_by(2) {
        let (request, before) = (frames.get(stream, "/banking/slow", &[]), backend.received().len());
        frames.send(&request);
        eventually("the backend has the request", || backend.received().len() > before);
        frames.send(&reset(stream));
    }
    let request = frames.get(23, "/banking/slow", &[]);
    frames.send(&request);
    while frames.next(&[GOAWAY]).is_some() {}
    let mut frames = Frames::connect(&gate.tanaka(), CERT);
    let flood: Vec<u8> = (1..200)
        .step_by(2)
        .flat_map(|stream| [frames.get(stream, "/banking/slow", &[]), reset(stream)].concat())
        .collect();
    frames.send(&flood);
    while frames.next(&[GOAWAY]).is_some() {}
    assert_eq!(other.ask("GET", "/banking/a", &[], b"").unwrap().status, 200);
}
