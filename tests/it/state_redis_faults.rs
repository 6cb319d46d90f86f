//! Redis killed, paused, flushed, cut off, and lied about: the state says that it can't be asked, in time, and works
//! again by itself. It never says yes by mistake.

use std::future::Future;
use std::time::{Duration, Instant};

use sekisho::domain::SessionEnd;
use sekisho::stores::{FoundSession, OpenedSession, Reservation, State, StateSettings, Unavailable};
use zeroize::Zeroizing;

use super::state::{LIMITS, PATIENT, at, attempts, key, session};
use super::state_ticket_secrets::{offer, ticket_secret};
use super::support::PATIENCE;
use super::support::pki::Ca;
use super::support::proxy::{Mood, Proxy};
use super::support::redis::{RedisServer, free_port, settings};
use sekisho::config::RedisTopology;

const HOUR: Duration = Duration::from_secs(3600);
/// What the gateway is configured to wait.
const TIMEOUT: Duration = Duration::from_millis(700);

pub async fn reserve(state: &State, user: &str) -> Result<Reservation, Unavailable> {
    state.reserve_attempt(&attempts(user), 1000, HOUR, at(0)).await
}

/// Asks until there is an answer.
#[expect(clippy::disallowed_methods, reason = "a bound on waiting, not a measurement")]
pub async fn answered<T, F: Future<Output = Result<T, Unavailable>>>(mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "still: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The error, which came in time.
#[expect(clippy::disallowed_methods, reason = "the rule is about time")]
async fn refused<T: std::fmt::Debug>(ask: impl Future<Output = Result<T, Unavailable>>) -> String {
    let begun = Instant::now();
    let error = ask.await.unwrap_err();
    assert!(begun.elapsed() < TIMEOUT * 2, "{:?}: {error}", begun.elapsed());
    assert_eq!(error.store, "state");
    error.problem
}

#[tokio::test]
async fn a_redis_that_is_down_costs_no_start_and_one_that_comes_back_is_used_again() {
    let mut server = RedisServer::start();
    server.kill();
    let state = State::open(&server.settings(), TIMEOUT).await.unwrap();
    refused(state.ping()).await;
    refused(reserve(&state, "tanaka")).await;
    server.restart();
    answered(|| state.ping()).await;
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(1)));
    server.kill();
    refused(reserve(&state, "tanaka")).await;
    server.restart();
    // Without persistence it has forgotten everything, which docs/state.md says.
    assert_eq!(answered(|| reserve(&state, "tanaka")).await, Reservation::Reserved(1));
}

#[tokio::test]
async fn a_restart_that_nobody_noticed_costs_no_answer() {
    let mut server = RedisServer::start();
    let state = State::open(&server.settings(), TIMEOUT).await.unwrap();
    reserve(&state, "tanaka").await.unwrap();
    server.restart();
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(1)));
}

#[tokio::test]
async fn a_redis_that_hangs_is_given_up_in_time() {
    let server = RedisServer::start();
    let state = State::open(&server.settings(), TIMEOUT).await.unwrap();
    reserve(&state, "tanaka").await.unwrap();
    server.pause();
    assert!(refused(reserve(&state, "tanaka")).await.contains("no answer within 700ms"));
    refused(state.use_session(&key("tanaka", 1), LIMITS, at(0))).await;
    server.resume();
    answered(|| state.ping()).await;

    let _: () = server.tell(&["CLIENT", "PAUSE", "1500", "ALL"]);
    refused(reserve(&state, "tanaka")).await;
    // What was asked in between may have been counted: never less than what was answered.
    assert!(matches!(answered(|| reserve(&state, "tanaka")).await, Reservation::Reserved(2..)));
}

#[tokio::test]
async fn lost_scripts_are_brought_again_and_lost_data_is_unknown() {
    let server = RedisServer::start();
    let state = State::open(&server.settings(), PATIENT).await.unwrap();
    let (key, record) = (key("tanaka", 1), session("tanaka", at(0)));
    reserve(&state, "tanaka").await.unwrap();
    state.open_session(&key, &record, LIMITS, true, None, at(0)).await.unwrap();
    let _: () = server.tell(&["SCRIPT", "FLUSH"]);
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(2)));
    assert!(matches!(state.use_session(&key, LIMITS, at(0)).await, Ok(FoundSession::Live(_))));

    // An eviction that takes only one of a session's two keys: nobody could end it any more.
    let current = format!("sekisho:{{{}}}:current", key.tag.as_str());
    let _: () = server.tell(&["DEL", &current]);
    assert_eq!(state.use_session(&key, LIMITS, at(0)).await, Ok(FoundSession::Unknown));

    state.open_session(&key, &record, LIMITS, true, None, at(0)).await.unwrap();
    let _: () = server.tell(&["FLUSHALL"]);
    assert_eq!(state.use_session(&key, LIMITS, at(0)).await, Ok(FoundSession::Unknown));
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(1)));
}

#[tokio::test]
async fn what_is_stored_wrongly_or_not_at_all_is_no_yes() {
    let server = RedisServer::start();
    let state = State::open(&server.settings(), PATIENT).await.unwrap();
    let key = key("tanaka", 1);
    for name in ["attempts:0", "current"] {
        let _: () = server.tell(&["LPUSH", &format!("sekisho:{{{}}}:{name}", key.tag.as_str()), "x"]);
    }
    assert_eq!(refused(reserve(&state, "tanaka")).await, "Redis: Redis says WRONGTYPE");
    refused(state.open_session(&key, &session("tanaka", at(0)), LIMITS, true, None, at(0))).await;
    let _: () = server.tell(&[
        "HSET",
        &format!("sekisho:{{{}}}:attempts:0", attempts("sato").tag.as_str()),
        "count",
        "few",
    ]);
    refused(reserve(&state, "sato")).await;
    let _: () = server.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(refused(reserve(&state, "suzuki")).await, "Redis: Redis says OOM");
}

#[tokio::test]
async fn answers_that_are_late_cut_or_lies_are_no_answers() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port());
    let state = State::open(&settings(RedisTopology::Single, &[proxy.port()], 0), TIMEOUT).await.unwrap();
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(1)));
    proxy.set(Mood::Stall);
    refused(reserve(&state, "tanaka")).await;
    refused(state.take_code("code", at(0))).await;
    proxy.set(Mood::Pass);
    answered(|| state.ping()).await;
    proxy.set(Mood::Cut);
    refused(reserve(&state, "tanaka")).await;
    proxy.set(Mood::Pass);
    answered(|| state.ping()).await;
    for lie in [
        &b"+OK\r\n"[..],
        b":1\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"*3\r\n$1\r\nx\r\n$8\r\nreserved\r\n:1\r\n",
        b"*2\r\n$8\r\nreserved\r\n:1\r\n",
        b"-ERR unknown command 'AUTH', with args beginning with: 'geheim'\r\n",
        b"-geheim\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\x00garbage\r\n",
    ] {
        proxy.set(Mood::Lie(lie.to_vec()));
        let key = key("tanaka", 1);
        for problem in [
            refused(reserve(&state, "tanaka")).await,
            refused(state.throttle("x", 1, HOUR, at(0))).await,
            refused(state.use_session(&key, LIMITS, at(0))).await,
            refused(state.open_session(&key, &session("tanaka", at(0)), LIMITS, true, None, at(0))).await,
            refused(state.end_session(&key, SessionEnd::SignedOut, at(0))).await,
            refused(state.take_code("code", at(0))).await,
            refused(state.ping()).await,
        ] {
            assert!(!problem.contains("geheim"), "{problem}");
        }
        proxy.set(Mood::Pass);
        answered(|| state.ping()).await;
    }
}

#[tokio::test]
async fn a_release_whose_answer_is_lost_is_not_asked_again() {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port());
    let state = State::open(&settings(RedisTopology::Single, &[proxy.port()], 0), PATIENT).await.unwrap();
    for _ in 0..3 {
        reserve(&state, "tanaka").await.unwrap();
    }
    state.release_attempt(&attempts("tanaka"), at(0)).await.unwrap();
    let _: () = server.tell(&["CONFIG", "RESETSTAT"]);
    proxy.set(Mood::Swallow);
    state.release_attempt(&attempts("tanaka"), at(0)).await.unwrap_err();
    let asked: String = server.tell(&["INFO", "commandstats"]);
    assert!(asked.contains("cmdstat_evalsha:calls=1,"), "{asked}");
}

/// As in docs/state.md; `+wait` is for `replicas`, `+hgetall` for ticket secrets.
const RIGHTS: &str = "+evalsha +eval +get +set +hset +hmget +hdel +del +pexpire +time +wait +hgetall";

#[tokio::test]
async fn a_server_over_tls_is_known_by_its_authority_and_asks_for_user_and_password() {
    let ca = Ca::new("Redis CA");
    let certificate = ca.server(&["localhost"]);
    let port = free_port();
    let server = RedisServer::with(|folder| {
        let file = |name: &str, text: &str| {
            let path = format!("{folder}/{name}");
            std::fs::write(&path, text).unwrap();
            path
        };
        let rights = format!("sekisho on >geheim ~sekisho:* resetchannels {RIGHTS}");
        let words = [
            ["--tls-port", &port.to_string()],
            ["--tls-cert-file", &file("server.pem", &certificate.pem)],
            ["--tls-key-file", &file("server.key", &certificate.key_pem)],
            ["--tls-ca-cert-file", &file("ca.pem", &ca.pem())],
            ["--tls-auth-clients", "no"],
        ];
        let mut words: Vec<String> = words.iter().flatten().map(|word| (*word).to_owned()).collect();
        words.push("--user".to_owned());
        words.extend(rights.split(' ').map(str::to_owned));
        words
    });
    let _ = &server;
    let open = async |password: &str, ca: &Ca| {
        let StateSettings::Redis { mut url, .. } = settings(RedisTopology::Single, &[port], 0) else {
            unreachable!()
        };
        (url.tls, url.user) = (true, Some("sekisho".to_owned()));
        url.servers[0].0 = "localhost".to_owned();
        let password = Some(Zeroizing::new(password.to_owned()));
        let authorities = Some(ca.pem().into_bytes());
        State::open(&StateSettings::Redis { url, password, authorities, replicas: 0 }, PATIENT).await.unwrap()
    };
    let state = open("geheim", &ca).await;
    assert_eq!(reserve(&state, "tanaka").await, Ok(Reservation::Reserved(1)));
    let (key, record) = (key("tanaka", 1), session("tanaka", at(0)));
    let opened = state.open_session(&key, &record, LIMITS, true, None, at(0)).await;
    assert_eq!(opened, Ok(OpenedSession::Opened));
    assert!(matches!(state.use_session(&key, LIMITS, at(0)).await, Ok(FoundSession::Live(_))));
    state.put_code("code", "value", HOUR, at(0)).await.unwrap();
    assert_eq!(state.take_code("code", at(0)).await, Ok(Some("value".to_owned())));
    let id = "a".to_owned();
    assert_eq!(offer(&state, &id, (HOUR, HOUR), (&[], &[]), at(0)).await, [ticket_secret(&id)]);
    let last = (HOUR, Duration::from_secs(60));
    assert_eq!(offer(&state, "b", last, (&[id], &[]), at(0)).await, ["a", "b"].map(ticket_secret));
    assert_eq!(state.ticket_secrets(at(60)).await, Ok(vec![ticket_secret("b")]));

    let problem = reserve(&open("falsch", &ca).await, "tanaka").await.unwrap_err().problem;
    assert!(!problem.contains("falsch"), "{problem}");
    let problem = reserve(&open("geheim", &Ca::new("Redis CA")).await, "tanaka").await.unwrap_err().problem;
    assert!(problem.contains("certificate"), "{problem}");
}
