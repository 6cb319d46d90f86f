//! A reload that waits for names to be resolved: by a name server of ours, which answers when it is told to.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::client::{Client, plain_get};
use crate::support::eventually;
use crate::support::gate::{Settings, WWW, lay_out};
use crate::support::pki::Ca;
use crate::support::process::Running;

/// What it does with a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It answers when it is in another one.
    Thinks,
    /// 127.0.0.1, for every name.
    Knows,
    /// SERVFAIL.
    Fails,
}

struct NameServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    mood: Arc<Mutex<Mood>>,
}

impl NameServer {
    fn start(mood: Mood) -> Self {
        let (asked, mood) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(mood)));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, count, current) = (socket.local_addr().unwrap(), asked.clone(), mood.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((size, from)) = socket.recv_from(&mut query) {
                count.fetch_add(1, Ordering::SeqCst);
                let (query, mood) = (query[..size].to_vec(), current.clone());
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    let mut now = Mood::Thinks;
                    while now == Mood::Thinks {
                        std::thread::park_timeout(std::time::Duration::from_millis(5));
                        now = *mood.lock().unwrap();
                    }
                    let _ = socket.send_to(&answer(&query, now == Mood::Knows), from);
                });
            }
        });
        Self { address, asked, mood }
    }

    fn is_asked(&self) {
        eventually("the name server is asked", || self.asked.load(Ordering::SeqCst) > 0);
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// So patient that no test sees its end.
    fn yaml(&self) -> String {
        format!("dns: {{ servers: ['{}'], timeout: 10m }}", self.address)
    }
}

/// 127.0.0.1 if an IPv4 address is asked for, else nothing, or that it doesn't work (RFC 1035).
fn answer(query: &[u8], knows: bool) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let is_a = knows && query[end - 4..end - 2] == [0, 1];
    let code = if knows { 0x80 } else { 0x82 };
    let head = [0x81, code, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0];
    let mut answer = [&query[..2], &head, &query[12..end]].concat();
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

fn serve(folder: &TempDir) -> Running {
    let mut running = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
    running.wait_until_ready();
    running
}

/// The usual folder of a gate.
fn folder(backend: &Backend, ca: &Ca, yaml: &str) -> TempDir {
    lay_out(&[backend.address], ca, &Settings { yaml, ..Settings::default() })
}

fn edit(folder: &TempDir, from: &str, to: &str) {
    let file = folder.path().join("sekisho.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
}

fn name_the_backend(folder: &TempDir, backend: &Backend) {
    let named = format!("backend.mihonbank.example:{}", backend.address.port());
    edit(folder, &backend.address.to_string(), &named);
}

fn reloads(ops: SocketAddr, outcome: &str) -> f64 {
    let name = format!("sekisho_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let text = plain_get(ops, "/metrics").1;
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_gate_that_is_told_to_end_does_not_wait_for_a_reload() {
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    for on_change in [true, false] {
        let names = NameServer::start(Mood::Thinks);
        let yaml = format!("{}\nreload: {{ on_change: {on_change} }}", names.yaml());
        let folder = folder(&backend, &ca, &yaml);
        let running = serve(&folder);
        let ops = running.address("Listening for operators");
        name_the_backend(&folder, &backend);
        if !on_change {
            running.signal(Signal::HUP);
        }
        names.is_asked();
        // Nor does whoever asks what is in force.
        assert_eq!(plain_get(ops, "/config").0, 200);
        let ended = running.stop(Signal::TERM);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("\"Stopped\""), "{}", ended.stderr);
    }
}

#[test]
fn what_changes_while_a_reload_waits_is_taken_up_after_it() {
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let names = NameServer::start(Mood::Thinks);
    let folder = folder(&backend, &ca, &names.yaml());
    let running = serve(&folder);
    let ops = running.address("Listening for operators");
    name_the_backend(&folder, &backend);
    names.is_asked();
    edit(&folder, "path: /public", "path: /open");
    names.becomes(Mood::Knows);
    eventually("two reloads", || reloads(ops, "good") == 2.0);
    let client = Client::new(running.address("Listening"), &ca);
    assert_eq!(client.get(WWW, "/open/1").status, 200);
    assert_eq!(client.get(WWW, "/public/1").status, 404);
}

#[test]
fn a_reload_that_was_refused_for_its_names_is_tried_again_without_a_change() {
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let names = NameServer::start(Mood::Fails);
    let folder = folder(&backend, &ca, &names.yaml());
    let running = serve(&folder);
    let ops = running.address("Listening for operators");
    name_the_backend(&folder, &backend);
    eventually("it was refused", || reloads(ops, "refused") == 1.0);
    let asked = names.asked.load(Ordering::SeqCst);
    eventually("another try", || names.asked.load(Ordering::SeqCst) > asked);
    let told = "The configuration can't be reloaded";
    assert_eq!(running.stderr().matches(told).count(), 1, "told once: {}", running.stderr());
    names.becomes(Mood::Knows);
    eventually("it works", || reloads(ops, "good") == 1.0);
    assert_eq!(reloads(ops, "refused"), 1.0, "counted once");
    assert_eq!(plain_get(ops, "/readyz").1, "ready\n");
}
