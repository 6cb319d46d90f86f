//! Telling the collector: it may be gone, slow or out of its mind. That costs spans, which are counted, and nothing else.

use std::net::TcpListener;
use std::time::Duration;

use super::{before, dropped};
use crate::support::backend::Backend;
use crate::support::collector::{Collector, Conduct, yaml};
use crate::support::eventually;
use crate::support::fronted::Fronted;
use crate::support::gate::{CERT, Gate, Settings, lay_out};
use crate::support::pki::Ca;
use crate::support::process::Running;

const EXPORTED: &str = "sekisho_spans_exported_total";

fn ask(gate: &Gate, times: usize) {
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..times {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 200);
    }
}

#[test]
fn many_spans_are_told_at_once() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let gate = Gate::configured(&backend, &collector.yaml(""));
    ask(&gate, 600);
    assert_eq!(collector.gets(1200).len(), 1200);
    assert!(collector.asked() < 100, "{} batches", collector.asked());
    assert!(collector.backend.connections() == 1, "over one connection");
    gate.counts(EXPORTED, 1200.0);
}

#[test]
fn a_collector_that_will_not_have_spans_is_not_asked_again() {
    for conduct in [
        Conduct::Status(400, ""),
        Conduct::Status(500, ""),
        Conduct::Status(307, "Location: /\r\n"),
        Conduct::Garbage,
    ] {
        let (collector, backend) = (Collector::that(conduct.clone()), Backend::start());
        let gate = Gate::configured(&backend, &collector.yaml(""));
        ask(&gate, 1);
        gate.counts(&dropped("refused"), 2.0);
        assert_eq!((collector.asked(), gate.metric(EXPORTED)), (1, 0.0), "{conduct:?}");
        collector.conducts(Conduct::Good);
        ask(&gate, 1);
        gate.counts(EXPORTED, 2.0);
        assert_eq!(gate.metric(&dropped("refused")), 2.0);
    }
}

#[test]
fn a_collector_that_is_busy_is_asked_again_when_it_wants_to_be() {
    for (status, lines) in [(503, ""), (429, "Retry-After: 1\r\n")] {
        let (collector, backend) = (Collector::that(Conduct::Status(status, lines)), Backend::start());
        let gate = Gate::configured(&backend, &collector.yaml(""));
        ask(&gate, 1);
        eventually("it was asked", || collector.asked() > 0);
        collector.conducts(Conduct::Good);
        gate.counts(EXPORTED, 2.0);
        assert_eq!(gate.metric(&dropped("refused")), 0.0, "{status}");
        // The same again, byte by byte.
        let received = collector.backend.received();
        assert!(received.len() >= 2 && received.iter().all(|one| one.body == received[0].body), "{status}");
    }
}

#[test]
fn spans_that_a_collector_rejects_are_counted() {
    let (collector, backend) = (Collector::that(Conduct::Rejects(1)), Backend::start());
    let gate = Gate::configured(&backend, &collector.yaml(""));
    ask(&gate, 1);
    gate.counts(&dropped("rejected"), 1.0);
    gate.counts(EXPORTED, 1.0);
    // More than it was sent, or fewer than none, is nonsense.
    for (said, rejected) in [(i64::MAX, 3.0), (-1, 3.0)] {
        collector.conducts(Conduct::Rejects(said));
        let before = gate.metric(EXPORTED) + gate.metric(&dropped("rejected"));
        ask(&gate, 1);
        eventually("two more spans", || {
            gate.metric(EXPORTED) + gate.metric(&dropped("rejected")) == before + 2.0
        });
        assert_eq!(gate.metric(&dropped("rejected")), rejected, "{said}");
    }
}

#[test]
fn no_request_waits_for_a_collector_that_is_gone_or_silent() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Collector::that(Conduct::Silent);
    let cut = Collector::that(Conduct::Down);
    let backend = Backend::start();
    let gates = [closed, silent.backend.address, cut.backend.address]
        .map(|address| Gate::configured(&backend, &yaml(address, "timeout: 100ms")));
    gates.iter().for_each(|gate| ask(gate, 1));
    for gate in &gates {
        // After four tries, within some ten seconds.
        gate.counts(&dropped("unreachable"), 2.0);
        assert_eq!((gate.metric(EXPORTED), gate.metric(&dropped("queue"))), (0.0, 0.0));
    }
    assert_eq!((silent.asked(), cut.asked()), (4, 4));
    gates.iter().for_each(|gate| ask(gate, 20));
}

#[test]
fn what_has_no_room_in_the_queue_is_dropped_and_counted() {
    let (collector, backend) = (Collector::that(Conduct::Silent), Backend::start());
    let gate = Gate::configured(&backend, &collector.yaml("queue: 5, timeout: 1m"));
    ask(&gate, 1);
    eventually("the exporter waits for an answer", || collector.asked() == 1);
    ask(&gate, 12);
    gate.counts(&dropped("queue"), 2.0 * 7.0);
    eventually("nobody has noticed", || gate.access_log().len() == 13);
}

#[test]
fn a_drain_tells_what_still_waits() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let mut gate = before(&[&backend], "", &collector.yaml(""));
    ask(&gate, 3);
    gate.drain().join().unwrap();
    assert_eq!(collector.spans().len(), 6);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "that it takes no longer is what is asked")]
fn a_drain_does_not_wait_for_a_collector_that_says_nothing() {
    let (collector, backend) = (Collector::that(Conduct::Silent), Backend::start());
    let mut gate = before(&[&backend], "", &collector.yaml("timeout: 1h"));
    ask(&gate, 3);
    let begun = std::time::Instant::now();
    gate.drain().join().unwrap();
    let took = begun.elapsed();
    assert!(collector.asked() == 1 && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_collector_behind_tls_gets_the_fields_of_the_secret_file() {
    let (collector, internal) = (Collector::start(), Ca::new("Internal CA"));
    let front = Fronted::start(collector.backend.address, &internal.server(&["127.0.0.1"]), None);
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let traces = format!(
        "traces: {{ url: 'https://{}/v1/traces', ratio: 1, authorities: internal.pem, headers_file: fields }}",
        front.address
    );
    let folder = lay_out(&[backend.address], &ca, &Settings { yaml: &traces, ..Settings::default() });
    std::fs::write(folder.path().join("internal.pem"), internal.pem()).unwrap();
    let write = |text: &str| crate::support::write_secret(&folder.path().join("fields"), text.as_bytes());
    write("Authorization: Bearer abc\n\nX-Scope-OrgID:mihon\r\n");
    let path = folder.path().to_owned();
    let gate = Gate::in_folder(folder, ca);
    gate.follow();
    ask(&gate, 1);
    collector.gets(2);
    let received = collector.backend.only();
    assert_eq!(received.value("authorization").as_deref(), Some("Bearer abc"));
    assert_eq!(received.value("x-scope-orgid").as_deref(), Some("mihon"));
    // Another secret is taken up by a reload.
    crate::support::write_secret(&path.join("fields"), b"Authorization: Bearer def");
    gate.reload().unwrap();
    ask(&gate, 1);
    collector.gets(4);
    let received = collector.backend.received().pop().unwrap();
    assert_eq!(
        (received.value("authorization").as_deref(), received.values("x-scope-orgid").len()),
        (Some("Bearer def"), 0)
    );
    for (bad, told) in [
        ("Authorization", "fields: line 1: expected `Name: value`"),
        ("A: b\nAuthorization: \n", "fields: line 2: expected `Name: value`"),
        ("A: geheim\na: b", "fields: line 2: `a` is there twice"),
        ("Content-Type: geheim", "fields: line 1: `content-type` belongs to HTTP itself"),
        ("\n", "fields: there is no field in it"),
    ] {
        crate::support::write_secret(&path.join("fields"), bad.as_bytes());
        let problem = gate.reload().unwrap_err();
        assert!(problem.contains(told) && !problem.contains("geheim"), "{problem}");
    }
    std::fs::set_permissions(path.join("fields"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let problem = gate.reload().unwrap_err();
    assert!(problem.contains("others can read or change this secret: chmod 600"), "{problem}");
}

#[test]
fn a_reload_begins_and_ends_traces_for_the_next_request() {
    let (one, other, backend) = (Collector::start(), Collector::start(), Backend::start());
    let gate = Gate::configured(&backend, "reload: { on_change: false }");
    gate.follow();
    let without = gate.file("sekisho.yaml");
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let mut told = |yaml: &str| {
        gate.write("sekisho.yaml", &format!("{without}{yaml}\n"));
        gate.reload().unwrap();
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 200);
        backend.received().pop().unwrap().value(super::CONTEXT)
    };
    assert_eq!(told(""), None);
    let first = told(&one.yaml(""));
    // What was recorded for the first collector goes there, although the second is in force.
    let second = told(&other.yaml(""));
    assert_eq!(told(""), None);
    assert_eq!(first, Some(one.gets(2)[1].as_parent()));
    assert_eq!(second, Some(other.gets(2)[1].as_parent()));
}

#[test]
fn the_log_says_once_that_spans_are_lost_and_once_that_they_are_not() {
    let (collector, backend) = (Collector::that(Conduct::Status(400, "")), Backend::start());
    let (ca, yaml) = (Ca::new("Mihon Bank CA-G1"), collector.yaml(""));
    let folder = lay_out(&[backend.address], &ca, &Settings { yaml: &yaml, ..Settings::default() });
    let mut running = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
    running.wait_until_ready();
    let address = running.address("Listening");
    let client =
        crate::support::client::Client::new(address, &ca).with(&ca.client(crate::support::pki::COMMON_NAME));
    let lines = |message: &str| running.stderr().lines().filter(|line| line.contains(message)).count();
    let (lost, well) = (
        "The collector of traces doesn't take spans: they are lost",
        "The collector of traces takes spans again",
    );
    for asked in 1..=3 {
        client.get(CERT, "/banking/a");
        eventually("another batch", || collector.asked() == asked);
        eventually("it is said", || lines(lost) == 1);
    }
    collector.conducts(Conduct::Good);
    client.get(CERT, "/banking/a");
    eventually("it is well again", || lines(well) == 1);
    assert_eq!((lines(lost), lines(well)), (1, 1));
    assert!(running.stderr().contains("it answered 400 instead of 200"), "{}", running.stderr());
}
