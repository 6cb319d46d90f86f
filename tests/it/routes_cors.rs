//! Which other origins' pages may read answers: those that are named, and nobody by reflection.

use crate::support::backend::Backend;
use crate::support::client::Response;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::http2::Version;
use crate::support::pki::Ca;

const ROUTES: &str = "
  - path: /api
    require: certificate
    cors:
      origins: ['https://app.mihonbank.example', 'https://localhost:8443']
      methods: [PUT]
      headers: [X-Version]
      expose: [X-Total]
      credentials: true
    upstream: banking
  - { path: /plain, require: nothing, upstream: banking }
  - { path: /api/none, require: certificate, upstream: banking }";

fn gate(backend: &Backend) -> Gate {
    let settings = Settings { routes: Some(ROUTES), ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// What an answer says of other origins, in order.
fn leave(response: &Response) -> Vec<String> {
    let mut lines: Vec<_> = response
        .head
        .lines()
        .map(|line| line.to_ascii_lowercase())
        .filter(|line| line.starts_with("access-control-"))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_preflight_is_answered_before_a_certificate_is_demanded() {
    let backend = Backend::start();
    let gate = gate(&backend);
    for version in Version::BOTH {
        for origin in ["https://app.mihonbank.example", "https://localhost:8443"] {
            let fields = [("origin", origin), ("access-control-request-method", "PUT")];
            let answer = version.ask(&gate.client(), CERT, ("OPTIONS", "/api/a"), &fields, b"");
            assert_eq!(answer.status, 204, "{version:?} {origin}");
            let origin = format!("access-control-allow-origin: {origin}");
            let expected = [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: x-version",
                "access-control-allow-methods: put",
                &origin,
                "access-control-max-age: 600",
            ];
            assert_eq!(leave(&answer), expected, "{version:?}");
            assert!(answer.value("vary").unwrap().starts_with("Origin, "));
        }
        for origin in [
            "https://evil.example",
            "https://app.mihonbank.example.evil.example",
            "https://app.mihonbank.example:8443",
            "http://app.mihonbank.example",
            "HTTPS://APP.MIHONBANK.EXAMPLE",
            "null",
            "*",
        ] {
            let fields = [("origin", origin), ("access-control-request-method", "PUT")];
            let answer = version.ask(&gate.client(), CERT, ("OPTIONS", "/api/a"), &fields, b"");
            assert_eq!((answer.status, leave(&answer)), (204, Vec::new()), "{version:?} {origin}");
        }
        // What is no preflight, or for a route that gives no leave, is a request as any other.
        let origin = ("origin", "https://app.mihonbank.example");
        let method = ("access-control-request-method", "PUT");
        for (path, fields) in
            [("/api/a", &[origin][..]), ("/api/a", &[method]), ("/api/none", &[origin, method])]
        {
            let answer = version.ask(&gate.client(), CERT, ("OPTIONS", path), fields, b"");
            assert_eq!(answer.status, 403, "{version:?} {path} {fields:?}");
        }
        let twice = [origin, ("origin", "https://evil.example"), method];
        assert_eq!(version.ask(&gate.client(), CERT, ("OPTIONS", "/api/a"), &twice, b"").status, 403);
    }
    assert!(backend.received().is_empty());
}

#[test]
fn only_the_gate_says_who_may_read_an_answer() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nok".to_vec()
    });
    let gate = gate(&backend);
    for version in Version::BOTH {
        let ask = |path, origin| version.ask(&gate.tanaka(), CERT, ("GET", path), &[("origin", origin)], b"");
        let good = ask("/api/a", "https://app.mihonbank.example");
        let expected = [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://app.mihonbank.example",
            "access-control-expose-headers: x-total",
        ];
        assert_eq!(leave(&good), expected, "{version:?}");
        let evil = ask("/api/a", "https://evil.example");
        assert_eq!((leave(&evil).len(), evil.values("vary")), (0, vec!["Origin".to_owned()]), "{version:?}");
        // Without `cors` it is the backend's to say.
        assert_eq!(leave(&ask("/plain", "https://evil.example")), ["access-control-allow-origin: *"]);
    }
}
