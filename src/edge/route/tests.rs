//! Which of several routes takes a request, and what becomes of its path.

use std::path::Path;

use super::*;
use crate::edge::rates::RateTables;
use crate::edge::target::{Target, is_below};
use crate::ops::Metrics;

/// Routes, each answering with its own name: the last word of its line.
fn routes(lines: &[&str]) -> Routes {
    let mut text = "hosts: { a.example: { tls: { certificate: a, key: a }, client_certificate: none }, b.example: { tls: \
                    { certificate: a, key: a }, client_certificate: none } }\nroutes:\n"
        .to_owned();
    for (index, line) in lines.iter().enumerate() {
        text.push_str(&format!("  - {{ require: nothing, answer: {{ body: '{index}' }}, {line} }}\n"));
    }
    let text = format!("listeners: [{{ bind: '127.0.0.1:1' }}]\n{text}upstreams: {{}}\n");
    let config =
        config::parse(Path::new("a.yaml"), &text).unwrap_or_else(|problems| panic!("{problems}")).config;
    let rates = Rates::new(&config.rate_limits, &RateTables::default(), &Metrics::new().unwrap());
    let found = Found { upstream: &|_| None, bodies: &HashMap::new(), rates: &rates };
    Routes::new(config.routes, &found, None, (&config.limits, &config.timeouts)).unwrap()
}

/// The number of the line whose route takes a request; or `405 Allow`, or `404`.
fn taken(routes: &Routes, line: &str, fields: &[(&str, &str)]) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
    let asked = Asked { method, path, fields: &fields };
    match routes.find("a.example", &asked) {
        Ok(Route { action: Action::Answer(Own::Fixed { body, .. }), .. }) => {
            String::from_utf8_lossy(body).into_owned()
        }
        Ok(_) => unreachable!("all of them answer"),
        Err(Unrouted::Method) => format!("405 {}", routes.allowed("a.example", &asked)),
        Err(Unrouted::Nothing) => "404".to_owned(),
    }
}

/// What the tree finds, somebody finds who goes through all routes.
#[test]
fn a_place_is_found_as_by_going_through_all_of_them() {
    let lines = [
        "path: /",
        "path: /a",
        "path: /a/b",
        "path: /ab",
        "path: /a/b/c/d",
        "exact: /",
        "exact: /a",
        "exact: /a/",
        "exact: /a/b",
        "exact: /a/b/c/d/e",
    ];
    for skipped in (0..1 << lines.len()).step_by(7) {
        let is_there = |at: &usize| skipped & 1 << at == 0;
        let there: Vec<usize> = (0..lines.len()).filter(is_there).collect();
        let some = routes(&there.iter().map(|at| lines[*at]).collect::<Vec<_>>());
        for path in ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d/e", "/ab/c", "/abc", "/x"] {
            let is_at = |at: usize| match lines[at].split_once(": ").unwrap() {
                ("exact", exact) => exact == path,
                (_, prefix) => is_below(path, prefix),
            };
            let rank = |at: usize| (lines[at].starts_with("exact"), lines[at].len());
            let nearest =
                there.iter().enumerate().filter(|(_, at)| is_at(**at)).max_by_key(|(_, at)| rank(**at));
            let found = nearest.map_or_else(|| "404".to_owned(), |(index, _)| index.to_string());
            assert_eq!(taken(&some, &format!("GET {path}"), &[]), found, "{path} of {there:?}");
        }
    }
}

#[test]
fn the_path_decides_first_exact_before_longest() {
    let routes = routes(&["path: /", "path: /a", "exact: /a", "path: /a/b", "exact: /a/b/", "exact: /"]);
    for (line, taker) in [
        ("GET /", "5"),
        ("GET /x", "0"),
        ("GET /a", "2"),
        ("GET /a/", "1"),
        ("GET /a/c", "1"),
        ("GET /ab", "0"),
        ("GET /A", "0"),
        ("GET /a/b", "3"),
        ("GET /a/b/", "4"),
        ("GET /a/b/c", "3"),
        ("GET /a%20", "0"),
    ] {
        assert_eq!(taken(&routes, line, &[]), taker, "{line}");
    }
}

#[test]
fn at_one_place_hosts_then_conditions_then_the_file_decide() {
    let routes = routes(&[
        "path: /a",
        "path: /a, methods: [GET]",
        "path: /a, methods: [GET], match_headers: { X-V: '2' }",
        "path: /a, pattern: '/a/[0-9]+'",
        "path: /a, hosts: [b.example], methods: [DELETE]",
        "path: /b, methods: [GET, POST]",
        "path: /b, hosts: [a.example], methods: [POST]",
    ]);
    for (line, fields, taker) in [
        ("POST /a", &[][..], "0"),
        ("GET /a", &[], "1"),
        ("GET /a", &[("x-v", "2")], "2"),
        ("POST /a", &[("x-v", "2")], "0"),
        ("GET /a/1", &[], "1"),
        ("POST /a/1", &[], "3"),
        ("POST /a/1/x", &[], "0"),
        ("POST /b", &[], "6"),
        ("GET /b", &[], "5"),
    ] {
        assert_eq!(taken(&routes, line, fields), taker, "{line}");
    }
}

#[test]
fn no_condition_leads_to_a_shorter_path() {
    let routes = routes(&[
        "path: /",
        "path: /admin, methods: [GET, PUT]",
        "path: /v, match_headers: { X-V: '2' }",
        "pattern: '/admin/.*[.]png'",
        "path: /n, pattern: '/n/[0-9]+'",
    ]);
    for (line, taker) in [
        ("POST /admin", "405 GET, HEAD, PUT"),
        ("get /admin", "405 GET, HEAD, PUT"),
        ("HEAD /admin/a", "1"),
        ("GET /admin/a.png", "1"),
        ("GET /v", "404"),
        ("GET /n/x", "404"),
        ("GET /n/7", "4"),
        ("GET /other", "0"),
    ] {
        assert_eq!(taken(&routes, line, &[]), taker, "{line}");
    }
}

#[test]
fn a_header_field_that_could_be_read_in_two_ways_meets_nothing() {
    let routes = routes(&[
        "path: /, match_headers: { X-V: '2' }",
        "path: /, match_headers: { X-W: { pattern: '.*' } }",
    ]);
    for (fields, taker) in [
        (&[("x-v", "2")][..], "0"),
        (&[("X-V", "2"), ("X-V", "2")], "404"),
        (&[("X-V", "2"), ("X-V", "3")], "404"),
        (&[("X-V", "2"), ("X_V", "3")], "404"),
        (&[("X_V", "2")], "404"),
        (&[("X-V", "22")], "404"),
        (&[("X-V", "2"), ("Connection", "close, x-v")], "404"),
        (&[("X-W", "")], "1"),
        (&[("X-W", "\u{e9}")], "1"),
        (&[], "404"),
    ] {
        assert_eq!(taken(&routes, "GET /", fields), taker, "{fields:?}");
    }
}

#[test]
fn a_rewritten_path_is_normalised_again() {
    let rewritten = |route: &str, path: &str| routes(&[route]).routes[0].terms.rewritten(path).into_owned();
    for (route, path, expected) in [
        ("path: /a, rewrite: { strip_prefix: true }", "/a", "/"),
        ("path: /a, rewrite: { strip_prefix: true }", "/a/", "/"),
        ("path: /a, rewrite: { strip_prefix: true }", "/a/b/", "/b/"),
        ("path: /a, rewrite: { prefix: / }", "/a/b", "/b"),
        ("path: /a, rewrite: { prefix: /new/x }", "/a", "/new/x"),
        ("path: /a, rewrite: { prefix: /new/x }", "/a/", "/new/x/"),
        ("path: /a, rewrite: { prefix: /new }", "/a/%E3%81%82", "/new/%E3%81%82"),
        ("path: /, rewrite: { prefix: /new }", "/", "/new/"),
        ("path: /, rewrite: { prefix: /new }", "/b", "/new/b"),
        ("exact: /a, rewrite: { path: /b/ }", "/a", "/b/"),
    ] {
        let found = rewritten(route, path);
        assert_eq!(found, expected, "{route} {path}");
        assert_eq!(Target::parse(found.as_bytes()).map(|target| target.path.into_owned()), Ok(found));
    }
}
