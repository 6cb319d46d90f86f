//! The state: attempts, throttles, sessions, codes and ticket secrets. Every rule holds for the file and for Redis, and whatever is
//! asked of both, in any order, gets equal answers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use sekisho::clock::Clock;
use sekisho::domain::{
    AuthMethod, ContractId, Identity, Pace, Purpose, SessionEnd, SessionKey, SessionToken, UserId, UserTag,
};
use sekisho::stores::{
    AttemptKey, FoundSession, OpenedSession, Reservation, SessionLimits, SessionRecord, State, StateSettings,
    Throttled,
};
use tempfile::TempDir;

use super::state_ticket_secrets::offer;
use super::support::redis::RedisServer;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
pub const LIMITS: SessionLimits = SessionLimits { idle: Duration::from_secs(900), absolute: HOUR };
/// Long enough for a test machine that has other things to do.
pub const PATIENT: Duration = Duration::from_secs(10);

/// Both stores, each with nothing in it.
pub struct Stores {
    pub embedded: State,
    pub redis: State,
    pub server: RedisServer,
    pub folder: TempDir,
}

impl Stores {
    pub async fn start() -> Self {
        let (folder, server) = (tempfile::tempdir().unwrap(), RedisServer::start());
        let embedded = embedded(folder.path()).await;
        let redis = State::open(&server.settings(), PATIENT).await.unwrap();
        Self { embedded, redis, server, folder }
    }

    pub fn each(&self) -> [&State; 2] {
        [&self.embedded, &self.redis]
    }
}

pub async fn embedded(folder: &Path) -> State {
    State::open(&StateSettings::Embedded(folder.join("data/state.db")), PATIENT).await.unwrap()
}

/// A moment of the tests: nobody's clock is asked.
pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap() + Duration::from_secs(seconds)
}

pub fn identity(user: &str) -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new(user).unwrap() }
}

pub fn attempts(user: &str) -> AttemptKey {
    AttemptKey { tag: UserTag::of(&identity(user)), proven: false }
}

pub fn key(user: &str, number: u8) -> SessionKey {
    SessionToken::new([number; 32], &identity(user)).key()
}

pub fn session(user: &str, created: Timestamp) -> SessionRecord {
    SessionRecord {
        identity: identity(user),
        method: AuthMethod::Pin,
        purpose: Purpose::Full,
        created_at: created,
        previous: None,
        chain: vec!["MIIB".to_owned()],
    }
}

#[tokio::test]
async fn attempts_are_counted_in_a_row_and_forgotten_after_a_quiet_time() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let reserve = async |key: &AttemptKey, now| state.reserve_attempt(key, 3, MINUTE, now).await.unwrap();
        let (tanaka, suzuki) = (attempts("tanaka"), attempts("suzuki"));
        for nth in 1..=3 {
            assert_eq!(reserve(&tanaka, at(u64::from(nth))).await, Reservation::Reserved(nth));
        }
        assert_eq!(reserve(&tanaka, at(63)).await, Reservation::Exhausted);
        assert_eq!(reserve(&suzuki, at(63)).await, Reservation::Reserved(1), "another user");
        let proven = AttemptKey { proven: true, ..tanaka.clone() };
        assert_eq!(reserve(&proven, at(63)).await, Reservation::Reserved(1), "behind a certificate");
        assert_eq!(
            reserve(&tanaka, at(64)).await,
            Reservation::Reserved(1),
            "a refused one doesn't prolong it"
        );

        state.release_attempt(&tanaka, at(64)).await.unwrap();
        state.release_attempt(&tanaka, at(64)).await.unwrap();
        assert_eq!(reserve(&tanaka, at(64)).await, Reservation::Reserved(1), "never below none");
        assert_eq!(reserve(&tanaka, at(64)).await, Reservation::Reserved(2));
        state.clear_attempts(&tanaka).await.unwrap();
        assert_eq!(reserve(&tanaka, at(64)).await, Reservation::Reserved(1));
        assert_eq!(state.reserve_attempt(&tanaka, 0, MINUTE, at(900)).await.unwrap(), Reservation::Exhausted);
    }
}

#[tokio::test]
async fn a_throttle_lets_a_burst_through_and_then_refills_evenly() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let throttle = async |now| state.throttle("source:192.0.2.1", 7, MINUTE, now).await.unwrap();
        for _ in 0..7 {
            assert_eq!(throttle(at(0)).await, Throttled::Allowed);
        }
        // A seventh of a minute, to the microsecond.
        assert_eq!(throttle(at(0)).await, Throttled::Denied(Duration::from_micros(8_571_429)));
        assert_eq!(throttle(at(8)).await, Throttled::Denied(Duration::from_micros(571_429)));
        assert_eq!(throttle(at(9)).await, Throttled::Allowed);
        assert_eq!(state.throttle("source:192.0.2.2", 7, MINUTE, at(9)).await.unwrap(), Throttled::Allowed);
        assert_eq!(state.throttle("nobody", 0, MINUTE, at(9)).await.unwrap(), Throttled::Denied(MINUTE));
        // A gateway whose clock was an hour ahead.
        assert_eq!(throttle(at(3609)).await, Throttled::Allowed);
        assert_eq!(throttle(at(9)).await, Throttled::Denied(Duration::from_micros(8_571_429)));
        assert_eq!(throttle(at(18)).await, Throttled::Allowed);
    }
}

#[tokio::test]
async fn the_newest_session_wins_or_is_refused_as_the_setting_says() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let open = async |number, may_replace, renews: Option<&SessionKey>, now| {
            let record = session("tanaka", now);
            state
                .open_session(&key("tanaka", number), &record, LIMITS, may_replace, renews, now)
                .await
                .unwrap()
        };
        let find = async |number, now| state.use_session(&key("tanaka", number), LIMITS, now).await.unwrap();
        assert_eq!(open(1, false, None, at(0)).await, OpenedSession::Opened);
        assert_eq!(find(1, at(1)).await, FoundSession::Live(Box::new(session("tanaka", at(0)))));
        assert_eq!(open(2, false, None, at(2)).await, OpenedSession::Occupied);
        assert_eq!(find(2, at(2)).await, FoundSession::Unknown);
        assert_eq!(open(1, false, None, at(2)).await, OpenedSession::Opened, "asked twice");

        assert_eq!(open(2, true, None, at(3)).await, OpenedSession::Opened);
        assert_eq!(find(1, at(3)).await, FoundSession::Over(SessionEnd::Replaced));
        assert_eq!(find(1, at(3602)).await, FoundSession::Over(SessionEnd::Replaced));
        assert_eq!(find(1, at(3603)).await, FoundSession::Unknown, "an hour later");

        // The one that is renewed is in nobody's way, and gone.
        assert_eq!(open(3, false, Some(&key("tanaka", 2)), at(4)).await, OpenedSession::Opened);
        assert_eq!(find(2, at(4)).await, FoundSession::Unknown);
        // Another user's isn't touched.
        let (other, record) = (key("suzuki", 9), session("suzuki", at(4)));
        state.open_session(&other, &record, LIMITS, false, None, at(4)).await.unwrap();
        assert_eq!(open(4, false, Some(&other), at(4)).await, OpenedSession::Occupied);
        assert_eq!(open(4, true, Some(&other), at(4)).await, OpenedSession::Opened);
        assert_eq!(
            state.use_session(&other, LIMITS, at(4)).await.unwrap(),
            FoundSession::Live(Box::new(record))
        );
        // One that is over isn't brought back to life, and the one after it stays.
        assert_eq!(open(6, true, Some(&key("tanaka", 1)), at(4)).await, OpenedSession::Gone);
        assert_eq!(open(6, true, Some(&key("tanaka", 7)), at(4)).await, OpenedSession::Gone);
        assert!(matches!(find(4, at(4)).await, FoundSession::Live(_)));
        assert_eq!(open(6, true, Some(&key("tanaka", 4)), at(4 + 900)).await, OpenedSession::Gone);
        // One that ended by itself is in nobody's way either.
        assert_eq!(open(5, false, None, at(4 + 900)).await, OpenedSession::Opened);
        assert_eq!(find(4, at(4 + 900)).await, FoundSession::Over(SessionEnd::Idle));
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_or_too_old_and_stays_ended() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let find = async |user: &str, now| state.use_session(&key(user, 1), LIMITS, now).await.unwrap();
        for user in ["idle", "old", "away"] {
            state
                .open_session(&key(user, 1), &session(user, at(0)), LIMITS, true, None, at(0))
                .await
                .unwrap();
        }
        assert!(matches!(find("idle", at(899)).await, FoundSession::Live(_)));
        assert_eq!(find("idle", at(899 + 900)).await, FoundSession::Over(SessionEnd::Idle));
        // Whatever the limits are afterwards.
        let longer = SessionLimits { idle: HOUR * 9, absolute: HOUR * 9 };
        let found = state.use_session(&key("idle", 1), longer, at(899 + 900)).await.unwrap();
        assert_eq!(found, FoundSession::Over(SessionEnd::Idle));

        for minute in 1..=59 {
            assert!(matches!(find("old", at(minute * 60)).await, FoundSession::Live(_)), "{minute}");
        }
        assert_eq!(find("old", at(3600)).await, FoundSession::Over(SessionEnd::TooOld));
        assert_eq!(find("old", at(7200)).await, FoundSession::Unknown);
        assert_eq!(find("away", at(900 + 3600)).await, FoundSession::Unknown);

        // Who only looks doesn't use it.
        let looked = (key("looked", 1), session("looked", at(0)));
        state.open_session(&looked.0, &looked.1, LIMITS, true, None, at(0)).await.unwrap();
        let look = async |now| state.look_at_session(&looked.0, LIMITS, now).await.unwrap();
        assert_eq!(look(at(899)).await, FoundSession::Live(Box::new(looked.1.clone())));
        assert_eq!(look(at(900)).await, FoundSession::Over(SessionEnd::Idle));
    }
}

#[tokio::test]
async fn a_session_is_ended_by_its_key_or_by_its_user_and_only_once() {
    let stores = Stores::start().await;
    for state in stores.each() {
        for user in ["tanaka", "suzuki", "sato"] {
            state
                .open_session(&key(user, 1), &session(user, at(0)), LIMITS, true, None, at(0))
                .await
                .unwrap();
        }
        state.end_session(&key("tanaka", 1), SessionEnd::SignedOut, at(1)).await.unwrap();
        state.end_session(&key("tanaka", 1), SessionEnd::Withdrawn, at(2)).await.unwrap();
        state.end_user(&key("tanaka", 1).tag, SessionEnd::Withdrawn, at(2)).await.unwrap();
        state.end_user(&key("suzuki", 1).tag, SessionEnd::Withdrawn, at(2)).await.unwrap();
        state.end_user(&key("nobody", 1).tag, SessionEnd::Withdrawn, at(2)).await.unwrap();
        state.end_session(&key("nobody", 1), SessionEnd::Withdrawn, at(2)).await.unwrap();
        let find = async |user: &str| state.use_session(&key(user, 1), LIMITS, at(3)).await.unwrap();
        assert_eq!(find("tanaka").await, FoundSession::Over(SessionEnd::SignedOut));
        assert_eq!(find("suzuki").await, FoundSession::Over(SessionEnd::Withdrawn));
        assert!(matches!(find("sato").await, FoundSession::Live(_)));
        assert_eq!(find("nobody").await, FoundSession::Unknown);
    }
}

#[tokio::test]
async fn a_code_is_taken_once_and_in_time() {
    let stores = Stores::start().await;
    for state in stores.each() {
        state.put_code("first", "one", MINUTE, at(0)).await.unwrap();
        state.put_code("late", "two", MINUTE, at(0)).await.unwrap();
        let taken = tokio::join!(state.take_code("first", at(59)), state.take_code("first", at(59)));
        let taken = [taken.0.unwrap(), taken.1.unwrap()];
        assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), ["one"], "{taken:?}");
        assert_eq!(state.take_code("late", at(60)).await.unwrap(), None);
        assert_eq!(state.take_code("late", at(0)).await.unwrap(), None, "gone");
        assert_eq!(state.take_code("never", at(0)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn of_a_hundred_attempts_at_once_over_two_gateways_no_more_than_the_limit_are_reserved() {
    let stores = Stores::start().await;
    let redis = State::open(&stores.server.settings(), PATIENT).await.unwrap();
    for pair in
        [[stores.embedded.clone(), embedded(stores.folder.path()).await], [stores.redis.clone(), redis]]
    {
        let tries = (0..100usize).map(|nth| {
            let state = pair[nth % 2].clone();
            tokio::spawn(
                async move { state.reserve_attempt(&attempts("tanaka"), 6, HOUR, at(0)).await.unwrap() },
            )
        });
        let mut reserved = Vec::new();
        for handle in tries.collect::<Vec<_>>() {
            if let Reservation::Reserved(nth) = handle.await.unwrap() {
                reserved.push(nth);
            }
        }
        reserved.sort_unstable();
        assert_eq!(reserved, [1, 2, 3, 4, 5, 6]);
    }
}

#[tokio::test]
async fn the_file_survives_its_gateway_is_shared_by_others_and_is_for_no_other_eyes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = tokio::join!(embedded(folder.path()), embedded(folder.path()));
    first.reserve_attempt(&attempts("tanaka"), 6, HOUR, at(0)).await.unwrap();
    let reserved = second.reserve_attempt(&attempts("tanaka"), 6, HOUR, at(0)).await.unwrap();
    assert_eq!(reserved, Reservation::Reserved(2));
    first.open_session(&key("a", 1), &session("a", at(0)), LIMITS, true, None, at(0)).await.unwrap();
    second.end_user(&key("a", 1).tag, SessionEnd::Withdrawn, at(1)).await.unwrap();
    for file in fs::read_dir(folder.path().join("data")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    drop((first, second));
    let third = embedded(folder.path()).await;
    let reserved = third.reserve_attempt(&attempts("tanaka"), 6, HOUR, at(0)).await.unwrap();
    assert_eq!(reserved, Reservation::Reserved(3));
    let found = third.use_session(&key("a", 1), LIMITS, at(2)).await.unwrap();
    assert_eq!(found, FoundSession::Over(SessionEnd::Withdrawn));
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |path: &Path| {
        let settings = StateSettings::Embedded(path.to_owned());
        State::open(&settings, PATIENT).await.err().unwrap().to_string()
    };
    let corrupt = folder.path().join("corrupt.db");
    fs::write(&corrupt, "x".repeat(4096)).unwrap();
    let problem = open(&corrupt).await;
    assert!(problem.contains("corrupt.db") && problem.contains("file is not a database"), "{problem}");

    let foreign = folder.path().join("foreign.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&foreign).create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE cats (name TEXT)").execute(&pool).await.unwrap();
    pool.close().await;
    let problem = open(&foreign).await;
    assert!(problem.ends_with("foreign.db: a database of something else"), "{problem}");
    let problem = open(folder.path()).await;
    assert!(problem.contains("directory"), "{problem}");
}

/// Something that is asked of a store, by number: user and session.
#[derive(Debug, Clone)]
enum Ask {
    Throttle(u8, u32),
    Reserve(u8, bool, u32),
    Release(u8, bool),
    Clear(u8, bool),
    Open(u8, u8, bool, Option<(u8, u8)>, u64),
    Use(u8, u8),
    End(u8, u8, SessionEnd),
    EndUser(u8, SessionEnd),
    Put(u8, u64),
    Take(u8),
    Secrets,
    Offer(u8, (u64, u64), Vec<u8>, Vec<u8>),
}

fn ask() -> impl Strategy<Value = Ask> {
    let (user, number) = (0..2u8, 0..3u8);
    let end = prop_oneof![Just(SessionEnd::SignedOut), Just(SessionEnd::Withdrawn)];
    prop_oneof![
        (0..2u8, 1..4u32).prop_map(|(key, attempts)| Ask::Throttle(key, attempts)),
        (user.clone(), any::<bool>(), 0..4u32)
            .prop_map(|(user, proven, limit)| Ask::Reserve(user, proven, limit)),
        (user.clone(), any::<bool>()).prop_map(|(user, proven)| Ask::Release(user, proven)),
        (user.clone(), any::<bool>()).prop_map(|(user, proven)| Ask::Clear(user, proven)),
        (
            user.clone(),
            number.clone(),
            any::<bool>(),
            proptest::option::of((user.clone(), number.clone())),
            0..2000u64
        )
            .prop_map(|(user, number, replace, renews, age)| Ask::Open(user, number, replace, renews, age)),
        (user.clone(), number.clone()).prop_map(|(user, number)| Ask::Use(user, number)),
        (user.clone(), number.clone(), end.clone())
            .prop_map(|(user, number, end)| Ask::End(user, number, end)),
        (user, end).prop_map(|(user, end)| Ask::EndUser(user, end)),
        (number.clone(), 0..1000u64).prop_map(|(code, lasts)| Ask::Put(code, lasts)),
        number.prop_map(Ask::Take),
        Just(Ask::Secrets),
        (0..6u8, (0..3000u64, 0..3000u64), vec(0..6u8, 0..3), vec(0..6u8, 0..6))
            .prop_map(|(id, last, replaces, others)| Ask::Offer(id, last, replaces, others)),
    ]
}

impl Ask {
    /// The store's answer, in words. `run` keeps one sequence apart from the others.
    async fn of(&self, state: &State, run: u32, seconds: u64) -> String {
        let (now, name) = (at(seconds), |user: &u8| format!("{run}x{user}"));
        let counted = |user, proven: &bool| AttemptKey { proven: *proven, ..attempts(&name(user)) };
        match self {
            Self::Throttle(key, attempts) => {
                format!("{:?}", state.throttle(&name(key), *attempts, MINUTE, now).await.unwrap())
            }
            Self::Reserve(user, proven, limit) => {
                let quiet = Duration::from_secs(600);
                format!(
                    "{:?}",
                    state.reserve_attempt(&counted(user, proven), *limit, quiet, now).await.unwrap()
                )
            }
            Self::Release(user, proven) => {
                format!("{:?}", state.release_attempt(&counted(user, proven), now).await.unwrap())
            }
            Self::Clear(user, proven) => {
                format!("{:?}", state.clear_attempts(&counted(user, proven)).await.unwrap())
            }
            Self::Open(user, number, replace, renews, age) => {
                let record = session(&name(user), at(seconds.saturating_sub(*age)));
                let renews = renews.map(|(user, number)| key(&name(&user), number));
                let key = key(&name(user), *number);
                let opened = state.open_session(&key, &record, LIMITS, *replace, renews.as_ref(), now).await;
                format!("{:?}", opened.unwrap())
            }
            Self::Use(user, number) => {
                format!("{:?}", state.use_session(&key(&name(user), *number), LIMITS, now).await.unwrap())
            }
            Self::End(user, number, end) => {
                format!("{:?}", state.end_session(&key(&name(user), *number), *end, now).await.unwrap())
            }
            Self::EndUser(user, end) => {
                format!("{:?}", state.end_user(&attempts(&name(user)).tag, *end, now).await.unwrap())
            }
            Self::Put(code, lasts) => {
                let lasts = Duration::from_secs(*lasts);
                format!("{:?}", state.put_code(&name(code), &name(code), lasts, now).await.unwrap())
            }
            Self::Take(code) => format!("{:?}", state.take_code(&name(code), now).await.unwrap()),
            Self::Secrets => format!("{:?}", state.ticket_secrets(now).await.unwrap()),
            Self::Offer(id, (lasts, replaced), replaces, others) => {
                let last = (Duration::from_secs(*lasts), Duration::from_secs(*replaced));
                let [replaces, others] = [replaces, others].map(|ids| ids.iter().map(u8::to_string));
                let known = (&*replaces.collect::<Vec<_>>(), &*others.collect::<Vec<_>>());
                format!("{:?}", offer(state, &id.to_string(), last, known, now).await)
            }
        }
    }
}

#[test]
fn whatever_is_asked_in_any_order_both_stores_give_equal_answers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = runtime.block_on(Stores::start());
    let run = AtomicU32::new(0);
    let steps = prop_oneof![3 => Just(0u64), 3 => 1..120u64, 2 => 300..1000u64, 1 => 3000..8000u64];
    let sequence = vec((steps, ask()), 1..60);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sequence in sequence)| {
        let run = run.fetch_add(1, Ordering::Relaxed);
        // There is one set of ticket secrets: those of the run before are forgotten by now.
        let mut seconds = 10_000 + u64::from(run) * 1_000_000;
        for (step, ask) in &sequence {
            seconds += step;
            let answers = runtime.block_on(async {
                (ask.of(&stores.embedded, run, seconds).await, ask.of(&stores.redis, run, seconds).await)
            });
            prop_assert_eq!(&answers.0, &answers.1, "{:?} at {}", ask, seconds);
        }
    });
}

#[tokio::test]
async fn gateways_whose_clocks_differ_count_together_and_take_each_others_codes() {
    let server = RedisServer::start();
    let minutes = Duration::from_secs(600);
    let ahead = Clock::manual(Clock::System.now() + minutes);
    let right = State::open(&server.settings(), PATIENT).await.unwrap();
    let fast = State::open_on(&server.settings(), PATIENT, ahead.clone()).await.unwrap();
    let (right, fast) = ((&right, &Clock::System), (&fast, &ahead));
    for (state, clock) in [fast, right, fast, right] {
        assert_eq!(state.throttle("all", 4, HOUR, clock.now()).await.unwrap(), Throttled::Allowed);
    }
    for (state, clock) in [fast, right] {
        let Throttled::Denied(wait) = state.throttle("all", 4, HOUR, clock.now()).await.unwrap() else {
            panic!("a fifth passes");
        };
        assert!((870..=900).contains(&wait.as_secs()), "{wait:?}");
    }

    let pace = Pace::new(10, Duration::from_secs(1000), 20).unwrap();
    for ((state, clock), due) in [(fast, 100), (right, 200), (fast, 300)] {
        let now = clock.now();
        let dues = state.spend("each", pace, &[("user", 1)], now).await.unwrap().unwrap();
        let behind = due - (dues[0] - now.as_microsecond()) / 1_000_000;
        assert!((-30..=30).contains(&behind), "{due}: {behind}");
    }

    for ((from, sent), (to, taken)) in [(fast, right), (right, fast)] {
        from.put_code("code", "value", MINUTE, sent.now()).await.unwrap();
        assert_eq!(to.take_code("code", taken.now()).await.unwrap().as_deref(), Some("value"));
    }

    // A user who may not ask Redis for the time: everybody goes by their own.
    let _: () = server.tell(&["ACL", "SETUSER", "default", "-time"]);
    let (state, clock) = right;
    state.put_code("code", "value", MINUTE, clock.now()).await.unwrap();
    assert_eq!(fast.0.take_code("code", fast.1.now()).await.unwrap(), None);
}

#[tokio::test]
async fn what_gateways_let_through_by_a_shared_limit_adds_up_and_the_embedded_state_shares_nothing() {
    let stores = Stores::start().await;
    let pace = Pace::new(10, Duration::from_secs(1), 20).unwrap();
    let spend = |limit: &'static str, spent: Vec<(&'static str, u32)>, now: Timestamp| {
        let redis = stores.redis.clone();
        async move {
            let dues = redis.spend(limit, pace, &spent, now).await.unwrap().unwrap();
            dues.into_iter().map(|due| due - at(0).as_microsecond()).collect::<Vec<_>>()
        }
    };
    assert_eq!(spend("a", vec![("user 1", 3), ("user 2", 1)], at(0)).await, [300_000, 100_000]);
    assert_eq!(spend("a", vec![("user 1", 2)], at(0)).await, [500_000]);
    assert_eq!(spend("b", vec![("user 1", 2)], at(0)).await, [200_000]);
    // What is over is over, and a debt has an end.
    assert_eq!(spend("a", vec![("user 1", 1)], at(10)).await, [10_100_000]);
    assert_eq!(spend("a", vec![("user 1", 100_000)], at(10)).await, [42_000_000]);
    assert_eq!(stores.embedded.spend("a", pace, &[("user 1", 1)], at(0)).await.unwrap(), None);
}
