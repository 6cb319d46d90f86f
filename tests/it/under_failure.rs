//! Backends fail in turn while people work: whoever may ask again is answered all the same, and nothing is left behind.

mod fickle;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fickle::{BAD, DOWNLOAD, Fickle, Mood};
use rustix::process::Signal;

use crate::support::client::{Client, Connection};
use crate::support::eventually;
use crate::support::gate::{CERT, Settings, lay_out};
use crate::support::http2::Http2;
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::process::Running;

/// Each is looked at often, and what may be sent again is. The one that fails gets a third of the requests until it is
/// ejected, which is more than the budget that is usual.
const UPSTREAM: &str = "health: { path: /health, every: 200ms, timeout: 200ms, healthy: 1, unhealthy: 1 }, \
                        ejection: { failures: 3, for: 1s }, \
                        retries: { most: 2, timeouts: true, statuses: [503], budget_percent: 100 }";

/// What one kind of client has seen.
#[derive(Default)]
struct Count {
    good: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    /// Requests that may be sent again, over connections that live on.
    keep_alive: Count,
    http2: Count,
    /// A new connection, of every second one a full handshake.
    handshakes: Count,
    downloads: Count,
    /// These may not be sent again.
    uploads: Count,
    tunnels: Count,
}

/// Ends what the clients do also where a test fails: it would wait for them for ever.
struct Over<'a>(&'a Seen);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Count {
    fn was(&self, good: bool) {
        let count = if good { &self.good } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.good.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn all(&self) -> [(u64, u64); 6] {
        [&self.keep_alive, &self.http2, &self.handshakes, &self.downloads, &self.uploads, &self.tunnels]
            .map(Count::get)
    }
}

fn ask(connection: &mut Connection, request: &str, body: &[u8], length: usize) -> Option<bool> {
    connection.send(format!("{request}\r\nHost: {CERT}\r\n\r\n").as_bytes());
    connection.send(body);
    let response = connection.response()?;
    let closes = response.value("connection").as_deref() == Some("close");
    let good = response.status == 200 && response.body.len() == length;
    (!closes || !good).then_some(good)
}

/// The same request again and again, on a connection as long as it lives.
fn repeat(client: &Client, seen: &Seen, count: &Count, request: &str, body: &[u8], length: usize) {
    let mut connection = client.connect(CERT).unwrap();
    while seen.goes_on() {
        let good = ask(&mut connection, request, body, length);
        count.was(good == Some(true));
        if good != Some(true) {
            connection = client.connect(CERT).unwrap();
        }
    }
}

fn http2(client: &Client, seen: &Seen) {
    let mut connection = Http2::connect(client, CERT);
    while seen.goes_on() {
        let status = connection.try_get("/banking/");
        seen.http2.was(matches!(status, Ok(200)));
        // h2's client gives a connection up after a thousand bodies that came when it wanted them no more.
        if status.is_err() {
            connection = Http2::connect(client, CERT);
        }
    }
}

fn handshakes(fresh: impl Fn() -> Client, seen: &Seen) {
    while seen.goes_on() {
        let client = fresh();
        for _ in 0..2 {
            let mut connection = client.connect(CERT).unwrap();
            seen.handshakes.was(ask(&mut connection, "GET /banking/ HTTP/1.1", b"", 2) == Some(true));
        }
    }
}

/// A message there and back, through a tunnel as long as it lives.
fn tunnels(client: &Client, seen: &Seen) {
    let mut open: Option<Connection> = None;
    while seen.goes_on() {
        let Some(tunnel) = &mut open else {
            let mut connection = client.connect(CERT).unwrap();
            connection.send(
                format!(
                    "GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
                )
                .as_bytes(),
            );
            let is_open = connection.response().is_some_and(|response| response.status == 101);
            seen.tunnels.was(is_open);
            open = is_open.then_some(connection);
            continue;
        };
        for _ in 0..100 {
            tunnel.send(b"hello");
            seen.tunnels.was(tunnel.read_exactly(5).as_deref() == Some(b"hello"));
        }
        open = None;
    }
}

/// Resident memory in KiB, and open descriptors, of a process.
fn size(process: &Running) -> (u64, usize) {
    let folder = Path::new("/proc").join(process.pid().to_string());
    let status = std::fs::read_to_string(folder.join("status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (resident, std::fs::read_dir(folder.join("fd")).unwrap().count())
}

/// The gate under load before three backends, while `fail` has them fail.
fn hold(fail: impl FnOnce(&[Fickle; 3], &Seen, &Running)) -> [(u64, u64); 6] {
    let backends = [Fickle::start(), Fickle::start(), Fickle::start()];
    let ca = Ca::new("Mihon Bank CA-G1");
    let settings = Settings {
        upstream: UPSTREAM,
        yaml: "timeouts: { upstream_first_byte: 500ms }\n",
        ..Settings::default()
    };
    let folder = lay_out(&backends.each_ref().map(|backend| backend.address), &ca, &settings);
    let mut process = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
    process.wait_until_ready();
    let before = size(&process).1;
    let client = Client::new(process.address("Listening"), &ca);
    let tanaka = ca.client(COMMON_NAME);
    let (seen, known) = (Seen::default(), client.with(&tanaka));
    let (upload, post) = (vec![b'u'; 100_000], "POST /banking/ HTTP/1.1\r\nContent-Length: 100000");
    thread::scope(|scope| {
        let over = Over(&seen);
        let clients = [
            scope.spawn(|| repeat(&known, &seen, &seen.keep_alive, "GET /banking/ HTTP/1.1", b"", 2)),
            scope.spawn(|| http2(&known, &seen)),
            scope.spawn(|| handshakes(|| client.with(&tanaka), &seen)),
            scope.spawn(|| {
                let request = "GET /banking/download HTTP/1.1";
                repeat(&known, &seen, &seen.downloads, request, b"", DOWNLOAD);
            }),
            scope.spawn(|| repeat(&known, &seen, &seen.uploads, post, &upload, 2)),
            scope.spawn(|| tunnels(&known, &seen)),
        ];
        fail(&backends, &seen, &process);
        drop(over);
        for client in clients {
            client.join().unwrap();
        }
    });
    // Idle connections to the backends are kept: one at most for each client, and one for a look.
    eventually("no descriptor is left behind", || size(&process).1 <= before + 3 * 7);
    process.stop(Signal::TERM).good();
    seen.all()
}

/// Has everybody do some work.
fn work(seen: &Seen) {
    let before = seen.all();
    let done = |(good, failed): (u64, u64)| good + failed;
    eventually("everybody works on", || {
        seen.all().into_iter().zip(before).all(|(now, before)| done(now) > done(before) + 3)
    });
}

#[test]
fn no_request_that_may_be_sent_again_fails_while_one_backend_does() {
    let all = hold(|backends, seen, _| {
        for (number, mood) in BAD.into_iter().enumerate() {
            let backend = &backends[number % 3];
            backend.is(mood);
            work(seen);
            backend.is(Mood::Well);
            work(seen);
        }
    });
    let [keep_alive, http2, handshakes, downloads, _, _] = all.map(|(_, failed)| failed);
    assert_eq!((keep_alive, http2, handshakes, downloads), (0, 0, 0, 0), "{all:?}");
}

#[test]
#[ignore = "an hour: cargo test --release --test it -- --ignored --nocapture an_hour_of_failing"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn an_hour_of_failing_backends_leaves_memory_and_descriptors_as_they_were() {
    use std::time::Instant;
    let seconds = std::env::var("SEKISHO_TEST_SECONDS").map_or(3600, |seconds| seconds.parse().unwrap());
    let all = hold(|backends, seen, process| {
        let (begun, mut number) = (Instant::now(), 0);
        let mut next_look = Duration::ZERO;
        while begun.elapsed().as_secs() < seconds {
            let mood = [BAD[0], BAD[1], BAD[2], BAD[3], Mood::BreaksOff][number % 5];
            let backend = &backends[number % 3];
            number += 1;
            backend.is(mood);
            thread::park_timeout(Duration::from_secs(5));
            backend.is(Mood::Well);
            thread::park_timeout(Duration::from_secs(5));
            if begun.elapsed() >= next_look {
                next_look += Duration::from_secs(seconds / 12);
                let (resident, descriptors) = size(process);
                println!(
                    "{:5} s: {resident} KiB, {descriptors} descriptors, {:?}",
                    begun.elapsed().as_secs(),
                    seen.all()
                );
            }
        }
    });
    let names = ["keep-alive", "HTTP/2", "handshakes", "downloads", "uploads", "tunnels"];
    for (name, (good, failed)) in names.into_iter().zip(all) {
        println!("{name}: {good} good, {failed} failed");
    }
}
