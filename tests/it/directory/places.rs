//! Opening a directory: anew, again, by several at once.

use sekisho::domain::SuspensionCause;
use sekisho::stores::{Attempts, Directory};
use tokio::task::JoinSet;

use super::{Place, TIMEOUT, at, contract, identity, new_contract, new_user, with_users};

pub(super) async fn everything_is_there_after_a_restart(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let (tanaka, attempts) = (identity("tanaka"), Attempts { limit: 2, quiet: TIMEOUT });
    directory.suspend_user(&tanaka, SuspensionCause::WrongPins, at(1)).await.unwrap();
    directory.count_attempt(&tanaka, false, attempts, at(1)).await.unwrap();
    let before = directory.user(&tanaka, at(2)).await.unwrap();
    directory.close().await;
    assert!(directory.ping().await.is_err());
    for _ in 0..2 {
        let directory = place.open().await;
        directory.ping().await.unwrap();
        assert_eq!(directory.user(&tanaka, at(2)).await.unwrap(), before);
        directory.close().await;
    }
    assert_eq!(place.open().await.count_attempt(&tanaka, false, attempts, at(2)).await, Ok(Some(2)));
}

pub(super) async fn many_open_an_empty_directory_at_once(place: &Place) {
    let mut all = JoinSet::new();
    for _ in 0..6 {
        let settings = place.0.clone();
        all.spawn(async move { Directory::open(&settings, TIMEOUT).await });
    }
    for opened in all.join_all().await {
        opened.unwrap().contracts().await.unwrap();
    }
    assert_eq!(place.sql("SELECT number FROM changes").await, [0]);
}

pub(super) async fn two_processes_write_at_once(place: &Place) {
    let directories = [with_users(place, &[]).await, place.open().await];
    let mut all = JoinSet::new();
    for number in 0..60 {
        let directory = directories[number % 2].clone();
        all.spawn(async move {
            let user = format!("user{number}");
            directory.add_user(&new_user(&user), at(1)).await.unwrap();
            directory.set_pin(&identity(&user), "hash", None, at(2)).await.unwrap();
            directory.add_contract(&new_contract(&format!("B{number}")), at(2)).await.unwrap();
        });
    }
    all.join_all().await;
    assert_eq!(directories[0].users(&contract("A"), at(3)).await.unwrap().len(), 60);
    assert_eq!(directories[1].contracts().await.unwrap().len(), 61);
    // The import, 60 users, 60 contracts.
    assert_eq!(place.sql("SELECT number FROM changes").await, [121]);
}

pub(super) async fn a_schema_of_the_future_is_refused(place: &Place) {
    place.open().await.close().await;
    place.sql("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2").await;
    let refused = Directory::open(&place.0, TIMEOUT).await.map(drop).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the directory is not available: its schema can't be brought up to date: migration 9999 was previously \
         applied but is missing in the resolved migrations"
    );
}
