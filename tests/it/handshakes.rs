//! Clients that shake hands badly: late, in crumbs, too much, not at all (T11). The gate closes and serves on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, Settings, WWW};
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::service::Service;
use crate::support::{PATIENCE, eventually};

fn gate(backend: &Backend, yaml: &str) -> Gate {
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { yaml, ..Settings::default() })
}

fn open(gate: &Gate) -> TcpStream {
    let tcp = TcpStream::connect(gate.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

/// Everything that the gate still says until it hangs up, with or without a reset.
fn rest(mut tcp: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = tcp.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "the gate to hang up");
    }
    bytes
}

fn counts(gate: &Gate, cause: &str, number: f64) {
    gate.counts(&format!("sekisho_handshake_failures_total{{cause=\"{cause}\"}}"), number);
}

fn serves_on(gate: &Gate, backend: &Backend) {
    let before = backend.received().len();
    assert_eq!(gate.tanaka().get(CERT, "/banking/").status, 200);
    assert_eq!(backend.received().len(), before + 1);
}

/// A client for the host `name`, and its ClientHello.
fn hello(client: &Client, name: &str) -> (ClientConnection, Vec<u8>) {
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let mut session = ClientConnection::new(Arc::new(client.config.clone()), server).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    (session, bytes)
}

#[test]
fn a_client_hello_that_never_ends_is_given_up() {
    let backend = Backend::start();
    let gate = gate(&backend, "timeouts: { handshake: 300ms }");
    let (_, bytes) = hello(&gate.client(), CERT);
    let mut silent = Vec::new();
    for length in [0, 1, 5, bytes.len() - 1] {
        let mut tcp = open(&gate);
        tcp.write_all(&bytes[..length]).unwrap();
        silent.push(tcp);
    }
    for tcp in silent {
        assert_eq!(rest(tcp), b"");
    }
    counts(&gate, "timeout", 4.0);
    gate.counts("sekisho_connections", 0.0);
    serves_on(&gate, &backend);
}

#[test]
fn a_handshake_that_stops_after_the_hello_is_given_up() {
    let backend = Backend::start();
    let gate = gate(&backend, "timeouts: { handshake: 300ms }");
    let mut tcp = open(&gate);
    tcp.write_all(&hello(&gate.client(), CERT).1).unwrap();
    assert_eq!(rest(tcp)[0], 22, "the server's part of the handshake, and then the end");
    counts(&gate, "timeout", 1.0);
}

#[test]
fn a_client_that_leaves_before_its_hello_is_nobodys_problem() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    drop(open(&gate));
    counts(&gate, "closed", 1.0);
    serves_on(&gate, &backend);
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    struct Crumbs(TcpStream);
    impl Write for Crumbs {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(1)])
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }
    impl Read for Crumbs {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(bytes)
        }
    }
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let server = ServerName::try_from(CERT).unwrap();
    let mut session = ClientConnection::new(Arc::new(gate.tanaka().config), server).unwrap();
    let mut crumbs = Crumbs(open(&gate));
    while session.is_handshaking() {
        session.complete_io(&mut crumbs).unwrap();
    }
    let request = format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\nConnection: close\r\n\r\n");
    session.writer().write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    rustls::Stream::new(&mut session, &mut crumbs).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(backend.only().value("x-user-id").as_deref(), Some("tanaka"));
}

#[test]
fn a_client_hello_may_come_in_many_records() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let (mut session, bytes) = hello(&gate.client(), WWW);
    let mut tcp = open(&gate);
    for part in bytes[5..].chunks(20) {
        let length = u8::try_from(part.len()).unwrap();
        tcp.write_all(&[&[22, 3, 1, 0, length], part].concat()).unwrap();
    }
    while session.is_handshaking() {
        session.complete_io(&mut tcp).unwrap();
    }
    counts(&gate, "tls", 0.0);
}

#[test]
fn a_client_hello_over_the_cap_is_cut_off() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    // 17 KiB of protocol names; the cap is 16 KiB unless configured.
    let names: Vec<String> = (0..85).map(|number| format!("{number:0>200}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(gate.client().offering(&names).connect(WWW).is_err());
    counts(&gate, "too_large", 1.0);
    serves_on(&gate, &backend);
}

#[test]
fn the_cap_of_a_client_hello_is_configured() {
    let backend = Backend::start();
    let gate = gate(&backend, "limits: { client_hello: 1KiB }");
    let (_, bytes) = hello(&gate.client(), WWW);
    assert!(bytes.len() > 1024);
    assert!(gate.client().connect(WWW).is_err());
    counts(&gate, "too_large", 1.0);
}

#[test]
fn a_chain_over_the_cap_is_cut_off() {
    let backend = Backend::start();
    let gate = gate(&backend, "limits: { handshake: 20KiB }");
    let mut credential = gate.ca.client(COMMON_NAME);
    while credential.chain.iter().map(|certificate| certificate.len()).sum::<usize>() < 20 << 10 {
        credential.chain.push(gate.ca.der());
    }
    let client = gate.client().with(&credential);
    // A client of TLS 1.3 is through before the gate has read its chain.
    assert!(client.connect(CERT).map_or(true, |mut connection| connection.read_to_end().is_empty()));
    counts(&gate, "too_large", 1.0);
    assert_eq!(backend.connections(), 0);
    serves_on(&gate, &backend);
}

#[test]
fn what_is_not_tls_is_closed() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let http = format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").into_bytes();
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // A record of the kind "handshake" with a hello that is longer than it says, and one of application data.
    let garbage = [vec![0; 64], vec![0xff; 64], vec![22, 3, 1, 0, 5, 1, 0, 0, 1, 0], vec![23, 3, 3, 0, 1, 0]];
    let attempts: Vec<Vec<u8>> = [http, h2].into_iter().chain(garbage).collect();
    for bytes in &attempts {
        let mut tcp = open(&gate);
        tcp.write_all(bytes).unwrap();
        let answer = rest(tcp);
        assert!(answer.is_empty() || answer[0] == 21, "an alert at most: {answer:?}");
    }
    counts(&gate, "tls", 6.0);
    assert_eq!(backend.connections(), 0);
    serves_on(&gate, &backend);
}

#[test]
fn a_connection_over_the_cap_is_closed_at_once_and_counted() {
    let backend = Backend::start();
    let gate = gate(&backend, "limits: { connections: 2 }");
    let (first, _second) = (gate.client().connect(WWW).unwrap(), gate.client().connect(WWW).unwrap());
    assert!(gate.client().connect(WWW).is_err());
    gate.counts("sekisho_connections_shed_total", 1.0);
    assert_eq!(gate.metric("sekisho_connections_accepted_total"), 2.0);
    drop(first);
    eventually("room for one more", || gate.client().connect(WWW).is_ok());
}

/// A socket for both families has IPv4 clients at addresses of IPv6; nobody who reads a log does.
#[test]
fn a_failed_handshake_is_logged_with_the_address_that_the_client_has() {
    let service = Service::started(&Backend::start(), |folder| {
        let file = folder.join("sekisho.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("'127.0.0.1:0'", "'[::]:0'", 1)).unwrap();
        let mut command = Command::new(folder.join("sekisho"));
        command.args(["serve", "--config"]).arg(file);
        command
    });
    let mut tcp = TcpStream::connect(("127.0.0.1", service.address.port())).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let said = service.says("A handshake failed", 1);
    let address = tcp.local_addr().unwrap().to_string();
    assert_eq!((&said["client"], &said["peer"]), (&address.as_str().into(), &address.as_str().into()));
    assert_eq!(said["cause"], "tls");
}
