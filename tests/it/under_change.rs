//! Configuration, certificates and revocation lists change while people work: none of their requests fails.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::process::{Signal, kill_process};
use rustls::HandshakeKind;

use crate::support::backend::{Backend, Conversation};
use crate::support::client::{Client, Connection, plain_get};
use crate::support::eventually;
use crate::support::gate::{CERT, HOSTS, Settings, lay_out};
use crate::support::http2::Http2;
use crate::support::pki::{COMMON_NAME, Ca, Credential};
use crate::support::process::Running;
use crate::support::service::Service;

/// How often each changes.
struct Changes {
    reloads: usize,
    certificates: usize,
    lists: usize,
}

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    keep_alive: AtomicU64,
    full: AtomicU64,
    resumed: AtomicU64,
    http2: AtomicU64,
    tunnel: AtomicU64,
}

/// Ends what the clients do also where a test fails: it would wait for them for ever.
struct Over<'a>(&'a Seen);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn again(&self, counter: &AtomicU64) -> bool {
        counter.fetch_add(1, Ordering::Relaxed);
        !self.is_over.load(Ordering::Relaxed)
    }

    fn all(&self) -> [u64; 5] {
        [&self.keep_alive, &self.full, &self.resumed, &self.http2, &self.tunnel]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Answers requests, and echoes what comes after an upgrade.
pub fn converse(mut conversation: Conversation) {
    use std::io::{Read, Write};
    while let Some(received) = conversation.receive() {
        if received.value("upgrade").is_some() {
            let head =
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            conversation.stream.write_all(head).unwrap();
            let mut part = [0; 1024];
            while let Ok(length @ 1..) = conversation.stream.read(&mut part) {
                conversation.stream.write_all(&part[..length]).unwrap();
            }
            return;
        }
        if conversation.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// A write that nobody can see half of.
fn replace(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
}

fn keep_alive(client: &Client, seen: &Seen) {
    let mut connection = client.connect(CERT).unwrap();
    while seen.again(&seen.keep_alive) {
        connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().expect("a response").status, 200);
    }
}

fn full(fresh: impl Fn() -> Client, seen: &Seen) {
    while seen.again(&seen.full) {
        assert_eq!(fresh().get(CERT, "/banking/").status, 200);
    }
}

/// Every connection after the first takes the session up again, or, after a rotation, makes a new one.
fn resumed(client: &Client, seen: &Seen) {
    while !seen.is_over.load(Ordering::Relaxed) {
        let mut connection = client.connect(CERT).unwrap();
        let kind = connection.stream.conn.handshake_kind();
        connection.send(format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().expect("a response").status, 200);
        if kind == Some(HandshakeKind::Resumed) {
            seen.resumed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn http2(client: &Client, seen: &Seen) {
    let mut connection = Http2::connect(client, CERT);
    while seen.again(&seen.http2) {
        assert_eq!(connection.get(CERT, "/banking/").status, 200);
    }
}

fn open_tunnel(client: &Client) -> Connection {
    let mut connection = client.connect(CERT).unwrap();
    connection.send(
        format!(
            "GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(connection.response().unwrap().status, 101);
    connection
}

fn tunnel(client: &Client, seen: &Seen) {
    let mut connection = open_tunnel(client);
    while seen.again(&seen.tunnel) {
        connection.send(b"hello");
        assert_eq!(connection.read_exactly(5).as_deref(), Some(&b"hello"[..]));
    }
}

fn hold(changes: &Changes) -> [u64; 5] {
    let backend = Backend::conversing(converse);
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder = lay_out(&[backend.address], &ca, &Settings::default());
    let path = folder.path();
    let process = Running::sekisho(path, &["serve", "--config", "sekisho.yaml"]);
    let (address, ops) = (process.address("Listening"), process.address("Listening for operators"));
    let client = Client::new(address, &ca);
    let tanaka = ca.client(COMMON_NAME);
    let (seen, mut revoked) = (Seen::default(), Vec::<Credential>::new());
    let reloads = |outcome: &str| {
        let (_, text) = plain_get(ops, "/metrics");
        let name = format!("sekisho_config_reloads_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0_u64)
    };
    let known = client.with(&tanaka);
    thread::scope(|scope| {
        let over = Over(&seen);
        let clients = [
            scope.spawn(|| keep_alive(&known, &seen)),
            scope.spawn(|| full(|| client.with(&tanaka), &seen)),
            scope.spawn(|| resumed(&client.with(&tanaka), &seen)),
            scope.spawn(|| http2(&known, &seen)),
            scope.spawn(|| tunnel(&known, &seen)),
        ];
        // What the clients do lies between every two changes.
        let settle = |is_taken_up: &dyn Fn() -> bool| {
            eventually("the change is taken up", is_taken_up);
            let before = seen.all();
            eventually("everybody works on", || {
                clients.iter().any(|client| client.is_finished())
                    || seen.all().iter().zip(before).all(|(now, before)| *now > before)
            });
        };
        let yaml = std::fs::read_to_string(path.join("sekisho.yaml")).unwrap();
        let mut made = 0;
        let mut change = |name: &str, text: &str| {
            replace(path, name, text);
            made += 1;
            settle(&|| reloads("good") >= made);
        };
        for number in 0..changes.reloads {
            change("sekisho.yaml", &format!("{yaml}limits: {{ header_count: {} }}\n", 100 + number));
        }
        for _ in 0..changes.certificates {
            // Certificate and key of one file: there is no moment at which they don't belong together.
            let server = ca.server(&HOSTS);
            replace(path, "server.both", &format!("{}{}", server.pem, server.key_pem));
            change(
                "sekisho.yaml",
                &yaml.replace(
                    "certificate: server.pem, key: server.key",
                    "certificate: server.both, key: server.both",
                ),
            );
        }
        for number in 0..changes.lists {
            revoked.push(ca.client(&format!("10000000000002 user{number}")));
            let victim = client.with(&revoked[number]);
            assert_eq!(victim.get(CERT, "/banking/").status, 200);
            change("ca.crl", &ca.crl(&revoked.iter().collect::<Vec<_>>()));
            assert_eq!(victim.get(CERT, "/banking/").status, 403);
        }
        drop(over);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(reloads("refused"), 0);
    process.stop(rustix::process::Signal::TERM).good();
    seen.all()
}

#[test]
fn no_request_fails_while_everything_changes() {
    hold(&Changes { reloads: 5, certificates: 3, lists: 3 });
}

#[test]
#[ignore = "long: cargo test --release --test it -- --ignored --nocapture a_hundred_reloads"]
fn no_request_fails_during_a_hundred_reloads_twenty_rotations_and_twenty_lists() {
    let [keep_alive, full, resumed, http2, tunnel] =
        hold(&Changes { reloads: 100, certificates: 20, lists: 20 });
    println!(
        "requests without a failure: {keep_alive} keep-alive, {full} after a full handshake, {resumed} after a \
         resumed one, {http2} over HTTP/2; {tunnel} echoes through one WebSocket"
    );
}

/// What newcomers and people with connections see of `count` upgrades. Returns how many requests were answered, and how
/// many of them only on a second connection, because the first was closed just then.
fn upgrade(count: usize) -> ([u64; 5], u64) {
    let backend = Backend::conversing(converse);
    let mut service = Service::start(&backend);
    let (seen, again) = (Seen::default(), AtomicU64::new(0));
    let request = format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n");
    let known = service.tanaka();
    thread::scope(|scope| {
        let over = Over(&seen);
        let clients = [
            scope.spawn(|| {
                let mut connection = known.connect(CERT).unwrap();
                while seen.again(&seen.keep_alive) {
                    connection.send(request.as_bytes());
                    if let Some(response) = connection.response() {
                        assert_eq!(response.status, 200);
                        if response.value("connection").as_deref() != Some("close") {
                            continue;
                        }
                    } else {
                        again.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(known.get(CERT, "/banking/").status, 200);
                    }
                    connection = known.connect(CERT).unwrap();
                }
            }),
            scope.spawn(|| full(|| service.tanaka(), &seen)),
            scope.spawn(|| resumed(&service.tanaka(), &seen)),
            scope.spawn(|| {
                let mut connection = Http2::connect(&known, CERT);
                while seen.again(&seen.http2) {
                    match connection.try_get("/banking/") {
                        Ok(status) => assert_eq!(status, 200),
                        Err(_) => {
                            again.fetch_add(1, Ordering::Relaxed);
                            connection = Http2::connect(&known, CERT);
                            assert_eq!(connection.get(CERT, "/banking/").status, 200);
                        }
                    }
                }
            }),
            scope.spawn(|| {
                // Lives on with the old process until that has drained.
                let mut connection = open_tunnel(&known);
                while seen.again(&seen.tunnel) {
                    connection.send(b"hello");
                    match connection.read_exactly(5) {
                        Some(echo) => assert_eq!(echo, b"hello"),
                        None => connection = open_tunnel(&known),
                    }
                }
            }),
        ];
        let works_on = || {
            let before = seen.all();
            eventually("everybody works on", || {
                clients.iter().any(|client| client.is_finished())
                    || seen.all().iter().zip(before).all(|(now, before)| *now > before)
            });
        };
        works_on();
        service.running.signal(Signal::USR2);
        for number in 1..=count {
            let successor = service.successor(number);
            works_on();
            if number < count {
                kill_process(successor, Signal::USR2).unwrap();
            }
        }
        drop(over);
        for client in clients {
            client.join().unwrap();
        }
    });
    service.running.exit_code();
    (seen.all(), again.load(Ordering::Relaxed))
}

#[test]
fn no_request_fails_during_an_upgrade() {
    upgrade(2);
}

#[test]
#[ignore = "long: cargo test --release --test it -- --ignored --nocapture ten_upgrades"]
fn no_request_fails_during_ten_upgrades() {
    let ([keep_alive, full, resumed, http2, tunnel], again) = upgrade(10);
    println!(
        "requests without a failure: {keep_alive} keep-alive, {full} after a full handshake, {resumed} after a \
         resumed one, {http2} over HTTP/2, {tunnel} echoes through WebSockets; {again} of them on a second connection"
    );
}

/// How long a revocation takes from the list's file to each kind of connection.
#[test]
#[ignore = "a measurement: cargo test --release --test it -- --ignored --nocapture from_the_file"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn a_revocation_goes_from_the_file_to_live_connections() {
    use std::time::{Duration, Instant};
    let backend = Backend::conversing(converse);
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder = lay_out(&[backend.address], &ca, &Settings::default());
    let process = Running::sekisho(folder.path(), &["serve", "--config", "sekisho.yaml"]);
    let client = Client::new(process.address("Listening"), &ca);
    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut revoked = Vec::new();
    for number in 0..20 {
        let credential = ca.client(&format!("10000000000002 user{number}"));
        let client = client.with(&credential);
        let mut busy = Http2::connect(&client, CERT);
        let mut idle = client.connect(CERT).unwrap();
        idle.send(format!("GET /banking/ HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(idle.response().unwrap().status, 200);
        let tunnel = open_tunnel(&client);
        assert_eq!(busy.get(CERT, "/banking/").status, 200);
        revoked.push(credential);
        let list = ca.crl(&revoked.iter().collect::<Vec<_>>());
        // Not always at the same point between two looks at the files.
        thread::park_timeout(Duration::from_millis(number * 13));
        let begun = Instant::now();
        replace(folder.path(), "ca.crl", &list);
        let ended = thread::scope(|scope| {
            let closed = |mut connection: Connection| {
                assert!(connection.is_closed());
                begun.elapsed()
            };
            let (idle, tunnel) = (scope.spawn(move || closed(idle)), scope.spawn(move || closed(tunnel)));
            // Refused, or on a connection that was closed between two requests.
            while busy.try_get("/banking/").is_ok_and(|status| status == 200) {}
            [begun.elapsed(), idle.join().unwrap(), tunnel.join().unwrap()]
        });
        times.iter_mut().zip(ended).for_each(|(times, time)| times.push(time));
    }
    for (kind, mut times) in ["busy HTTP/2", "idle HTTP/1.1", "WebSocket"].into_iter().zip(times) {
        times.sort();
        println!("{kind}: median {:?}, longest {:?}", times[times.len() / 2], times[times.len() - 1]);
    }
}
