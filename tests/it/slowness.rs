//! Who sends or takes a byte now and then (T26): cut off by the least rate, while nobody who has nothing to send or to take is.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;

/// Every other deadline is far away.
const SLOW: &str = "limits: { min_rate: 100KiB/s, min_rate_grace: 500ms }";

/// A client that sends a byte of its body now and then, until it is told that this took too long.
fn trickle(gate: &Gate) {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!("POST /banking/slow HTTP/1.1\r\nHost: {CERT}\r\nContent-Length: 999999\r\n\r\n").as_bytes(),
    );
    let before = timeouts(gate);
    eventually("the slow body is refused", || {
        connection.send(b"x");
        timeouts(gate) > before
    });
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.value("connection").as_deref()), (408, Some("close")));
}

fn timeouts(gate: &Gate) -> usize {
    gate.access_log().iter().filter(|line| line["failure"] == "request_timeout").count()
}

#[test]
fn a_body_that_trickles_in_is_a_408() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, SLOW);
    trickle(&gate);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = http2.send("POST", "/banking/slow", &[], false);
    eventually("the slow body is refused", || {
        let _ = http2.send_data(&mut pending, b"x", false);
        timeouts(&gate) == 2
    });
    assert_eq!(http2.finish(pending).unwrap().0.status, 408);
    // On the same connection, nobody else suffers.
    assert_eq!(http2.ask("GET", "/banking/b", &[], b"").unwrap().status, 200);
    assert_eq!(http2.ask("POST", "/banking/b", &[], &[b'x'; 200_000]).unwrap().status, 200);
}

#[test]
fn who_waits_for_events_or_for_an_answer_is_not_slow() {
    let (go_on, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (wait, tell) = (go_on.clone(), told.clone());
    let backend = Backend::conversing(move |mut conversation| {
        while let Some(received) = conversation.receive() {
            let _ = match received.line() {
                "GET /banking/events" => {
                    let head =
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 22\r\n\r\n";
                    let _ = write!(conversation.stream, "{head}data: one\n\n");
                    eventually("time has passed", || wait.load(Ordering::Relaxed));
                    write!(conversation.stream, "data: two\n\n")
                }
                "GET /banking/poll" => {
                    tell.store(true, Ordering::Relaxed);
                    eventually("time has passed", || wait.load(Ordering::Relaxed));
                    write!(conversation.stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews")
                }
                _ => Ok(()),
            };
        }
    });
    let gate = Gate::configured(&backend, SLOW);
    let mut events = gate.tanaka().connect(CERT).unwrap();
    events.send(format!("GET /banking/events HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    events.read_until(b"data: one\n\n").unwrap();
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let over_http2 = http2.send("GET", "/banking/events", &[], true);
    let mut poll = gate.tanaka().connect(CERT).unwrap();
    poll.send(format!("GET /banking/poll HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    eventually("the backend has it", || told.load(Ordering::Relaxed));
    // Twice the grace passes for somebody who is slow.
    (0..2).for_each(|_| trickle(&gate));
    go_on.store(true, Ordering::Relaxed);
    assert!(events.read_until(b"data: two\n\n").is_some());
    assert_eq!(http2.finish(over_http2).unwrap().0.text(), "data: one\n\ndata: two\n\n");
    assert_eq!(poll.response().unwrap().text(), "news");
}

/// A backend that sends without end, and notes when its connection breaks.
fn endless() -> Backend {
    Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = write!(conversation.stream, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
        while conversation.stream.write_all(&[b'x'; 0x10000]).is_ok() {}
        conversation.note("broken");
    })
}

fn broke(backend: &Backend) -> bool {
    backend.received().iter().any(|received| received.head == "broken")
}

#[test]
fn who_takes_a_response_in_drips_is_cut_off_and_its_upstream_too() {
    let backend = endless();
    let gate = Gate::configured(&backend, "limits: { min_rate: 10MiB/s, min_rate_grace: 500ms }");
    let mut connection = gate.tanaka().connect_narrow(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    eventually("the upstream's connection breaks", || {
        let _ = connection.read_exactly(64);
        broke(&backend)
    });
    gate.logged(|line| line["failure"] == "client_stalled" && line["status"] == 200);
}

#[test]
fn who_opens_an_http2_window_in_drips_is_cut_off_and_its_upstream_too() {
    let backend = endless();
    let gate = Gate::configured(&backend, "limits: { min_rate: 10MiB/s, min_rate_grace: 500ms }");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1000);
    let mut http2 = Http2::connect_with(&gate.tanaka(), CERT, &builder);
    let mut pending = http2.send("GET", "/banking/a", &[], true);
    let mut body = http2.head(&mut pending).unwrap().into_body();
    eventually("the upstream's connection breaks", || {
        if let Some(Ok(data)) = http2.wait(body.data()) {
            let _ = body.flow_control().release_capacity(data.len());
        }
        broke(&backend)
    });
}
