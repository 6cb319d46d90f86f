//! Requests that an endpoint fails: ejection, and trying again.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;

use super::{Named, answers, ask, before, waits_until_usable};
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::Ca;

/// An address where nobody listens.
fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn gate(addresses: &[std::net::SocketAddr], upstream: &str) -> Gate {
    Gate::before(addresses, Ca::new("Mihon Bank CA-G1"), Settings { upstream, ..Settings::default() })
}

#[test]
fn who_can_not_be_reached_is_passed_over_whatever_the_method() {
    let a = Named::start("a");
    let gate = gate(&[nobody(), a.backend.address, nobody()], "ejection: { failures: 0 }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for method in ["GET", "POST", "DELETE", "PATCH", "PROPFIND", "POST"] {
        assert_eq!(ask(&mut connection, method), (200, "a".to_owned()), "{method}");
    }
    let line = gate.log_line(6);
    assert_eq!(
        (&line["endpoint"], &line["tries"]),
        (&a.backend.address.to_string().into(), &serde_json::Value::Null)
    );
}

#[test]
fn who_fails_so_many_requests_in_a_row_is_ejected_for_a_while() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gate = before(&[&a, &b], "ejection: { failures: 3, for: 1h }");
    b.status.store(503, Relaxed);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..20 {
        ask(&mut connection, "POST");
    }
    assert_eq!((a.count(), b.count()), (17, 3));
    assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 1.0);
    waits_until_usable(&gate, b.backend.address, false);
}

#[test]
fn an_ejected_endpoint_comes_back() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gate = before(&[&a, &b], "ejection: { failures: 1, for: 300ms }");
    b.status.store(502, Relaxed);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    ask(&mut connection, "GET");
    ask(&mut connection, "GET");
    assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 1.0);
    b.status.store(200, Relaxed);
    eventually("it gets requests again", || ask(&mut connection, "GET").1 == "b");
}

#[test]
fn an_answer_in_between_begins_the_count_anew_and_a_clients_fault_counts_for_nothing() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    let gate = before(&[&a, &b], "ejection: { failures: 2, for: 1h }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for status in [500, 503, 404, 504, 200, 502, 500] {
        b.status.store(status, Relaxed);
        ask(&mut connection, "GET");
        ask(&mut connection, "GET");
    }
    assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 0.0);
    assert_eq!((a.count(), b.count()), (7, 7));
}

#[test]
fn no_more_than_the_configured_part_is_ejected_and_never_the_last() {
    let all: Vec<_> = ["a", "b", "c"].into_iter().map(Named::start).collect();
    for named in &all {
        named.status.store(503, Relaxed);
    }
    let gate =
        before(&all.iter().collect::<Vec<_>>(), "ejection: { failures: 1, for: 1h, most_percent: 70 }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..10 {
        assert_eq!(ask(&mut connection, "GET").0, 503);
    }
    assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 2.0);
    let single = Named::start("a");
    single.status.store(503, Relaxed);
    let gate = before(&[&single], "ejection: { failures: 1, for: 1h, most_percent: 100 }");
    for _ in 0..3 {
        gate.tanaka().get(CERT, "/banking/a");
    }
    assert_eq!(single.count(), 3);
}

#[test]
fn bounds_of_a_route_are_nobodys_failure_and_no_reason_to_ask_another_one() {
    let stalls = || {
        Backend::conversing(|mut conversation| {
            conversation.receive();
            let _ = conversation.receive();
        })
    };
    let long = || {
        Backend::answering(|_| {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n";
            [head.as_slice(), &[b'x'; 2000]].concat()
        })
    };
    let upstream =
        "ejection: { failures: 1, for: 1h, most_percent: 100 }, retries: { most: 1, timeouts: true }";
    let cases: [(&str, [Backend; 2], (u16, &str)); 2] = [
        ("limits: { response_body: 1KiB }", [long(), long()], (502, "upstream_broken")),
        ("timeouts: { total: 300ms }", [stalls(), stalls()], (504, "upstream_timeout")),
    ];
    for (terms, backends, expected) in cases {
        let routes = format!("  - {{ path: /banking, require: certificate, {terms}, upstream: banking }}");
        let settings = Settings { routes: Some(&routes), upstream, ..Settings::default() };
        let addresses = backends.each_ref().map(|backend| backend.address);
        let gate = Gate::before(&addresses, Ca::new("Mihon Bank CA-G1"), settings);
        for number in 1..=3 {
            let response = gate.tanaka().get_with(CERT, "/banking/a", "Accept: application/json\r\n");
            assert_eq!((response.status, response.code().as_str()), expected);
            let asked: usize = backends.iter().map(|backend| backend.received().len()).sum();
            assert_eq!(asked, number, "{terms}");
        }
        assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 0.0, "{terms}");
    }
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_nobodys_failure() {
    // Closes at the second request instead of before it: what a gate sees that was a moment too late.
    let closing = || {
        Backend::conversing(|mut conversation| {
            conversation.receive();
            let _ = conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            conversation.receive_head();
        })
    };
    let backends = [closing(), closing()];
    let gate = gate(
        &backends.each_ref().map(|backend| backend.address),
        "ejection: { failures: 1, for: 1h, most_percent: 100 }",
    );
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let statuses = [(); 4].map(|()| ask(&mut connection, "POST").0);
    assert_eq!(statuses, [200, 200, 502, 502]);
    assert_eq!(gate.metric("sekisho_upstream_ejections_total{upstream=\"banking\"}"), 0.0);
}

#[test]
fn the_last_one_that_serves_is_not_ejected_either() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    a.health.store(500, Relaxed);
    let ejection = "ejection: { failures: 1, for: 1h, most_percent: 100 }";
    let gate = before(&[&a, &b], &format!("health: {{ path: /health, every: 1h }}, {ejection}"));
    waits_until_usable(&gate, a.backend.address, false);
    b.status.store(503, Relaxed);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut connection, "GET"), (503, "b".to_owned()));
    }
}

#[test]
fn a_request_that_may_be_repeated_goes_to_another_endpoint_and_others_never() {
    let upstream = "ejection: { failures: 0 }, retries: { most: 1, statuses: [503] }";
    let (a, b) = (Named::start("a"), Named::start("b"));
    b.status.store(503, Relaxed);
    let gate = before(&[&a, &b], upstream);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let before = (a.count(), b.count());
        for _ in 0..2 {
            connection.send(format!("{method} /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
            assert_eq!(connection.response_to(method).unwrap().status, 200, "{method}");
        }
        assert_eq!((a.count(), b.count()), (before.0 + 2, before.1 + 1), "{method}");
    }
    assert_eq!(gate.metric("sekisho_upstream_retries_total{upstream=\"banking\"}"), 5.0);
    for method in ["POST", "PATCH", "PROPFIND"] {
        let mut statuses = [ask(&mut connection, method).0, ask(&mut connection, method).0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503], "{method}");
    }
    // Nor one whose body has been sent.
    let put = format!("PUT /banking/a HTTP/1.1\r\nHost: {CERT}\r\nContent-Length: 1\r\n\r\nx");
    let mut statuses = [(); 2].map(|()| {
        connection.send(put.as_bytes());
        connection.response().unwrap().status
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[test]
fn an_endpoint_that_breaks_off_before_its_answer_is_made_up_for_and_one_in_the_middle_is_not() {
    for (said, status) in [
        ("", 200),
        ("HTTP/1.1 2", 200),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n", 200),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 0),
    ] {
        let a = Named::start("a");
        let breaking = Backend::conversing(move |mut conversation| {
            conversation.receive();
            let _ = std::io::Write::write_all(&mut conversation.stream, said.as_bytes());
        });
        let gate = gate(&[breaking.address, a.backend.address], "retries: { most: 1 }");
        let mut connection = gate.tanaka().connect(CERT).unwrap();
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        let found = connection.response().map_or(0, |response| response.status);
        assert_eq!((found, breaking.received().len()), (status, 1), "{said:?}");
        assert_eq!(a.count(), usize::from(status == 200));
        let line = gate.log_line(1);
        assert_eq!(line["tries"], if status == 200 { 2.into() } else { serde_json::Value::Null });
    }
}

#[test]
fn one_that_is_too_slow_is_made_up_for_only_if_that_is_configured() {
    for (timeouts, status) in [("true", 200), ("false", 504)] {
        let a = Named::start("a");
        let slow = Backend::conversing(|mut conversation| {
            conversation.receive();
            let _ = conversation.receive();
        });
        let upstream = format!("retries: {{ most: 1, timeouts: {timeouts} }}");
        let settings = Settings {
            upstream: &upstream,
            yaml: "timeouts: { upstream_first_byte: 300ms }",
            ..Settings::default()
        };
        let gate = Gate::before(&[slow.address, a.backend.address], Ca::new("Mihon Bank CA-G1"), settings);
        assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, status, "{timeouts}");
        assert_eq!(slow.received().len(), 1);
    }
}

#[test]
fn an_only_endpoint_is_asked_again_itself() {
    let a = Named::start("a");
    a.status.store(503, Relaxed);
    let gate = before(&[&a], "retries: { most: 2, statuses: [503] }");
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 503);
    assert_eq!(a.count(), 3);
}

#[test]
fn no_more_is_repeated_than_the_budget_allows() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    for named in [&a, &b] {
        named.status.store(503, Relaxed);
    }
    let upstream = "ejection: { failures: 0 }, retries: { most: 1, statuses: [503], budget_percent: 10 }";
    let gate = before(&[&a, &b], upstream);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..100 {
        assert_eq!(ask(&mut connection, "GET").0, 503);
    }
    // Ten to begin with, and one for each ten requests since the first was repeated.
    let repeated = a.count() + b.count() - 100;
    assert_eq!(repeated, 19);
    assert_eq!(gate.metric("sekisho_upstream_retries_total{upstream=\"banking\"}"), 19.0);
    assert_eq!(gate.metric("sekisho_upstream_retries_denied_total{upstream=\"banking\"}"), 81.0);
}

#[test]
fn nothing_is_repeated_unless_that_is_configured() {
    let (a, b) = (Named::start("a"), Named::start("b"));
    b.status.store(503, Relaxed);
    let gate = before(&[&a, &b], "ejection: { failures: 0 }");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    answers(&mut connection, 4);
    assert_eq!((a.count(), b.count()), (2, 2));
}
