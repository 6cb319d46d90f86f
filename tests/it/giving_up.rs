//! When nobody waits any more, the backend's connection is closed: it need not work on.

use std::io::Write;
use std::time::Duration;

use crate::support::backend::{Backend, Conversation};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::{Http2, Version};

const JSON: (&str, &str) = ("accept", "application/json");

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n")
}

fn answer(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

fn note_when_gone(mut conversation: Conversation) {
    // Reading ends when the gate closes.
    if conversation.receive().is_none() {
        conversation.note("gone");
    }
}

fn is_gone(backend: &Backend) -> bool {
    backend.received().iter().any(|received| received.head == "gone")
}

#[test]
fn a_client_that_goes_away_takes_its_request_along() {
    // While nothing has come back, and in the middle of the response.
    for begun in [false, true] {
        let backend = Backend::conversing(move |mut conversation| {
            conversation.receive();
            if begun {
                let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            }
            note_when_gone(conversation);
        });
        let gate = Gate::start(&backend);
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(request("GET", "/banking/a").as_bytes());
        eventually("the backend has the request", || backend.received().len() == 1);
        if begun {
            connection.read_until(b"hello").unwrap();
        }
        drop(connection);
        eventually("the upstream's connection is closed", || is_gone(&backend));
        gate.logged(|line| line["failure"] == "client_gone" && line["protocol"] == "1.1");
    }
}

#[test]
fn a_client_that_has_nothing_more_to_say_still_gets_its_answer() {
    // TLS's goodbye ends one direction only; gnutls-cli says it as soon as its input ends.
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let backend = Backend::conversing(move |mut conversation| {
        conversation.receive();
        may_go_on.lock().unwrap().recv().unwrap();
        conversation.stream.write_all(&answer("late")).unwrap();
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(request("GET", "/banking/").as_bytes());
    connection.stream.conn.send_close_notify();
    connection.stream.flush().unwrap();
    eventually("the backend has the request", || backend.received().len() == 1);
    // The gate has one thread: once it has answered somebody else, it has seen the goodbye.
    assert_eq!(gate.client().get(CERT, "/banking/").status, 403);
    go_on.send(()).unwrap();
    assert_eq!(connection.response().expect("an answer").text(), "late");
    assert!(connection.is_closed());
}

#[test]
fn a_stream_that_is_reset_takes_its_request_along() {
    for begun in [false, true] {
        let backend = Backend::conversing(move |mut conversation| {
            let received = conversation.receive().unwrap();
            if received.line() == "GET /banking/b" {
                return conversation.stream.write_all(&answer("ok")).unwrap();
            }
            if begun {
                let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            }
            note_when_gone(conversation);
        });
        let gate = Gate::start(&backend);
        let mut http2 = Http2::connect(&gate.tanaka(), CERT);
        let mut pending = http2.send("GET", "/banking/a", &[], true);
        eventually("the backend has the request", || backend.received().len() == 1);
        if begun {
            drop(http2.head(&mut pending).unwrap());
        }
        drop(pending);
        eventually("the upstream's connection is closed", || is_gone(&backend));
        gate.logged(|line| line["failure"] == "client_gone" && line["protocol"] == "2");
        assert_eq!(http2.ask("GET", "/banking/b", &[], b"").unwrap().text(), "ok");
    }
}

#[test]
fn an_idle_connection_to_a_backend_is_given_up() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = conversation.stream.write_all(&answer("ok"));
        conversation.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        note_when_gone(conversation);
    });
    let gate = Gate::configured(&backend, "timeouts: { upstream_idle: 300ms }");
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    eventually("the gate closes it", || is_gone(&backend));
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_a_504() {
    for version in Version::BOTH {
        let backend = Backend::conversing(|mut conversation| {
            conversation.receive();
            note_when_gone(conversation);
        });
        let gate = Gate::configured(&backend, "timeouts: { upstream_first_byte: 300ms }");
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[JSON], b"");
        assert_eq!((response.status, response.code().as_str()), (504, "upstream_timeout"), "{version:?}");
        eventually("the upstream's connection is closed", || is_gone(&backend));
    }
}
