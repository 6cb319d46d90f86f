//! `Client-Cert` and `Client-Cert-Chain`: a connection's good certificate, and nothing that a client says (RFC 9440).

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};

use crate::support::assertion;
use crate::support::backend::{Backend, Received};
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, OPTIONAL, STRICT, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::people::{self, Browser, ITO, ROUTES};
use crate::support::pki::{COMMON_NAME, Ca, Credential};

const LEAF: &str = "identity: { client_certificate: leaf }";
const CHAIN: &str = "identity: { client_certificate: chain }";

fn gate(backend: &Backend, upstream: &str, revoked: &[&Credential], ca: Ca) -> Gate {
    Gate::with(backend, ca, Settings { upstream, revoked, ..Settings::default() })
}

fn byte_sequence(der: &[u8]) -> String {
    format!(":{}:", BASE64_STANDARD.encode(der))
}

/// The values of the two fields.
fn told(received: &Received) -> [Option<String>; 2] {
    ["client-cert", "client-cert-chain"].map(|name| received.value(name))
}

#[test]
fn the_certificate_is_told_as_far_as_an_upstream_wants_to_know_it() {
    for version in Version::BOTH {
        for (upstream, leaf, chain) in [("", false, false), (LEAF, true, false), (CHAIN, true, true)] {
            let backend = Backend::start();
            let gate = gate(&backend, upstream, &[], Ca::new("Mihon Bank CA-G1"));
            let tanaka = gate.ca.client(COMMON_NAME);
            let client = gate.client().with(&tanaka);
            let forged = [("Client-Cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:")];
            assert_eq!(version.ask(&client, CERT, ("GET", "/banking/a"), &forged, b"").status, 200);
            let expected =
                [leaf.then(|| byte_sequence(&tanaka.chain[0])), chain.then(|| byte_sequence(&gate.ca.der()))];
            assert_eq!(told(&backend.only()), expected, "{upstream}");
        }
    }
}

#[test]
fn the_chain_is_the_path_that_was_verified_and_not_what_was_sent() {
    let backend = Backend::start();
    let root = Ca::new("Mihon Bank Root");
    let middle = root.below("Mihon Bank CA-G1", |_| {});
    let tanaka = middle.client(COMMON_NAME);
    let settings = Settings {
        upstream: CHAIN,
        // Without lists: the intermediate has none.
        trust: Some("trust: { authorities: ca.pem }"),
        ..Settings::default()
    };
    let gate = Gate::with(&backend, root, settings);
    let junk = [CertificateDer::from(vec![b'x'; 200]), Ca::new("Another CA").der()];
    for more in [vec![], junk.to_vec()] {
        let mut sent = tanaka.clone();
        sent.chain.extend(more);
        sent.chain.push(middle.der());
        assert_eq!(gate.client().with(&sent).get(CERT, "/banking/a").status, 200);
        let expected = [middle.der(), gate.ca.der()].map(|der| byte_sequence(&der)).join(", ");
        let received = backend.received().pop().unwrap();
        assert_eq!(told(&received), [Some(byte_sequence(&tanaka.chain[0])), Some(expected)]);
    }
}

#[test]
fn a_resumed_session_tells_the_same_certificate() {
    for version in [&TLS12, &TLS13] {
        let backend = Backend::start();
        let gate = gate(&backend, CHAIN, &[], Ca::new("Mihon Bank CA-G1"));
        let tanaka = gate.ca.client(COMMON_NAME);
        for host in [CERT, OPTIONAL, STRICT] {
            let client = gate.client().with_versions(&[version], Some(&tanaka));
            for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
                let mut connection = client.connect(host).unwrap();
                assert_eq!(connection.stream.conn.handshake_kind(), Some(kind), "{host}");
                connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
                assert_eq!(connection.response().unwrap().status, 200);
            }
        }
        let expected = [Some(byte_sequence(&tanaka.chain[0])), Some(byte_sequence(&gate.ca.der()))];
        let all: Vec<_> = backend.received().iter().map(told).collect();
        assert_eq!(all, [(); 6].map(|()| expected.clone()), "{version:?}");
    }
}

#[test]
fn only_a_good_certificate_is_told() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let revoked = ca.client(COMMON_NAME);
    let stranger = Ca::new("Another CA").client(COMMON_NAME);
    let gate = gate(&backend, CHAIN, &[&revoked], ca);
    for (client, host) in [
        (gate.client(), OPTIONAL),
        (gate.client().with(&revoked), OPTIONAL),
        (gate.client().with(&stranger), OPTIONAL),
        (gate.tanaka(), WWW),
    ] {
        assert_eq!(client.get(host, "/public/a").status, 200);
    }
    // One that was good, from the next request on.
    let tanaka = gate.ca.client(COMMON_NAME);
    let mut connection = gate.client().with(&tanaka).connect(OPTIONAL).unwrap();
    let mut ask = || {
        connection.send(format!("GET /public/a HTTP/1.1\r\nHost: {OPTIONAL}\r\n\r\n").as_bytes());
        connection.response().map(|response| response.status)
    };
    assert_eq!(ask(), Some(200));
    gate.revoke(&[&tanaka]);
    let _ = ask();
    let received = backend.received();
    let (good, others): (Vec<_>, Vec<_>) = received.iter().partition(|it| told(it) != [None, None]);
    assert_eq!(good.len(), 1, "{received:#?}");
    assert!(others.len() >= 4);
}

/// Everything that says who somebody is, in spellings that some backend would take for it.
const FORGED: [&str; 14] = [
    "Client-Cert",
    "client-cert",
    "CLIENT_CERT",
    "client.cert",
    "Client-Cert-Chain",
    "client_cert_chain",
    "Client-Cert_Chain",
    "CLIENT-CERT-CHAIN",
    "X-Sekisho-Assertion",
    "x-sekisho-assertion",
    "X_Sekisho_Assertion",
    "x.sekisho.assertion",
    "X-SEKISHO_ASSERTION",
    "x!sekisho~assertion",
];

/// Sends the forged fields in the head and in the trailer section.
fn forge(version: Version, client: &Client, host: &str, path: &str, cookie: Option<&str>) -> u16 {
    let cookie = cookie.map(|value| format!("__Host-sekisho-session={value}"));
    if version == Version::Http1 {
        let lines: String = FORGED.iter().map(|name| format!("{name}: forged\r\n")).collect();
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let mut connection = client.connect(host).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}Transfer-Encoding: chunked\r\n");
        connection.send(format!("{head}{lines}\r\n2\r\nab\r\n0\r\n{lines}\r\n").as_bytes());
        return connection.response().unwrap().status;
    }
    let mut http2 = Http2::connect(client, host);
    let mut fields: Vec<(&str, &str)> = FORGED.iter().map(|name| (*name, "forged")).collect();
    fields.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    let mut pending = http2.send("POST", path, &fields, false);
    http2.send_data(&mut pending, b"ab", false).unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in FORGED {
        trailers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), "forged".parse().unwrap());
    }
    http2.wait(async { pending.body.send_trailers(trailers) }).unwrap();
    http2.finish(pending).unwrap().0.status
}

#[test]
fn no_client_says_who_it_is_on_any_kind_of_route() {
    for upstream in
        ["identity: { headers: none }", "identity: { assertion: true, client_certificate: chain }"]
    {
        let backend = Backend::start();
        let yaml = people::yaml(assertion::YAML);
        let settings =
            Settings { yaml: &yaml, upstream, routes: Some(ROUTES), people: true, ..Settings::default() };
        let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
        let mut browser = Browser::new(&gate);
        browser.sign_in(ITO);
        let session = browser.cookie(WWW, "__Host-sekisho-session").map(str::to_owned);
        let mut expected = 0;
        for version in Version::BOTH {
            for (client, host, path, cookie) in [
                (gate.tanaka(), CERT, "/machine/a", None),
                (gate.tanaka(), STRICT, "/machine/a", None),
                (gate.tanaka(), OPTIONAL, "/banking/a", None),
                (gate.client(), WWW, "/banking/a", session.as_deref()),
                (gate.tanaka(), CERT, "/public/a", None),
                (gate.client(), OPTIONAL, "/public/a", None),
                (gate.client(), WWW, "/public/a", None),
            ] {
                assert_eq!(forge(version, &client, host, path, cookie), 200, "{version:?} {host} {path}");
                expected += 1;
            }
        }
        let received = backend.received();
        assert_eq!(received.len(), expected);
        for received in received {
            assert!(!received.head.to_ascii_lowercase().contains("forged"), "{}", received.head);
            assert_eq!(String::from_utf8(received.body).unwrap(), "2\r\nab\r\n0\r\n\r\n");
        }
    }
}

#[test]
fn what_a_backend_says_back_of_the_client_does_not_reach_it() {
    let backend = Backend::answering(|received| {
        let echo = received.value("client-cert").unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nClient-Cert: {echo}\r\nX-Sekisho-Assertion: a.b.c\r\nVary: Accept, Client-Cert\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .into_bytes()
    });
    let gate = gate(&backend, LEAF, &[], Ca::new("Mihon Bank CA-G1"));
    for version in Version::BOTH {
        let answer = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[], b"");
        assert_eq!(answer.values("client-cert"), [""; 0]);
        assert_eq!(answer.values("x-sekisho-assertion"), [""; 0]);
        assert_eq!(answer.values("vary"), ["*"], "no cache can know what it varies by");
    }
}
