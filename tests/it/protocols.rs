//! What is negotiated: the protocol strictly by ALPN, a key exchange that lasts, either kind of server key.

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, NamedGroup, ProtocolVersion};

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, HOSTS, Settings, WWW};
use crate::support::http2::Http2;
use crate::support::pki::Ca;

#[test]
fn a_client_that_offers_other_protocols_only_is_refused() {
    let gate = Gate::start(&Backend::start());
    for protocols in [&["http/1.0"][..], &["foo"], &["h3"], &["H2"], &["http/1.0", "foo"]] {
        let alert = gate.client().offering(protocols).alert(WWW);
        assert_eq!(alert, AlertDescription::NoApplicationProtocol, "{protocols:?}");
    }
}

#[test]
fn the_protocol_is_what_alpn_says() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for (offered, chosen) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["h2", "http/1.1"], Some("h2")),
        (&["foo", "http/1.1"], Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let connection = gate.client().offering(offered).connect(WWW).unwrap();
        assert_eq!(connection.stream.conn.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
    }
    assert_eq!(Http2::connect(&gate.tanaka(), CERT).get(CERT, "/banking/").status, 200);
    assert_eq!(gate.log_line(1)["protocol"], "2");
    assert_eq!(gate.tanaka().offering(&["http/1.1"]).get(CERT, "/banking/").status, 200);
    assert_eq!(gate.log_line(2)["protocol"], "1.1");
}

#[test]
fn http_2_without_alpn_is_a_bad_request() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for offered in [&[][..], &["http/1.1"]] {
        let mut connection = gate.tanaka().offering(offered).connect(CERT).unwrap();
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert_eq!(connection.response().unwrap().status, 400);
        assert_eq!(connection.read_to_end(), b"", "and nothing after it");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn http_1_1_on_a_connection_that_chose_h2_is_no_request() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().offering(&["h2"]).connect(CERT).unwrap();
    connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    let answer = connection.read_to_end();
    assert!(!answer.windows(5).any(|bytes| bytes == b"HTTP/"), "{answer:?}");
    assert_eq!(backend.connections(), 0);
}

/// RFC 9112, section 9.6: also where the answer is a refusal.
#[test]
fn whoever_asks_for_the_end_of_the_connection_gets_it_with_every_answer() {
    let gate = Gate::start(&Backend::start());
    for (path, status) in [("/public/", 200), ("/nowhere", 404)] {
        for close in [false, true] {
            let mut connection = gate.client().connect(WWW).unwrap();
            let line = if close { "Connection: close\r\n" } else { "" };
            let request = format!("GET {path} HTTP/1.1\r\nHost: {WWW}\r\n{line}\r\n");
            connection.send(request.as_bytes());
            let answer = connection.response().unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(answer.value("connection").as_deref() == Some("close"), close, "{}", answer.head);
            if close {
                assert_eq!(connection.read_to_end(), b"");
            } else {
                connection.send(request.as_bytes());
                assert_eq!(connection.response().unwrap().status, status);
            }
        }
    }
}

#[test]
fn a_key_exchange_that_outlives_quantum_computers_is_preferred() {
    let gate = Gate::start(&Backend::start());
    let connection = gate.client().connect(WWW).unwrap();
    let group = connection.stream.conn.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
}

#[test]
fn an_rsa_server_certificate_serves_as_well() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let server = ca.server_for(key, &HOSTS);
    let gate = Gate::with(&backend, ca, Settings { server: Some(&server), ..Settings::default() });
    let credential = gate.ca.client(crate::support::pki::COMMON_NAME);
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = gate.client().with_versions(&[version], Some(&credential));
        let connection = client.connect(CERT).unwrap();
        assert_eq!(connection.stream.conn.protocol_version(), Some(number));
        assert_eq!(connection.stream.conn.peer_certificates().unwrap(), server.chain);
        assert_eq!(client.get(CERT, "/banking/").status, 200);
    }
    assert_eq!(backend.received().len(), 2);
}
