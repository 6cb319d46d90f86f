//! The end of a gate: nobody new, whoever is served is served to the end, and the end comes.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use crate::support::backend::Backend;
use crate::support::client::plain_get;
use crate::support::eventually;
use crate::support::frames::{Frames, GOAWAY, HEADERS};
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Http2;

/// A backend that answers when it is told to.
fn on_command() -> (Backend, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let backend = Backend::conversing(move |mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line() == "GET /banking/slow" {
                let _ = gone.lock().unwrap().recv();
            }
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (backend, go)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n").into_bytes()
}

#[test]
fn requests_in_flight_end_well_and_nobody_new_is_served() {
    let (backend, go) = on_command();
    let mut gate = Gate::start(&backend);
    let (tanaka, address, ops) = (gate.tanaka(), gate.address, gate.ops);
    let mut idle = tanaka.connect(CERT).unwrap();
    idle.send(&get("/banking/a"));
    assert_eq!(idle.response().unwrap().status, 200);
    let mut idle2 = Http2::connect(&tanaka, CERT);
    assert_eq!(idle2.ask("GET", "/banking/a", &[], b"").unwrap().status, 200);
    let mut idle3 = Frames::connect(&tanaka, CERT);
    let request = idle3.get(1, "/banking/a", &[]);
    idle3.send(&request);
    assert!(idle3.next(&[HEADERS]).is_some());
    let mut busy = tanaka.connect(CERT).unwrap();
    busy.send(&get("/banking/slow"));
    let mut busy2 = Http2::connect(&tanaka, CERT);
    let slow = busy2.send("GET", "/banking/slow", &[], true);
    eventually("the backend has all of them", || backend.received().len() == 5);
    let drained = gate.drain();
    // Idle connections are closed, over HTTP/2 with a GOAWAY that says no error.
    assert!(idle.is_closed());
    idle2.ended();
    assert_eq!(idle3.next(&[GOAWAY]).unwrap().payload[4..], [0; 4], "NO_ERROR");
    eventually("the gate is not ready", || plain_get(ops, "/readyz").0 == 503);
    assert_eq!(plain_get(ops, "/readyz").1, "not ready: starting or draining\n");
    assert_eq!(plain_get(ops, "/livez").0, 200);
    assert!(plain_get(ops, "/metrics").1.contains("\nsekisho_draining 1\n"));
    eventually("nobody new is accepted", || TcpStream::connect(address).is_err());
    assert!(!drained.is_finished());
    go.send(()).unwrap();
    go.send(()).unwrap();
    let response = busy.response().unwrap();
    assert_eq!((response.text(), response.value("connection").as_deref()), ("ok".to_owned(), Some("close")));
    assert!(busy.is_closed());
    assert_eq!(busy2.finish(slow).unwrap().0.text(), "ok");
    busy2.ended();
    drained.join().unwrap();
    assert!(plain_get_fails(ops));
    let lines = gate.access_log();
    assert_eq!(lines.iter().filter(|line| line["status"] == 200).count(), 5, "{lines:#?}");
}

fn plain_get_fails(address: std::net::SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn what_does_not_end_in_time_is_cut_off_and_logged() {
    let (backend, _go) = on_command();
    let mut gate = Gate::configured(&backend, "timeouts: { drain: 300ms }");
    let mut busy = gate.tanaka().connect(CERT).unwrap();
    busy.send(&get("/banking/slow"));
    let mut busy2 = Http2::connect(&gate.tanaka(), CERT);
    let slow = busy2.send("GET", "/banking/slow", &[], true);
    eventually("the backend has both", || backend.received().len() == 2);
    gate.drain().join().unwrap();
    assert!(busy.response().is_none());
    assert!(busy2.finish(slow).is_err());
    let lines = gate.access_log();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line["failure"] == "client_gone" && line["status"] == 0), "{lines:#?}");
}
