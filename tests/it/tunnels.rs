//! WebSockets: bytes both ways once the backend has switched, and the end of it.

use std::io::{Read, Write};

use crate::support::backend::{Backend, Conversation};
use crate::support::client::Connection;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Switches, says `hello` in the same breath, and echoes.
fn echo(mut conversation: Conversation) {
    conversation.receive();
    conversation.stream.write_all(&[SWITCHED, b"hello"].concat()).unwrap();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = conversation.stream.read(&mut part) {
        if conversation.stream.write_all(&part[..length]).is_err() {
            break;
        }
    }
    conversation.note("gone");
}

fn open(gate: &Gate) -> Connection {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!(
            "GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .as_bytes(),
    );
    let response = connection.response().unwrap();
    assert_eq!(response.status, 101);
    assert_eq!(response.value("upgrade").as_deref(), Some("websocket"));
    assert_eq!(response.value("connection").as_deref(), Some("Upgrade"));
    assert_eq!(response.value("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    connection
}

fn is_gone(backend: &Backend) -> bool {
    backend.received().iter().any(|received| received.head == "gone")
}

#[test]
fn bytes_go_both_ways_also_those_right_behind_the_switch() {
    let backend = Backend::conversing(echo);
    let gate = Gate::start(&backend);
    let mut connection = open(&gate);
    assert_eq!(connection.read_exactly(5).unwrap(), b"hello");
    let received = backend.only();
    assert_eq!(received.value("upgrade").as_deref(), Some("websocket"));
    assert_eq!(received.value("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
    let large = vec![b'x'; 300_000];
    for part in large.chunks(30_000) {
        connection.send(part);
        assert_eq!(connection.read_exactly(part.len()).unwrap(), part);
    }
    assert_eq!(gate.metric("sekisho_tunnels"), 1.0);
    drop(connection);
    eventually("the backend's side is closed", || is_gone(&backend));
    let line = gate.logged(|line| line["status"] == 101);
    assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(300_000), Some(300_005)));
    assert_eq!(line.get("failure"), None);
    assert_eq!(gate.metric("sekisho_tunnels"), 0.0);
}

#[test]
fn a_backend_that_closes_closes_the_tunnel() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        conversation.stream.write_all(&[SWITCHED, b"bye"].concat()).unwrap();
    });
    let gate = Gate::start(&backend);
    assert_eq!(open(&gate).read_to_end(), b"bye");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let backend = Backend::conversing(echo);
    let gate = Gate::configured(&backend, "timeouts: { tunnel_idle: 300ms }");
    let mut connection = open(&gate);
    assert_eq!(connection.read_to_end(), b"hello");
    eventually("the backend's side is closed", || is_gone(&backend));
}
