//! Ticket secrets in the state: the rules that hold for the file and for Redis.

use std::time::Duration;

use jiff::Timestamp;
use sekisho::stores::{State, StoredTicketSecret, TicketSecretOffer};

use super::state::{PATIENT, Stores, at, embedded};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

pub fn ticket_secret(id: &str) -> StoredTicketSecret {
    StoredTicketSecret { id: id.to_owned(), sealed: format!("1 0 9 {id}+/=") }
}

/// Offers the secret of this ID, and answers with what there is afterwards.
pub async fn offer(
    state: &State,
    id: &str,
    (lasts, replaced_last): (Duration, Duration),
    (replaces, others): (&[String], &[String]),
    now: Timestamp,
) -> Vec<StoredTicketSecret> {
    let secret = &ticket_secret(id);
    let offer = TicketSecretOffer { secret, lasts, replaces, replaced_last, others };
    state.offer_ticket_secret(&offer, now).await.unwrap()
}

fn ids(secrets: &[StoredTicketSecret]) -> Vec<&str> {
    secrets.iter().map(|secret| secret.id.as_str()).collect()
}

#[tokio::test]
async fn a_ticket_secret_that_is_replaced_is_so_also_where_it_is_named_among_the_others() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let known = ["a".to_owned()];
        offer(state, "a", (HOUR, HOUR), (&[], &[]), at(0)).await;
        offer(state, "b", (HOUR, Duration::from_secs(60)), (&known, &known), at(0)).await;
        assert_eq!(ids(&state.ticket_secrets(at(60)).await.unwrap()), ["b"]);
    }
}

#[tokio::test]
async fn a_ticket_secret_is_taken_from_whoever_knows_all_the_others_and_vanishes_in_time() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let offer = async |id: &str, lasts, known: &[&str], now| {
            let known: Vec<String> = known.iter().map(|id| (*id).to_owned()).collect();
            offer(state, id, (lasts, HOUR), (&[], &known), now).await
        };
        let held = async |now| state.ticket_secrets(now).await.unwrap();
        assert_eq!(held(at(0)).await, []);
        assert_eq!(offer("b", MINUTE, &[], at(0)).await, [ticket_secret("b")]);
        assert_eq!(offer("c", MINUTE, &[], at(1)).await, [ticket_secret("b")], "another was faster");
        assert_eq!(offer("b", HOUR, &["b"], at(1)).await, [ticket_secret("b")], "asked twice");
        assert_eq!(offer("a", HOUR, &["b"], at(1)).await, ["a", "b"].map(ticket_secret));
        assert_eq!(offer("c", HOUR, &["b"], at(1)).await, ["a", "b"].map(ticket_secret));
        assert_eq!(held(at(59)).await, ["a", "b"].map(ticket_secret));
        assert_eq!(held(at(60)).await, [ticket_secret("a")]);
        assert_eq!(held(at(3601)).await, []);
        assert_eq!(
            ids(&offer("d", MINUTE, &["a"], at(4000)).await),
            ["d"],
            "what is over is in nobody's way"
        );
    }
}

#[tokio::test]
async fn what_a_ticket_secret_replaces_vanishes_earlier_and_never_later() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(str::to_owned);
        offer(state, "a", (HOUR, HOUR), (&[], &[]), at(0)).await;
        offer(state, "b", (HOUR, HOUR), (&[], std::slice::from_ref(&a)), at(0)).await;
        offer(state, "c", (MINUTE, HOUR), (&[], &[a.clone(), b.clone()]), at(0)).await;
        let late = offer(state, "d", (HOUR, MINUTE), (&[a.clone(), c.clone()], &[]), at(0)).await;
        assert_eq!(ids(&late), ["a", "b", "c"], "not taken, for want of `b`");
        assert_eq!(ids(&state.ticket_secrets(at(59)).await.unwrap()), ["a", "b", "c"]);
        let taken = offer(state, "d", (HOUR, 2 * MINUTE), (&[c, a], &[b]), at(0)).await;
        assert_eq!(ids(&taken), ["a", "b", "c", "d"]);
        assert_eq!(ids(&state.ticket_secrets(at(60)).await.unwrap()), ["a", "b", "d"]);
        assert_eq!(ids(&state.ticket_secrets(at(119)).await.unwrap()), ["a", "b", "d"]);
        assert_eq!(ids(&state.ticket_secrets(at(120)).await.unwrap()), ["b", "d"]);
        assert_eq!(ids(&offer(state, "e", (HOUR, HOUR), (&[d], &[]), at(3600)).await), ["e"]);
    }
}

#[tokio::test]
async fn there_are_never_more_than_64_ticket_secrets() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let mut known = Vec::new();
        for number in 10..74 {
            let id = number.to_string();
            let held = offer(state, &id, (MINUTE, HOUR), (&[], &known), at(0)).await;
            known.push(id);
            assert_eq!(ids(&held), known);
        }
        let full = offer(state, "a", (MINUTE, HOUR), (&[], &known), at(0)).await;
        assert_eq!(ids(&full), known);
        let later = offer(state, "a", (MINUTE, HOUR), (&[], &known), at(60)).await;
        assert_eq!(ids(&later), ["a"]);
    }
}

#[tokio::test]
async fn of_many_gateways_that_offer_a_ticket_secret_at_once_one_succeeds_and_all_learn_of_it() {
    let stores = Stores::start().await;
    let redis = State::open(&stores.server.settings(), PATIENT).await.unwrap();
    for pair in
        [[stores.embedded.clone(), embedded(stores.folder.path()).await], [stores.redis.clone(), redis]]
    {
        let offers = (10..50usize).map(|nth| {
            let state = pair[nth % 2].clone();
            tokio::spawn(
                async move { offer(&state, &nth.to_string(), (MINUTE, HOUR), (&[], &[]), at(0)).await },
            )
        });
        let mut answers = Vec::new();
        for handle in offers.collect::<Vec<_>>() {
            answers.push(handle.await.unwrap());
        }
        assert_eq!(answers[0].len(), 1);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

#[tokio::test]
async fn what_redis_holds_in_another_form_is_shown_as_rubbish_and_goes_with_the_next_secret() {
    let stores = Stores::start().await;
    let state = &stores.redis;
    for (id, value) in [("a", "rubbish"), ("b", ""), ("c", "12 \u{e9}"), ("no id", "99999999999999 1")] {
        let _: () = stores.server.tell(&["HSET", "sekisho:{tickets}", id, value]);
    }
    let rubbish = ["a", "b", "c"].map(|id| StoredTicketSecret { id: id.to_owned(), sealed: String::new() });
    assert_eq!(state.ticket_secrets(at(0)).await.unwrap(), rubbish);
    let known: Vec<String> = rubbish.iter().map(|secret| secret.id.clone()).collect();
    let held = offer(state, "d", (MINUTE, HOUR), (&[], &known), at(0)).await;
    assert_eq!(held, [ticket_secret("d")]);
    let left: Vec<String> = stores.server.tell(&["HKEYS", "sekisho:{tickets}"]);
    assert_eq!(left, ["d"]);
    let lasts: i64 = stores.server.tell(&["PTTL", "sekisho:{tickets}"]);
    assert!((3_600_000..=3_660_000).contains(&lasts), "{lasts}");
}

/// What an older version made: with its tables, and without those of ticket secrets.
#[tokio::test]
async fn a_file_of_an_older_version_gets_what_it_lacks_and_keeps_what_it_holds() {
    let stores = Stores::start().await;
    stores.embedded.put_code("code", "value", MINUTE, at(0)).await.unwrap();
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(stores.folder.path().join("data/state.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("DROP TABLE ticket_secrets").execute(&pool).await.unwrap();
    pool.close().await;
    assert!(stores.embedded.ticket_secrets(at(0)).await.is_err());
    let newer = embedded(stores.folder.path()).await;
    assert_eq!(newer.ticket_secrets(at(0)).await.unwrap(), []);
    assert_eq!(newer.take_code("code", at(0)).await.unwrap().as_deref(), Some("value"));
}
