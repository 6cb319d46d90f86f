//! Signing in while the stores fail: nobody gets in who shouldn't, nothing that must last is lost, and certificates
//! don't notice. Real servers, some of them behind a proxy that stalls, cuts and lies.

use std::sync::{Arc, Barrier};

use rustix::process::Signal;
use sekisho::clock::Clock;
use sekisho::domain::UserTag;
use sekisho::stores::{AttemptKey, DirectorySettings};

use crate::pins::{Bank, decide};
use crate::support::backend::Backend;
use crate::support::client::plain_get;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, WWW, start_in};
use crate::support::people::{Browser, CONTRACT, ITO, TANAKA, gate_with, identity, now, stores, yaml};
use crate::support::postgres::Postgres;
use crate::support::proxy::{Mood, Proxy};
use crate::support::redis::RedisServer;

/// A gate whose state is the Redis at this port.
fn gate_on(backend: &Backend, redis: u16) -> Gate {
    let state = format!("state: {{ url: 'redis://127.0.0.1:{redis}', timeout: 300ms }}");
    gate_with(backend, &yaml(&state), Clock::default())
}

/// What a person without a certificate, one who is signed in, and one with a certificate get.
fn states(gate: &Gate, page: &mut Browser, signed_in: &mut Browser) -> (u16, u16, u16) {
    let certificate = gate.client().with(&gate.ca.client(&format!("{CONTRACT} suzuki")));
    let opened = page.open(WWW, "/sekisho/sign-in");
    let fields = [("contract", CONTRACT), ("user", ITO.0), ("pin", ITO.1)];
    let signing_in = page.post(WWW, "/sekisho/sign-in", &opened, &fields);
    if signing_in.status == 503 {
        assert!(signing_in.value("retry-after").is_some(), "{}", signing_in.head);
    }
    let asked = signed_in.open(WWW, "/banking").status;
    (signing_in.status, asked, certificate.get(CERT, "/banking").status)
}

/// At night, say: it is to be seen before the first customer comes.
#[test]
fn a_redis_that_is_away_is_seen_though_nobody_needs_it() {
    let backend = Backend::start();
    let mut redis = RedisServer::start();
    let gate = gate_on(&backend, redis.port());
    gate.counts("sekisho_store_failing{store=\"state\"}", 0.0);
    redis.kill();
    gate.counts("sekisho_store_failing{store=\"state\"}", 1.0);
    let readiness = plain_get(gate.ops, "/readyz").1;
    assert!(readiness.starts_with("ready, but the state is not available: Redis: "), "{readiness}");
    redis.restart();
    gate.counts("sekisho_store_failing{store=\"state\"}", 0.0);
    assert_eq!(plain_get(gate.ops, "/readyz").1, "ready\n");
}

#[test]
fn without_redis_nobody_signs_in_and_certificates_do_not_notice() {
    let backend = Backend::start();
    let mut redis = RedisServer::start();
    let proxy = Proxy::before(redis.port());
    let gate = gate_on(&backend, proxy.port());
    let (mut page, mut signed_in) = (Browser::new(&gate), Browser::new(&gate));
    signed_in.sign_in(TANAKA);
    assert_eq!(states(&gate, &mut page, &mut signed_in), (303, 200, 200));
    let closed = |page: &mut Browser, signed_in: &mut Browser, how: &str| {
        // What was found a moment ago still counts.
        eventually(how, || states(&gate, page, signed_in) == (503, 503, 200));
        assert_eq!(states(&gate, page, signed_in), (503, 503, 200), "{how}");
    };
    let open = |page: &mut Browser, signed_in: &mut Browser, how: &str| {
        eventually(how, || states(&gate, page, signed_in) == (303, 200, 200));
    };
    for (mood, how) in [
        (Mood::Stall, "stalls"),
        (Mood::Cut, "cuts"),
        (Mood::Lie(b"+OK\r\n".to_vec()), "lies"),
        (Mood::Lie(b":1\r\n".to_vec()), "lies with a number"),
        (Mood::Lie(b"*2\r\n$2\r\nok\r\n:0\r\n".to_vec()), "lies with a list"),
    ] {
        proxy.set(mood);
        closed(&mut page, &mut signed_in, how);
        proxy.set(Mood::Pass);
        open(&mut page, &mut signed_in, how);
    }
    redis.pause();
    closed(&mut page, &mut signed_in, "paused");
    redis.resume();
    open(&mut page, &mut signed_in, "goes on");
    redis.kill();
    closed(&mut page, &mut signed_in, "killed");
    redis.restart();
    // It kept nothing: whoever was signed in has to do it again.
    eventually("it answers again", || page.try_pin(ITO.0, ITO.1).status == 303);
    eventually("signed out", || signed_in.open(WWW, "/banking").status == 303);
}

#[test]
fn a_flushed_redis_gives_nobody_a_seventh_guess_and_lifts_no_suspension() {
    let bank = Bank::start(decide);
    let redis = RedisServer::start();
    let state = format!("state: {{ url: 'redis://127.0.0.1:{}' }}", redis.port());
    let yaml =
        yaml(&state).replace("pepper_file: pepper,", &format!("pepper_file: pepper, {},", bank.yaml()));
    let gate = gate_with(&Backend::start(), &yaml, Clock::default());
    let mut browser = Browser::new(&gate);
    for _ in 0..10 {
        assert_ne!(browser.try_pin(ITO.0, "wrong1").status, 303);
        let _: () = redis.tell(&["FLUSHALL"]);
    }
    assert_eq!(bank.asked().len(), 6);
    let user =
        now(stores(gate.folder.path()).directory.user(&identity("ito"), gate.clock.now())).unwrap().unwrap();
    assert_eq!(user.suspensions.len(), 1);
    // Not even the right one.
    assert_ne!(browser.try_pin(ITO.0, TANAKA.1).status, 303);
    assert_eq!(bank.asked().len(), 6);
}

/// A store that fails between the two counts leaves the attempt in the state alone. That must not add up to a lockout that
/// no suspension, no mail and no administrator knows of.
#[test]
fn attempts_that_an_outage_left_in_the_state_alone_lock_nobody_out() {
    let gate = gate_with(&Backend::start(), &yaml(""), Clock::default());
    let stores = stores(gate.folder.path());
    let key = AttemptKey { tag: UserTag::of(&identity("ito")), proven: false };
    let quiet = std::time::Duration::from_secs(3600);
    for _ in 0..6 {
        now(stores.state.reserve_attempt(&key, 6, quiet, gate.clock.now())).unwrap();
    }
    let mut browser = Browser::new(&gate);
    for nth in 1..=5 {
        assert_eq!(browser.try_pin(ITO.0, "wrong1").status, 200, "{nth}");
    }
    assert_eq!(browser.try_pin(ITO.0, ITO.1).status, 303);
}

#[test]
fn of_a_hundred_guesses_at_once_over_two_gateways_six_are_looked_at() {
    let bank = Bank::start(decide);
    let redis = RedisServer::start();
    let state = format!("state: {{ url: 'redis://127.0.0.1:{}', timeout: 20s }}", redis.port());
    let yaml = yaml(&state)
        .replace("pepper_file: pepper,", &format!("pepper_file: pepper, {},", bank.yaml()))
        .replace("directory: {", "directory: { timeout: 20s,");
    let gate = gate_with(&Backend::start(), &yaml, Clock::default());
    let second = start_in(&gate.folder, Clock::default()).unwrap_or_else(|error| panic!("{error}"));
    let addresses = [gate.address, second.addresses()[0]];
    let start = Arc::new(Barrier::new(100));
    let guesses: Vec<_> = (0..100)
        .map(|nth| {
            let mut browser = Browser::new(&gate);
            browser.go_to(addresses[nth % 2]);
            let start = start.clone();
            std::thread::spawn(move || {
                let page = browser.open(WWW, "/sekisho/sign-in");
                start.wait();
                let pin = format!("guess{nth}");
                let fields = [("contract", CONTRACT), ("user", ITO.0), ("pin", &pin)];
                browser.post(WWW, "/sekisho/sign-in", &page, &fields).status
            })
        })
        .collect();
    let answers: Vec<u16> = guesses.into_iter().map(|guess| guess.join().unwrap()).collect();
    assert_eq!(bank.asked().len(), 6, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 403)), "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 5, "{answers:?}");
    second.drain();
}

#[test]
fn a_session_is_known_to_every_gateway_and_ended_on_every_one() {
    let redis = RedisServer::start();
    let backend = Backend::start();
    let gate = gate_on(&backend, redis.port());
    let second = start_in(&gate.folder, Clock::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    browser.go_to(second.addresses()[0]);
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    browser.go_to(gate.address);
    let home = browser.open(WWW, "/sekisho/home");
    let token = browser.cookie(WWW, "__Host-sekisho-session").unwrap().to_owned();
    assert_eq!(browser.post(WWW, "/sekisho/sign-out", &home, &[]).status, 303);
    browser.set_cookie(WWW, "__Host-sekisho-session", &token);
    browser.go_to(second.addresses()[0]);
    eventually("signed out there too", || browser.open(WWW, "/banking").status == 303);
    second.drain();
}

#[test]
fn without_postgres_nobody_signs_in_and_certificates_go_on() {
    let postgres = Postgres::start();
    let DirectorySettings::Postgres { url, .. } = postgres.database() else { unreachable!() };
    let yaml = yaml("").replace(
        "url: 'sqlite:data/sekisho.db'",
        &format!("url: '{url}', password_file: password, timeout: 500ms, max_age: 10m"),
    );
    let clock = Clock::manual(Clock::System.now());
    let gate = gate_with(&Backend::start(), &yaml, clock.clone());
    let (mut page, mut signed_in) = (Browser::new(&gate), Browser::new(&gate));
    signed_in.sign_in(TANAKA);
    assert_eq!(states(&gate, &mut page, &mut signed_in), (303, 200, 200));
    postgres.signal(Signal::STOP);
    // Who is signed in stays so: the state and the registry know them.
    assert_eq!(states(&gate, &mut page, &mut signed_in), (503, 200, 200));
    // But not for ever: a suspension that it can't hear of must not wait for the repair.
    clock.set(clock.now().checked_add(jiff::SignedDuration::from_mins(11)).unwrap());
    eventually("closed", || states(&gate, &mut page, &mut signed_in) == (503, 503, 503));
    postgres.signal(Signal::CONT);
    eventually("it answers again", || states(&gate, &mut page, &mut signed_in) == (303, 200, 200));
}
