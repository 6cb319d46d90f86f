//! Looking at endpoints, and what follows from what is seen.

use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;

use super::{Named, answers, ask, before, usable, waits_until_usable};
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::Ca;

const QUICK: &str = "health: { path: /health, every: 60ms, timeout: 50ms }";

#[test]
fn an_endpoint_that_is_not_well_gets_no_requests_until_it_is_again() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gate = before(&[&a, &b], QUICK);
    waits_until_usable(&gate, b.backend.address, true);
    b.health.store(500, Relaxed);
    waits_until_usable(&gate, b.backend.address, false);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    assert_eq!(answers(&mut connection, 6).concat(), "aaaaaa");
    b.health.store(204, Relaxed);
    eventually("it gets requests again", || ask(&mut connection, "GET").1 == "b");
    waits_until_usable(&gate, b.backend.address, true);
    let look = b.backend.received().into_iter().find(|received| received.line() == "GET /health").unwrap();
    assert_eq!(look.value("host"), Some(b.backend.address.to_string()));
    assert_eq!(look.value("user-agent").as_deref(), Some("sekisho-health"));
}

#[test]
fn where_nobody_is_well_a_request_is_answered_with_503_at_once() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    for named in [&a, &b] {
        named.health.store(503, Relaxed);
    }
    let gate = before(&[&a, &b], QUICK);
    waits_until_usable(&gate, a.backend.address, false);
    waits_until_usable(&gate, b.backend.address, false);
    let response = gate.tanaka().get_with(CERT, "/banking/a", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code().as_str()), (503, "upstream_down"));
    assert_eq!(response.value("retry-after").as_deref(), Some("5"));
    assert_eq!((a.count(), b.count()), (0, 0));
    a.health.store(200, Relaxed);
    eventually("one is well", || gate.tanaka().get(CERT, "/banking/a").status == 200);
}

#[test]
fn where_nobody_is_well_looks_come_quickly_until_somebody_is() {
    let a = Named::start("a");
    a.health.store(503, Relaxed);
    let gate = before(&[&a], "health: { path: /health, every: 1h }");
    waits_until_usable(&gate, a.backend.address, false);
    a.health.store(200, Relaxed);
    waits_until_usable(&gate, a.backend.address, true);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
}

#[test]
fn the_statuses_of_a_well_endpoint_and_the_host_that_is_asked_for_are_configured() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    a.health.store(418, Relaxed);
    let upstream =
        "health: { path: /health, host: app.internal, statuses: [418], every: 60ms, timeout: 50ms }";
    let gate = before(&[&a, &b], upstream);
    waits_until_usable(&gate, b.backend.address, false);
    assert_eq!(usable(&gate, a.backend.address), Some(true));
    eventually("a look", || !a.backend.received().is_empty());
    assert_eq!(a.backend.received()[0].value("host").as_deref(), Some("app.internal"));
}

#[test]
fn without_a_path_a_connection_is_enough() {
    let (a, b) = (Named::start("a"), TcpListener::bind("127.0.0.1:0").unwrap());
    let gone = b.local_addr().unwrap();
    let settings = Settings { upstream: "health: { every: 60ms, timeout: 50ms }", ..Settings::default() };
    let gate = Gate::before(&[a.backend.address, gone], Ca::new("Mihon Bank CA-G1"), settings);
    waits_until_usable(&gate, gone, true);
    drop(b);
    waits_until_usable(&gate, gone, false);
    assert_eq!(usable(&gate, a.backend.address), Some(true));
}

#[test]
fn who_answers_nonsense_or_not_at_all_is_not_well() {
    let silent = Backend::conversing(|mut conversation| {
        conversation.receive();
        // Until the other side has had enough.
        let _ = conversation.receive();
    });
    let garbled = Backend::answering(|_| b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec());
    let closing = Backend::conversing(|mut conversation| drop(conversation.receive()));
    let well = Named::start("a");
    let addresses = [silent.address, garbled.address, closing.address, well.backend.address];
    let settings = Settings { upstream: QUICK, ..Settings::default() };
    let gate = Gate::before(&addresses, Ca::new("Mihon Bank CA-G1"), settings);
    for address in &addresses[..3] {
        waits_until_usable(&gate, *address, false);
    }
    waits_until_usable(&gate, well.backend.address, true);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    assert_eq!(answers(&mut connection, 4).concat(), "aaaa");
}

#[test]
fn a_reload_that_ends_the_looks_lets_everybody_in_again() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    b.health.store(500, Relaxed);
    let gate = before(&[&a, &b], QUICK);
    gate.follow();
    waits_until_usable(&gate, b.backend.address, false);
    gate.write("sekisho.yaml", &gate.file("sekisho.yaml").replace(QUICK, ""));
    gate.reload().unwrap();
    waits_until_usable(&gate, b.backend.address, true);
}
