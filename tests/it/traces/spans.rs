//! What a collector is told of a request: one span of the gate's, one for each try, and nothing that is nobody's business.

use std::io::Write;
use std::net::TcpListener;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::{CONTEXT, before};
use crate::support::backend::Backend;
use crate::support::collector::{Collector, Told, facts};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings, WWW};
use crate::support::http2::Version;
use crate::support::http2_backend::Http2Backend;
use crate::support::people;
use crate::support::pki::Ca;
use crate::support::tunnel::{Tunnel, echo};

/// 256 says that it is known whether the parent is somebody else's; 1, that the trace is recorded.
const OWN: u32 = 0x101;

fn port(address: std::net::SocketAddr) -> String {
    address.port().to_string()
}

#[test]
fn a_request_is_one_span_and_its_try_another() {
    for version in Version::BOTH {
        let (collector, backend) = (Collector::start(), Backend::start());
        let gate = Gate::configured(&backend, &collector.yaml(""));
        let response = version.get(&gate.tanaka(), CERT, "/banking/accounts?number=1234567");
        assert_eq!(response.status, 200);
        let line = gate.log_line(1);
        let [server, client] = collector.gets(2).try_into().unwrap();
        let protocol = if version == Version::Http2 { "2" } else { "1.1" };
        assert_eq!(
            (server.name.as_str(), server.kind, server.has_failed),
            ("GET /banking", SpanKind::Server, false)
        );
        assert_eq!(
            server.facts(),
            [
                "client.address=127.0.0.1".to_owned(),
                "http.request.method=GET".to_owned(),
                "http.response.status_code=200".to_owned(),
                "http.route=/banking".to_owned(),
                format!("network.protocol.version={protocol}"),
                format!("sekisho.request_id={}", line["request_id"].as_str().unwrap()),
                "sekisho.upstream=banking".to_owned(),
                format!("server.address={CERT}"),
                format!("server.port={}", port(gate.address)),
                "url.path=/banking/accounts".to_owned(),
                "url.scheme=https".to_owned(),
            ]
        );
        assert_eq!((server.parent.as_str(), server.flags, server.state.as_str()), ("", OWN, ""));
        assert_eq!((client.name.as_str(), client.kind, client.has_failed), ("GET", SpanKind::Client, false));
        assert_eq!(
            client.facts(),
            [
                "http.request.method=GET".to_owned(),
                "http.response.status_code=200".to_owned(),
                "network.peer.address=127.0.0.1".to_owned(),
                format!("network.peer.port={}", port(backend.address)),
                "network.protocol.version=1.1".to_owned(),
                "server.address=127.0.0.1".to_owned(),
                format!("server.port={}", port(backend.address)),
                format!("url.full=http://{}/banking/accounts", backend.address),
            ]
        );
        assert_eq!((&client.parent, &client.trace, client.flags), (&server.id, &server.trace, OWN));
        assert!(server.begun <= client.begun && client.begun <= client.ended && client.ended <= server.ended);
        let micros = line["duration_us"].as_u64().unwrap();
        assert_eq!((server.ended - server.begun) / 1000, micros, "as the log has it");
        // The log, the collector and the backend speak of the same.
        assert_eq!(line["trace"], server.trace.as_str());
        assert_eq!(backend.only().value(CONTEXT), Some(client.as_parent()));
        gate.counts("sekisho_spans_exported_total", 2.0);
    }
}

#[test]
fn a_collector_is_told_which_gateway_tells_it() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let gate = Gate::configured(&backend, &collector.yaml("service: gate-of-mihon"));
    gate.tanaka().get(CERT, "/banking/a");
    collector.gets(2);
    let resource = collector.requests()[0].resource_spans[0].clone();
    let source = facts(resource.resource.unwrap().attributes);
    assert_eq!(
        source.keys().collect::<Vec<_>>(),
        ["host.name", "service.instance.id", "service.name", "service.version"]
    );
    assert_eq!(source["service.name"], "gate-of-mihon");
    assert_eq!(source["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(source["service.instance.id"].len(), 16);
    let scope = resource.scope_spans[0].scope.clone().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("sekisho", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_try_that_failed_is_a_span_before_the_one_that_did_not() {
    let (collector, well) = (Collector::start(), Backend::start());
    let ill = Backend::answering(|_| b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    let broken = Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = conversation.stream.write_all(b"nonsense\r\n\r\n");
    });
    for (first, error, status) in [(&ill, "503", "503"), (&broken, "upstream_broken", "")] {
        let seen = collector.spans().len();
        let gate = before(&[first, &well], "retries: { most: 1, statuses: [503] }", &collector.yaml(""));
        // One of the two requests goes to the one that fails first.
        for _ in 0..2 {
            assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
        }
        let spans: Vec<_> = collector.gets(seen + 5).split_off(seen);
        let failed: Vec<_> = spans.iter().filter(|span| span.has_failed).collect();
        let [failed] = failed[..] else { panic!("{spans:#?}") };
        assert_eq!(
            (failed.kind, failed.fact("error.type"), failed.fact("http.response.status_code")),
            (SpanKind::Client, error, status)
        );
        assert_eq!(
            (failed.fact("server.port"), failed.fact("http.request.resend_count")),
            (port(first.address).as_str(), "")
        );
        let of_trace = |kind| {
            spans.iter().filter(|span| span.trace == failed.trace && span.kind == kind).collect::<Vec<_>>()
        };
        let (servers, clients) = (of_trace(SpanKind::Server), of_trace(SpanKind::Client));
        let ([server], [_, again]) = (&servers[..], &clients[..]) else { panic!("{spans:#?}") };
        assert_eq!((again.fact("http.request.resend_count"), again.has_failed), ("1", false));
        assert_eq!(
            (again.fact("server.port"), again.fact("http.response.status_code")),
            (port(well.address).as_str(), "200")
        );
        assert!(!server.has_failed && server.fact("error.type").is_empty());
        assert_eq!((&failed.parent, &again.parent), (&server.id, &server.id));
        assert!(failed.ended <= again.begun);
        // Each backend is told of its own try.
        let told = |backend: &Backend| {
            backend.received().iter().filter_map(|it| it.value(CONTEXT)).collect::<Vec<_>>()
        };
        assert!(told(first).contains(&failed.as_parent()) && told(&well).contains(&again.as_parent()));
    }
}

#[test]
fn a_backend_that_does_not_answer_is_an_error_of_both() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = Collector::start();
    let (ca, yaml) = (Ca::new("Mihon Bank CA-G1"), collector.yaml(""));
    let gate = Gate::before(&[closed], ca, Settings { yaml: &yaml, ..Settings::default() });
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 502);
    let [server, client] = collector.gets(2).try_into().unwrap();
    assert_eq!((server.fact("error.type"), server.has_failed), ("upstream_unreachable", true));
    assert_eq!(
        (server.fact("http.response.status_code"), server.fact("sekisho.failure")),
        ("502", "upstream_unreachable")
    );
    assert_eq!((client.fact("error.type"), client.has_failed), ("upstream_unreachable", true));
    assert_eq!(client.facts(), ["error.type=upstream_unreachable", "http.request.method=GET"]);
    // What a backend itself calls an error is one, and nobody's failure here.
    let backend = Backend::answering(|_| b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec());
    let gate = before(&[&backend], "", &collector.yaml(""));
    gate.tanaka().get(CERT, "/banking/a");
    let [server, client] = collector.gets(4).split_off(2).try_into().unwrap();
    for span in [server, client] {
        assert_eq!(
            (span.fact("error.type"), span.has_failed, span.fact("sekisho.failure")),
            ("500", true, "")
        );
    }
}

#[test]
fn a_response_that_breaks_off_is_an_error_although_its_status_is_not() {
    let collector = Collector::start();
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    });
    let gate = before(&[&backend], "", &collector.yaml(""));
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    connection.read_to_end();
    for span in collector.gets(2) {
        let told = (span.fact("http.response.status_code"), span.fact("error.type"), span.has_failed);
        assert_eq!(told, ("200", "upstream_broken", true), "{span:#?}");
    }
}

#[test]
fn a_client_that_goes_away_is_an_error_of_both_and_no_failure_of_the_backends_afterwards() {
    for begun in [false, true] {
        let collector = Collector::start();
        let backend = Backend::conversing(move |mut conversation| {
            conversation.receive();
            if begun {
                let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            }
            conversation.receive();
        });
        let gate = before(&[&backend], "", &collector.yaml(""));
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        eventually("the backend has the request", || backend.received().len() == 1);
        if begun {
            connection.read_until(b"hello").unwrap();
        }
        drop(connection);
        let spans = collector.gets(2);
        let told = |span: &Told| {
            let facts = ["http.response.status_code", "error.type"].map(|fact| span.fact(fact).to_owned());
            (facts, span.has_failed)
        };
        let expected = match begun {
            false => [(["", "client_gone"], true), (["", "client_gone"], true)],
            true => [(["200", "client_gone"], true), (["200", ""], false)],
        };
        let expected = expected.map(|(facts, has_failed)| (facts.map(str::to_owned), has_failed));
        assert_eq!(spans.iter().map(told).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_is_refused_is_a_span_and_no_error_of_the_gates() {
    for version in Version::BOTH {
        let (collector, backend) = (Collector::start(), Backend::start());
        let gate = Gate::configured(&backend, &collector.yaml(""));
        let refused = |name, method, path, fields: &[_]| {
            version.ask(&gate.client(), name, (method, path), fields, b"").status
        };
        let json = ("accept", "application/json");
        assert_eq!(refused(CERT, "GET", "/banking/a", &[json]), 403);
        assert_eq!(refused(WWW, "GET", "/nowhere", &[json]), 404);
        assert_eq!(refused(WWW, "BREW", "/a%00b", &[json]), 400);
        let spans = collector.gets(3);
        let told = |span: &Told| {
            let facts = [
                "http.request.method",
                "http.response.status_code",
                "http.route",
                "sekisho.failure",
                "error.type",
            ];
            (span.name.clone(), facts.map(|fact| span.fact(fact).to_owned()))
        };
        let expected = [
            ("GET", ["GET", "403", "", "absent", ""]),
            ("GET", ["GET", "404", "", "no_route", ""]),
            ("HTTP", ["_OTHER", "400", "", "bad_request", ""]),
        ];
        assert_eq!(
            spans.iter().map(told).collect::<Vec<_>>(),
            expected.map(|(name, facts)| (name.to_owned(), facts.map(str::to_owned)))
        );
        assert!(spans.iter().all(|span| !span.has_failed && span.kind == SpanKind::Server), "{spans:#?}");
        assert_eq!(spans[2].fact("http.request.method_original"), "BREW");
        assert!(backend.received().is_empty());
    }
}

#[test]
fn a_backend_over_http2_is_told_as_well() {
    let (collector, backend) = (Collector::start(), Http2Backend::start());
    let yaml = collector.yaml("");
    let settings = Settings { upstream: "protocol: http2", yaml: &yaml, ..Settings::default() };
    let gate = Gate::before(&[backend.address], Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    let [_, client] = collector.gets(2).try_into().unwrap();
    assert_eq!(client.fact("network.protocol.version"), "2");
    assert_eq!(backend.only().values(CONTEXT), [client.as_parent()]);
}

#[test]
fn a_rewritten_path_is_told_as_its_backend_sees_it() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let yaml = collector.yaml("");
    let routes = "  - { path: /app, require: nothing, upstream: banking, rewrite: { prefix: /v2 } }";
    let settings = Settings { routes: Some(routes), yaml: &yaml, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.client().get(WWW, "/app/x?q=1").status, 200);
    let [server, client] = collector.gets(2).try_into().unwrap();
    assert_eq!((server.fact("url.path"), server.fact("http.route")), ("/app/x", "/app"));
    assert_eq!(client.fact("url.full"), format!("http://{}/v2/x", backend.address));
}

#[test]
fn a_websocket_is_a_request_until_it_is_closed() {
    for version in Version::BOTH {
        let (collector, backend) = (Collector::start(), echo());
        let gate = Gate::configured(&backend, &collector.yaml(""));
        let mut tunnel = Tunnel::open(version, &gate.tanaka(), CERT, "/banking/ws");
        tunnel.echoes();
        assert_eq!(gate.metric("sekisho_spans_exported_total"), 0.0);
        drop(tunnel);
        let spans = collector.gets(2);
        let told =
            spans.iter().map(|span| (&*span.name, span.fact("http.response.status_code"), span.has_failed));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("GET /banking", "101", false), ("GET", "101", false)],
            "{version:?}"
        );
        assert_eq!(backend.received()[0].value(CONTEXT), Some(spans[1].as_parent()));
    }
}

/// What THREATS.md says of logs (T67) holds for traces, and who somebody is stays at home unless it is wanted there.
#[test]
fn no_span_says_what_is_nobodys_business() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let yaml = collector.yaml("");
    let gate =
        Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), Settings { yaml: &yaml, ..Settings::default() });
    let fields = [
        ("cookie", "a=geheim-cookie; __Host-sekisho-session=geheim-session"),
        ("authorization", "Basic geheim-password"),
        ("user-agent", "geheim-agent"),
        ("referer", "https://geheim-referer/"),
    ];
    for version in Version::BOTH {
        version.ask(
            &gate.tanaka(),
            CERT,
            ("POST", "/banking/a?pin=geheim-query"),
            &fields,
            b"pin=geheim-body",
        );
    }
    collector.gets(4);
    for received in collector.backend.received() {
        let text = String::from_utf8_lossy(&received.body).into_owned() + &received.head;
        for secret in ["geheim", "10000000000001", "tanaka"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn who_sends_a_request_is_told_where_that_is_wanted_as_the_log_has_it() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let gate = Gate::configured(&backend, &collector.yaml("identity: true"));
    gate.tanaka().get(CERT, "/banking/a");
    gate.client().get(OPTIONAL, "/public/a");
    let spans = collector.gets(4);
    let told = |span: &Told| {
        (span.kind, span.fact("sekisho.contract").to_owned(), span.fact("sekisho.user").to_owned())
    };
    let nobody = |kind| (kind, String::new(), String::new());
    assert_eq!(
        spans.iter().map(told).collect::<Vec<_>>(),
        [
            (SpanKind::Server, "10000000000001".to_owned(), "tanaka".to_owned()),
            nobody(SpanKind::Client),
            nobody(SpanKind::Server),
            nobody(SpanKind::Client),
        ]
    );
}

#[test]
fn the_portals_pages_are_one_place() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let yaml = format!("{}{}", people::yaml(""), collector.yaml(""));
    let settings =
        Settings { yaml: &yaml, people: true, routes: Some(people::ROUTES), ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.client().get(WWW, "/sekisho/sign-in").status, 200);
    let [span] = collector.gets(1).try_into().unwrap();
    assert_eq!((span.name.as_str(), span.fact("url.path")), ("GET /sekisho", "/sekisho/sign-in"));
}
