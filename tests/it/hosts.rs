//! A connection is for one host: the server name of its handshake. A request for another one is misdirected (T4).

use rustls::AlertDescription;

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::http2::Http2;

/// What somebody might write for `Host` on a connection of the open host, to get to the protected one.
fn elsewhere() -> Vec<String> {
    vec![
        CERT.to_owned(),
        CERT.to_ascii_uppercase(),
        format!("{CERT}:443"),
        format!("{CERT}."),
        format!("{WWW}."),
        format!("{WWW}.:443"),
        "*.mihonbank.example".to_owned(),
        "mihonbank.example".to_owned(),
        "unknown.example".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
        format!("{WWW},{CERT}"),
    ]
}

#[test]
fn a_request_for_another_host_is_misdirected_before_any_routing() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for host in elsewhere() {
        for path in ["/public/", "/banking/", "/nowhere"] {
            let mut connection = gate.client().connect(WWW).unwrap();
            connection.send(
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n").as_bytes(),
            );
            let response = connection.response().unwrap();
            let expected = if host == "[::1]" { (400, "bad_request") } else { (421, "misdirected") };
            assert_eq!((response.status, &*response.code()), expected, "{host}{path}");
        }
    }
    assert_eq!(backend.connections(), 0);
    gate.counts("sekisho_failures_total{code=\"misdirected\"}", 33.0);
}

#[test]
fn an_authority_with_userinfo_is_misdirected() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for host in [format!("{WWW}@{CERT}"), format!("{CERT}@{WWW}"), format!("user@{WWW}")] {
        let mut connection = gate.client().connect(WWW).unwrap();
        connection.send(format!("GET /public/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 421, "{host}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_request_for_another_host_is_misdirected_over_h2() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut h2 = Http2::connect(&gate.client(), WWW);
    for host in [CERT, "CERT.mihonbank.example", "cert.mihonbank.example.", "unknown.example"] {
        let answer = h2.get(host, "/public/");
        assert_eq!((answer.status, answer.code()), (421, "misdirected".to_owned()), "{host}");
    }
    // The connection goes on for its own host.
    assert_eq!(h2.get(WWW, "/public/").status, 200);
    assert_eq!(backend.received().len(), 1);
}

#[test]
fn an_h2_host_field_that_contradicts_the_authority_is_refused() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut h2 = Http2::connect(&gate.client(), WWW);
    for (authority, host) in [(WWW, CERT), (CERT, WWW)] {
        let answer = h2.get_with(authority, "/public/", &[("host", host)]);
        assert_eq!(answer.status, 400, "{authority} {host}");
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_host_is_matched_in_any_case_and_with_any_port() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let upper = WWW.to_ascii_uppercase();
    for host in [upper.clone(), format!("{WWW}:443"), format!("{upper}:8443"), format!("{WWW}:1")] {
        let mut connection = gate.client().connect(WWW).unwrap();
        connection.send(format!("GET /public/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 200, "{host}");
        let received = backend.received().pop().unwrap();
        assert_eq!(received.value("host"), Some(host.to_ascii_lowercase()));
    }
    // The server name of the handshake as well.
    assert!(gate.client().connect("WWW.mihonbank.EXAMPLE").is_ok());
}

#[test]
fn a_target_in_absolute_form_may_not_contradict_the_host() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for (target, host, status) in [
        (format!("https://{CERT}/public/"), WWW, 400),
        (format!("https://{WWW}/public/"), CERT, 400),
        (format!("https://{CERT}/public/"), CERT, 421),
        (format!("http://{WWW}/public/"), WWW, 400),
        (format!("https://{WWW}@{CERT}/public/"), WWW, 400),
        (format!("https://{WWW}/public/"), WWW, 200),
    ] {
        let mut connection = gate.client().connect(WWW).unwrap();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, status, "{target} {host}");
    }
    assert_eq!(backend.only().line(), "GET /public/");
}

#[test]
fn a_server_name_that_is_unknown_or_missing_is_refused_in_the_handshake() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    // A client that connects to an address sends no server name.
    for name in ["unknown.example", "mihonbank.example", "a.www.mihonbank.example", "127.0.0.1", "::1"] {
        assert_eq!(gate.client().alert(name), AlertDescription::UnrecognisedName, "{name}");
    }
    gate.counts("sekisho_handshake_failures_total{cause=\"unknown_server_name\"}", 5.0);
}
