//! Revocation lists from a server, as the gate's users meet them (T7): a real server, a real gate, and connections that
//! live through the change.

use std::sync::{Arc, Mutex};

use crate::support::backend::Backend;
use crate::support::client::{Client, Connection};
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::{COMMON_NAME, Ca};

/// A server of one list; it is broken while there is none.
struct ListServer {
    backend: Backend,
    list: Arc<Mutex<Option<String>>>,
}

impl ListServer {
    fn start(list: Option<String>) -> Self {
        let list = Arc::new(Mutex::new(list));
        let served = list.clone();
        let backend = Backend::answering(move |_| match &*served.lock().unwrap() {
            Some(list) => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}", list.len()).into_bytes()
            }
            None => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_vec(),
        });
        Self { backend, list }
    }

    fn serve(&self, list: String) {
        *self.list.lock().unwrap() = Some(list);
    }

    fn url(&self) -> String {
        format!("http://{}/ca.crl", self.backend.address)
    }

    /// The name of one of its metrics.
    fn metric(&self, name: &str) -> String {
        format!("sekisho_crl_{name}{{source=\"{}\"}}", self.url())
    }

    fn gate(&self, backend: &Backend, ca: Ca) -> Gate {
        let url = self.url();
        let trust = format!(
            "trust: {{ authorities: ca.pem, crl: {{ sources: ['{url}'], cache: cache, refresh: 1s }} }}"
        );
        Gate::with(backend, ca, Settings { trust: Some(&trust), ..Settings::default() })
    }
}

fn ask(connection: &mut Connection, path: &str) -> u16 {
    connection
        .send(format!("GET {path} HTTP/1.1\r\nHost: {CERT}\r\nAccept: application/json\r\n\r\n").as_bytes());
    connection.response().expect("a response").status
}

/// Has the gate, which has one thread, read what was sent so far: it has, once somebody who came later is answered.
fn settle(client: &Client) {
    assert_eq!(ask(&mut client.connect(CERT).unwrap(), "/banking/settled"), 200);
}

#[test]
fn a_certificate_that_a_fetched_list_revokes_is_refused_at_the_next_request_of_a_live_connection() {
    let (ca, backend) = (Ca::new("Mihon Bank CA-G1"), Backend::start());
    let server = ListServer::start(Some(ca.crl(&[])));
    let gate = server.gate(&backend, ca);
    let credential = gate.ca.client(COMMON_NAME);
    let client = gate.client().with(&credential);
    let mut connection = client.connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, "/banking/1"), 200);
    // Idle connections are closed when the trust changes; one with half a request isn't idle.
    connection.send(b"GET /banking/2 HTTP/1.1\r\n");
    settle(&client);
    server.serve(gate.ca.crl(&[&credential]));
    gate.counts(&server.metric("entries"), 1.0);
    connection.send(format!("Host: {CERT}\r\nAccept: application/json\r\n\r\n").as_bytes());
    let response = connection.response().expect("a response");
    assert_eq!((response.status, response.code().as_str()), (403, "revoked"));
    assert_eq!(backend.received().len(), 2);
}

#[test]
fn a_url_that_never_answered_is_no_reason_not_to_start_but_lets_nobody_in_until_it_does() {
    let (ca, backend) = (Ca::new("Mihon Bank CA-G1"), Backend::start());
    let server = ListServer::start(None);
    let gate = server.gate(&backend, ca);
    let client = gate.tanaka();
    let response = client.get_with(CERT, "/banking/", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code().as_str()), (503, "revocation_unknown"));
    assert_eq!(gate.metric(&server.metric("stale")), 1.0);
    assert!(gate.metric(&server.metric("failures_total")) >= 1.0);
    assert_eq!(backend.received().len(), 0);

    server.serve(gate.ca.crl(&[]));
    gate.counts(&server.metric("stale"), 0.0);
    assert_eq!(client.get(CERT, "/banking/").status, 200);
    assert_eq!(std::fs::read_dir(gate.folder.path().join("cache")).unwrap().count(), 1);
}
