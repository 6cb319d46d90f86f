//! Too much to do: who has to stand back, in which order, and that the portal and the operators don't.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::backend::Backend;
use crate::support::client::{Connection, plain_get};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, OPTIONAL, WWW};
use crate::support::http2::Version;

const JSON: (&str, &str) = ("accept", "application/json");
const STATIC: &str = "/sekisho/static/style.css";

/// A backend that keeps requests for `/…/held` waiting until it is told to answer.
fn holding() -> (Backend, Arc<AtomicBool>) {
    let released = Arc::new(AtomicBool::new(false));
    let release = released.clone();
    let backend = Backend::conversing(move |mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line().ends_with("/held") {
                eventually("it is released", || release.load(Ordering::Relaxed));
            }
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (backend, released)
}

fn hold(gate: &Gate, backend: &Backend) -> Connection {
    let before = backend.received().len();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/held HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    eventually("the backend has it", || backend.received().len() > before);
    connection
}

fn shed(cause: &str) -> String {
    format!("sekisho_shed_total{{cause=\"{cause}\"}}")
}

#[test]
fn above_the_cap_of_requests_more_are_told_to_come_again_and_the_portal_answers() {
    for version in Version::BOTH {
        let (backend, released) = holding();
        let gate = Gate::configured(&backend, "limits: { requests: 2 }");
        let mut held = [hold(&gate, &backend), hold(&gate, &backend)];
        let ask = || version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[JSON], b"");
        let response = ask();
        assert_eq!((response.status, response.code().as_str()), (503, "overloaded"), "{version:?}");
        assert_eq!(response.value("retry-after").as_deref(), Some("5"));
        assert_eq!(gate.logged(|line| line["failure"] == "overloaded")["detail"], "requests");
        gate.counts(&shed("requests"), 1.0);
        assert_eq!(version.get(&gate.client(), WWW, STATIC).status, 200, "{version:?}");
        assert_eq!(plain_get(gate.ops, "/readyz").0, 200);
        // Those on their way end, and then there is room.
        released.store(true, Ordering::Relaxed);
        assert!(held.iter_mut().all(|held| held.response().unwrap().status == 200));
        eventually("room for another", || ask().status == 200);
    }
}

#[test]
fn who_proves_no_identity_stands_back_first() {
    let (backend, _released) = holding();
    let gate = Gate::configured(&backend, "limits: { requests: 8 }");
    let _held: Vec<_> = (0..7).map(|_| hold(&gate, &backend)).collect();
    assert_eq!(gate.client().get(WWW, "/public/a").status, 503);
    assert_eq!(gate.client().get(OPTIONAL, "/public/a").status, 503);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert_eq!(gate.tanaka().get(OPTIONAL, "/public/a").status, 200, "a certificate is an identity");
}

#[test]
fn the_last_connections_are_for_the_portal() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::configured(&backend, "limits: { connections: 16 }");
        let mut open: Vec<_> = (0..15).map(|_| gate.tanaka().connect(CERT).unwrap()).collect();
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[JSON], b"");
        assert_eq!((response.status, response.code().as_str()), (503, "overloaded"), "{version:?}");
        gate.counts(&shed("connections"), 1.0);
        gate.counts("sekisho_connections", 15.0);
        assert_eq!(version.get(&gate.client(), WWW, STATIC).status, 200, "{version:?}");
        // Who was there before isn't disturbed.
        open[0].send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(open[0].response().unwrap().status, 200, "{version:?}");
    }
}

#[test]
fn a_websocket_is_no_request_on_its_way() {
    let backend = Backend::conversing(|mut conversation| {
        if conversation.receive().is_some_and(|received| received.head.contains("pgrade: websocket")) {
            let _ = conversation.stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            let _ = conversation.read_exactly(1);
        } else {
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gate = Gate::configured(&backend, "limits: { requests: 1 }");
    let mut tunnel = gate.tanaka().connect(CERT).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    tunnel.send(format!("GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\n{upgrade}\r\n\r\n").as_bytes());
    assert!(tunnel.read_until(b"\r\n\r\n").unwrap().starts_with(b"HTTP/1.1 101"));
    eventually("room for a request", || gate.tanaka().get(CERT, "/banking/a").status == 200);
}
