//! Full disks, with a real gateway on real small disks, one store on each: what was good goes on, nobody gets or loses a right
//! that isn't written down, it is told why, and it works again by itself once there is room.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use sekisho::clock::Clock;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::client::{Client, plain_get};
use crate::support::eventually;
use crate::support::gate::{CERT, Settings, WWW, lay_out};
use crate::support::mounts::{Disk, disks, sekisho_beside, serve};
use crate::support::people::{self, Browser, CONTRACT, ITO, ROUTES, SUZUKI, TANAKA};
use crate::support::pki::{Ca, Credential};
use crate::support::process::Running;

/// A gateway whose stores and logs are each on a disk of their own.
struct House {
    running: Running,
    folder: TempDir,
    ca: Ca,
    credential: Credential,
    address: SocketAddr,
    ops: SocketAddr,
}

impl House {
    fn new() -> Self {
        Self::with(Ca::new("Mihon Bank CA-G1"), None)
    }

    fn with(ca: Ca, trust: Option<&str>) -> Self {
        let backend = Backend::start();
        let yaml = people::yaml("state: { url: 'embedded:state/state.db' }")
            .replace("sqlite:data/", "sqlite:directory/")
            .replace("file: audit.log", "file: audit/audit.log");
        let settings = Settings {
            yaml: &yaml,
            routes: Some(ROUTES),
            people: true,
            trust,
            clock: Clock::default(),
            ..Settings::default()
        };
        let folder = lay_out(&[backend.address], &ca, &settings);
        let file = folder.path().join("sekisho.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("access_log: access.log", "access_log: logs/access.log")).unwrap();
        let running = serve(folder.path(), &disks(&["directory", "state", "audit", "logs"]));
        let (address, ops) = (running.address("Listening"), running.address("Listening for operators"));
        let credential = ca.client(&format!("{CONTRACT} suzuki"));
        let house = Self { running, folder, ca, credential, address, ops };
        // With the first use it is registered: that is over before any disk is full.
        assert_eq!(house.certificate(), 200);
        let credentials = "sekisho_credentials{state=\"live\"}";
        eventually("the certificate is registered", || house.metric(credentials) == 1.0);
        house
    }

    fn disk(&self, name: &str) -> Disk {
        Disk::of(&self.running, &self.folder.path().join(name))
    }

    fn browser(&self) -> Browser {
        Browser::at(Client::new(self.address, &self.ca))
    }

    fn sign_in(&self, (user, pin): (&str, &str)) -> u16 {
        let answer = self.browser().try_pin(user, pin);
        if answer.status == 503 {
            assert!(answer.value("retry-after").is_some(), "{}", answer.head);
        }
        answer.status
    }

    /// What the holder of a certificate gets.
    fn certificate(&self) -> u16 {
        Client::new(self.address, &self.ca).with(&self.credential).get(CERT, "/machine").status
    }

    fn readyz(&self) -> String {
        let (status, text) = plain_get(self.ops, "/readyz");
        assert_eq!(status, 200);
        text
    }

    fn metric(&self, name: &str) -> f64 {
        let text = plain_get(self.ops, "/metrics").1;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(-1.0)
    }

    fn edit(&self, from: &str, to: &str) {
        let file = self.folder.path().join("sekisho.yaml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
    }

    fn sekisho(&self, arguments: &[&str]) -> crate::support::process::Outcome {
        sekisho_beside(&self.running, self.folder.path(), arguments)
    }

    fn is_well(&self) {
        eventually("all is well", || self.readyz() == "ready\n");
    }
}

const FULL: &str = "No space left on device (os error 28)";

#[test]
fn without_an_audit_record_no_right_is_given_or_taken_and_no_configuration_changes() {
    let house = House::new();
    let disk = house.disk("audit");
    let mut signed_in = house.browser();
    signed_in.sign_in(TANAKA);
    assert_eq!((house.sign_in(ITO), house.certificate()), (303, 200));
    disk.fill();
    // There may be room for some records still behind the last.
    let mut contract = 2000..;
    let mut add = || {
        let id = contract.next().unwrap().to_string();
        house.sekisho(&["contract", "add", "--config", "sekisho.yaml", &id, "見本商事"])
    };
    let mut refused = add();
    eventually("no contract is added", || {
        refused = add();
        refused.code != Some(0)
    });
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert_eq!(refused.stderr, format!("sekisho contract: the audit is not available: {FULL}\n"));
    assert_eq!(house.sign_in(ITO), 503);
    assert_eq!((signed_in.open(WWW, "/banking").status, house.certificate()), (200, 200));
    let told = format!("ready, but the audit is not available: {FULL}\n");
    assert_eq!(house.readyz(), told);
    assert!(
        house.running.stderr().contains(&format!("\"problem\":\"{FULL}\"")),
        "{}",
        house.running.stderr()
    );
    assert_eq!(house.metric("sekisho_store_failing{store=\"audit\"}"), 1.0);
    assert!(house.metric("sekisho_store_failures_total{store=\"audit\"}") >= 1.0);
    let is_refused = || house.metric("sekisho_config_last_reload_success") == 0.0;
    let is_there = |path: &str| house.browser().open(WWW, &format!("{path}/1")).status == 200;
    let (mut path, mut next) = ("/public".to_owned(), "/open".to_owned());
    loop {
        house.edit(&format!("path: {path}"), &format!("path: {next}"));
        eventually("the reload is refused or goes through", || is_refused() || is_there(&next));
        if is_refused() {
            break;
        }
        // There was room for its record.
        path.clone_from(&next);
        next.push('n');
    }
    assert_eq!(
        house.readyz(),
        format!("{told}ready, but the last reload was refused: the audit is not available: {FULL}\n")
    );
    assert!(is_there(&path) && !is_there(&next));
    disk.clear();
    // Nobody signs in, and no file changes: it finds out by itself.
    house.is_well();
    assert!(is_there(&next));
    assert_eq!(house.metric("sekisho_store_failing{store=\"audit\"}"), 0.0);
    assert_eq!(house.metric("sekisho_config_last_reload_success"), 1.0);
    assert_eq!(house.sign_in(ITO), 303);
    assert_eq!(add().code, Some(0));
    assert!(disk.file("audit.log").contains("\"kind\":\"audit_resumed\""));
    let log = disk.path("audit.log");
    let verified = house.sekisho(&["audit", "verify", "--strict", "--config", "sekisho.yaml"]).good();
    assert!(verified.contains("good.\n"), "{verified}\n{}", fs::read_to_string(log).unwrap());
}

#[test]
fn a_state_that_can_not_be_written_lets_nobody_in_without_a_certificate() {
    let house = House::new();
    let disk = house.disk("state");
    let mut signed_in = house.browser();
    signed_in.sign_in(TANAKA);
    assert_eq!((house.sign_in(ITO), house.certificate()), (303, 200));
    disk.fill();
    // The file's log has room of its own for a while.
    eventually("nobody signs in", || house.sign_in(ITO) == 503);
    // What was found a moment ago still counts.
    eventually("nobody is signed in", || signed_in.open(WWW, "/banking").status == 503);
    assert_eq!(house.certificate(), 200);
    let told = house.readyz();
    assert!(told.starts_with("ready, but the state is not available: "), "{told}");
    assert!(told.contains("full"), "{told}");
    assert_eq!(house.metric("sekisho_store_failing{store=\"state\"}"), 1.0);
    assert!(house.running.stderr().contains("\"store\":\"state\""), "{}", house.running.stderr());
    disk.clear();
    house.is_well();
    assert_eq!(signed_in.open(WWW, "/banking").status, 200);
    assert_eq!(house.sign_in(ITO), 303);
}

#[test]
fn a_directory_that_can_not_be_written_counts_no_attempt_and_so_looks_at_no_pin() {
    let house = House::new();
    let disk = house.disk("directory");
    assert_eq!((house.sign_in(ITO), house.certificate()), (303, 200));
    disk.fill();
    eventually("nobody signs in", || house.sign_in(ITO) == 503);
    assert_eq!(house.certificate(), 200);
    let told = house.readyz();
    assert!(told.starts_with("ready, but the directory is not available: "), "{told}");
    assert!(told.contains("full"), "{told}");
    assert_eq!(house.metric("sekisho_store_failing{store=\"directory\"}"), 1.0);
    let suspended = house.sekisho(&["user", "suspend", "--config", "sekisho.yaml", CONTRACT, SUZUKI.0]);
    assert_eq!(suspended.code, Some(69), "{}", suspended.stderr);
    assert_eq!(house.certificate(), 200);
    disk.clear();
    house.is_well();
    assert_eq!(house.sign_in(ITO), 303);
    // What wasn't done is in the audit log.
    let log = house.disk("audit").file("audit.log");
    assert!(log.contains("\"kind\":\"not_done\""), "{log}");
}

#[test]
fn no_request_waits_for_the_access_log_and_no_revocation_for_the_copy_of_its_list() {
    let list = Arc::new(Mutex::new(String::new()));
    let served = list.clone();
    let server = Backend::answering(move |asked| {
        let list = served.lock().unwrap();
        let tag = format!("\"{}\"", list.len());
        // Whoever has it isn't sent it again.
        if asked.value("if-none-match").as_ref() == Some(&tag) {
            return format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n").into_bytes();
        }
        let length = list.len();
        format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {length}\r\n\r\n{list}").into_bytes()
    });
    let url = format!("http://{}/ca.crl", server.address);
    let trust = format!(
        "trust: {{ authorities: ca.pem, crl: {{ sources: ['{url}'], cache: logs/cache, refresh: 1s }} }}"
    );
    let ca = Ca::new("Mihon Bank CA-G1");
    *list.lock().unwrap() = ca.crl(&[]);
    let house = House::with(ca, Some(&trust));
    let disk = house.disk("logs");
    let suzuki = house.ca.client(&format!("{CONTRACT} suzuki"));
    let client = Client::new(house.address, &house.ca).with(&suzuki);
    assert_eq!(client.get(CERT, "/machine").status, 200);
    let kept = |disk: &Disk| fs::read_dir(disk.path("cache")).unwrap().next().unwrap().unwrap().path();
    let before = fs::read(kept(&disk)).unwrap();
    disk.fill();
    *list.lock().unwrap() = house.ca.crl(&[&suzuki]);
    eventually("it is revoked all the same", || client.get(CERT, "/machine").status == 403);
    eventually("lines are lost", || {
        assert_eq!(house.browser().open(WWW, "/public/lost").status, 200);
        house.metric("sekisho_access_log_lost_lines_total") > 0.0
    });
    let log_full = format!("ready, but the access log can't be written: {FULL}\n");
    eventually("both are told", || {
        let told = house.readyz();
        let copy = format!("ready, but no copy of the revocation list of {url} can be kept: cannot write ");
        told.starts_with(&format!("{log_full}{copy}")) && told.matches(FULL).count() == 2
    });
    assert_eq!(fs::read(kept(&disk)).unwrap(), before);
    let errors = house.running.stderr();
    assert_eq!(errors.matches("The access log can't be written").count(), 1, "told once");
    assert_eq!(errors.matches("no copy of it can be kept").count(), 1, "told once");
    assert!(house.metric(&format!("sekisho_crl_copy_failures_total{{source=\"{url}\"}}")) >= 1.0);
    disk.clear();
    eventually("the copy is kept", || fs::read(kept(&disk)).is_ok_and(|copy| copy != before));
    eventually("the log is written", || {
        assert_eq!(house.browser().open(WWW, "/public/kept").status, 200);
        disk.file("access.log").contains("/public/kept")
    });
    house.is_well();
    // Not one line is half of one.
    for line in disk.file("access.log").lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert_eq!(house.running.stop(Signal::TERM).code, Some(0));
}
