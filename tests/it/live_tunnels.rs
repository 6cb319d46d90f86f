//! A WebSocket has no next request. It is closed when its certificate isn't good any more (T3).

use std::io::{Read, Write};

use jiff::Timestamp;
use time::Duration;

use crate::support::backend::Backend;
use crate::support::client::{Client, Connection};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings};
use crate::support::pki::{COMMON_NAME, Ca, now};
use crate::support::reasons::somebody;

/// A backend that takes every connection for an upgrade, and then sends back what it gets.
fn echo() -> Backend {
    Backend::conversing(|mut conversation| {
        if conversation.receive().is_none() {
            return;
        }
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        conversation.stream.write_all(head).unwrap();
        let mut part = [0; 1024];
        while let Ok(1..) = conversation.stream.read(&mut part).inspect(|length| {
            let _ = conversation.stream.try_clone().unwrap().write_all(&part[..*length]);
        }) {}
    })
}

/// An open tunnel through which bytes go and come back.
fn tunnel(client: &Client) -> Connection {
    tunnel_to(client, CERT, "/banking/ws")
}

fn tunnel_to(client: &Client, host: &str, path: &str) -> Connection {
    let mut connection = client.connect(host).unwrap();
    connection.send(
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(connection.response().unwrap().status, 101);
    echoes(&mut connection);
    connection
}

fn echoes(connection: &mut Connection) {
    connection.send(b"hello");
    assert_eq!(connection.read_exactly(5).as_deref(), Some(&b"hello"[..]));
}

#[test]
fn a_tunnel_is_closed_when_its_certificate_is_revoked_and_another_one_lives_on() {
    let backend = echo();
    let gate = Gate::start(&backend);
    let credential = gate.ca.client("10000000000002 suzuki");
    let mut suzuki = tunnel(&gate.client().with(&credential));
    let mut tanaka = tunnel(&gate.tanaka());
    assert_eq!(gate.metric("sekisho_tunnels"), 2.0);
    gate.revoke(&[&credential]);
    assert_eq!(suzuki.read_to_end(), b"");
    echoes(&mut tanaka);
    eventually("one tunnel left", || gate.metric("sekisho_tunnels") == 1.0);
}

#[test]
fn a_tunnel_is_closed_when_its_authority_is_believed_no_more() {
    let backend = echo();
    let gate = Gate::start(&backend);
    let mut connection = tunnel(&gate.tanaka());
    gate.believe(&Ca::new("Mihon Bank CA-G2"));
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_silent_tunnel_is_closed_when_its_certificate_expires() {
    let backend = echo();
    let begun = now();
    let at = |time: time::OffsetDateTime| Timestamp::from_second(time.unix_timestamp()).unwrap();
    let settings = Settings { clock: sekisho::clock::Clock::manual(at(begun)), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    let mut params = Ca::client_params(COMMON_NAME);
    params.not_after = begun + Duration::hours(1);
    let mut connection = tunnel(&gate.client().with(&gate.ca.issue(params)));
    gate.clock.set(at(begun + Duration::hours(2)));
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_tunnel_that_needs_no_certificate_stays_open_with_a_bad_one() {
    let backend = echo();
    let gate = Gate::start(&backend);
    let mut expired = tunnel_to(&somebody(&gate, "expired", rustls::ALL_VERSIONS), OPTIONAL, "/public/ws");
    // A change of trust has everybody look again.
    gate.revoke(&[]);
    let mut tanaka = tunnel(&gate.tanaka());
    echoes(&mut expired);
    echoes(&mut tanaka);
}
