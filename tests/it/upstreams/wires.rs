//! How endpoints are reached: TLS with or without a certificate of the gateway's own, and Unix sockets.

use crate::support::backend::Backend;
use crate::support::fronted::{Fronted, at_socket};
use crate::support::gate::{CERT, Gate, Settings, lay_out};
use crate::support::http2::Version;
use crate::support::pki::{Ca, Credential};

const NAME: &str = "app.mihon.test";

/// A gate before a backend that is behind TLS, with `tls` of the upstream and these files beside its configuration.
fn before(front: &Fronted, internal: &Ca, own: Option<&Credential>, tls: &str) -> Gate {
    let ca = Ca::new("Mihon Bank CA-G1");
    let upstream = format!("tls: {{ authorities: internal.pem, {tls} }}");
    let settings = Settings { upstream: &upstream, ..Settings::default() };
    let folder = lay_out(&[front.address], &ca, &settings);
    std::fs::write(folder.path().join("internal.pem"), internal.pem()).unwrap();
    if let Some(own) = own {
        std::fs::write(folder.path().join("gateway.pem"), &own.pem).unwrap();
        crate::support::write_secret(&folder.path().join("gateway.key"), own.key_pem.as_bytes());
    }
    Gate::in_folder(folder, ca)
}

fn problem(gate: &Gate) -> (u16, String) {
    let response = gate.tanaka().get_with(CERT, "/banking/a", "Accept: application/json\r\n");
    (response.status, response.code())
}

#[test]
fn a_backend_behind_tls_is_reached_under_its_name_and_its_connection_is_kept() {
    let (backend, internal) = (Backend::start(), Ca::new("Internal CA"));
    let front = Fronted::start(backend.address, &internal.server(&[NAME]), None);
    let gate = before(&front, &internal, None, &format!("server_name: {NAME}"));
    for version in Version::BOTH {
        for body in [b"".as_slice(), &[b'x'; 300_000]] {
            let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], body);
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{version:?}");
            assert_eq!(backend.received().pop().unwrap().body.len(), body.len());
        }
    }
    assert_eq!(*front.seen.lock().unwrap(), [(Some(NAME.to_owned()), 0)], "one connection for all");
}

#[test]
fn large_bodies_pass_through_tls_in_both_directions_at_once() {
    let internal = Ca::new("Internal CA");
    let backend = Backend::answering(|received| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", received.body.len());
        [head.into_bytes(), received.body.clone()].concat()
    });
    let front = Fronted::start(backend.address, &internal.server(&[NAME]), None);
    let gate = before(&front, &internal, None, &format!("server_name: {NAME}"));
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &body);
        assert_eq!(response.status, 200);
        assert!(response.body == body, "{version:?}: {} bytes came back", response.body.len());
    }
}

#[test]
fn an_endpoint_without_a_name_is_known_by_its_address() {
    let (backend, internal) = (Backend::start(), Ca::new("Internal CA"));
    let front = Fronted::start(backend.address, &internal.server(&["127.0.0.1"]), None);
    let gate = before(&front, &internal, None, "");
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    // RFC 6066, section 3: no IP address is ever sent as a server name.
    assert_eq!(*front.seen.lock().unwrap(), [(None, 0)]);
}

#[test]
fn a_backend_with_another_name_or_of_another_ca_gets_nothing() {
    let internal = Ca::new("Internal CA");
    for (issuer, name) in [(&internal, "other.mihon.test"), (&Ca::new("Internal CA"), NAME)] {
        let backend = Backend::start();
        let front = Fronted::start(backend.address, &issuer.server(&[name]), None);
        let gate = before(&front, &internal, None, &format!("server_name: {NAME}"));
        assert_eq!(problem(&gate), (502, "upstream_unreachable".to_owned()), "{name}");
        assert!(backend.received().is_empty());
    }
}

#[test]
fn the_gate_shows_its_own_certificate_to_a_backend_that_asks() {
    let (backend, internal) = (Backend::start(), Ca::new("Internal CA"));
    let front = Fronted::start(backend.address, &internal.server(&[NAME]), Some(&internal));
    let own = internal.client("gateway");
    let tls = format!("server_name: {NAME}, certificate: gateway.pem, key: gateway.key");
    let gate = before(&front, &internal, Some(&own), &tls);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert_eq!(*front.seen.lock().unwrap(), [(Some(NAME.to_owned()), 1)]);
    // Without one it is turned away. TLS 1.3 tells only after the request.
    let without = before(&front, &internal, None, &format!("server_name: {NAME}"));
    assert_eq!(problem(&without).0, 502);
    assert_eq!(backend.received().len(), 1);
}

#[test]
fn new_files_of_the_same_names_make_new_connections_at_a_reload() {
    let (backend, internal) = (Backend::start(), Ca::new("Internal CA"));
    let front = Fronted::start(backend.address, &internal.server(&[NAME]), None);
    let gate = before(&front, &internal, None, &format!("server_name: {NAME}"));
    gate.follow();
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    gate.reload().unwrap();
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert_eq!(front.seen.lock().unwrap().len(), 1, "a reload without a change keeps the connection");
    gate.write("internal.pem", &Ca::new("Another").pem());
    gate.reload().unwrap();
    assert_eq!(problem(&gate), (502, "upstream_unreachable".to_owned()));
    gate.write("internal.pem", "nothing");
    let refused = gate.reload().unwrap_err();
    assert!(refused.contains("internal.pem"), "{refused}");
}

#[test]
fn a_unix_socket_is_an_endpoint_like_another() {
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let folder = lay_out(&[backend.address], &ca, &Settings::default());
    let (socket, file) = (folder.path().join("app.sock"), folder.path().join("sekisho.yaml"));
    at_socket(&socket, backend.address);
    let text = std::fs::read_to_string(&file).unwrap();
    let address = format!("unix:{}", socket.display());
    std::fs::write(&file, text.replace(&backend.address.to_string(), &address)).unwrap();
    let gate = Gate::in_folder(folder, ca);
    for version in Version::BOTH {
        let response = version.ask(&gate.tanaka(), CERT, ("POST", "/banking/a"), &[], &[b'x'; 300_000]);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    }
    assert_eq!(gate.log_line(2)["endpoint"], address);
    assert_eq!(backend.connections(), 1);
    let drain = ["upstream", "drain", "banking", &address, "--ops", &gate.ops.to_string()];
    assert_eq!(crate::support::process::sekisho(gate.folder.path(), &drain).good(), "drained\n");
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 503);
}
