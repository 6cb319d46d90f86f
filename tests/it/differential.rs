//! Two parsers that others wrote, behind the gate (T24): of hundreds of odd requests, neither sees one that the gate
//! didn't send, nor one with another method, path, host, identity or length than the gate has written down.

mod odd;

use std::collections::HashMap;
use std::thread;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::eventually;
use crate::support::frames::{DATA, Frames};
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::Ca;
use crate::support::process::Running;

/// Who asks: the first for the requests with even numbers.
const USERS: [(&str, &str); 2] = [("10000000000001", "tanaka"), ("20000000000002", "sato")];
const TIMEOUTS: &str = "timeouts: { headers: 1s, body_idle: 1s, idle: 1s }";

/// The methods that the backends know.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A backend in another language, and a gate before it.
struct Scene {
    backend: Running,
    gate: Gate,
    clients: [Client; 2],
}

impl Scene {
    fn before(program: &str, words: &[&str]) -> Self {
        let folder = format!("{}/tests/clients", env!("CARGO_MANIFEST_DIR"));
        let backend = Running::program_with_input(program, folder.as_ref(), words);
        eventually("the backend says where it is", || backend.stdout().ends_with('\n'));
        let port: u16 = backend.stdout().trim().parse().unwrap();
        let settings = Settings { yaml: TIMEOUTS, ..Settings::default() };
        let gate = Gate::before(&[([127, 0, 0, 1], port).into()], Ca::new("Mihon Bank CA-G1"), settings);
        let clients =
            USERS.map(|(contract, user)| gate.client().with(&gate.ca.client(&format!("{contract} {user}"))));
        Self { backend, gate, clients }
    }

    fn client(&self, number: usize) -> &Client {
        &self.clients[number % 2]
    }

    /// What the backend has understood so far.
    fn understood(&self) -> Vec<Value> {
        self.backend.stdout().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Holds what the backend understood against what the gate wrote down. Returns how many requests went through.
    fn compare(&self) -> usize {
        let log = self.gate.access_log();
        let sent: HashMap<&str, &Value> =
            log.iter().map(|line| (line["request_id"].as_str().unwrap(), line)).collect();
        let answered =
            log.iter().filter(|line| line["upstream"].is_string() && line["status"] == 200).count();
        for line in log.iter().filter(|line| line["upstream"].is_string()) {
            // Neither backend finds anything to object to: what the gate lets through is well-formed.
            let cut_off = ["bad_request", "client_gone", "request_timeout"];
            let is_cut_off = cut_off.iter().any(|failure| line["failure"] == *failure);
            let is_known = METHODS.iter().any(|method| line["method"] == *method);
            let is_good = line["status"] == 200 && line.get("failure").is_none();
            assert!(is_good || is_cut_off || !is_known, "{line}");
        }
        eventually("the backend's lines are here", || self.understood().len() >= answered);
        let understood = self.understood();
        let mut seen = Vec::new();
        for request in &understood {
            let id = request["id"].as_str().unwrap();
            let line = sent.get(id).unwrap_or_else(|| panic!("nobody sent {request}"));
            assert!(!seen.contains(&id), "seen twice: {request}");
            seen.push(id);
            let text = |key: &str| request[key].as_str().unwrap_or_default();
            assert_eq!(text("method"), line["method"], "{request} {line}");
            assert_eq!(text("target").split('?').next().unwrap(), line["path"], "{request} {line}");
            assert_eq!(text("host"), CERT, "{request}");
            assert_eq!(text("body").len() as u64, line["bytes_in"], "{request} {line}");
            let [number] = *odd::numbers(text("target")) else { panic!("{request}") };
            assert_eq!((text("contract"), text("user")), USERS[number % 2], "{request}");
            assert_eq!((&line["contract"], &line["user"]), (&request["contract"], &request["user"]));
        }
        seen.len()
    }
}

/// The backends: what runs them, and with what.
const BACKENDS: [(&str, &[&str]); 2] = [("node", &["backend.js"]), ("python3", &["-I", "backend.py"])];

/// Asserts that a connection was told of its own requests only.
fn is_about(number: usize, text: &str) {
    assert!(odd::numbers(text).iter().all(|found| *found == number), "{number}: {text}");
}

#[test]
fn no_backend_sees_more_or_other_requests_than_the_gate_has_sent_over_http_1() {
    let odd = odd::http1();
    for (program, words) in BACKENDS {
        let scene = Scene::before(program, words);
        thread::scope(|scope| {
            for part in 0..8 {
                let (scene, odd) = (&scene, &odd);
                scope.spawn(move || {
                    let numbers = (part..odd.len()).step_by(8);
                    let open: Vec<_> = numbers
                        .map(|number| {
                            let mut connection = scene.client(number).connect(CERT).unwrap();
                            connection.send(&odd[number].of(number));
                            (number, connection)
                        })
                        .collect();
                    for (number, mut connection) in open {
                        is_about(number, &String::from_utf8_lossy(&connection.read_to_end()));
                    }
                });
            }
        });
        let through = scene.compare();
        let refused = scene.gate.access_log().iter().filter(|line| line["status"] == 400).count();
        assert!(odd.len() >= 400, "{}", odd.len());
        assert!(through >= 150 && refused >= 200, "{program}: {through} through, {refused} refused");
    }
}

#[test]
fn no_backend_sees_more_or_other_requests_than_the_gate_has_sent_over_http_2() {
    let odd = odd::http2();
    for (program, words) in BACKENDS {
        let scene = Scene::before(program, words);
        let open: Vec<_> = odd
            .iter()
            .enumerate()
            .map(|(number, request)| {
                let mut connection = Frames::connect(scene.client(number), CERT);
                connection.send(&request.of(number));
                connection
            })
            .collect();
        for (number, mut connection) in open.into_iter().enumerate() {
            while let Some(data) = connection.next(&[DATA]) {
                is_about(number, &String::from_utf8_lossy(&data.payload));
            }
        }
        let through = scene.compare();
        let refused = scene.gate.access_log().iter().filter(|line| line["status"] == 400).count();
        assert!(odd.len() >= 150, "{}", odd.len());
        assert!(through >= 30 && refused >= 20, "{program}: {through} through, {refused} refused");
    }
}
