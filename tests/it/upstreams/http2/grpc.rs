//! gRPC through the gate, with a server and a client that others wrote (tests/clients).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::with;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::COMMON_NAME;
use crate::support::process::outcome;

fn source(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The server, which ends with the test.
struct Server {
    child: Child,
    address: std::net::SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(source("grpc_server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, address: format!("127.0.0.1:{}", port.trim()).parse().unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ROUTES: &str = "  - { path: /banking.Echo, require: certificate, upstream: banking }
  - { path: /banking.Admin, require: certificate, contracts: ['99999999999999'], upstream: banking }
  - { path: /banking.Closed, require: certificate, upstream: banking, maintenance: { file: closed } }";

fn gate(address: std::net::SocketAddr, yaml: &str) -> Gate {
    let settings = Settings { routes: Some(ROUTES), yaml, ..Settings::default() };
    let gate = with(&[address], "ejection: { failures: 0 }", settings);
    let user = gate.ca.client(COMMON_NAME);
    std::fs::write(gate.folder.path().join("client.pem"), &user.pem).unwrap();
    std::fs::write(gate.folder.path().join("client.key"), &user.key_pem).unwrap();
    gate
}

/// What the client prints.
fn client(gate: &Gate, what: &str) -> String {
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(source("grpc_client.py"))
        .arg(gate.address.to_string())
        .arg(CERT)
        .arg(gate.folder.path())
        .arg(what);
    outcome(&mut command).good()
}

#[test]
fn all_kinds_of_calls_go_through_with_their_metadata_codes_and_deadlines() {
    let server = Server::start();
    let gate = gate(server.address, "");
    let said: Vec<Value> =
        client(&gate, "calls").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!(["unary", ["cba", "1", "00ff"], "OK", "tanaka"]),
        json!(["large", true, "OK", "tanaka"]),
        json!(["fail", "not now", "FAILED_PRECONDITION", "tanaka"]),
        json!(["wait", "Deadline Exceeded", "DEADLINE_EXCEEDED", null]),
        // Only trailers: one head that is the end as well.
        json!(["nothing", "Method not found!", "UNIMPLEMENTED", null]),
        json!(["down", 500, "OK", "tanaka"]),
        json!(["up", "300000", "OK", "tanaka"]),
        json!(["both", ["eno", "owt", "eerht"], "OK", "tanaka"]),
        json!(["cancelled", null, "CANCELLED", null]),
    ];
    assert_eq!(said, expected);
    gate.counts("sekisho_upstream_connects_total{upstream=\"banking\"}", 1.0);
}

#[test]
fn what_the_gate_refuses_has_a_code_that_says_so() {
    let server = Server::start();
    let gate = gate(server.address, "");
    std::fs::write(gate.folder.path().join("closed"), "").unwrap();
    for (method, expected) in [
        ("/banking.Admin/Unary", "PERMISSION_DENIED"),
        ("/banking.Nowhere/Unary", "UNIMPLEMENTED"),
        ("/banking.Closed/Unary", "UNAVAILABLE"),
    ] {
        let said = client(&gate, method);
        assert_eq!(said.split(" | ").next(), Some(expected), "{method}: {said}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limited = self::gate(server.address, "rate_limits: { per_user: { requests: 1, per: 1h } }");
    assert_eq!(client(&limited, "/banking.Echo/Unary"), "OK\n");
    assert!(client(&limited, "/banking.Echo/Unary").starts_with("UNAVAILABLE"));
    let unreachable = self::gate(nobody, "");
    assert!(client(&unreachable, "/banking.Echo/Unary").starts_with("UNAVAILABLE"));
}
