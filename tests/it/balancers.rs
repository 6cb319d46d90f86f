//! Behind load balancers that others wrote, HAProxy and nginx: the client is found by what they say, and by nothing else.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use crate::support::backend::Backend;
use crate::support::balancer::Balancer;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings, WWW, lay_out};
use crate::support::http2::Version;
use crate::support::people::{self, Browser, ITO, ROUTES};
use crate::support::pki::Ca;

const LOCAL: &str = "proxy_protocol: { from: [127.0.0.1/32] }";
/// All that HAProxy can say beside the addresses.
const TALKATIVE: &str = "send-proxy-v2 proxy-v2-options \
                         ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id";

const UNKNOWN_PROXY: &str = "sekisho_handshake_failures_total{cause=\"unknown_proxy\"}";

fn gate(backend: &Backend, listener: &str, yaml: &str) -> Gate {
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { listener, yaml, ..Settings::default() })
}

/// A gate with people of whom each source may try twice.
fn throttling_gate(backend: &Backend, listener: &str, more: &str) -> Gate {
    let yaml = format!("{}{more}", people::throttled_yaml());
    let settings =
        Settings { listener, yaml: &yaml, routes: Some(ROUTES), people: true, ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// HAProxy that passes TLS on as it is, to a server with these words.
fn passing_on(to: SocketAddr, words: &str) -> Balancer {
    let server = format!("server gate {to} {words}");
    let lines = ["mode tcp", "bind 127.0.0.1:PORT", "bind [::1]:PORT", "unique-id-format %[uuid]", &server];
    Balancer::haproxy(&lines)
}

/// HAProxy that ends TLS, and begins it anew to a server with these words.
fn ending_tls(gate: &Gate, bind: &str, server: &str, lines: &[&str]) -> Balancer {
    let pem = gate.file("server.pem") + &gate.file("server.key");
    gate.write("haproxy.pem", &pem);
    let folder = gate.folder.path().display();
    let bind = format!("bind 127.0.0.1:PORT ssl crt {folder}/haproxy.pem {bind}");
    let server = format!(
        "server gate {} ssl verify required ca-file {folder}/ca.pem sni req.hdr(host),field(1,:) {server}",
        gate.address
    );
    Balancer::haproxy(&[&["mode http", &bind, &server], lines].concat())
}

/// A browser at this address of ours, before a load balancer.
fn browser(gate: &Gate, balancer: &Balancer, source: &str) -> Browser {
    let mut browser = Browser::with(gate, gate.client().from(source));
    browser.go_to(balancer.address());
    browser
}

/// Asserts that the audit log has records from these sources, and from no others.
#[track_caller]
fn assert_sources(gate: &Gate, expected: &[&str]) {
    let audit = gate.file("audit.log");
    let records = audit.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let sources: BTreeSet<String> =
        records.filter_map(|record| record["source"].as_str().map(str::to_owned)).collect();
    assert_eq!(sources.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{audit}");
}

/// Asserts that two clients behind a load balancer, one of each family, are known by their own addresses.
#[track_caller]
fn assert_clients_are_known(backend: &Backend, gate: &Gate, balancer: &Balancer, how: &str) {
    for (address, source, node) in
        [(balancer.address(), "127.0.0.2", "127.0.0.2"), (balancer.address_v6(), "::1", "\"[::1]\"")]
    {
        for version in Version::BOTH {
            let mut client = gate.tanaka().from(source);
            client.address = address;
            let number = backend.received().len();
            assert_eq!(version.get(&client, CERT, "/banking/a").status, 200, "{how}, {version:?}");
            let received = backend.received().remove(number);
            assert_eq!(received.values("x-forwarded-for"), [source], "{how}");
            let forwarded = format!("for={node};proto=https;host=\"{CERT}\"");
            assert_eq!(received.values("forwarded"), [forwarded], "{how}");
            let line = gate.log_line(number + 1);
            let logged = line["client"].as_str().unwrap();
            assert_eq!(logged.parse::<SocketAddr>().unwrap().ip(), source.parse::<IpAddr>().unwrap());
            assert_eq!((&line["standing"], &line["user"]), (&"good".into(), &"tanaka".into()), "{how}");
        }
    }
}

/// The kinds of details in the header of version 2 that HAProxy sends with these words.
fn details(words: &str) -> Vec<u8> {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let balancer = passing_on(server.local_addr().unwrap(), words);
    let _client = TcpStream::connect(balancer.address()).unwrap();
    let (mut connection, _) = server.accept().unwrap();
    let mut preamble = [0; 16];
    connection.read_exact(&mut preamble).unwrap();
    let mut rest = vec![0; usize::from(u16::from_be_bytes([preamble[14], preamble[15]]))];
    connection.read_exact(&mut rest).unwrap();
    let (mut kinds, mut details) = (Vec::new(), &rest[12..]);
    while let [kind, high, low, rest @ ..] = details {
        kinds.push(*kind);
        details = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    kinds
}

#[test]
fn haproxy_names_the_client_in_every_form_of_the_header() {
    assert!(details("send-proxy-v2").is_empty());
    assert_eq!(details("send-proxy-v2-ssl"), [0x20]);
    assert_eq!(details(TALKATIVE), [0x03, 0x05, 0x20]);
    for words in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", TALKATIVE] {
        let backend = Backend::start();
        let gate = gate(&backend, LOCAL, "");
        let balancer = passing_on(gate.address, words);
        assert_clients_are_known(&backend, &gate, &balancer, words);
        assert_eq!(gate.handshake_failures(), [""; 0], "{words}");
    }
}

#[test]
fn nginx_names_the_client() {
    let backend = Backend::start();
    let gate = gate(&backend, LOCAL, "");
    let balancer = Balancer::nginx(gate.address, "proxy_protocol on;");
    assert_clients_are_known(&backend, &gate, &balancer, "nginx");
}

/// A gate that listens to both families finds IPv4 load balancers at mapped addresses.
#[test]
fn haproxy_reaches_a_gate_over_both_families() {
    for (to, from, elsewhere) in [("127.0.0.1", "127.0.0.1/32", "::1"), ("[::1]", "::1/128", "127.0.0.1")] {
        let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
        let listener = format!("proxy_protocol: {{ from: ['{from}'] }}");
        let folder =
            lay_out(&[backend.address], &ca, &Settings { listener: &listener, ..Settings::default() });
        let file = folder.path().join("sekisho.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("'127.0.0.1:0'", "'[::]:0'", 1)).unwrap();
        let gate = Gate::in_folder(folder, ca);
        let to = format!("{to}:{}", gate.address.port()).parse().unwrap();
        assert_clients_are_known(&backend, &gate, &passing_on(to, "send-proxy-v2"), from);
        let mut other = gate.tanaka();
        other.address = SocketAddr::new(elsewhere.parse().unwrap(), gate.address.port());
        assert!(other.connect(CERT).is_err());
        gate.counts(UNKNOWN_PROXY, 1.0);
    }
}

#[test]
fn haproxy_at_an_address_that_is_not_configured_is_refused() {
    for words in ["send-proxy", "send-proxy-v2"] {
        let gate = gate(&Backend::start(), LOCAL, "");
        let balancer = passing_on(gate.address, &format!("{words} source 127.0.0.9"));
        let mut client = gate.tanaka();
        client.address = balancer.address();
        assert!(client.connect(CERT).is_err());
        // HAProxy tries again.
        eventually("a refusal", || gate.metric(UNKNOWN_PROXY) >= 1.0);
        assert!(gate.access_log().is_empty());
    }
}

/// Each check is a connection that ends without a word of TLS, or after a whole handshake, and counts for nobody.
#[test]
fn checks_of_haproxy_find_the_gate_well_and_count_as_no_failure() {
    let tls = format!("check-ssl check-sni {WWW} verify none");
    for (words, outcome) in [
        ("send-proxy", "L4OK"),
        ("send-proxy-v2", "L4OK"),
        ("send-proxy-v2-ssl", "L4OK"),
        (&format!("send-proxy {tls}"), "L6OK"),
        (&format!("send-proxy-v2 {tls}"), "L6OK"),
    ] {
        let one = "rate_limits: { handshakes: { requests: 1, per: 1h } }";
        let gate = gate(&Backend::start(), LOCAL, one);
        let balancer = passing_on(gate.address, &format!("{words} check inter 20ms"));
        eventually("ten checks", || gate.metric("sekisho_connections_accepted_total") >= 10.0);
        eventually("a check that is over", || balancer.last_check() == outcome);
        assert_eq!(gate.handshake_failures(), [""; 0], "{words}");
    }
}

/// HAProxy listens to both families, so it names IPv4 clients by mapped addresses: all in one /64.
#[test]
fn clients_behind_one_load_balancer_are_throttled_apart() {
    for words in ["send-proxy", "send-proxy-v2"] {
        let gate = throttling_gate(&Backend::start(), LOCAL, "");
        let server = format!("server gate {} {words}", gate.address);
        let balancer = Balancer::haproxy(&["mode tcp", "bind :::PORT v4v6", &server]);
        let tries = |source: &str| browser(&gate, &balancer, source).try_pin(ITO.0, "wrong1").status;
        assert_eq!(["127.0.0.2"; 3].map(tries), [200, 200, 429], "{words}");
        assert_eq!(tries("127.0.0.3"), 200, "{words}");
        assert_sources(&gate, &["127.0.0.2", "127.0.0.3"]);
    }
}

/// HAProxy sends the requests of several clients over the connections that it has, in both versions of HTTP.
#[test]
fn clients_behind_a_trusted_proxy_are_throttled_apart_and_can_not_pass_for_others() {
    for protocol in ["h2", "http/1.1"] {
        let gate = throttling_gate(&Backend::start(), "", "trusted_proxies: [127.0.0.1/32]");
        let lines = ["option forwardfor", "http-request del-header Forwarded", "http-reuse always"];
        let balancer = ending_tls(&gate, "", &format!("alpn {protocol}"), &lines);
        let tries = |source: &str| {
            let claims = ["X-Forwarded-For: 198.51.100.1, 127.0.0.1", "Forwarded: for=198.51.100.1"];
            browser(&gate, &balancer, source).try_pin_with(ITO.0, "wrong1", &claims).status
        };
        assert_eq!(["127.0.0.2"; 3].map(tries), [200, 200, 429], "{protocol}");
        assert_eq!(tries("127.0.0.3"), 200, "{protocol}");
        assert_sources(&gate, &["127.0.0.2", "127.0.0.3"]);
        let line = gate.log_line(8);
        assert_eq!(line["client"], "127.0.0.3");
        assert!(line["proxy"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
        assert!(gate.metric("sekisho_connections_accepted_total") < 8.0, "{protocol}");
    }
}

/// With the details of the TLS that it ended, the name in the client's certificate among them. They make nobody known.
#[test]
fn a_client_certificate_that_haproxy_has_seen_is_none() {
    let backend = Backend::start();
    let gate = gate(&backend, LOCAL, "");
    let ca = gate.folder.path().join("ca.pem");
    let bind = format!("ca-file {} verify required", ca.display());
    let balancer = ending_tls(&gate, &bind, TALKATIVE, &["option forwardfor", "unique-id-format %[uuid]"]);
    let mut client = gate.tanaka().from("127.0.0.2");
    client.address = balancer.address();
    assert_eq!(client.get(WWW, "/public/a").status, 200);
    assert_eq!(backend.only().values("x-forwarded-for"), ["127.0.0.2"]);
    assert_eq!(gate.log_line(1)["standing"], "absent");
    assert_eq!(client.get(CERT, "/banking/a").status, 403);
    assert_eq!(gate.log_line(2)["standing"], "absent");
}
