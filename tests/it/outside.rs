//! What operators see: metrics, health and the access log; and what nobody gets to see there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::client::plain_get;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::http2::Version;
use crate::support::pki::COMMON_NAME;

/// The keys of a log line's object.
fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

const ALWAYS: [&str; 15] = [
    "time",
    "request_id",
    "protocol",
    "method",
    "path",
    "status",
    "bytes_in",
    "bytes_out",
    "duration_us",
    "client",
    "host",
    "tls_version",
    "tls_suite",
    "tls_resumed",
    "standing",
];

fn with(more: &[&'static str]) -> BTreeSet<&'static str> {
    ALWAYS.into_iter().chain(more.iter().copied()).collect()
}

fn is_micros(value: &Value) -> bool {
    value.as_u64().is_some_and(|micros| micros < 20_000_000)
}

#[test]
fn a_forwarded_request_is_logged_with_everything_that_the_docs_name() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        let tanaka = gate.ca.client(COMMON_NAME);
        let client = gate.client().with(&tanaka);
        assert_eq!(version.ask(&client, CERT, ("POST", "/banking/a?b=c"), &[], b"hello").status, 200);
        let line = gate.logged(|_| true);
        let more = ["upstream", "endpoint", "upstream_first_byte_us", "contract", "user", "serial"];
        assert_eq!(keys(&line), with(&more), "{version:?}");
        let protocol = if version == Version::Http1 { "1.1" } else { "2" };
        let serial: String = tanaka.serial.iter().map(|byte| format!("{byte:02x}")).collect();
        for (key, value) in [
            ("protocol", json!(protocol)),
            ("method", json!("POST")),
            ("path", json!("/banking/a")),
            ("status", json!(200)),
            ("bytes_in", json!(5)),
            ("bytes_out", json!(2)),
            ("upstream", json!("banking")),
            ("host", json!(CERT)),
            ("tls_version", json!("1.3")),
            ("tls_suite", json!("TLS13_AES_256_GCM_SHA384")),
            ("tls_resumed", json!(false)),
            ("standing", json!("good")),
            ("contract", json!("10000000000001")),
            ("user", json!("tanaka")),
            ("serial", json!(serial)),
        ] {
            assert_eq!(line[key], value, "{version:?} {key}");
        }
        assert!(is_micros(&line["duration_us"]) && is_micros(&line["upstream_first_byte_us"]));
        assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(line["request_id"], backend.only().value("x-request-id").unwrap());
        let time = line["time"].as_str().unwrap();
        let shape: String = time.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    }
}

#[test]
fn a_refused_request_is_logged_with_its_reason() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let gate = Gate::start(&backend);
        version.get(&gate.client(), CERT, "/banking/a?b=c");
        let line = gate.logged(|_| true);
        assert_eq!(keys(&line), with(&["failure", "detail"]), "{version:?}");
        assert_eq!(line["status"], 403);
        assert_eq!((&line["failure"], &line["standing"]), (&json!("absent"), &json!("absent")));
        assert_eq!(line["detail"], "no certificate was sent");
        assert_eq!(line["path"], "/banking/a");
    }
}

#[test]
fn an_aborted_request_is_logged_with_status_0() {
    let backend = Backend::conversing(|mut conversation| {
        conversation.receive();
        conversation.receive();
    });
    let gate = Gate::start(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    eventually("the backend has the request", || backend.received().len() == 1);
    drop(connection);
    let line = gate.logged(|_| true);
    assert_eq!(keys(&line), with(&["failure", "upstream", "endpoint", "contract", "user", "serial"]));
    assert_eq!((&line["status"], &line["failure"]), (&json!(0), &json!("client_gone")));
}

#[test]
fn nothing_that_a_client_sends_can_begin_a_line_or_end_a_string_of_the_log() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let tanaka = gate.tanaka();
    for head in [
        "GET /banking/\",\"status\":200,\"x\":\" HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /banking/\u{202e}\u{85}\u{2028} HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /banking/a\\n{\"time\":1} HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "GET /banking/%0a%22 HTTP/1.1\r\nHost: HOST\r\n\r\n",
        "FORGED' /banking/a HTTP/1.1\r\nHost: HOST\r\nUser-Agent: \"\\u000a{\"time\":1}\r\n\r\n",
        "GET /banking/a\nX HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ] {
        let mut connection = tanaka.connect(CERT).unwrap();
        connection.send(head.replace("HOST", CERT).as_bytes());
        connection.response().unwrap();
    }
    eventually("all are logged", || gate.access_log().len() == 6);
    let text = std::fs::read_to_string(gate.folder.path().join("access.log")).unwrap();
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')), "{text}");
    let upstream = ["upstream", "endpoint", "upstream_first_byte_us"];
    let known = with(&[&["failure", "detail"][..], &upstream, &["contract", "user", "serial"]].concat());
    assert!(gate.access_log().iter().all(|line| keys(line).is_subset(&known)), "{text}");
    assert_eq!(gate.access_log()[0]["path"], "/banking/\",\"status\":200,\"x\":\"");
}

#[test]
fn a_rotated_log_goes_on_in_a_new_file() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let path = |name: &str| gate.folder.path().join(name);
    let has =
        |name: &str, what: &str| std::fs::read_to_string(path(name)).is_ok_and(|text| text.contains(what));
    gate.tanaka().get(CERT, "/banking/first");
    eventually("the first line", || has("access.log", "/banking/first"));
    std::fs::rename(path("access.log"), path("access.log.1")).unwrap();
    gate.tanaka().get(CERT, "/banking/between");
    eventually("what comes before the signal stays with the old file", || {
        has("access.log.1", "/banking/between")
    });
    gate.reopen_access_log();
    eventually("the new file", || path("access.log").exists());
    gate.tanaka().get(CERT, "/banking/second");
    eventually("the second line", || has("access.log", "/banking/second"));
    assert!(!has("access.log.1", "/banking/second"));
}

#[test]
fn a_secret_that_a_client_sends_is_in_no_log_and_no_metric() {
    const CANARY: &str = "correct-horse-battery";
    let backend = Backend::answering(|_| {
        format!("HTTP/1.1 200 OK\r\nSet-Cookie: a={CANARY}\r\nContent-Length: 21\r\n\r\n{CANARY}")
            .into_bytes()
    });
    let gate = Gate::start(&backend);
    let cookie = format!("session={CANARY}");
    let bearer = format!("Bearer {CANARY}");
    let fields =
        [("cookie", &*cookie), ("authorization", &*bearer), ("x-contract-id", CANARY), ("referer", CANARY)];
    for version in Version::BOTH {
        for (client, host, path) in [
            (gate.tanaka(), CERT, format!("/banking/a?pin={CANARY}")),
            (gate.tanaka(), CERT, format!("/nowhere?pin={CANARY}")),
            (gate.client(), CERT, format!("/banking/a?pin={CANARY}")),
            (gate.client(), WWW, format!("/public/..?pin={CANARY}")),
        ] {
            version.ask(&client, host, ("POST", &path), &fields, CANARY.as_bytes());
        }
    }
    assert!(backend.received()[0].head.contains(CANARY), "the backend gets it");
    eventually("all are logged", || gate.access_log().len() == 8);
    let log = std::fs::read_to_string(gate.folder.path().join("access.log")).unwrap();
    assert!(!log.contains(CANARY), "{log}");
    assert!(!gate.metrics().contains(CANARY));
}

#[test]
fn metrics_are_named_typed_and_labelled_as_the_docs_say_and_nobody_is_in_a_label() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    for version in Version::BOTH {
        version.get(&gate.tanaka(), CERT, "/banking/some-path");
        version.get(&gate.client(), CERT, "/banking/some-path");
        version.get(&gate.client(), WWW, "/nowhere");
    }
    eventually("all are logged", || gate.access_log().len() == 6);
    let text = gate.metrics();
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let mut names = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE sekisho_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = docs.lines().find(|row| row.starts_with(&format!("| `sekisho_{name}` | {kind} |")));
        let row = row.unwrap_or_else(|| panic!("docs/metrics.md has no {kind} sekisho_{name}"));
        let family = text.lines().filter(|line| line.starts_with(&format!("sekisho_{name}")));
        for labels in family.filter_map(|line| Some(line.split_once('{')?.1.split_once('}')?.0)) {
            for (label, value) in labels.split(',').map(|label| label.split_once('=').unwrap()) {
                assert!(label == "le" || row.contains(&format!("`{label}`")), "{row}: {label}");
                assert!(value.len() < 60, "{value}");
            }
        }
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        names += 1;
    }
    assert!(names >= 18, "{names}");
    for nobody in ["tanaka", "10000000000001", "some-path", "127.0.0.1"] {
        // Where backends are is the operator's own to say.
        let mut lines = text.lines().filter(|line| !line.contains("endpoint="));
        assert!(!lines.any(|line| line.contains(nobody)), "{nobody}");
    }
    for (metric, value) in [
        (format!("sekisho_requests_total{{host=\"{CERT}\",status=\"2xx\"}}"), 2.0),
        (format!("sekisho_requests_total{{host=\"{CERT}\",status=\"4xx\"}}"), 2.0),
        (format!("sekisho_requests_total{{host=\"{WWW}\",status=\"4xx\"}}"), 2.0),
        ("sekisho_failures_total{code=\"absent\"}".to_owned(), 2.0),
        ("sekisho_failures_total{code=\"no_route\"}".to_owned(), 2.0),
        ("sekisho_connections_accepted_total".to_owned(), 6.0),
        ("sekisho_upstream_connects_total{upstream=\"banking\"}".to_owned(), 1.0),
        ("sekisho_draining".to_owned(), 0.0),
    ] {
        assert_eq!(gate.metric(&metric), value, "{metric}");
    }
    eventually("no connection is open", || gate.metric("sekisho_connections") == 0.0);
}

#[test]
fn the_ops_listener_says_how_the_gate_is() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    assert_eq!(plain_get(gate.ops, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(plain_get(gate.ops, "/readyz"), (200, "ready\n".to_owned()));
    let told = "try /metrics, /livez, /readyz, /config, /upstreams or /.well-known/jwks.json\n";
    assert_eq!(plain_get(gate.ops, "/"), (404, told.to_owned()));
    assert_eq!(plain_get(gate.ops, "/metrics/").0, 404);
    let (status, body) = crate::support::client::plain(gate.ops, "POST", "/metrics");
    assert_eq!((status, body), (405, "only GET and HEAD\n".to_owned()));
}
