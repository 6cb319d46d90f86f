//! A new binary takes over the sockets: nobody is refused, whoever is served is served to the end, and a successor that
//! fails is none.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::backend::Backend;
use crate::support::client::{Connection, plain_get};
use crate::support::eventually;
use crate::support::gate::CERT;
use crate::support::http2::Http2;
use crate::support::service::{Service, is_alive};

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A backend that answers `slow` when it is told to, and echoes what comes over a WebSocket.
fn backend() -> (Backend, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let backend = Backend::conversing(move |mut conversation| {
        while let Some(received) = conversation.receive() {
            if received.line() == "GET /banking/ws" {
                return echo(conversation.stream);
            }
            if received.line() == "GET /banking/slow" {
                let _ = gone.lock().unwrap().recv();
            }
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    (backend, go)
}

fn echo(mut stream: TcpStream) {
    let _ = stream.write_all(SWITCHED);
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        let _ = stream.write_all(&part[..length]);
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {CERT}\r\n\r\n").into_bytes()
}

fn web_socket(service: &Service) -> Connection {
    let mut connection = service.tanaka().connect(CERT).unwrap();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    connection.send(format!("GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\n{fields}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 101);
    connection
}

fn serves(service: &Service) -> bool {
    service.tanaka().get(CERT, "/banking/a").status == 200
}

#[test]
fn nobody_is_refused_and_whoever_is_served_is_served_to_the_end() {
    let (backend, go) = backend();
    let mut service = Service::start(&backend);
    let mut idle = service.tanaka().connect(CERT).unwrap();
    idle.send(&get("/banking/a"));
    assert_eq!(idle.response().unwrap().status, 200);
    let mut busy = service.tanaka().connect(CERT).unwrap();
    busy.send(&get("/banking/slow"));
    let mut busy2 = Http2::connect(&service.tanaka(), CERT);
    let slow = busy2.send("GET", "/banking/slow", &[], true);
    let mut tunnel = web_socket(&service);
    eventually("the backend has all of them", || backend.received().len() == 4);

    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let passes = |more: usize| {
        let before = served.load(Ordering::Relaxed);
        eventually("more are served", || served.load(Ordering::Relaxed) >= before + more);
    };
    std::thread::scope(|scope| {
        let newcomers: Vec<_> = (0..3)
            .map(|number| {
                let (service, stop, served) = (&service, &stop, &served);
                let (client, ops) = (service.tanaka(), service.ops);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match number {
                            0 => assert_eq!(plain_get(ops, "/readyz").0, 200),
                            _ => {
                                assert_eq!(client.get(CERT, "/banking/new").status, 200);
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                })
            })
            .collect();
        passes(5);
        service.running.signal(Signal::USR2);
        let successor = service.successor(1);
        assert!(idle.is_closed());
        tunnel.send(b"still here");
        assert_eq!(tunnel.read_exactly(10).unwrap(), b"still here");
        passes(5);
        assert!(is_alive(Pid::from_raw(service.running.pid().cast_signed()).unwrap()));
        go.send(()).unwrap();
        go.send(()).unwrap();
        let response = busy.response().unwrap();
        assert_eq!(
            (response.text(), response.value("connection").as_deref()),
            ("ok".to_owned(), Some("close"))
        );
        assert_eq!(busy2.finish(slow).unwrap().0.text(), "ok");
        busy2.ended();
        drop(tunnel);
        service.says("Stopped", 1);
        passes(5);
        stop.store(true, Ordering::Relaxed);
        newcomers.into_iter().for_each(|newcomer| newcomer.join().unwrap());
        kill_process(successor, Signal::TERM).unwrap();
        service.says("Stopped", 2);
    });
    assert_eq!(service.running.exit_code(), Some(0));
    eventually("nobody listens any more", || TcpStream::connect(service.address).is_err());
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_serving() {
    let (backend, _go) = backend();
    let mut service = Service::start(&backend);
    let fails = |count: usize, reason: &str| {
        service.running.signal(Signal::USR2);
        let said = service.says("The upgrade failed: this process serves on", count);
        assert!(said["reason"].as_str().or(said["error"].as_str()).unwrap().starts_with(reason), "{said}");
        assert!(serves(&service));
        assert_eq!(plain_get(service.ops, "/readyz").0, 200);
    };
    service.edit("workers: 2", "wrokers: 2");
    fails(1, "it ended: exit status: 78");
    assert!(service.running.stderr().contains("wrokers"), "the successor says why");
    service.edit("wrokers: 2", "workers: 2");
    service.replace_program(Some("exit 3"));
    fails(2, "it ended: exit status: 3");
    // Behind two workers' sockets and the operators' comes the line.
    service.replace_program(Some("echo mumble >&6; exec sleep 60"));
    fails(3, "it speaks another language");
    std::fs::remove_file(service.folder.path().join("sekisho")).unwrap();
    fails(4, "No such file");
    service.replace_program(None);
    service.running.signal(Signal::USR2);
    let successor = service.successor(1);
    assert_eq!(service.running.exit_code(), Some(0));
    assert!(serves(&service) && is_alive(successor));
}

#[test]
fn a_successor_is_succeeded_whatever_the_number_of_workers() {
    let (backend, _go) = backend();
    let mut service = Service::start(&backend);
    service.running.signal(Signal::USR2);
    let mut current = service.successor(1);
    assert_eq!(service.running.exit_code(), Some(0));
    for (count, (from, to)) in [("workers: 2", "workers: 3"), ("workers: 3", "workers: 1")].iter().enumerate()
    {
        service.edit(from, to);
        // Twice in a row is once.
        kill_process(current, Signal::USR2).unwrap();
        kill_process(current, Signal::USR2).ok();
        let next = service.successor(count + 2);
        eventually("the end of the one before", || !is_alive(current));
        current = next;
        // As many as it takes for every socket to have had some.
        assert!((0..20).all(|_| serves(&service)));
        assert_eq!(plain_get(service.ops, "/readyz").0, 200);
    }
    kill_process(current, Signal::TERM).unwrap();
    eventually("the end of the last", || !is_alive(current));
    assert!(TcpStream::connect(service.address).is_err());
}

#[test]
fn sigterm_while_a_successor_is_waited_for_ends_both() {
    let (backend, _go) = backend();
    let mut service = Service::start(&backend);
    service.replace_program(Some("echo $$ > number; mv number pid; exec sleep 60"));
    service.running.signal(Signal::USR2);
    let file = service.folder.path().join("pid");
    eventually("the successor", || file.exists());
    let number = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let successor = Pid::from_raw(number).unwrap();
    service.running.signal(Signal::USR2);
    service.says("An upgrade is under way already", 1);
    assert!(serves(&service) && is_alive(successor));
    service.running.signal(Signal::TERM);
    assert_eq!(service.running.exit_code(), Some(0));
    assert!(!is_alive(successor));
}
