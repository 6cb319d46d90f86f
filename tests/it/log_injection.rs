//! Nobody writes into a log what it doesn't say itself (T66): whatever a client, a certificate or a login name holds, each
//! request is one line of the access log, and each decision one record of the audit log.

use std::process::Command;

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gate::{Gate, OPTIONAL, WWW};
use crate::support::http2::Http2;
use crate::support::people::{Browser, CONTRACT, gate, percent_encoded};
use crate::support::pki::COMMON_NAME;
use crate::support::process::{SEKISHO, outcome, sekisho};

/// Line ends, ends of strings and objects, escapes of JSON and of terminals, what turns the direction of writing, what has
/// no width, and a whole record.
const HOSTILE: [&str; 16] = [
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\"",
    "\\",
    "\\n",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "\u{9b}31m\u{85}",
    "\u{202e}\u{2066}\u{200f}",
    "\u{2028}\u{2029}",
    "\u{feff}\u{200b}\u{ad}",
    "\u{e0041}\u{e007f}",
    "\"}\n{\"seq\":1,\"prev\":\"\",\"time\":\"2026-01-01T00:00:00Z\",\"kind\":\"lifted\",\"by\":\"gateway\"}\n",
    "\",\"kind\":\"lifted\",\"status\":200,\"x\":\"",
    "\u{8}\u{8}\u{8}\t%0a%0d%00%1b",
];

/// Sends bytes on a connection of their own, and waits for its end.
fn send(client: &Client, host: &str, bytes: &[u8]) {
    let mut connection = client.connect(host).unwrap();
    connection.send(bytes);
    connection.read_to_end();
}

/// One request with this path and this User-Agent.
fn ask(client: &Client, host: &str, path: &str, agent: &str) {
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: {agent}\r\n\r\n");
    send(client, host, head.as_bytes());
}

/// Everything that a client can say, and how many requests that was.
fn attack(gate: &Gate) -> usize {
    let mut requests = 0;
    let long = "x\"\n".repeat(100_000);
    for hostile in HOSTILE.into_iter().chain([long.as_str()]) {
        let mut sent = |how: &dyn Fn(&Client)| {
            how(&gate.client());
            requests += 1;
        };
        sent(&|client| ask(client, WWW, &format!("/public/{hostile}"), "x"));
        sent(&|client| ask(client, WWW, &format!("/public/{}", percent_encoded(hostile)), "x"));
        sent(&|client| ask(client, WWW, &format!("/public/x?{}", percent_encoded(hostile)), "x"));
        sent(&|client| ask(client, WWW, "/public/x", hostile));
        sent(&|client| {
            ask(
                client,
                WWW,
                "/public/x",
                &format!("x\r\nX-Request-Id: {hostile}\r\nForwarded: for={hostile}"),
            )
        });
        sent(&|client| send(client, WWW, format!("{hostile} / HTTP/1.1\r\n\r\n").as_bytes()));
        if hostile.len() < 1000 {
            for name in [
                format!("{CONTRACT} {hostile}"),
                format!("{hostile} tanaka"),
                format!("{COMMON_NAME}{hostile}"),
            ] {
                let credential = gate.ca.client(&name);
                sent(&|client| ask(&client.with(&credential), OPTIONAL, "/public/x", "x"));
            }
            sent(&|client| {
                Http2::connect(client, WWW).get(WWW, &format!("/public/{}", percent_encoded(hostile)));
            });
        }
        let mut browser = Browser::new(gate);
        let page = browser.open(WWW, "/sekisho/sign-in");
        let (user, to) = (format!("tanaka{hostile}"), format!("/banking/{hostile}"));
        let typed = [("contract", hostile), ("user", hostile), ("pin", hostile), ("to", to.as_str())];
        browser.post(WWW, "/sekisho/sign-in", &page, &typed);
        let typed = [("contract", CONTRACT), ("user", user.as_str()), ("pin", hostile)];
        browser.post(WWW, "/sekisho/sign-in", &page, &typed);
        requests += 3;
    }
    requests
}

/// A text of one-line JSON objects in plain ASCII, each with one of each key.
fn objects(text: &str, key: &str) -> Vec<Value> {
    let is_plain = |byte: u8| byte == b'\n' || byte.is_ascii_graphic() || byte == b' ';
    assert!(text.bytes().all(is_plain), "{:?}", text.bytes().find(|byte| !is_plain(*byte)));
    let object = |line: &str| {
        // Inside of a string there would be a backslash before each quote.
        let named = format!(",\"{key}\":\"");
        assert_eq!(line.matches(&named).count(), 1, "{line}");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    text.lines().map(object).collect()
}

#[test]
fn a_request_is_one_line_and_a_decision_one_record_whatever_is_in_it() {
    let gate = gate(&Backend::start());
    let requests = attack(&gate);
    let path = gate.folder.path();
    // Bank staff, under names that no machine should have.
    let names = HOSTILE.iter().filter(|name| !name.contains('\0'));
    let commands = names.clone().count();
    for (number, name) in names.enumerate() {
        let id = format!("{}", 2000 + number);
        let command = ["contract", "add", "--config", "sekisho.yaml", &id, "x"];
        outcome(Command::new(SEKISHO).args(command).current_dir(path).env("SUDO_USER", name)).good();
    }
    crate::support::eventually("every line is written", || gate.access_log().len() >= requests);
    let lines = objects(&gate.file("access.log"), "request_id");
    assert_eq!(lines.len(), requests);
    assert!(lines.iter().all(|line| line.get("kind").is_none() && line.get("x").is_none()));

    let records = objects(&gate.file("audit.log"), "kind");
    let of = |kind: &str| records.iter().filter(|record| record["kind"] == kind).count();
    assert_eq!((of("lifted"), of("contract_added"), of("sign_in")), (0, commands, 0));
    assert_eq!(of("sign_in_refused") + of("contract_added"), records.len(), "{records:#?}");
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["seq"], number + 1);
        let by = record["by"].as_str().unwrap();
        assert!(by == "user" || by.starts_with("staff:"), "{by}");
    }
    let verified = sekisho(path, &["audit", "verify", "--strict", "--config", "sekisho.yaml"]).good();
    assert!(
        verified.contains(&format!("audit.log: good.\n{} records in 1 files.\n", records.len())),
        "{verified}"
    );
    // A line a record, and its head, on the terminal too.
    let shown = sekisho(path, &["audit", "show", "--config", "sekisho.yaml"]).good();
    assert_eq!(shown.lines().count(), records.len() + 1);
    assert!(shown.bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic() || byte == b' '), "{shown:?}");
    assert!(gate.metric("sekisho_failures_total{code=\"bad_request\"}") > 0.0);
}
