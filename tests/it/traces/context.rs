//! Handing the trace on (W3C Trace Context): to backends always, from clients only if they are believed.

use super::{CONTEXT, STATE, before};
use crate::support::backend::Backend;
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate};
use crate::support::http2::Version;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const TRUSTED: &str = "\ntrusted_proxies: [127.0.0.0/8]";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// The parts of the one context that a backend was given last: trace, span, flags.
fn given(backend: &Backend) -> (String, String, String) {
    let value = backend.received().last().unwrap().value(CONTEXT).unwrap();
    let parts: Vec<_> = value.split('-').collect();
    let ["00", trace, span, flags] = parts[..] else { panic!("{value}") };
    assert_eq!((trace.len(), span.len()), (32, 16), "{value}");
    (trace.to_owned(), span.to_owned(), flags.to_owned())
}

#[test]
fn what_somebody_outside_says_of_a_trace_is_dropped() {
    // Nor is a trusted proxy's word taken, unless that is wanted.
    for trusted in ["", TRUSTED] {
        for version in Version::BOTH {
            let (collector, backend) = (Collector::start(), Backend::start());
            let gate = Gate::configured(&backend, &(collector.yaml("") + trusted));
            let fields =
                [(CONTEXT, parent("01")), (STATE, "congo=1".to_owned()), ("x-other", "1".to_owned())];
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
            let [server, client] = collector.gets(2).try_into().unwrap();
            assert_ne!(server.trace, TRACE);
            assert_eq!((server.parent.as_str(), server.state.as_str()), ("", ""));
            let received = backend.only();
            assert_eq!(received.values(CONTEXT), [client.as_parent()]);
            assert_eq!((received.values(STATE).len(), received.value("x-other").as_deref()), (0, Some("1")));
        }
    }
}

#[test]
fn nobody_but_a_trusted_proxy_is_gone_on_with() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let yaml = collector.yaml("continue_from: trusted_proxies") + "\ntrusted_proxies: [10.0.0.0/8]";
    let gate = Gate::configured(&backend, &yaml);
    gate.tanaka().get_with(CERT, "/banking/a", &format!("{CONTEXT}: {}\r\n", parent("01")));
    assert_ne!(given(&backend).0, TRACE);
    assert_eq!(collector.gets(2)[0].parent, "");
}

#[test]
fn the_trace_of_a_trusted_proxy_goes_on() {
    for version in Version::BOTH {
        // Whoever has begun it has decided whether it is recorded.
        let (collector, backend) = (Collector::start(), Backend::start());
        let yaml = collector.yaml("continue_from: trusted_proxies, ratio: 0") + TRUSTED;
        let gate = Gate::configured(&backend, &yaml);
        let ask = |flags, states: &[&str]| {
            let parent = parent(flags);
            let mut fields = vec![(CONTEXT, parent.as_str())];
            fields.extend(states.iter().map(|state| (STATE, *state)));
            version.ask(&gate.tanaka(), CERT, ("GET", "/banking/a"), &fields, b"");
        };
        ask("01", &["congo=t61rcWkgMzE", "rojo=1"]);
        let [server, client] = collector.gets(2).try_into().unwrap();
        assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, PARENT));
        assert_eq!(
            (server.flags, client.flags),
            (0x301, 0x101),
            "the parent is somebody else's, and our own"
        );
        assert_eq!((client.trace.as_str(), &client.parent), (TRACE, &server.id));
        let state = "congo=t61rcWkgMzE,rojo=1";
        assert_eq!((server.state.as_str(), client.state.as_str()), (state, state));
        let received = backend.only();
        assert_eq!(
            (received.value(CONTEXT), received.value(STATE).as_deref()),
            (Some(client.as_parent()), Some(state))
        );
        assert_eq!(gate.log_line(1)["trace"], TRACE);
        // One that isn't recorded is handed on all the same, and so is that it isn't.
        ask("00", &["rojo=1"]);
        let (trace, span, flags) = given(&backend);
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
        assert_ne!(span, PARENT);
        assert_eq!(backend.received()[1].value(STATE).as_deref(), Some("rojo=1"));
        // What was noted in a way that nobody can read isn't, but the trace goes on.
        ask("01", &["rojo=1,", "not well-formed"]);
        assert_eq!((given(&backend).0.as_str(), backend.received()[2].values(STATE).len()), (TRACE, 0));
        assert_eq!(collector.gets(4)[2].parent, PARENT);
    }
}

#[test]
fn a_context_that_is_not_well_formed_is_none() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let yaml = collector.yaml("continue_from: trusted_proxies, ratio: 0") + TRUSTED;
    let gate = Gate::configured(&backend, &yaml);
    let good = parent("01");
    let bad = [
        good.replacen("00-", "ff-", 1),
        good.replacen("00-", "000-", 1),
        good.replace(TRACE, &"0".repeat(32)),
        good.replace(PARENT, &"0".repeat(16)),
        good.to_uppercase(),
        good[..54].to_owned(),
        format!("{good}-00"),
        format!("{good},{good}"),
        format!("{good}\r\n{CONTEXT}: {good}"),
        "x".to_owned(),
        String::new(),
    ];
    for value in &bad {
        let lines = format!("{CONTEXT}: {value}\r\n{STATE}: congo=1\r\n");
        assert_eq!(gate.tanaka().get_with(CERT, "/banking/a", &lines).status, 200, "{value}");
        let (trace, _, flags) = given(&backend);
        assert!(trace != TRACE && flags == "00", "{value}");
        assert!(backend.received().last().unwrap().values(STATE).is_empty(), "{value}");
    }
    // A later version is read as far as it is known, and this one is spoken from here on.
    for value in [good.replacen("00-", "cc-", 1), good.replacen("00-", "cc-", 1) + "-more"] {
        gate.tanaka().get_with(CERT, "/banking/a", &format!("{CONTEXT}: {value}\r\n"));
        assert_eq!(given(&backend).0, TRACE, "{value}");
    }
    assert_eq!(collector.gets(4).iter().filter(|span| span.trace == TRACE).count(), 4);
}

#[test]
fn a_trace_that_is_not_recorded_is_handed_on_and_in_the_log() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let mut gate = before(&[&backend], "", &collector.yaml("ratio: 0"));
    for version in Version::BOTH {
        version.get(&gate.tanaka(), CERT, "/banking/a");
    }
    eventually("both are in the log", || gate.access_log().len() == 2);
    let traces: Vec<_> = gate.access_log().iter().map(|line| line["trace"].clone()).collect();
    let received = backend.received();
    for (received, trace) in received.iter().zip(&traces) {
        let value = received.value(CONTEXT).unwrap();
        let trace = trace.as_str().unwrap();
        assert!(value.starts_with(&format!("00-{trace}-")) && value.ends_with("-00"), "{value}");
    }
    assert_ne!(traces[0], traces[1]);
    gate.drain().join().unwrap();
    assert_eq!(collector.asked(), 0);
}

#[test]
fn what_is_recorded_follows_from_the_number_of_the_trace() {
    let (collector, backend) = (Collector::start(), Backend::start());
    let mut gate = before(&[&backend], "", &collector.yaml("ratio: 0.5"));
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    for _ in 0..100 {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        connection.response().unwrap();
    }
    drop(connection);
    gate.drain().join().unwrap();
    let mut recorded: Vec<_> = collector.spans().into_iter().map(|span| span.trace).collect();
    recorded.dedup();
    recorded.sort();
    let lines = gate.access_log();
    let traces = lines.iter().map(|line| line["trace"].as_str().unwrap().to_owned());
    // The last 56 bits, of which the first is one in half of all.
    let mut expected: Vec<_> = traces.filter(|trace| trace.as_bytes()[18] >= b'8').collect();
    expected.sort();
    assert_eq!((lines.len(), &recorded), (100, &expected));
    assert!((20..=80).contains(&expected.len()), "{} of 100", expected.len());
    for received in backend.received() {
        let value = received.value(CONTEXT).unwrap();
        let is_recorded = expected.iter().any(|trace| value[3..].starts_with(trace.as_str()));
        assert_eq!(value.ends_with("-01"), is_recorded, "{value}");
    }
}

#[test]
fn without_traces_a_context_is_a_field_like_any_other() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let (good, bad) = (parent("01"), "whatever it is");
        for value in [good.as_str(), bad] {
            version.ask(
                &gate.tanaka(),
                CERT,
                ("GET", "/banking/a"),
                &[(CONTEXT, value), (STATE, "a=1")],
                b"",
            );
            let received = backend.received().pop().unwrap();
            assert_eq!(
                (received.value(CONTEXT).as_deref(), received.value(STATE).as_deref()),
                (Some(value), Some("a=1"))
            );
        }
        version.get(&gate.tanaka(), CERT, "/banking/a");
        assert!(backend.received().pop().unwrap().values(CONTEXT).is_empty());
        let line = gate.log_line(3);
        assert!(line.get("trace").is_none(), "{line}");
    }
}
