//! Clients that others wrote, each with a session in hand: taken up at its own host only (T1), wherever gateways share
//! their secrets, and never with what was thought of its certificate before (T2). OpenSSL's own is in `interop`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use sekisho::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, OPTIONAL, STRICT, Settings};
use crate::support::pki::{COMMON_NAME, Ca, Credential, now};
use crate::support::process::outcome;
use crate::support::sites::Bank;

/// A client's program, its arguments, and what keeps its files.
type Program = fn(&Path) -> Vec<String>;

/// What becomes of a certificate's standing.
type Change = fn(&Gate, &Credential);

fn source(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn python(_: &Path) -> Vec<String> {
    vec!["python3".to_owned(), "-I".to_owned(), source("resume.py")]
}

fn node(_: &Path) -> Vec<String> {
    vec!["node".to_owned(), source("resume.js")]
}

fn go(folder: &Path) -> Vec<String> {
    let program = folder.join("resume").to_str().unwrap().to_owned();
    if !Path::new(&program).exists() {
        let mut build = Command::new("timeout");
        build
            .args(["--kill-after=5", "300", "go", "build", "-o", &program, &source("resume.go")])
            .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
            .env("GOCACHE", format!("{}/go-cache", env!("CARGO_TARGET_TMPDIR")));
        outcome(&mut build).good();
    }
    vec![program]
}

/// A client that is told where to go.
struct Told {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Told {
    fn start(program: Program, folder: &TempDir, ca: &Ca, credential: &Credential, version: &str) -> Self {
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let files = [
            file("ca.pem", &ca.pem()),
            file("client.pem", &credential.pem),
            file("client.key", &credential.key_pem),
        ];
        let mut child = Command::new("timeout")
            .args(["--kill-after=5", "100"])
            .args(program(folder.path()))
            .args(files)
            .args([version, "/banking/"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Has it go to a host, and says how that began, with which status, and with which problem's code.
    #[track_caller]
    fn goes(&mut self, port: u16, host: &str, what: &str) -> String {
        writeln!(self.input, "{port} {host} {what}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut words = line.splitn(4, ' ');
        let [status, version, how] = [(); 3].map(|()| words.next().unwrap_or_default());
        let body: Value = serde_json::from_str(words.next().unwrap_or_default()).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or("-");
        format!("{status} {version} {how} {code}")
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn manual() -> Clock {
    Clock::manual(Timestamp::from_second(now().unix_timestamp()).unwrap())
}

/// Resumed at its own host, not at another of the same gateway, at both of which it was offered (T1).
fn at_its_own_host_only(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let port = gate.address.port();
    for version in ["1.2", "1.3"] {
        let mut client = Told::start(program, &folder, &gate.ca, &gate.ca.client(COMMON_NAME), version);
        assert_eq!(client.goes(port, CERT, "keep"), format!("200 TLSv{version} new -"));
        for (host, how) in [(CERT, "resumed"), (OPTIONAL, "new"), (STRICT, "new"), (CERT, "resumed")] {
            assert_eq!(client.goes(port, host, "offer"), format!("200 TLSv{version} {how} -"), "{host}");
        }
    }
}

/// Resumed at the other gateway, and there at its own host only.
fn at_every_gateway(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let bank = Bank::start();
    let (one, other) = (bank.site(), bank.site());
    for version in ["1.2", "1.3"] {
        let mut client = Told::start(program, &folder, &bank.ca, &bank.ca.client(COMMON_NAME), version);
        assert_eq!(client.goes(one.address().port(), CERT, "keep"), format!("200 TLSv{version} new -"));
        for (host, how) in [(CERT, "resumed"), (OPTIONAL, "new")] {
            let gone = client.goes(other.address().port(), host, "offer");
            assert_eq!(gone, format!("200 TLSv{version} {how} -"), "{host}");
        }
    }
}

/// Resumed and refused, whatever became of the certificate since the ticket was issued (T2).
fn judged_anew(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let changes: [(&str, Change); 3] = [
        ("revoked", |gate, credential| gate.revoke(&[credential])),
        ("expired", |gate, _| gate.clock.set(gate.clock.now() + Duration::from_secs(7200))),
        ("unknown_authority", |gate, _| gate.believe(&Ca::new("Mihon Bank CA-G2"))),
    ];
    for (version, (code, change)) in
        ["1.2", "1.3"].into_iter().flat_map(|v| changes.map(|change| (v, change)))
    {
        let backend = Backend::start();
        let settings = Settings { clock: manual(), ..Settings::default() };
        let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
        let mut params = Ca::client_params(COMMON_NAME);
        params.not_after = now() + time::Duration::hours(1);
        let credential = gate.ca.issue(params);
        let mut client = Told::start(program, &folder, &gate.ca, &credential, version);
        let port = gate.address.port();
        assert_eq!(client.goes(port, CERT, "keep"), format!("200 TLSv{version} new -"));
        assert_eq!(client.goes(port, CERT, "offer"), format!("200 TLSv{version} resumed -"));
        change(&gate, &credential);
        assert_eq!(client.goes(port, CERT, "offer"), format!("403 TLSv{version} resumed {code}"));
        assert_eq!(backend.received().len(), 2);
    }
}

macro_rules! rules {
    ($($client:ident),+) => {$(
        mod $client {
            #[test]
            fn resumes_at_its_own_host_only() {
                super::at_its_own_host_only(super::$client);
            }

            #[test]
            fn resumes_at_every_gateway_of_one_state() {
                super::at_every_gateway(super::$client);
            }

            #[test]
            fn is_judged_anew_when_it_resumes() {
                super::judged_anew(super::$client);
            }
        }
    )+};
}

rules!(python, node, go);
