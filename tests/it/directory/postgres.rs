//! What only PostgreSQL has: a server, which can be away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rustix::process::Signal;
use sekisho::clock;
use sekisho::domain::SuspensionCause;
use sekisho::stores::{Directory, DirectorySettings, Unavailable};
use tokio::runtime::Runtime;

use super::{Place, RULES, at, identity, new_contract, new_user, with_users};
use crate::support::PATIENCE;
use crate::support::postgres::{PASSWORD, Postgres};

#[test]
fn every_rule_holds_on_postgresql() {
    let server = Postgres::start();
    let runtime = Runtime::new().unwrap();
    let broken: Vec<_> = RULES
        .iter()
        .filter(|(_, rule)| {
            let place = Place(server.database());
            catch_unwind(AssertUnwindSafe(|| rule(&runtime, &place))).is_err()
        })
        .map(|(name, _)| name)
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The answer to a change, once it is no longer that the directory isn't there.
async fn once_it_is_back(directory: &Directory) {
    let begun = clock::instant();
    while directory.suspend_user(&identity("tanaka"), SuspensionCause::Staff, at(2)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it doesn't come back");
    }
    assert_eq!(directory.candidate(&identity("tanaka"), at(3)).await.unwrap().unwrap().suspensions.len(), 1);
}

#[test]
fn a_stalled_server_is_given_up_in_time_and_asked_again() {
    let server = Postgres::start();
    let runtime = Runtime::new().unwrap();
    let place = Place(server.database());
    runtime.block_on(async {
        with_users(&place, &["tanaka"]).await.close().await;
        // Long enough for a busy machine to open one within it.
        let timeout = Duration::from_secs(2);
        let directory = Directory::open(&place.0, timeout).await.unwrap();
        directory.ping().await.unwrap();

        server.signal(Signal::STOP);
        let late = Unavailable::new("directory", "no answer within 2s");
        // With the connection that it had, then with one that it can't make, then at the start of another process.
        for _ in 0..2 {
            let begun = clock::instant();
            let tanaka = identity("tanaka");
            assert_eq!(
                directory.suspend_user(&tanaka, SuspensionCause::WrongPins, at(1)).await,
                Err(late.clone())
            );
            assert!(begun.elapsed() < 4 * timeout, "{:?}", begun.elapsed());
        }
        let begun = clock::instant();
        assert_eq!(Directory::open(&place.0, timeout).await.map(drop), Err(late));
        assert!(begun.elapsed() < 4 * timeout, "{:?}", begun.elapsed());
        server.signal(Signal::CONT);
        once_it_is_back(&directory).await;
    });
}

#[test]
fn a_restarted_server_is_not_noticed() {
    let mut server = Postgres::start();
    let runtime = Runtime::new().unwrap();
    let place = Place(server.database());
    let directory = runtime.block_on(with_users(&place, &["tanaka"]));
    server.restart();
    runtime.block_on(async {
        directory.add_user(&new_user("sato"), at(1)).await.unwrap();
        once_it_is_back(&directory).await;
    });
}

#[test]
fn no_secret_is_told_with_what_went_wrong() {
    let server = Postgres::start();
    let runtime = Runtime::new().unwrap();
    let DirectorySettings::Postgres { url, .. } = server.database() else { unreachable!() };
    let refusal = |url: &str, password: &str| {
        let settings = DirectorySettings::Postgres {
            url: url.to_owned(),
            password: Some(zeroize::Zeroizing::new(password.to_owned())),
        };
        runtime.block_on(Directory::open(&settings, super::TIMEOUT)).map(drop).unwrap_err().problem
    };
    assert_eq!(refusal(&url, "geheim"), "password authentication failed for user \"postgres\"");
    assert_eq!(refusal(&url.replace("directory0", "none"), PASSWORD), "database \"none\" does not exist");
    assert_eq!(refusal("postgres://a:b:c", PASSWORD), "its URL can't be read");
    let nowhere = refusal("postgres://localhost/none?host=/nowhere", PASSWORD);
    assert!(nowhere.contains("No such file or directory") && !nowhere.contains("kanarienvogel"), "{nowhere}");
    // What a statement is about isn't told either.
    let place = Place(server.database());
    let directory = runtime.block_on(place.open());
    let long = sekisho::stores::NewContract { name: "canary\0".to_owned(), ..new_contract("A") };
    let refused = runtime.block_on(directory.add_contract(&long, at(0))).unwrap_err();
    assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
}

#[test]
fn a_change_is_heard_of_at_once_and_also_after_the_server_was_away() {
    let mut server = Postgres::start();
    let place = Place(server.database());
    let runtime = Runtime::new().unwrap();
    // A listener gives its connection back by a task, so it has to be dropped inside a runtime.
    let _inside = runtime.enter();
    let (directory, mut news) = runtime.block_on(async {
        let directory = with_users(&place, &["tanaka"]).await;
        let mut news = place.open().await.news();
        // The first is that it listens.
        news.next().await;
        directory.lift_user(&identity("tanaka")).await.unwrap();
        news.next().await;
        (directory, news)
    });
    server.restart();
    runtime.block_on(async {
        once_it_is_back(&directory).await;
        // Whatever it says of having lost the server: sooner or later it hears of changes again.
        let heard = async {
            loop {
                news.next().await;
                directory.lift_user(&identity("tanaka")).await.unwrap();
                if tokio::time::timeout(PATIENCE / 10, news.next()).await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.unwrap();
    });
}
