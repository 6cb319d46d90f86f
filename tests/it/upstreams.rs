//! Several endpoints of an upstream: who gets a request, who is kept from them, what is done when one fails.

mod busy;
mod failing;
mod health;
mod http2;
mod introduced;
mod names;
mod wires;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::backend::Backend;
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::Ca;

/// A backend that answers with its name, and with the statuses that it is told.
struct Named {
    backend: Backend,
    /// Of `/health`.
    health: Arc<AtomicU16>,
    /// Of everything else.
    status: Arc<AtomicU16>,
}

impl Named {
    fn start(name: &'static str) -> Self {
        let (health, status) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let (of_health, of_requests) = (health.clone(), status.clone());
        let backend = Backend::answering(move |received| {
            let of = if received.line() == "GET /health" { &of_health } else { &of_requests };
            let status = of.load(Ordering::Relaxed);
            let length = name.len();
            format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n{name}").into_bytes()
        });
        Self { backend, health, status }
    }

    /// How many requests it got, beside looks.
    fn count(&self) -> usize {
        self.backend.received().iter().filter(|received| received.line() != "GET /health").count()
    }
}

fn before(backends: &[&Named], upstream: &str) -> Gate {
    let addresses: Vec<_> = backends.iter().map(|named| named.backend.address).collect();
    let settings = Settings { upstream, ..Settings::default() };
    Gate::before(&addresses, Ca::new("Mihon Bank CA-G1"), settings)
}

/// One request over an open connection: its status and its body.
fn ask(connection: &mut Connection, method: &str) -> (u16, String) {
    let lines = format!("{method} /banking/a HTTP/1.1\r\nHost: {CERT}\r\nAccept: application/json\r\n\r\n");
    connection.send(lines.as_bytes());
    let response = connection.response().unwrap();
    (response.status, response.text())
}

/// Who answers so many requests in a row.
fn answers(connection: &mut Connection, times: usize) -> Vec<String> {
    (0..times).map(|_| ask(connection, "GET").1).collect()
}

/// What the metrics say of an endpoint, once they say something.
fn usable(gate: &Gate, address: std::net::SocketAddr) -> Option<bool> {
    let metric = format!("sekisho_upstream_endpoint_usable{{endpoint=\"{address}\",upstream=\"banking\"}} ");
    let metrics = gate.metrics();
    metrics.lines().find_map(|line| Some(line.strip_prefix(&metric)? == "1"))
}

fn waits_until_usable(gate: &Gate, address: std::net::SocketAddr, is_usable: bool) {
    eventually(&format!("an endpoint is usable: {is_usable}"), || usable(gate, address) == Some(is_usable));
}

#[test]
fn endpoints_are_taken_in_turn() {
    let (a, b, c) = (Named::start("a"), Named::start("b"), Named::start("c"));
    let gate = before(&[&a, &b, &c], "");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let answers = answers(&mut connection, 9);
    assert_eq!(answers[0..3], answers[3..6]);
    assert_eq!(answers[0..3], answers[6..9]);
    assert_eq!((a.count(), b.count(), c.count()), (3, 3, 3));
    assert_eq!((a.backend.connections(), b.backend.connections(), c.backend.connections()), (1, 1, 1));
}

#[test]
fn an_endpoint_gets_its_share_by_weight_and_none_while_it_drains() {
    let (a, b, c) = (Named::start("a"), Named::start("b"), Named::start("c"));
    let gate = before(&[&a, &b, &c], "");
    gate.follow();
    let yaml = gate.file("sekisho.yaml");
    let (b_address, c_address) = (b.backend.address, c.backend.address);
    let weighted = yaml
        .replace(&format!("'{b_address}'"), &format!("{{ address: '{b_address}', weight: 3 }}"))
        .replace(&format!("'{c_address}'"), &format!("{{ address: '{c_address}', drain: true }}"));
    gate.write("sekisho.yaml", &weighted);
    gate.reload().unwrap();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    // Spread, not three times the same one and then the other.
    assert_eq!(answers(&mut connection, 8).concat(), "babbbabb");
    assert_eq!((a.count(), b.count(), c.count()), (2, 6, 0));
}

#[test]
fn a_user_stays_with_an_endpoint_and_only_those_of_one_that_goes_move() {
    let (a, b, c) = (Named::start("a"), Named::start("b"), Named::start("c"));
    let gate = before(&[&a, &b, &c], "balance: user");
    gate.follow();
    let users: Vec<_> = (0..30).map(|n| gate.ca.client(&format!("10000000000001 user{n}"))).collect();
    let who = |user: &_| gate.client().with(user).get(CERT, "/banking/a").text();
    let first: Vec<_> = users.iter().map(who).collect();
    assert_eq!(users.iter().map(who).collect::<Vec<_>>(), first, "over other connections");
    for name in ["a", "b", "c"] {
        assert!(first.iter().any(|other| other == name), "nobody at {name}: {first:?}");
    }
    let gone = format!(", '{}'", c.backend.address);
    gate.write("sekisho.yaml", &gate.file("sekisho.yaml").replace(&gone, ""));
    gate.reload().unwrap();
    for (user, before) in users.iter().zip(first) {
        let now = who(user);
        assert!(now == before || before == "c", "{before} → {now}");
        assert_ne!(now, "c");
    }
}

#[test]
fn an_operator_drains_an_endpoint_by_a_command_which_a_reload_does_not_forget() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gate = before(&[&a, &b], "");
    gate.follow();
    let ops = gate.ops.to_string();
    let run = |verb: &[&str]| {
        crate::support::process::sekisho(
            gate.folder.path(),
            &[&["upstream"], verb, &["--ops", &ops]].concat(),
        )
    };
    let drained = b.backend.address.to_string();
    assert_eq!(run(&["drain", "banking", &drained]).stdout, "drained\n");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    assert_eq!(answers(&mut connection, 4).concat(), "aaaa");
    gate.write(
        "sekisho.yaml",
        &gate.file("sekisho.yaml").replace("banking: {", "banking: { slow_start: 1s,"),
    );
    gate.reload().unwrap();
    assert_eq!(answers(&mut connection, 4).concat(), "aaaa");
    let list: serde_json::Value = serde_json::from_str(&run(&["list"]).stdout).unwrap();
    let conditions: Vec<_> =
        list[0]["endpoints"].as_array().unwrap().iter().map(|e| e["condition"].clone()).collect();
    assert!(conditions.contains(&"drained".into()) && conditions.contains(&"unknown".into()), "{list}");
    assert_eq!(run(&["undrain", "banking", &drained]).stdout, "undrained\n");
    eventually("it gets requests again", || ask(&mut connection, "GET").1 == "b");
    let unknown = run(&["drain", "banking", "127.0.0.1:1"]);
    assert!(unknown.stderr.contains("there is no such endpoint"), "{}", unknown.stderr);
}
