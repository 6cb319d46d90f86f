//! One path, read in one way by router, gate, log and backend (T23), and where it leads.

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

const AMBIGUOUS: [&str; 26] = [
    "/banking/../public/a",
    "/public/../banking/a",
    "/public/..",
    "/banking/./a",
    "/.",
    "/public/%2e%2e/banking/a",
    "/public/%2E./banking",
    "/public/.%2e/banking",
    "/banking/%2e/a",
    "//banking/a",
    "/banking//a",
    "//",
    "/banking;/a",
    "/banking/a;b=c",
    "/public/..;/banking/a",
    "/banking%3bx/a",
    "/banking/a%2fb",
    "/public%2F..%2Fbanking",
    "/banking/a%5cb",
    "/public/..%5C..%5Cbanking",
    "/banking/a%00",
    "/banking/a%0d%0aX-Contract-Id:%202",
    "/banking/%7f",
    "/banking/a%zz",
    "/banking/a%2",
    "/banking/a%",
];

fn two_backends(routes: &str) -> (Backend, Backend, Gate) {
    let (first, second) = (Backend::start(), Backend::start());
    let upstream = format!("}}, other: {{ endpoints: ['{}']", second.address);
    let settings = Settings { routes: Some(routes), upstream: &upstream, ..Settings::default() };
    let gate = Gate::with(&first, Ca::new("Mihon Bank CA-G1"), settings);
    (first, second, gate)
}

fn lines(backend: &Backend) -> Vec<String> {
    backend.received().iter().map(|received| received.line().to_owned()).collect()
}

#[test]
fn an_ambiguous_path_is_refused_and_reaches_no_backend() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let tanaka = gate.tanaka();
    for path in AMBIGUOUS {
        let response = tanaka.get_with(CERT, path, "Accept: application/json\r\n");
        assert_eq!((response.status, response.code().as_str()), (400, "bad_request"), "{path}");
        assert_eq!(response.value("connection").as_deref(), Some("close"), "{path}");
    }
    let mut http2 = Http2::connect(&tanaka, CERT);
    for path in AMBIGUOUS {
        let response = http2.ask("GET", path, &[("accept", "application/json")], b"").unwrap();
        assert_eq!((response.status, response.code().as_str()), (400, "bad_request"), "{path}");
    }
    assert_eq!(lines(&backend), [""; 0]);
}

#[test]
fn bytes_that_no_uri_holds_are_refused_and_reach_no_backend() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let targets: [&[u8]; 12] = [
        b"/banking\\a",
        b"/public/..\\banking",
        b"/banking/a#b",
        b"/banking/\0",
        b"/banking/\x01",
        b"/banking/\x7f",
        b"/banking/\xe3\x81\x82",
        b"/banking/\xff",
        b"/banking/\ta",
        b"/banking/\x0ba",
        b"banking/a",
        b"*",
    ];
    for target in targets {
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(&[b"GET ", target, b" HTTP/1.1\r\nHost: ", CERT.as_bytes(), b"\r\n\r\n"].concat());
        assert_eq!(connection.response().unwrap().status, 400, "{}", String::from_utf8_lossy(target));
        assert!(connection.is_closed());
    }
    assert_eq!(lines(&backend), [""; 0]);
}

#[test]
fn a_path_has_one_form_and_that_is_what_the_backend_gets() {
    for version in Version::BOTH {
        for (sent, forwarded) in [
            ("/%62anking/x", "/banking/x"),
            ("/b%61nk%69ng/%7Ea%2Db", "/banking/~a-b"),
            ("/banking/%e3%81%82", "/banking/%E3%81%82"),
            ("/banking/a%20b", "/banking/a%20b"),
            ("/banking/%2561", "/banking/%2561"),
            ("/banking/file%2etxt", "/banking/file.txt"),
            ("/banking", "/banking"),
            ("/banking/", "/banking/"),
            ("/banking/x?a=%2e%2e/..//;b&c=%zz?", "/banking/x?a=%2e%2e/..//;b&c=%zz?"),
            ("/banking?", "/banking?"),
        ] {
            let backend = Backend::start();
            let gate = Gate::start(&backend);
            assert_eq!(version.get(&gate.tanaka(), CERT, sent).status, 200, "{version:?} {sent}");
            assert_eq!(backend.only().line(), format!("GET {forwarded}"), "{version:?}");
            gate.logged(|line| line["path"] == forwarded.split('?').next().unwrap());
        }
    }
}

#[test]
fn an_encoded_reserved_character_leads_around_no_route() {
    let routes = "  - { path: /v1, require: nothing, upstream: banking }
  - { path: '/v1/users:delete', require: certificate, upstream: other }
  - { path: '/v1/@me', require: nothing, upstream: other }
  - { path: /v1/cancel, pattern: '/v1/cancel/a=[0-9]+', require: certificate, upstream: other }";
    let (first, second, gate) = two_backends(routes);
    let fields = [("accept", "application/json")];
    for version in Version::BOTH {
        let ask = |path| version.ask(&gate.client(), OPTIONAL, ("GET", path), &fields, b"").status;
        for path in ["/v1/users%3Adelete", "/v1/users%3adelete/x", "/v1/%40me", "/v1/cancel/a%3D1"] {
            assert_eq!(ask(path), 400, "{version:?} {path}");
        }
        assert_eq!((ask("/v1/users:delete"), ask("/v1/@me"), ask("/v1/cancel/a=1")), (403, 200, 403));
        // Where it makes no difference it goes on as it came.
        assert_eq!((ask("/v1/a%3Ab"), ask("/v1/@me%21")), (200, 200));
    }
    assert_eq!(lines(&first), ["GET /v1/a%3Ab", "GET /v1/@me%21"].repeat(2));
    assert_eq!(lines(&second), ["GET /v1/@me"; 2]);
}

#[test]
fn a_route_ends_at_a_segment() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for path in ["/bankings", "/banking-a", "/banking.html", "/Banking/a", "/bank", "/"] {
        let response = gate.tanaka().get_with(CERT, path, "Accept: application/json\r\n");
        assert_eq!((response.status, response.code().as_str()), (404, "no_route"), "{path}");
    }
    assert_eq!(lines(&backend), [""; 0]);
}

#[test]
fn an_encoded_path_can_not_slip_past_the_demand_for_a_certificate() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for version in Version::BOTH {
        for path in ["/banking/a", "/%62anking/a", "/bankin%67"] {
            let fields = [("accept", "application/json")];
            let response = version.ask(&gate.client(), OPTIONAL, ("GET", path), &fields, b"");
            assert_eq!((response.status, response.code().as_str()), (403, "absent"), "{version:?} {path}");
        }
    }
    assert_eq!(lines(&backend), [""; 0]);
}

#[test]
fn the_longest_route_wins_and_a_route_may_be_for_one_host() {
    let routes = format!(
        "  - {{ path: /, require: nothing, upstream: banking }}
  - {{ path: /a/b, require: nothing, upstream: other }}
  - {{ path: /a, require: nothing, upstream: banking }}
  - {{ path: /only, hosts: [{WWW}], require: nothing, upstream: other }}"
    );
    for version in Version::BOTH {
        let (first, second, gate) = two_backends(&routes);
        for path in ["/", "/a", "/a/bc", "/a/b", "/a/b/c", "/only"] {
            assert_eq!(version.get(&gate.client(), WWW, path).status, 200);
        }
        assert_eq!(version.get(&gate.client(), OPTIONAL, "/only/x").status, 200);
        assert_eq!(lines(&first), ["GET /", "GET /a", "GET /a/bc", "GET /only/x"], "{version:?}");
        assert_eq!(lines(&second), ["GET /a/b", "GET /a/b/c", "GET /only"], "{version:?}");
    }
}

#[test]
fn where_no_route_leads_there_is_a_page() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for version in Version::BOTH {
        let response = version.get(&gate.tanaka(), CERT, "/nowhere");
        assert_eq!(response.status, 404);
        assert_eq!(response.value("content-type").as_deref(), Some("text/html; charset=utf-8"));
        assert_eq!(response.value("cache-control").as_deref(), Some("no-store"));
        let id = response.value("x-request-id").unwrap();
        assert!(response.text().contains(&id), "{}", response.text());
    }
    assert_eq!(lines(&backend), [""; 0]);
}

#[test]
fn without_a_certificate_not_even_an_unknown_path_is_told_apart() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for version in Version::BOTH {
        for path in ["/banking/a", "/nowhere", "/public/a"] {
            let fields = [("accept", "application/json")];
            let response = version.ask(&gate.client(), CERT, ("GET", path), &fields, b"");
            assert_eq!((response.status, response.code().as_str()), (403, "absent"), "{version:?} {path}");
        }
    }
    assert_eq!(lines(&backend), [""; 0]);
}
