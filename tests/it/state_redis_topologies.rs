//! Several Redis servers: a primary that the sentinels replace, and a cluster whose slots move. No counted attempt is
//! lost by either.

use std::time::Duration;

use sekisho::config::RedisTopology;
use sekisho::domain::UserTag;
use sekisho::stores::{FoundSession, Reservation, State};

use super::state::{LIMITS, at, attempts, key, session};
use super::state_redis_faults::{answered, reserve};
use super::support::eventually;
use super::support::redis::{RedisServer, free_port, settings};

const TIMEOUT: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn an_attempt_that_too_few_replicas_have_is_not_reserved_and_sessions_do_not_mind() {
    let primary = RedisServer::start();
    let settings = settings(RedisTopology::Single, &[primary.port()], 1);
    let state = State::open(&settings, TIMEOUT).await.unwrap();
    let (key, record) = (key("tanaka", 1), session("tanaka", at(0)));
    let (asked, opened) =
        tokio::join!(reserve(&state, "tanaka"), state.open_session(&key, &record, LIMITS, true, None, at(0)));
    assert_eq!(asked.unwrap_err().problem, "Redis: 0 of 1 replicas have the attempt");
    opened.unwrap();
    let _replica = replica_of(&primary);
    eventually("a replica that follows", || {
        primary.tell::<String>(&["INFO", "replication"]).contains("state=online")
    });
    // The one that was refused stays counted. On a busy machine the replica may be late again.
    assert!(matches!(answered(|| reserve(&state, "tanaka")).await, Reservation::Reserved(2..)));
}

/// A replica of this server.
fn replica_of(primary: &RedisServer) -> RedisServer {
    let port = primary.port().to_string();
    RedisServer::with(|_| vec!["--replicaof".to_owned(), "127.0.0.1".to_owned(), port.clone()])
}

/// A primary, its replicas, and a sentinel that watches them.
pub fn watched() -> (RedisServer, [RedisServer; 2], RedisServer) {
    let primary = RedisServer::start();
    let replicas = [replica_of(&primary), replica_of(&primary)];
    eventually("two replicas that follow", || {
        primary.tell::<String>(&["INFO", "replication"]).matches("state=online").count() == 2
    });
    let sentinel = RedisServer::sentinel(primary.port());
    eventually("a sentinel that knows the replicas", || {
        let known: Vec<redis::Value> = sentinel.tell(&["SENTINEL", "REPLICAS", "main"]);
        known.len() == 2
    });
    (primary, replicas, sentinel)
}

#[tokio::test]
async fn a_failover_loses_no_reserved_attempt() {
    let (mut primary, _replicas, sentinel) = watched();
    let settings = settings(RedisTopology::Sentinel("main".to_owned()), &[sentinel.port()], 1);
    let state = State::open(&settings, TIMEOUT).await.unwrap();
    // One that was refused because the replicas were late is counted all the same.
    let mut counted = 0;
    for _ in 0..20 {
        let Reservation::Reserved(nth) = answered(|| reserve(&state, "tanaka")).await else { panic!() };
        assert!(nth > counted, "{nth} after {counted}");
        counted = nth;
    }
    let (key, record) = (key("tanaka", 1), session("tanaka", at(0)));
    state.open_session(&key, &record, LIMITS, true, None, at(0)).await.unwrap();
    primary.kill();
    reserve(&state, "tanaka").await.unwrap_err();
    // Those that were refused meanwhile may have been counted.
    let reserved = answered(|| reserve(&state, "tanaka")).await;
    assert!(matches!(reserved, Reservation::Reserved(nth) if nth > counted), "{reserved:?} after {counted}");
    answered(|| state.use_session(&key, LIMITS, at(0))).await;
}

/// Three servers that share the slots.
pub fn cluster() -> Vec<RedisServer> {
    let server = || {
        let bus = free_port().to_string();
        RedisServer::with(|_| {
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "3000", "--cluster-port", &bus]
                .map(str::to_owned)
                .to_vec()
        })
    };
    let servers = vec![server(), server(), server()];
    for (server, (epoch, slots)) in
        servers.iter().zip([("1", ["0", "5460"]), ("2", ["5461", "10922"]), ("3", ["10923", "16383"])])
    {
        let _: () = server.tell(&["CLUSTER", "SET-CONFIG-EPOCH", epoch]);
        let _: () = server.tell(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]);
    }
    for server in &servers[1..] {
        let myself: String = server.tell(&["CLUSTER", "NODES"]);
        // ID, then host:port@bus.
        let bus = myself.split(['@', ' ', ',']).nth(2).unwrap();
        let _: () = servers[0].tell(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string(), bus]);
    }
    eventually("a cluster", || {
        servers.iter().all(|server| {
            let info: String = server.tell(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    });
    servers
}

#[tokio::test]
async fn a_cluster_whose_slots_move_gives_no_wrong_answer() {
    let servers = cluster();
    let state =
        State::open(&settings(RedisTopology::Cluster, &[servers[0].port()], 0), TIMEOUT).await.unwrap();
    let users: Vec<String> = (0..30).map(|number| format!("user{number}")).collect();
    for user in &users {
        assert_eq!(answered(|| reserve(&state, user)).await, Reservation::Reserved(1), "{user}");
        let opening = session(user, at(0));
        state.open_session(&key(user, 1), &opening, LIMITS, true, None, at(0)).await.unwrap();
    }
    let asking = {
        let (state, users) = (state.clone(), users.clone());
        tokio::spawn(async move {
            for expected in 2..=5 {
                for user in &users {
                    let reserved = answered(|| reserve(&state, user)).await;
                    // Asked again after an error, it may be counted twice; never less than once.
                    assert!(
                        matches!(reserved, Reservation::Reserved(n) if n >= expected),
                        "{user}: {reserved:?}"
                    );
                    let key = key(user, 1);
                    let found = answered(|| state.use_session(&key, LIMITS, at(0))).await;
                    assert!(matches!(found, FoundSession::Live(_)), "{user}: {found:?}");
                }
            }
        })
    };
    let servers = tokio::task::spawn_blocking(move || {
        users.iter().for_each(|user| move_slot(&servers, &attempts(user).tag));
        servers
    })
    .await
    .unwrap();
    asking.await.unwrap();
    drop(servers);
}

/// Moves the slot of a user's keys to the next server, key by key.
pub fn move_slot(servers: &[RedisServer], tag: &UserTag) {
    let tag = format!("{{{}}}", tag.as_str());
    let slot: u32 = servers[0].tell(&["CLUSTER", "KEYSLOT", &tag]);
    let slot = slot.to_string();
    let owns = |server: &&RedisServer| {
        // Whoever doesn't own it answers with where it is.
        server.try_tell::<Option<String>>(&["GET", &format!("{tag}:nothing")]).is_ok()
    };
    // A new owner's epoch must be newer than that of the one before: else what that one said last, and is still under way,
    // takes the slot back, and the two send everybody to each other for ever.
    eventually("one epoch", || {
        let epochs = servers.iter().map(|server| {
            let info: String = server.tell(&["CLUSTER", "INFO"]);
            info.lines().find(|line| line.starts_with("cluster_current_epoch:")).map(str::to_owned)
        });
        epochs.collect::<std::collections::BTreeSet<_>>().len() == 1
    });
    let Some(from) = servers.iter().position(|server| owns(&server)) else { return };
    let to = (from + 1) % servers.len();
    let id = |server: &RedisServer| server.tell::<String>(&["CLUSTER", "MYID"]);
    let (source, target) = (&servers[from], &servers[to]);
    let _: () = target.tell(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]);
    let _: () = source.tell(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]);
    loop {
        let keys: Vec<String> = source.tell(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        let Some(key) = keys.first() else { break };
        let _: () = source.tell(&["MIGRATE", "127.0.0.1", &target.port().to_string(), key, "0", "5000"]);
    }
    let address = format!(":{}", target.port());
    eventually("one owner of the slot", || {
        for server in [target].into_iter().chain(servers) {
            let _: () = server.tell(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]);
        }
        servers.iter().all(|server| {
            match server.try_tell::<Option<String>>(&["GET", &format!("{tag}:nothing")]) {
                Ok(_) => server.port() == target.port(),
                Err(error) => error.to_string().contains(&address),
            }
        })
    });
}
