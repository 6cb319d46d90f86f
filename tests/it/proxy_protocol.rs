//! Behind load balancers: whose PROXY header, and whose `Forwarded`, is believed, and what follows from it.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::Version;
use crate::support::people::{self, Browser, ITO, ROUTES};
use crate::support::pki::Ca;

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 10.0.0.1 12345 443\r\n";
const V1_IPV6: &[u8] = b"PROXY TCP6 2001:db8::9 fd00::1 12345 443\r\n";
const LOCAL: &str = "proxy_protocol: { from: [127.0.0.0/8] }";

/// Version 2 of [`V1`], with this command.
fn v2(command: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, 9, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, 0x11, 0, 12], &addresses].concat()
}

fn gate(backend: &Backend, listener: &str, yaml: &str) -> Gate {
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { listener, yaml, ..Settings::default() })
}

/// What the gate answers to these bytes before it closes.
fn answer(gate: &Gate, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(gate.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    // The gate may close before it has everything: a reset then is as good an end.
    let _ = tcp.write_all(bytes);
    let mut answer = Vec::new();
    match tcp.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => answer,
    }
}

fn failures(cause: &str) -> String {
    format!("sekisho_handshake_failures_total{{cause=\"{cause}\"}}")
}

#[test]
fn the_client_is_whom_the_header_names() {
    for version in Version::BOTH {
        for (header, address, logged) in [
            (V1.to_vec(), "203.0.113.9", "203.0.113.9:12345"),
            (v2(0x21), "203.0.113.9", "203.0.113.9:12345"),
            (V1_IPV6.to_vec(), "2001:db8::9", "[2001:db8::9]:12345"),
        ] {
            let backend = Backend::start();
            let gate = gate(&backend, LOCAL, "");
            let response = version.get(&gate.tanaka().behind(&header), CERT, "/banking/a");
            assert_eq!(response.status, 200, "{version:?}");
            assert_eq!(backend.only().values("x-forwarded-for"), [address], "{version:?}");
            assert_eq!(gate.log_line(1)["client"], logged, "{version:?}");
        }
    }
}

#[test]
fn a_header_may_come_byte_by_byte() {
    for header in [V1.to_vec(), v2(0x21)] {
        let backend = Backend::start();
        let gate = gate(&backend, LOCAL, "");
        let mut client = gate.tanaka();
        client.greeting = header.iter().map(|&byte| vec![byte]).collect();
        assert_eq!(client.get(CERT, "/banking/a").status, 200);
        assert_eq!(backend.only().values("x-forwarded-for"), ["203.0.113.9"]);
    }
}

#[test]
fn a_health_check_and_an_unknown_client_keep_the_proxys_address() {
    for header in [v2(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
        let backend = Backend::start();
        let gate = gate(&backend, LOCAL, "");
        assert_eq!(gate.tanaka().behind(&header).get(CERT, "/banking/a").status, 200);
        assert_eq!(backend.only().values("x-forwarded-for"), ["127.0.0.1"]);
    }
}

/// Which is how load balancers look whether the port is open, every second or so.
#[test]
fn a_proxy_that_names_nobody_and_leaves_has_failed_at_nothing() {
    let gate = gate(&Backend::start(), LOCAL, "");
    for header in [b"".to_vec(), V1[..20].to_vec(), v2(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut tcp = TcpStream::connect(gate.address).unwrap();
        tcp.write_all(&header).unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(tcp.read(&mut [0]).unwrap(), 0);
    }
    // One that names a client and leaves speaks for that client.
    let mut tcp = TcpStream::connect(gate.address).unwrap();
    tcp.write_all(V1).unwrap();
    tcp.shutdown(std::net::Shutdown::Write).unwrap();
    gate.counts(&failures("closed"), 1.0);
    gate.counts("sekisho_connections", 0.0);
    assert_eq!(gate.metric(&failures("closed")), 1.0);
}

#[test]
fn who_is_no_configured_proxy_is_refused_with_and_without_a_header() {
    let gate = gate(&Backend::start(), "proxy_protocol: { from: [10.0.0.0/8] }", "");
    assert!(gate.tanaka().behind(V1).connect(CERT).is_err());
    assert!(gate.tanaka().connect(CERT).is_err());
    gate.counts(&failures("unknown_proxy"), 2.0);
}

#[test]
fn a_header_that_is_missing_or_broken_is_refused() {
    let gate = gate(&Backend::start(), LOCAL, "");
    assert!(gate.tanaka().connect(CERT).is_err());
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), 108);
    assert_eq!(answer(&gate, long.as_bytes()), b"");
    let mut huge = v2(0x21);
    huge[14..16].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(answer(&gate, &huge), b"");
    gate.counts(&failures("proxy_header"), 3.0);
}

#[test]
fn a_header_that_comes_too_late_is_refused() {
    let gate = gate(&Backend::start(), LOCAL, "timeouts: { handshake: 200ms }");
    assert_eq!(answer(&gate, &V1[..20]), b"");
    gate.counts(&failures("timeout"), 1.0);
}

#[test]
fn a_listener_without_proxies_takes_a_header_for_broken_tls() {
    let gate = gate(&Backend::start(), "", "");
    assert!(gate.tanaka().behind(V1).connect(CERT).is_err());
    gate.counts(&failures("tls"), 1.0);
}

#[test]
fn a_trusted_proxy_names_the_client_and_nobody_vouches_for_what_is_left_of_it() {
    for version in Version::BOTH {
        for (name, value) in [
            ("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.2"),
            ("Forwarded", "for=1.1.1.1, for=\"203.0.113.9:5\", for=10.0.0.2"),
        ] {
            let backend = Backend::start();
            let gate = gate(&backend, "", "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]");
            version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[(name, value)], b"");
            let received = backend.only();
            assert_eq!(received.values("x-forwarded-for"), ["203.0.113.9, 10.0.0.2, 127.0.0.1"]);
            let forwarded =
                format!("for=203.0.113.9, for=10.0.0.2, for=127.0.0.1;proto=https;host=\"{CERT}\"");
            assert_eq!(received.values("forwarded"), [forwarded], "{version:?}");
            let line = gate.log_line(1);
            assert_eq!(line["client"], "203.0.113.9");
            assert!(line["proxy"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        }
    }
}

#[test]
fn a_trusted_proxy_sends_several_clients_over_one_connection() {
    let backend = Backend::start();
    let gate = gate(&backend, "", "trusted_proxies: [127.0.0.1/32]");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for (number, client) in ["203.0.113.9", "2001:db8::9", "203.0.113.9"].into_iter().enumerate() {
        let line = format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\nX-Forwarded-For: {client}\r\n\r\n");
        connection.send(line.as_bytes());
        assert_eq!(connection.response().unwrap().status, 200);
        assert_eq!(backend.received()[number].values("x-forwarded-for"), [format!("{client}, 127.0.0.1")]);
        assert_eq!(gate.log_line(number + 1)["client"], client);
    }
}

#[test]
fn nobody_else_says_where_the_client_is() {
    let backend = Backend::start();
    let gate = gate(&backend, "", "trusted_proxies: [10.0.0.0/8]");
    gate.tanaka().get_with(CERT, "/banking/a", "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(backend.only().values("x-forwarded-for"), ["127.0.0.1"]);
    assert!(gate.log_line(1).get("proxy").is_none());
}

#[test]
fn a_trusted_proxy_that_contradicts_itself_is_refused() {
    let gate = gate(&Backend::start(), "", "trusted_proxies: [127.0.0.0/8]");
    let lines = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=1.1.1.1\r\n";
    assert_eq!(gate.tanaka().get_with(CERT, "/banking/a", lines).status, 400);
    assert_eq!(gate.log_line(1)["detail"], "Forwarded and X-Forwarded-For disagree");
}

#[test]
fn a_throttle_counts_the_real_source() {
    let strict = people::throttled_yaml();
    let settings = Settings {
        listener: LOCAL,
        yaml: &strict,
        routes: Some(ROUTES),
        people: true,
        ..Settings::default()
    };
    let gate = Gate::with(&Backend::start(), Ca::new("Mihon Bank CA-G1"), settings);
    let tries = |header: &[u8]| {
        let mut browser = Browser::with(&gate, gate.client().behind(header));
        browser.try_pin(ITO.0, "wrong1").status
    };
    assert_ne!(tries(V1), 429);
    assert_ne!(tries(&v2(0x21)), 429);
    assert_eq!(tries(V1), 429, "the third from one client");
    assert_ne!(tries(V1_IPV6), 429, "another client behind the same proxy");
    let audit = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    assert!(audit.contains("\"source\":\"203.0.113.9\""), "{audit}");
    assert!(audit.contains("\"source\":\"2001:db8::9\""), "{audit}");
    assert!(!audit.contains("\"source\":\"127.0.0.1\""), "{audit}");
}

/// Typing wrong PINs and naming another address each time escapes no throttle, and blames nobody else.
#[test]
fn who_is_no_trusted_proxy_is_throttled_wherever_it_says_it_is() {
    let yaml = format!("{}trusted_proxies: [10.0.0.0/8]", people::throttled_yaml());
    let settings = Settings { yaml: &yaml, routes: Some(ROUTES), people: true, ..Settings::default() };
    let gate = Gate::with(&Backend::start(), Ca::new("Mihon Bank CA-G1"), settings);
    let mut browser = Browser::new(&gate);
    let tries = |number: u8| {
        let claims = format!("X-Forwarded-For: 203.0.113.{number}\r\nForwarded: for=203.0.113.{number}");
        browser.try_pin_with(ITO.0, "wrong1", &[&claims]).status
    };
    assert_eq!([1, 2, 3].map(tries), [200, 200, 429]);
    let audit = gate.file("audit.log");
    assert!(audit.contains("\"source\":\"127.0.0.1\""), "{audit}");
    assert!(!audit.contains("203.0.113."), "{audit}");
}
