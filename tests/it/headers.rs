//! What of a client's header fields a backend gets to see: ours are ours alone (T20, T21, T22).

use crate::support::backend::{Backend, Received};
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

/// Every name that is ours, in many spellings, with a value that nobody but an attacker sends.
const FORGED: [&str; 40] = [
    "X-Contract-Id",
    "x-contract-id",
    "X-CONTRACT-ID",
    "X_Contract_Id",
    "X.Contract.Id",
    "x!contract~id",
    "x-contract_id",
    "X-User-Id",
    "x_user_id",
    "X-User-Role",
    "x.user|role",
    "X-Auth-Method",
    "x_auth_method",
    "X-Request-Id",
    "x_request_id",
    "Forwarded",
    "X-Forwarded-For",
    "X_Forwarded_For",
    "x.forwarded.host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Forwarded-Client-Cert",
    "X-Real-IP",
    "x_real_ip",
    "True-Client-IP",
    "Client-Cert",
    "Client-Cert-Chain",
    "client_cert",
    "X-Client-Cert",
    "Via",
    "Proxy",
    "X-Sekisho-Assertion",
    "x-sekisho-assertion",
    "X_Sekisho_Assertion",
    "X_SEKISHO.ASSERTION",
    "x-sekisho_assertion",
    "CLIENT-CERT",
    "Client_Cert_Chain",
    "client.cert.chain",
    "client-cert_chain",
];

fn forged() -> Vec<(&'static str, &'static str)> {
    // Each twice: a filter that finds only the first is a filter that finds none.
    FORGED.iter().chain(&FORGED).map(|name| (*name, "forged")).collect()
}

/// The names of what a backend got, in lower case and in order.
fn names(received: &Received) -> Vec<String> {
    let names = received.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.to_ascii_lowercase()).collect()
}

fn ask_forged(version: Version, client: &Client, host: &str, path: &str) {
    let response = version.ask(client, host, ("GET", path), &forged(), b"");
    assert_eq!(response.status, 200, "{version:?} {host} {path}");
}

const OURS_ALWAYS: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-proto", "forwarded", "x-forwarded-host", "x-request-id", "via"];

#[test]
fn a_backend_gets_our_fields_and_never_the_clients_copies() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::configured(&backend, "limits: { header_count: 200 }");
        ask_forged(version, &gate.tanaka(), CERT, "/banking/a");
        let received = backend.only();
        assert!(!received.head.contains("forged"), "{}", received.head);
        let identity = ["x-contract-id", "x-user-id", "x-auth-method"];
        let expected: Vec<&str> = ["host"].into_iter().chain(identity).chain(OURS_ALWAYS).collect();
        assert_eq!(names(&received), expected, "{version:?}");
        assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
        assert_eq!(received.value("x-user-id").as_deref(), Some("tanaka"));
        assert_eq!(received.value("x-auth-method").as_deref(), Some("certificate"));
    }
}

#[test]
fn without_an_identity_a_backend_gets_none_whatever_the_client_says() {
    for version in Version::BOTH {
        for host in [WWW, OPTIONAL] {
            let backend = Backend::start();
            let gate = Gate::configured(&backend, "limits: { header_count: 200 }");
            ask_forged(version, &gate.client(), host, "/public/a");
            let received = backend.only();
            let expected: Vec<&str> = ["host"].into_iter().chain(OURS_ALWAYS).collect();
            assert_eq!(names(&received), expected, "{version:?} {host}");
            assert!(!received.head.contains("forged"), "{}", received.head);
        }
    }
}

#[test]
fn a_certificate_on_a_host_that_asks_for_none_is_no_identity() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    assert_eq!(gate.tanaka().get(WWW, "/public/a").status, 200);
    assert!(backend.only().values("x-contract-id").is_empty());
}

#[test]
fn trailers_can_not_bring_in_what_headers_can_not() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let forged: String = FORGED.iter().map(|name| format!("{name}: forged\r\n")).collect();
    let others = "Content-Length: 3\r\nTransfer_Encoding: forged\r\nHost: forged\r\nConnection: forged\r\n\
                  Authorization: forged\r\nCookie: forged\r\nX-Sum: abc\r\n";
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(
        format!(
            "POST /banking/a HTTP/1.1\r\nHost: {CERT}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             5\r\nhello\r\n0\r\n{forged}{others}\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.response().unwrap().status, 200);
    let received = backend.only();
    assert_eq!(String::from_utf8(received.body).unwrap(), "5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n");
}

#[test]
fn trailers_of_http2_can_not_bring_in_what_headers_can_not() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut http2 = Http2::connect(&gate.tanaka(), CERT);
    let mut pending = http2.send("POST", "/banking/a", &[], false);
    http2.send_data(&mut pending, b"hello", false).unwrap();
    let mut trailers = http::HeaderMap::new();
    for name in FORGED.into_iter().chain(["authorization", "cookie", "host", "transfer_encoding"]) {
        trailers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), "forged".parse().unwrap());
    }
    trailers.append("x-sum", "abc".parse().unwrap());
    http2.wait(async { pending.body.send_trailers(trailers) }).unwrap();
    assert_eq!(http2.finish(pending).unwrap().0.status, 200);
    let received = backend.only();
    assert_eq!(String::from_utf8(received.body).unwrap(), "5\r\nhello\r\n0\r\nx-sum: abc\r\n\r\n");
}

#[test]
fn connection_can_not_strip_what_is_ours() {
    for lines in [
        "Connection: x-contract-id\r\n",
        "Connection: close, X-CONTRACT-ID , x-user-id,x-auth-method\r\n",
        "connection: keep-alive\r\nCONNECTION: X-Contract-Id\r\n",
        "Connection: x-contract-id, forwarded, x-forwarded-for, x-request-id, via, host\r\nX-Contract-Id: 2\r\n",
    ] {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        assert_eq!(gate.tanaka().get_with(CERT, "/banking/a", lines).status, 200);
        let received = backend.only();
        assert_eq!(received.value("host").as_deref(), Some(CERT));
        assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"), "{lines}");
        assert_eq!(received.value("x-user-id").as_deref(), Some("tanaka"));
        assert_eq!(received.value("x-auth-method").as_deref(), Some("certificate"));
        assert!(OURS_ALWAYS.iter().all(|name| received.value(name).is_some()), "{}", received.head);
        assert!(received.values("connection").is_empty());
    }
}

#[test]
fn configured_names_are_ours_and_the_usual_ones_are_then_anybodys() {
    let yaml = "headers: { contract: Bank-Contract, user: Bank-User, role: Bank-Role, auth_method: Bank-Method, \
                request_id: Bank-Request, remove: [X-Legacy-User, X-Contract-Id] }";
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::configured(&backend, yaml);
        let forged = [
            "bank_contract",
            "BANK-USER",
            "bank-role",
            "Bank.Method",
            "bank-request",
            "x_legacy_user",
            "X-Legacy-User",
            "x-contract-id",
        ];
        let fields: Vec<_> =
            forged.map(|name| (name, "forged")).into_iter().chain([("x-user-id", "mine")]).collect();
        version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        let received = backend.only();
        assert!(!received.head.contains("forged"), "{}", received.head);
        assert_eq!(received.value("bank-contract").as_deref(), Some("10000000000001"));
        assert_eq!(received.value("bank-user").as_deref(), Some("tanaka"));
        assert_eq!(received.value("bank-method").as_deref(), Some("certificate"));
        assert_eq!(received.value("bank-role"), None);
        assert_eq!(received.value("bank-request").unwrap().len(), 32);
        assert_eq!(received.value("x-user-id").as_deref(), Some("mine"));
        assert_eq!(received.value("x-contract-id"), None);
    }
}

#[test]
fn where_the_client_is_and_what_it_asked_for_is_written_anew() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &[("X-Forwarded-For", "10.0.0.1")], b"");
        let received = backend.only();
        assert_eq!(received.value("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(received.value("x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(received.value("x-forwarded-host").as_deref(), Some(CERT));
        let forwarded = format!("for=127.0.0.1;proto=https;host=\"{CERT}\"");
        assert_eq!(received.value("forwarded"), Some(forwarded));
        let via = if version == Version::Http1 { "1.1 sekisho" } else { "2.0 sekisho" };
        assert_eq!(received.value("via").as_deref(), Some(via));
    }
}

#[test]
fn a_request_id_is_made_here_for_each_request_and_is_the_one_in_the_access_log() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let mut ids = Vec::new();
    for version in Version::BOTH.into_iter().chain(Version::BOTH) {
        let fields = [("x-request-id", "mine"), ("X-Request-Id", "mine")];
        version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        let id = backend.received().last().unwrap().value("x-request-id").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        gate.logged(|line| line["request_id"] == *id);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn an_upstream_that_wants_no_identity_gets_none() {
    let backend = Backend::start();
    let settings = Settings { upstream: "identity: { headers: none }", ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    for version in Version::BOTH {
        let fields = [("x-contract-id", "forged"), ("x-user-id", "forged")];
        let response = version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        assert_eq!(response.status, 200);
    }
    for received in backend.received() {
        let expected: Vec<&str> = ["host"].into_iter().chain(OURS_ALWAYS).collect();
        assert_eq!(names(&received), expected);
    }
}
