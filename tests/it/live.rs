//! What was good at the handshake is refused at the next request once it isn't (T3): revoked, expired, or of an
//! authority that is believed no more. Nobody else notices.

use jiff::Timestamp;
use time::Duration;

use crate::support::backend::Backend;
use crate::support::client::{Client, Connection};
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings};
use crate::support::http2::Http2;
use crate::support::pki::{COMMON_NAME, Ca, now};

/// Asks on a connection that is open already: status, and the code of a problem.
fn ask(connection: &mut Connection, path: &str) -> (u16, Option<String>) {
    let host = CERT;
    connection
        .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n").as_bytes());
    let response = connection.response().expect("a response");
    (response.status, (response.status != 200).then(|| response.code()))
}

/// Has the gate, which has one thread, read what was sent so far and gone back to waiting: it has, once it has
/// answered somebody who came later.
fn settle(client: &Client) {
    let mut other = client.connect(CERT).unwrap();
    assert_eq!(ask(&mut other, "/banking/settled"), (200, None));
}

fn refused(code: &str) -> (u16, Option<String>) {
    (403, Some(code.to_owned()))
}

/// A connection that is busy while `change` happens: the request after it comes on the same connection.
///
/// Idle connections are closed when the trust changes. So the first request is left half sent: the connection
/// isn't idle, and the rest of its head is the next thing that the gate reads.
fn refused_at_next_request(client: &Client, change: impl FnOnce()) -> (u16, Option<String>) {
    let mut connection = client.connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, "/banking/1"), (200, None));
    connection.send(b"GET /banking/2 HTTP/1.1\r\n");
    settle(client);
    change();
    connection.send(format!("Host: {CERT}\r\nAccept: application/json\r\n\r\n").as_bytes());
    let response = connection.response().expect("a response");
    (response.status, Some(response.code()))
}

#[test]
fn a_revoked_certificate_is_refused_on_a_live_connection() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let client = gate.client().with(&credential);
    let answer = refused_at_next_request(&client, || gate.revoke(&[&credential]));
    assert_eq!(answer, refused("revoked"));
    assert_eq!(backend.received().len(), 2);
}

#[test]
fn a_certificate_of_an_authority_that_is_believed_no_more_is_refused_on_a_live_connection() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let answer = refused_at_next_request(&gate.tanaka(), || gate.believe(&Ca::new("Mihon Bank CA-G2")));
    assert_eq!(answer, refused("unknown_authority"));
    assert_eq!(backend.received().len(), 2);
}

#[test]
fn an_expiring_certificate_is_refused_on_a_live_connection_from_its_last_second_on() {
    let backend = Backend::start();
    let (gate, client, last) = hourly(&backend);
    let mut connection = client.connect(CERT).unwrap();
    let mut h2 = Http2::connect(&client, CERT);
    gate.clock.set(last);
    assert_eq!(ask(&mut connection, "/banking/"), (200, None));
    assert_eq!(h2.get(CERT, "/banking/").status, 200);
    settle(&client);
    gate.clock.set(last + jiff::SignedDuration::from_secs(1));
    assert_eq!(ask(&mut connection, "/banking/"), refused("expired"));
    let answer = h2.get(CERT, "/banking/");
    assert_eq!((answer.status, answer.code()), (403, "expired".to_owned()));
    assert_eq!(backend.received().len(), 3);
}

/// A gate whose clock is set by hand, somebody whose certificate lasts an hour, and that hour's last second.
fn hourly(backend: &Backend) -> (Gate, Client, Timestamp) {
    let begun = now();
    let clock = sekisho::clock::Clock::manual(Timestamp::from_second(begun.unix_timestamp()).unwrap());
    let settings = Settings { clock, ..Settings::default() };
    let gate = Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings);
    let mut params = Ca::client_params(COMMON_NAME);
    params.not_after = begun + Duration::hours(1);
    let last = Timestamp::from_second(params.not_after.unix_timestamp()).unwrap();
    let client = gate.client().with(&gate.ca.issue(params));
    (gate, client, last)
}

#[test]
fn a_revocation_list_that_goes_stale_is_felt_on_a_live_connection() {
    let backend = Backend::start();
    let begun = now();
    let clock = sekisho::clock::Clock::manual(Timestamp::from_second(begun.unix_timestamp()).unwrap());
    let settings = Settings { clock, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    let client = gate.tanaka();
    let mut connection = client.connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, "/banking/"), (200, None));
    settle(&client);
    // The harness' lists are good for thirty days.
    gate.clock.set(Timestamp::from_second((begun + Duration::days(31)).unix_timestamp()).unwrap());
    assert_eq!(ask(&mut connection, "/banking/"), (503, Some("revocation_unknown".to_owned())));
    assert_eq!(backend.received().len(), 2);
}

#[test]
fn an_idle_connection_is_closed_when_its_certificate_is_revoked() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let client = gate.client().with(&credential);
    let mut used = client.connect(CERT).unwrap();
    assert_eq!(ask(&mut used, "/banking/"), (200, None));
    let mut unused = client.connect(OPTIONAL).unwrap();
    let mut h2 = Http2::connect(&client, CERT);
    assert_eq!(h2.get(CERT, "/banking/").status, 200);
    let unused_h2 = Http2::connect(&client, OPTIONAL);
    // A client of TLS 1.3 is through before the gate is, and what is judged after the revocation was never good.
    settle(&client);
    gate.revoke(&[&credential]);
    assert!(used.is_closed() && unused.is_closed());
    h2.ended();
    unused_h2.ended();
}

#[test]
fn an_idle_connection_is_closed_when_its_authority_is_believed_no_more() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, "/banking/"), (200, None));
    gate.believe(&Ca::new("Mihon Bank CA-G2"));
    assert!(connection.is_closed());
}

#[test]
fn a_busy_h2_connection_ends_with_the_stream_that_the_revocation_met() {
    let (answered, may_answer) = std::sync::mpsc::channel::<()>();
    let may_answer = std::sync::Mutex::new(may_answer);
    let backend = Backend::answering(move |_| {
        may_answer.lock().unwrap().recv().unwrap();
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let gate = Gate::start(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let mut h2 = Http2::connect(&gate.client().with(&credential), CERT);
    let (gate, backend) = (&gate, &backend);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            crate::support::eventually("the request at the backend", || backend.received().len() == 1);
            gate.revoke(&[&credential]);
            answered.send(()).unwrap();
        });
        // What was let in before may end; nothing comes after it.
        assert_eq!(h2.get(CERT, "/banking/").status, 200);
    });
    h2.ended();
    assert_eq!(backend.received().len(), 1);
}

#[test]
fn a_user_who_is_not_concerned_keeps_the_connection() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let revoked = gate.ca.client("10000000000002 suzuki");
    let tanaka = gate.tanaka();
    let mut h1 = tanaka.connect(CERT).unwrap();
    let mut h2 = Http2::connect(&tanaka, CERT);
    let mut suzuki = gate.client().with(&revoked).connect(CERT).unwrap();
    assert_eq!((ask(&mut h1, "/banking/"), ask(&mut suzuki, "/banking/")), ((200, None), (200, None)));
    assert_eq!(h2.get(CERT, "/banking/").status, 200);
    gate.revoke(&[&revoked]);
    assert!(suzuki.is_closed());
    assert_eq!(ask(&mut h1, "/banking/"), (200, None));
    assert_eq!(h2.get(CERT, "/banking/").status, 200);
}
