//! Backends that are told of each connection whose it is, by a PROXY header of version 2.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::support::backend::{Backend, Conversation};
use crate::support::balancer::Balancer;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings, lay_out};
use crate::support::http2::Version;
use crate::support::pki::Ca;
use crate::support::tunnel::{Tunnel, send_back, switched};

const V2: &str = "proxy_protocol: v2";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads a header: whose connection it is, and to where; `None` for one of the gate's own.
fn header(conversation: &mut Conversation) -> Option<(SocketAddr, SocketAddr)> {
    let head = conversation.read_exactly(16).unwrap();
    assert_eq!(head[..12], *b"\r\n\r\n\0\r\nQUIT\n");
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let body = conversation.read_exactly(length).unwrap();
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    match (head[12], head[13], length) {
        (0x20, 0, 0) => None,
        (0x21, 0x11, 12) => {
            let ip = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&body[at..at + 4]).unwrap());
            Some(((ip(0), port(8)).into(), (ip(4), port(10)).into()))
        }
        (0x21, 0x21, 36) => {
            let ip = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&body[at..at + 16]).unwrap());
            Some(((ip(0), port(32)).into(), (ip(16), port(34)).into()))
        }
        _ => panic!("{head:x?} {body:x?}"),
    }
}

/// Answers, and writes down what each connection was introduced as.
fn told() -> Backend {
    Backend::conversing(|mut conversation| {
        let header = header(&mut conversation);
        conversation.note(&format!("{header:?}"));
        while let Some(received) = conversation.receive() {
            if received.value("upgrade").is_some() {
                conversation.stream.write_all(&switched(&received, "")).unwrap();
                return send_back(&mut conversation);
            }
            let _ = conversation.stream.write_all(OK);
        }
    })
}

fn gate(backend: &Backend, settings: Settings<'_>) -> Gate {
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { upstream: V2, ..settings })
}

fn notes(backend: &Backend) -> Vec<String> {
    let heads = backend.received().into_iter().map(|received| received.head);
    heads.filter(|head| !head.contains("HTTP/1.1")).collect()
}

#[test]
fn each_request_goes_over_a_connection_in_its_clients_name() {
    let backend = told();
    let gate = gate(&backend, Settings::default());
    for version in Version::BOTH {
        assert_eq!(version.get(&gate.tanaka().from("127.0.0.2"), CERT, "/banking/a").text(), "ok");
        let client =
            gate.logged(|line| line["protocol"] == if version == Version::Http2 { "2" } else { "1.1" });
        let client: SocketAddr = client["client"].as_str().unwrap().parse().unwrap();
        assert_eq!(notes(&backend).pop(), Some(format!("{:?}", Some((client, gate.address)))));
    }
    // Not even the same client's next request goes over the same connection.
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..2 {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().text(), "ok");
    }
    assert_eq!(backend.connections(), 4);
}

#[test]
fn the_client_is_whom_a_load_balancer_or_a_trusted_proxy_names() {
    let backend = told();
    let listener = "proxy_protocol: { from: [127.0.0.1/32] }";
    let yaml = "trusted_proxies: [192.0.2.0/24]";
    let gate = gate(&backend, Settings { listener, yaml, ..Settings::default() });
    for (from, forwarded, expected) in [
        ("PROXY TCP4 198.51.100.7 127.0.0.1 4711 443", "", "198.51.100.7:4711".to_owned()),
        (
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443",
            "X-Forwarded-For: 203.0.113.9\r\n",
            "203.0.113.9:0".to_owned(),
        ),
        // The header has room for one family: ours is written as the client's.
        (
            "PROXY TCP4 192.0.2.1 127.0.0.1 4711 443",
            "X-Forwarded-For: 2001:db8::9\r\n",
            "[2001:db8::9]:0".to_owned(),
        ),
        ("PROXY TCP6 2001:db8::7 ::1 4711 443", "", "[2001:db8::7]:4711".to_owned()),
        // What somebody else says is nobody's word.
        (
            "PROXY TCP4 198.51.100.7 127.0.0.1 4712 443",
            "X-Forwarded-For: 203.0.113.9\r\n",
            "198.51.100.7:4712".to_owned(),
        ),
    ] {
        let client = gate.tanaka().behind(format!("{from}\r\n").as_bytes());
        assert_eq!(client.get_with(CERT, "/banking/a", forwarded).text(), "ok");
        let client: SocketAddr = expected.parse().unwrap();
        let ours = match client {
            SocketAddr::V4(_) => gate.address,
            SocketAddr::V6(_) => (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), gate.address.port()).into(),
        };
        assert_eq!(notes(&backend).pop(), Some(format!("{:?}", Some((client, ours)))), "{from} {forwarded}");
    }
}

#[test]
fn looks_are_the_gates_own() {
    let backend = told();
    let upstream = "proxy_protocol: v2, health: { path: /health, every: 60ms, timeout: 50ms }";
    let settings = Settings { upstream, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    eventually("a look", || backend.received().iter().any(|received| received.line() == "GET /health"));
    assert!(notes(&backend).iter().all(|note| note == "None"));
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").text(), "ok");
    assert!(notes(&backend).iter().any(|note| note != "None"));
}

#[test]
fn tunnels_are_introduced_too() {
    for version in Version::BOTH {
        let backend = told();
        let gate = gate(&backend, Settings::default());
        Tunnel::open(version, &gate.tanaka(), CERT, "/banking/ws").echoes();
        assert!(notes(&backend)[0].starts_with("Some((127.0.0.1:"), "{version:?}");
    }
}

#[test]
fn a_request_that_is_sent_again_is_introduced_again() {
    let backend = Backend::conversing(|mut conversation| {
        let header = header(&mut conversation);
        conversation.note(&format!("{header:?}"));
        let is_first = conversation.receive().unwrap().head.contains("/banking/first");
        let answer = if is_first { b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" } else { OK };
        conversation.stream.write_all(answer).unwrap();
    });
    let upstream = "proxy_protocol: v2, retries: { most: 1, statuses: [503] }";
    let settings = Settings { upstream, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.tanaka().get(CERT, "/banking/first").status, 503);
    let notes = notes(&backend);
    assert_eq!((notes.len(), &notes[0]), (2, &notes[1]));
}

/// HAProxy that demands the header, in clear or before its TLS, and says whom it was told of.
fn haproxy(tls: &str) -> Balancer {
    let answer = "http-request return status 200 content-type text/plain lf-string %[src]:%[src_port],%[dst]:%[dst_port]";
    Balancer::haproxy(&["mode http", &format!("bind 127.0.0.1:PORT accept-proxy {tls}"), answer])
}

#[test]
fn haproxy_understands_in_clear_and_before_tls() {
    let files = tempfile::tempdir().unwrap();
    let internal = Ca::new("Internal CA");
    let server = internal.server(&["app.mihon.test"]);
    let pem = files.path().join("haproxy.pem");
    std::fs::write(&pem, server.pem + &server.key_pem).unwrap();
    let with_tls = "proxy_protocol: v2, tls: { authorities: internal.pem, server_name: app.mihon.test }";
    for (tls, upstream) in [(String::new(), V2), (format!("ssl crt {}", pem.display()), with_tls)] {
        let haproxy = haproxy(&tls);
        let ca = Ca::new("Mihon Bank CA-G1");
        let folder = lay_out(&[haproxy.address()], &ca, &Settings { upstream, ..Settings::default() });
        std::fs::write(folder.path().join("internal.pem"), internal.pem()).unwrap();
        let gate = Gate::in_folder(folder, ca);
        for version in Version::BOTH {
            let response = version.get(&gate.tanaka().from("127.0.0.3"), CERT, "/banking/a");
            let logged = gate.logged(|line| (line["protocol"] == "2") == (version == Version::Http2));
            let client = logged["client"].as_str().unwrap();
            assert!(client.starts_with("127.0.0.3:"));
            assert_eq!(response.text(), format!("{client},{}", gate.address), "{tls} {version:?}");
        }
    }
}
