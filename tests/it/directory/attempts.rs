//! Attempts: counted before a PIN is looked at, and never more than may be.

use std::time::Duration;

use sekisho::domain::UserTag;
use sekisho::stores::{Attempts, Directory};
use tokio::task::JoinSet;

use super::{Place, at, identity, with_users};

const QUIET: Duration = Duration::from_secs(100);

fn up_to(limit: u32) -> Attempts {
    Attempts { limit, quiet: QUIET }
}

/// A hundred at once, half of them through another process's connections. Returns which were counted, in order.
async fn a_hundred(directories: [&Directory; 2], limit: u32, now: i64) -> Vec<u32> {
    let mut all = JoinSet::new();
    for index in 0..100 {
        let directory = directories[index % 2].clone();
        all.spawn(async move {
            directory.count_attempt(&identity("tanaka"), false, up_to(limit), at(now)).await.unwrap()
        });
    }
    let mut counted: Vec<u32> = all.join_all().await.into_iter().flatten().collect();
    counted.sort_unstable();
    counted
}

pub(super) async fn of_a_hundred_attempts_at_once_the_limit_is_counted(place: &Place) {
    let (one, other) = (with_users(place, &["tanaka"]).await, place.open().await);
    assert_eq!(a_hundred([&one, &other], 6, 0).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(a_hundred([&one, &other], 6, 1).await, [0_u32; 0]);
    // Forgotten ones begin anew, with a race for that as well.
    assert_eq!(a_hundred([&one, &other], 6, 200).await, [1, 2, 3, 4, 5, 6]);
}

pub(super) async fn attempts_are_counted_for_ids_that_nobody_has(place: &Place) {
    let directory = place.open().await;
    for (proven, expected) in
        [(false, Some(1)), (true, Some(1)), (false, Some(2)), (false, None), (true, Some(2))]
    {
        let counted = directory.count_attempt(&identity("nobody"), proven, up_to(2), at(0)).await;
        assert_eq!(counted, Ok(expected));
    }
}

pub(super) async fn attempts_are_forgotten_after_the_quiet_time(place: &Place) {
    let directory = place.open().await;
    // What is not counted doesn't put off the end.
    for (now, expected) in [(0, Some(1)), (60, Some(2)), (159, None), (160, Some(1)), (161, Some(2))] {
        let counted = directory.count_attempt(&identity("tanaka"), false, up_to(2), at(now)).await;
        assert_eq!(counted, Ok(expected), "{now}");
    }
    let forever = Attempts { limit: 1, quiet: Duration::MAX };
    assert_eq!(directory.count_attempt(&identity("sato"), false, forever, at(0)).await, Ok(Some(1)));
    assert_eq!(directory.count_attempt(&identity("sato"), false, forever, at(1_000_000_000)).await, Ok(None));
}

pub(super) async fn an_attempt_is_taken_back_but_never_below_none(place: &Place) {
    let directory = place.open().await;
    let tanaka = identity("tanaka");
    let count = async || directory.count_attempt(&tanaka, false, up_to(1), at(0)).await.unwrap();
    directory.uncount_attempt(&tanaka, false).await.unwrap();
    assert_eq!((count().await, count().await), (Some(1), None));
    // The other kind's are others.
    directory.uncount_attempt(&tanaka, true).await.unwrap();
    assert_eq!(count().await, None);
    for _ in 0..2 {
        directory.uncount_attempt(&tanaka, false).await.unwrap();
    }
    assert_eq!((count().await, count().await), (Some(1), None));
}

pub(super) async fn forgotten_attempts_are_dropped(place: &Place) {
    let directory = place.open().await;
    for (user, now) in [("tanaka", 0), ("sato", 50)] {
        directory.count_attempt(&identity(user), false, up_to(6), at(now)).await.unwrap();
    }
    // More than go at once.
    let many = "INSERT INTO attempts WITH RECURSIVE nth (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM nth WHERE n < 2000) \
                SELECT CAST(n AS TEXT), 0, 1, n FROM nth";
    place.sql(many).await;
    directory.prune(at(120)).await.unwrap();
    let left = format!("SELECT made FROM attempts WHERE tag = '{}'", UserTag::of(&identity("sato")).as_str());
    assert_eq!(place.sql(&left).await, [1]);
    assert_eq!(place.sql("SELECT made FROM attempts").await, [1]);
    directory.prune(at(200)).await.unwrap();
    assert_eq!(place.sql("SELECT made FROM attempts").await, [0_i64; 0]);
}
