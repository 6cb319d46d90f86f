//! `sekisho demo` as a program of its own, and curl to talk to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Outcome, Running, run, sekisho};

/// Requires a certificate; its own is ECDSA.
pub const CERT: &str = "cert.localhost";
/// Asks for none; its own certificate is RSA.
pub const WWW: &str = "www.localhost";
/// Everybody's contract.
pub const CONTRACT: &str = "10000000000001";

/// A demo that serves.
pub struct Demo {
    pub running: Running,
    pub folder: PathBuf,
    pub listen: SocketAddr,
    pub ops: SocketAddr,
    pub backend: SocketAddr,
    /// Removes the folder at the end, if it is only this demo's.
    own: Option<TempDir>,
}

impl Demo {
    /// A demo in a folder of its own.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Self::start_in(folder.path());
        demo.own = Some(folder);
        demo
    }

    /// A demo in `folder`.
    pub fn start_in(folder: &Path) -> Self {
        Self::logging("info", folder)
    }

    /// The gate of a demo, with its people, without its sample application, and with another configuration.
    pub fn serving(edit: impl FnOnce(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder.path()).running.stop(Signal::TERM);
        let file = folder.path().join("sekisho.yaml");
        let yaml = edit(&std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, yaml).unwrap();
        let mut running = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
        running.wait_until_ready();
        let (listen, ops) = (running.address("Listening"), running.address("Listening for operators"));
        Self { folder: folder.path().to_owned(), listen, ops, backend: ops, running, own: Some(folder) }
    }

    /// A demo in `folder` that logs from this level on.
    pub fn logging(level: &str, folder: &Path) -> Self {
        let dir = folder.to_str().unwrap();
        let any = "127.0.0.1:0";
        let words = [
            "demo",
            "--dir",
            dir,
            "--listen",
            any,
            "--ops-listen",
            any,
            "--backend-listen",
            any,
            "--workers",
            "2",
        ];
        let mut running = Running::sekisho_with(folder.parent().unwrap(), &words, &[("SEKISHO_LOG", level)]);
        running.wait_until_ready();
        let stdout = running.stdout();
        let address = |name: &str| {
            let line = stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no line `{name} …` in\n{stdout}")).parse().unwrap()
        };
        let (listen, ops, backend) = (address("listen"), address("ops"), address("backend"));
        Self { running, folder: folder.to_owned(), listen, ops, backend, own: None }
    }

    /// The path of a file in its folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// The text of a file in its folder.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Somebody's PIN.
    pub fn pin(&self, user: &str) -> String {
        let people: Value = serde_json::from_str(&self.read("people.json")).unwrap();
        let person = people.as_array().unwrap().iter().find(|person| person["user"] == user).unwrap();
        person["pin"].as_str().unwrap().to_owned()
    }

    /// A new, temporary PIN for a user, from the bank's staff.
    pub fn temporary_pin(&self, user: &str) -> String {
        let words = ["user", "set-pin", "--config", "sekisho.yaml", "--output", "json", CONTRACT, user];
        let answer: Value = serde_json::from_str(&sekisho(&self.folder, &words).good()).unwrap();
        answer["temporary_pin"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The URL of a path on a host.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.listen.port())
    }

    /// curl with `certificate`, if any, and more options. Fails the test only if there is no answer at all.
    pub fn curl(&self, certificate: Option<&str>, host: &str, path: &str, more: &[&str]) -> Answer {
        let Outcome { code, stdout, stderr } = self.curl_outcome(certificate, host, path, more);
        assert_eq!(code, Some(0), "{stderr}");
        let (body, tail) = stdout.rsplit_once('\n').unwrap();
        let (status, version) = tail.split_once(' ').unwrap();
        Answer { status: status.parse().unwrap(), version: version.to_owned(), body: body.to_owned() }
    }

    /// The same, however it ends.
    pub fn curl_outcome(&self, certificate: Option<&str>, host: &str, path: &str, more: &[&str]) -> Outcome {
        let (ca, url) = (self.file("ca.pem"), self.url(host, path));
        let resolve = format!("{host}:{}:127.0.0.1", self.listen.port());
        let mut words = vec!["-q", "-sS", "--noproxy", "*", "--max-time", "50", "--cacert", &ca];
        words.extend(["--resolve", &resolve, "--write-out", "\n%{http_code} %{http_version}"]);
        let files = certificate.map(|name| {
            (self.file(&format!("clients/{name}.pem")), self.file(&format!("clients/{name}.key")))
        });
        if let Some((pem, key)) = &files {
            words.extend(["--cert", pem, "--key", key]);
        }
        words.extend(more);
        words.push(&url);
        run("curl", &words)
    }
}

/// What curl got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Asserts that the backend was told of this user.
#[track_caller]
pub fn assert_identity(headers: &Value, user: &str) {
    let of = |name: &str| headers[name].as_str();
    assert_eq!(
        (of("x-contract-id"), of("x-user-id"), of("x-auth-method"), of("x-forwarded-proto")),
        (Some(CONTRACT), Some(user), Some("certificate"), Some("https")),
        "{headers}"
    );
}
