//! Which route takes a request: no spelling, method or header field leads around what a path demands.

use crate::support::backend::Backend;
use crate::support::gate::{Gate, OPTIONAL, Settings, WWW};
use crate::support::http2::{Http2, Version};
use crate::support::pki::Ca;

fn gate(backend: &Backend, routes: &str) -> Gate {
    let settings = Settings { routes: Some(routes), ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

#[test]
fn what_a_longer_path_demands_is_demanded_in_every_spelling_with_every_method() {
    let backend = Backend::start();
    let routes = "
  - { path: /, require: nothing, upstream: banking }
  - { path: /admin, methods: [GET], require: certificate, upstream: banking }
  - { path: /vault, match_headers: { X-Key: open }, require: certificate, upstream: banking }
  - { pattern: '/admin/.*[.]png', require: nothing, upstream: banking }";
    let gate = gate(&backend, routes);
    for version in Version::BOTH {
        for (line, fields, status) in [
            (("GET", "/admin"), &[][..], 403),
            (("GET", "/%61dmin/a"), &[], 403),
            (("GET", "/admin/"), &[], 403),
            (("GET", "/admin/logo.png"), &[], 403),
            (("HEAD", "/admin"), &[], 403),
            (("POST", "/admin"), &[], 405),
            (("get", "/admin"), &[], 405),
            (("GET", "/vault"), &[], 404),
            (("GET", "/vault"), &[("x-key", "open")], 403),
            (("GET", "/vault"), &[("x-key", "open"), ("x-key", "open")], 404),
            (("GET", "/vault"), &[("x-key", "open"), ("x_key", "shut")], 404),
            (("GET", "//admin"), &[], 400),
            (("GET", "/admin/..;/x"), &[], 400),
            (("GET", "/x/%2e%2e/admin"), &[], 400),
        ] {
            let response = version.ask(&gate.client(), OPTIONAL, line, fields, b"");
            assert_eq!(response.status, status, "{version:?} {line:?} {fields:?}");
        }
    }
    assert!(backend.received().is_empty());
}

#[test]
fn a_method_that_no_route_takes_is_405_and_says_which_are() {
    let backend = Backend::start();
    let routes = "
  - { path: /a, methods: [GET], require: nothing, upstream: banking }
  - { path: /a, methods: [PUT, DELETE], require: nothing, upstream: banking }";
    let gate = gate(&backend, routes);
    for version in Version::BOTH {
        let response =
            version.ask(&gate.client(), WWW, ("POST", "/a"), &[("accept", "application/json")], b"");
        assert_eq!((response.status, response.code().as_str()), (405, "method_not_allowed"));
        assert_eq!(response.values("allow"), ["GET, HEAD, PUT, DELETE"], "{version:?}");
        assert_eq!(version.ask(&gate.client(), WWW, ("DELETE", "/a"), &[], b"").status, 200);
    }
}

#[test]
fn an_exact_path_is_that_path_alone() {
    let backend = Backend::start();
    let routes = "
  - { path: /, require: certificate, upstream: banking }
  - { exact: /healthz, require: nothing, upstream: banking }";
    let gate = gate(&backend, routes);
    for version in Version::BOTH {
        for (path, status) in [
            ("/healthz", 200),
            ("/health%7A", 200),
            ("/healthz?a", 200),
            ("/healthz/", 403),
            ("/healthz/a", 403),
            ("/HEALTHZ", 403),
            ("/healthz%20", 403),
            ("/healthz%3f", 403),
            ("/healthz;a", 400),
        ] {
            assert_eq!(version.get(&gate.client(), OPTIONAL, path).status, status, "{version:?} {path}");
        }
    }
}

#[test]
fn a_header_field_chooses_among_the_backends_of_one_path() {
    let (old, new) = (Backend::start(), Backend::start());
    let upstream = format!("}}, new: {{ endpoints: ['{}']", new.address);
    let routes = "
  - { path: /api, require: nothing, upstream: banking }
  - { path: /api, match_headers: { X-Version: { pattern: '[2-9]' } }, require: nothing, upstream: new }";
    let settings = Settings { routes: Some(routes), upstream: &upstream, ..Settings::default() };
    let gate = Gate::with(&old, Ca::new("Mihon Bank CA-G1"), settings);
    let mut http2 = Http2::connect(&gate.client(), WWW);
    for fields in
        [&[][..], &[("x-version", "1")], &[("x-version", "22")], &[("x-version", "2"), ("x-version", "2")]]
    {
        assert_eq!(http2.get_with(WWW, "/api/a", fields).status, 200);
    }
    assert_eq!((old.received().len(), new.received().len()), (4, 0));
    assert_eq!(http2.get_with(WWW, "/api/a", &[("x-version", "2")]).status, 200);
    // What `Connection` names ends at the gate: it can't choose what it doesn't reach.
    gate.client().get_with(WWW, "/api/a", "X-Version: 2\r\nConnection: x-version\r\n");
    assert_eq!((old.received().len(), new.received().len()), (5, 1));
}
