//! What an upstream can bear: requests that wait for their turn, and those that waited in vain.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::{Named, ask};
use crate::support::backend::Backend;
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::Ca;

/// A backend that answers each request when it is told to, and says which have come.
struct Held {
    backend: Backend,
    go: Sender<()>,
}

fn held() -> Held {
    let (go, gone): (Sender<()>, Receiver<()>) = channel();
    let gone = Arc::new(Mutex::new(gone));
    let backend = Backend::conversing(move |mut conversation| {
        while conversation.receive().is_some() {
            let told = gone.lock().unwrap().recv();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld";
            if told.is_err() || conversation.stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    Held { backend, go }
}

fn gate(addresses: &[std::net::SocketAddr], upstream: &str) -> Gate {
    Gate::before(addresses, Ca::new("Mihon Bank CA-G1"), Settings { upstream, ..Settings::default() })
}

fn send(gate: &Gate) -> Connection {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let lines = "Accept: application/json\r\n\r\n";
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n{lines}").as_bytes());
    connection
}

fn has_received(held: &Held, count: usize) {
    eventually(&format!("{count} requests have come"), || held.backend.received().len() == count);
}

#[test]
fn the_less_busy_endpoint_gets_the_request() {
    let (held, b) = (held(), Named::start("b"));
    let gate = gate(&[held.backend.address, b.backend.address], "balance: least_requests");
    // Until one is with the endpoint that doesn't answer.
    let mut waiting = Vec::new();
    while held.backend.received().is_empty() {
        waiting.push(send(&gate));
        eventually("somebody has it", || held.backend.received().len() + b.count() == waiting.len());
    }
    let before = b.count();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&mut connection, "GET").1, "b");
    }
    assert_eq!(b.count(), before + 20);
    held.go.send(()).unwrap();
}

#[test]
fn who_waits_for_a_turn_only_leaves_connections_to_be_used_again() {
    let held = held();
    let gate = gate(&[held.backend.address], "limits: { requests: 1, connections: 5, wait: 1h }");
    let mut first = send(&gate);
    has_received(&held, 1);
    let mut others = [send(&gate), send(&gate)];
    gate.counts("sekisho_upstream_requests_queued{upstream=\"banking\"}", 2.0);
    (0..3).for_each(|_| held.go.send(()).unwrap());
    assert_eq!(first.response().unwrap().status, 200);
    assert_eq!(others.each_mut().map(|other| other.response().unwrap().status), [200, 200]);
    assert_eq!(held.backend.connections(), 1);
}

#[test]
fn who_comes_when_an_upstream_has_enough_to_do_waits_for_its_turn() {
    for limits in ["requests: 1", "connections: 1"] {
        let held = held();
        let gate = gate(&[held.backend.address], &format!("limits: {{ {limits}, wait: 1h }}"));
        let mut first = send(&gate);
        has_received(&held, 1);
        let mut second = send(&gate);
        gate.counts("sekisho_upstream_requests_queued{upstream=\"banking\"}", 1.0);
        assert_eq!(held.backend.received().len(), 1);
        held.go.send(()).unwrap();
        assert_eq!(first.response().unwrap().text(), "held");
        has_received(&held, 2);
        held.go.send(()).unwrap();
        assert_eq!(second.response().unwrap().text(), "held", "{limits}");
    }
}

#[test]
fn who_waits_in_vain_or_finds_the_queue_full_gets_503() {
    for (limits, retry) in [("wait: 100ms", "1"), ("queued: 0", "1")] {
        let held = held();
        let gate = gate(&[held.backend.address], &format!("limits: {{ requests: 1, {limits} }}"));
        let mut first = send(&gate);
        has_received(&held, 1);
        let refused = send(&gate).response().unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (503, "upstream_busy"), "{limits}");
        assert_eq!(refused.value("retry-after").as_deref(), Some(retry));
        held.go.send(()).unwrap();
        assert_eq!(first.response().unwrap().status, 200);
        // Whoever was refused holds nothing.
        held.go.send(()).unwrap();
        assert_eq!(send(&gate).response().unwrap().status, 200);
    }
}

#[test]
fn a_client_that_goes_gives_its_turn_back() {
    let held = held();
    let gate = gate(&[held.backend.address], "limits: { requests: 1, wait: 1h }");
    let first = send(&gate);
    has_received(&held, 1);
    let mut second = send(&gate);
    gate.counts("sekisho_upstream_requests_queued{upstream=\"banking\"}", 1.0);
    drop(first);
    has_received(&held, 2);
    held.go.send(()).unwrap();
    held.go.send(()).unwrap();
    assert_eq!(second.response().unwrap().status, 200);
    gate.counts("sekisho_upstream_requests_queued{upstream=\"banking\"}", 0.0);
    let label = format!("endpoint=\"{}\",upstream=\"banking\"", held.backend.address);
    gate.counts(&format!("sekisho_upstream_requests_in_flight{{{label}}}"), 0.0);
}

#[test]
fn a_client_that_goes_while_it_waits_gives_its_place_up() {
    for limits in ["requests: 1", "connections: 1"] {
        let held = held();
        let gate = gate(&[held.backend.address], &format!("limits: {{ {limits}, wait: 1h }}"));
        let mut first = send(&gate);
        has_received(&held, 1);
        let second = send(&gate);
        let queued = "sekisho_upstream_requests_queued{upstream=\"banking\"}";
        gate.counts(queued, 1.0);
        drop(second);
        gate.counts(queued, 0.0);
        held.go.send(()).unwrap();
        assert_eq!(first.response().unwrap().status, 200);
        assert_eq!(held.backend.received().len(), 1, "{limits}");
    }
}

#[test]
fn who_waits_for_its_turn_does_so_no_longer_than_its_route_lets_the_whole_take() {
    let held = held();
    let routes = "  - { path: /banking, require: certificate, timeouts: { total: 300ms }, upstream: banking }
  - { path: /slow, require: certificate, upstream: banking }";
    let settings = Settings {
        routes: Some(routes),
        upstream: "limits: { requests: 1, wait: 1h }",
        ..Settings::default()
    };
    let gate = Gate::before(&[held.backend.address], Ca::new("Mihon Bank CA-G1"), settings);
    let mut first = gate.tanaka().connect(CERT).unwrap();
    first.send(format!("GET /slow HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    has_received(&held, 1);
    let response = send(&gate).response().unwrap();
    assert_eq!((response.status, response.code().as_str()), (503, "upstream_busy"));
    held.go.send(()).unwrap();
    assert_eq!(first.response().unwrap().status, 200);
}

#[test]
fn an_answer_stays_where_nobody_is_left_to_ask_again() {
    let (go, gone): (Sender<()>, Receiver<()>) = channel();
    let gone = Mutex::new(gone);
    let backend = Backend::answering(move |_| {
        gone.lock().unwrap().recv().unwrap();
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\ntheir".to_vec()
    });
    let gate = gate(&[backend.address], "retries: { most: 1, statuses: [503] }");
    let mut waiting = send(&gate);
    eventually("it has come", || backend.received().len() == 1);
    let drain =
        ["upstream", "drain", "banking", &backend.address.to_string(), "--ops", &gate.ops.to_string()];
    crate::support::process::sekisho(gate.folder.path(), &drain).good();
    go.send(()).unwrap();
    assert_eq!(waiting.response().unwrap().text(), "their");
    assert_eq!(gate.metric("sekisho_upstream_retries_total{upstream=\"banking\"}"), 0.0);
}

#[test]
fn more_connections_than_allowed_are_never_open() {
    let backend = Backend::start();
    let gate = gate(&[backend.address], "limits: { connections: 2, wait: 1h }");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = gate.tanaka().connect(CERT).unwrap();
                for _ in 0..10 {
                    assert_eq!(ask(&mut connection, "GET").1, "ok");
                }
            });
        }
    });
    // One that is closed so that somebody else may open one is no third.
    assert!(gate.metric("sekisho_upstream_connects_total{upstream=\"banking\"}") >= 1.0);
    assert_eq!(backend.received().len(), 80);
}
