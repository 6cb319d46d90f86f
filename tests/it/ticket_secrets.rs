//! How gateways agree on ticket secrets, over both stores, by clocks of their own.

use std::time::Duration;

use jiff::Timestamp;
use sekisho::flows::{TicketSecretKey, TicketSecretSettings, TicketSecrets};
use sekisho::stores::State;

use super::state::{Stores, at};

const ROTATE: i64 = 3600;
const LIFETIME: i64 = 7200;
const DAY: u64 = 86_400;

fn gateway(state: &State) -> TicketSecrets {
    let key = TicketSecretKey::new(&[7; 32]).unwrap();
    let settings = TicketSecretSettings { state: state.clone(), key, rotate: ROTATE, lifetime: LIFETIME };
    TicketSecrets::new(settings, None)
}

/// The IDs of what a gateway goes by.
fn known(gateway: &TicketSecrets, now: Timestamp) -> Vec<String> {
    gateway.known(now).into_iter().map(|secret| secret.id).collect()
}

#[tokio::test]
async fn all_gateways_that_begin_or_rotate_at_once_agree_on_one_secret() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let gateways: Vec<_> = (0..10).map(|_| gateway(state)).collect();
        for (count, now) in [(1, at(0)), (1, at(3599)), (2, at(3600)), (2, at(7199)), (3, at(7200))] {
            let looks = gateways.iter().map(|gateway| gateway.refresh(now));
            for found in futures_util::future::join_all(looks).await {
                assert_eq!(found.unwrap().ignored, [""; 0]);
            }
            for gateway in &gateways {
                assert_eq!(known(gateway, now).len(), count, "at {now}");
                assert_eq!(known(gateway, now), known(&gateways[0], now));
            }
        }
        let secrets = gateways[0].known(at(7200));
        let mut turns: Vec<_> =
            secrets.iter().map(|secret| (secret.seals_from, secret.seals_until)).collect();
        turns.sort_unstable();
        let turn = |from: u64| (at(from).as_second(), at(from + 7200).as_second());
        assert_eq!(
            turns,
            [turn(60), turn(3660), turn(7260)],
            "a minute after they were made, twice as long as usual"
        );
    }
}

#[tokio::test]
async fn a_secret_is_dropped_with_its_last_ticket_by_gateways_and_by_the_state() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let gateway = gateway(state);
        gateway.refresh(at(0)).await.unwrap();
        let first = known(&gateway, at(0));
        gateway.refresh(at(3600)).await.unwrap();
        // Its successor's turn came at 3660.
        let last = 3660 + 7200 - 1;
        assert_eq!(gateway.known(at(last)).len(), 2);
        assert_eq!(state.ticket_secrets(at(last)).await.unwrap().len(), 2);
        assert!(!known(&gateway, at(last + 1)).contains(&first[0]));
        assert_eq!(state.ticket_secrets(at(last + 1)).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_gateway_whose_clock_runs_wild_costs_the_others_no_secret() {
    let stores = Stores::start().await;
    for (state, wild) in stores.each().into_iter().flat_map(|state| [(state, 3 * DAY), (state, 30 * DAY)]) {
        for ahead in [true, false] {
            let begin = 100 * DAY;
            let [one, other, wrong] = [0; 3].map(|_| gateway(state));
            for second in (0..100).chain(3600..3700) {
                let now = begin + second;
                for gateway in [&one, &other] {
                    gateway.refresh(at(now)).await.unwrap();
                }
                wrong.refresh(at(if ahead { now + wild } else { now - wild })).await.unwrap();
            }
            let now = at(begin + 3700);
            assert!(one.known(now).len() <= 6, "{wild} {ahead}: {:?}", one.known(now));
            assert_eq!(known(&one, now), known(&other, now));
            let turns = one.known(now).into_iter().map(|secret| secret.seals_from);
            let begun = at(begin + 3600).as_second()..=now.as_second();
            assert!(turns.into_iter().any(|turn| begun.contains(&turn)), "{wild} {ahead}: none was rotated");
        }
    }
}

#[tokio::test]
async fn secrets_of_a_clock_that_was_far_ahead_for_long_keep_nobody_from_making_new_ones() {
    let stores = Stores::start().await;
    for state in stores.each() {
        let [one, wrong] = [0; 2].map(|_| gateway(state));
        let begin = 100 * DAY;
        one.refresh(at(begin)).await.unwrap();
        let before = known(&one, at(begin));
        for turn in 0..70 {
            for second in [0, 1] {
                wrong.refresh(at(begin + 30 * DAY + turn * 3600 + second)).await.unwrap();
            }
        }
        for second in 3600..3700 {
            one.refresh(at(begin + second)).await.unwrap();
        }
        let now = at(begin + 3700);
        let begun = at(begin + 3600).as_second()..=now.as_second();
        let has_new = one.known(now).iter().any(|secret| begun.contains(&secret.seals_from));
        assert!(has_new, "{before:?} goes on for ever");
    }
}

#[tokio::test]
async fn a_state_that_forgets_everything_all_the_time_fills_no_memory() {
    let stores = Stores::start().await;
    let gateway = gateway(&stores.redis);
    for second in 0..100 {
        gateway.refresh(at(second)).await.unwrap();
        let _: () = stores.server.tell(&["FLUSHALL"]);
    }
    assert_eq!(gateway.known(at(100)).len(), 64);
}

#[tokio::test]
async fn what_was_known_is_handed_on_and_forgotten_with_another_secret_file() {
    let stores = Stores::start().await;
    let state = stores.embedded.clone();
    let before = gateway(&state);
    before.refresh(at(0)).await.unwrap();
    let next = |byte: u8| {
        let key = TicketSecretKey::new(&[byte; 32]).unwrap();
        let settings = TicketSecretSettings { state: state.clone(), key, rotate: ROTATE, lifetime: LIFETIME };
        TicketSecrets::new(settings, Some(&before))
    };
    assert_eq!(known(&next(7), at(0)), known(&before, at(0)));
    assert_eq!(known(&next(8), at(0)), [""; 0]);
    let found = next(8).refresh(at(0) + Duration::from_secs(1)).await.unwrap();
    assert_eq!(found.ignored, known(&before, at(0)));
}
