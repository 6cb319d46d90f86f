//! Kill -9 at every step: wherever the gateway dies, at most one credential lives afterwards, and the user can finish.
//!
//! A step is a transaction of the directory. A proxy in front of PostgreSQL holds the first, the second, the third …
//! COMMIT back, before it happens and after it happened but before the gateway hears of it; there the gateway is
//! killed. The enumeration ends when a flow comes through untouched.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use sekisho::clock::Clock;
use sekisho::domain::CredentialState;
use sekisho::stores::{Directory, DirectorySettings};
use serde_json::Value;
use tempfile::TempDir;

use super::{Helper, begin, code, fetch_file, password, unpack};
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Settings, WWW, lay_out};
use crate::support::people::{Browser, ITO, ROUTES, identity, now, stores, yaml};
use crate::support::pki::{Ca, Credential};
use crate::support::postgres::Postgres;
use crate::support::process::Running;

/// Where a COMMIT is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the server gets it.
    Before,
    /// After the server did it.
    After,
}

/// A proxy in front of PostgreSQL that counts COMMITs and holds one back for ever.
struct Turnstile {
    folder: TempDir,
    shared: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    commits: AtomicUsize,
    target: Mutex<Option<(usize, When)>>,
    holds: AtomicBool,
}

impl Turnstile {
    fn before(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let shared = Arc::new(Counts::default());
        let (server, counts) = (server.join(".s.PGSQL.5432"), shared.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&server)) else { return };
                let stopped = Arc::new(AtomicBool::new(false));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (counts, theirs) = (counts.clone(), stopped.clone());
                std::thread::spawn(move || counts.questions(from, to, &theirs));
                std::thread::spawn(move || answers(server, client, &stopped));
            }
        });
        Self { folder, shared }
    }

    fn arm(&self, nth: usize, when: When) {
        self.shared.commits.store(0, Ordering::SeqCst);
        *self.shared.target.lock().unwrap() = Some((nth, when));
    }

    fn disarm(&self) {
        *self.shared.target.lock().unwrap() = None;
        self.shared.holds.store(false, Ordering::SeqCst);
    }
}

impl Counts {
    fn questions(&self, mut from: UnixStream, mut to: UnixStream, stopped: &AtomicBool) {
        let mut part = [0; 65536];
        while let Ok(length @ 1..) = from.read(&mut part) {
            let part = &part[..length];
            let held = if part.windows(6).any(|bytes| bytes == b"COMMIT") {
                let nth = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
                self.target.lock().unwrap().filter(|(target, _)| *target == nth).map(|(_, when)| when)
            } else {
                None
            };
            match held {
                Some(When::Before) => {
                    self.holds.store(true, Ordering::SeqCst);
                    // Its server sees the end of the connection, as if the gateway had died just before.
                    break;
                }
                Some(When::After) => stopped.store(true, Ordering::SeqCst),
                None => {}
            }
            if to.write_all(part).is_err() {
                break;
            }
            if held == Some(When::After) {
                self.holds.store(true, Ordering::SeqCst);
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Passes answers on until they are stopped; then they are swallowed.
fn answers(mut from: UnixStream, mut to: UnixStream, stopped: &AtomicBool) {
    let mut part = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut part) {
        if !stopped.load(Ordering::SeqCst) && to.write_all(&part[..length]).is_err() {
            return;
        }
    }
}

/// A gateway as a process of its own, and all around it.
struct Scene {
    turnstile: Turnstile,
    folder: TempDir,
    ca: Ca,
    gateway: Option<Running>,
    address: SocketAddr,
    directory: Directory,
    _backend: Backend,
}

impl Scene {
    fn new(postgres: &Postgres) -> Self {
        let DirectorySettings::Postgres { url, .. } = postgres.database() else { unreachable!() };
        let (base, server) = url.split_once("host=").unwrap();
        let turnstile = Turnstile::before(Path::new(server));
        let url = format!("{base}host={}", turnstile.folder.path().display());
        let backend = Backend::start();
        let ca = Ca::new("Mihon Bank CA-G1");
        let directory = format!("directory: {{ url: '{url}', password_file: password }}");
        let yaml = yaml("").replace("directory: { url: 'sqlite:data/sekisho.db' }", &directory);
        let settings = Settings {
            yaml: &yaml,
            routes: Some(ROUTES),
            people: true,
            issuer: Some("required"),
            ..Settings::default()
        };
        let folder = lay_out(&[backend.address], &ca, &settings);
        let directory = stores(folder.path()).directory;
        let at = Clock::default().now();
        let until = at.checked_add(jiff::SignedDuration::from_hours(24)).unwrap();
        now(directory.permit(&identity(ITO.0), "staff:test", until, at)).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let mut scene = Self { turnstile, folder, ca, gateway: None, address, directory, _backend: backend };
        scene.start();
        scene
    }

    fn start(&mut self) {
        let mut running = Running::sekisho(self.folder.path(), &["serve", "--config", "sekisho.yaml"]);
        running.wait_until_ready();
        eventually("an address in the log", || {
            let log = running.stderr();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line["fields"]["message"] == "Listening");
            line.is_some_and(|line| {
                self.address = line["fields"]["address"].as_str().unwrap().parse().unwrap();
                true
            })
        });
        self.gateway = Some(running);
    }

    fn client(&self) -> Client {
        Client::new(self.address, &self.ca)
    }

    fn states(&self) -> Vec<CredentialState> {
        let records =
            now(self.directory.credential_history(&identity(ITO.0), Clock::default().now())).unwrap();
        records.iter().map(|record| record.state).collect()
    }

    fn live_serial(&self) -> String {
        let records =
            now(self.directory.credential_history(&identity(ITO.0), Clock::default().now())).unwrap();
        let live = records.into_iter().find(|record| record.state == CredentialState::Live);
        live.unwrap().credential.serial
    }

    fn lives(&self) -> usize {
        self.states().iter().filter(|state| **state == CredentialState::Live).count()
    }

    /// Whether the holder of this certificate gets in.
    fn lets_in(&self, credential: &Credential) -> bool {
        let client = self.client().with(credential);
        Browser::at(client).open(CERT, "/machine").status == 200
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.gateway = None;
        now(self.directory.close());
    }
}

/// What the person's PC holds.
struct Pc {
    browser: Option<Browser>,
    /// The helper installs a certificate before it proves that.
    installed: Option<Credential>,
}

/// A way to a certificate, from signing in to having it.
type Flow = fn(&Client, &mut Pc) -> Credential;

fn by_file(_: &Client, pc: &mut Pc) -> Credential {
    let browser = pc.browser.as_mut().unwrap();
    let page = browser.open(WWW, "/sekisho/acquisition/file");
    if page.status != 200 {
        begin(browser, ITO);
    }
    let file = fetch_file(browser, WWW);
    unpack(&file, &password(browser, WWW))
}

fn by_helper(client: &Client, pc: &mut Pc) -> Credential {
    let browser = pc.browser.as_mut().unwrap();
    let page = browser.open(WWW, "/sekisho/acquisition/certificate");
    if page.value("location").is_some_and(|location| location == "/sekisho/acquisition/done") {
        // It was proven: only the answer was lost.
        return pc.installed.clone().unwrap();
    }
    if page.status != 200 {
        begin(browser, ITO);
    }
    let mut helper = Helper::new();
    let code = code(browser, WWW);
    assert_eq!(helper.redeem(client, &code), 200);
    pc.installed = helper.credential.clone();
    assert_eq!(helper.prove(client).0, 200);
    helper.credential.unwrap()
}

/// The flow with a gateway that dies at this step. False if the flow came through before.
fn dies_at(postgres: &Postgres, flow: Flow, nth: usize, when: When) -> bool {
    let mut scene = Scene::new(postgres);
    let client = scene.client();
    let mut pc = Pc { browser: Some(Browser::at(scene.client())), installed: None };
    scene.turnstile.arm(nth, when);
    let came_through = std::thread::scope(|scope| {
        let pc = &mut pc;
        let flow = scope.spawn(move || catch_unwind(AssertUnwindSafe(|| flow(&client, pc))).is_ok());
        let holds = &scene.turnstile.shared.holds;
        eventually("a held step, or the end of the flow", || {
            holds.load(Ordering::SeqCst) || flow.is_finished()
        });
        if holds.load(Ordering::SeqCst) {
            drop(scene.gateway.take().map(|gateway| gateway.stop(Signal::KILL)));
        }
        flow.join().unwrap()
    });
    let was_held = scene.turnstile.shared.holds.load(Ordering::SeqCst);
    scene.turnstile.disarm();
    if was_held {
        scene.start();
    }
    assert!(scene.lives() <= 1, "{nth} {when:?}: {:?}", scene.states());
    if was_held && !came_through {
        pc.browser.as_mut().unwrap().go_to(scene.address);
        let credential = flow(&scene.client(), &mut pc);
        eventually("the certificate's holder to get in", || scene.lets_in(&credential));
    }
    assert_eq!(scene.lives(), 1, "{nth} {when:?}: {:?}", scene.states());
    // Whoever dies, what lives is in the audit log.
    let audit = fs::read_to_string(scene.folder.path().join("audit.log")).unwrap();
    let serial = scene.live_serial();
    let acquired = |line: &str| line.contains("\"credential_acquired\"") && line.contains(&serial);
    assert!(audit.lines().any(acquired), "{nth} {when:?}: {serial} in\n{audit}");
    was_held
}

fn wherever_it_dies(flow: Flow) {
    let postgres = Postgres::start();
    for when in [When::Before, When::After] {
        let steps = (1..).take_while(|nth| dies_at(&postgres, flow, *nth, when)).count();
        // Signing in, and becoming live, at the least.
        assert!(steps >= 2, "{steps} steps");
        assert!(steps < 30, "{steps} steps: what is going on?");
    }
}

#[test]
fn killed_at_any_step_of_the_way_with_a_file_it_leaves_one_credential_and_a_way_to_finish() {
    wherever_it_dies(by_file);
}

#[test]
fn killed_at_any_step_of_the_way_with_the_helper_it_leaves_one_credential_and_a_way_to_finish() {
    wherever_it_dies(by_helper);
}
