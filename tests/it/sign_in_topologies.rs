//! Signing in while the sentinels replace a primary, and while a cluster's slots move.

use sekisho::clock::Clock;
use sekisho::domain::UserTag;

use crate::pins::{Bank, decide};
use crate::state_redis_topologies::{cluster, move_slot, watched};
use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::people::{Browser, CONTRACT, ITO, TANAKA, gate_with, identity, now, stores, yaml};

/// A gate with this state; the bank's own system decides about PINs, and remembers how often it was asked.
fn gate(bank: &Bank, state: &str) -> Gate {
    let yaml = yaml(&format!("state: {{ {state} }}"))
        .replace("pepper_file: pepper,", &format!("pepper_file: pepper, {},", bank.yaml()));
    gate_with(&Backend::start(), &yaml, Clock::default())
}

fn machine(gate: &Gate) -> u16 {
    gate.client().with(&gate.ca.client(&format!("{CONTRACT} suzuki"))).get(CERT, "/machine").status
}

#[test]
fn a_failover_gives_nobody_a_seventh_guess_and_signing_in_goes_on_after_it() {
    let bank = Bank::start(decide);
    let (mut primary, _replicas, sentinel) = watched();
    let state =
        format!("url: 'redis+sentinel://127.0.0.1:{}/main', replicas: 1, timeout: 1500ms", sentinel.port());
    let gate = gate(&bank, &state);
    let mut browser = Browser::new(&gate);
    for _ in 0..3 {
        assert_eq!(browser.try_pin(ITO.0, "wrong1").status, 200);
    }
    assert_eq!(bank.asked().len(), 3);
    primary.kill();
    assert_eq!(browser.try_pin(ITO.0, "wrong1").status, 503);
    assert_eq!(machine(&gate), 200);
    // Over and over, during the failover and after it.
    eventually("suspended", || {
        assert_eq!(machine(&gate), 200);
        browser.try_pin(ITO.0, "wrong1").status == 403
    });
    assert!(bank.asked().len() <= 6, "{:?}", bank.asked());
    let user = now(stores(gate.folder.path()).directory.user(&identity("ito"), gate.clock.now()));
    assert_eq!(user.unwrap().unwrap().suspensions.len(), 1);
    // The PIN that the bank's system takes for everybody's.
    Browser::new(&gate).sign_in(TANAKA);
}

#[test]
fn people_sign_in_while_the_slots_of_a_cluster_move() {
    let bank = Bank::start(decide);
    let servers = cluster();
    let gate =
        gate(&bank, &format!("url: 'redis+cluster://127.0.0.1:{}', timeout: 1500ms", servers[0].port()));
    let mut browser = Browser::new(&gate);
    let mut stranger = Browser::new(&gate);
    // What is asked while a slot moves may have to be asked again; then it may have been counted twice, never not at all.
    let answered = |browser: &mut Browser, (user, pin): (&str, &str)| {
        let mut status = 503;
        eventually("an answer", || {
            status = browser.try_pin(user, pin).status;
            status != 503
        });
        status
    };
    let mut guesses = Vec::new();
    for turn in 0..3 {
        assert_eq!(answered(&mut browser, TANAKA), 303, "{turn}");
        guesses.push(answered(&mut stranger, (ITO.0, "wrong1")));
        for user in ["tanaka", "ito"] {
            move_slot(&servers, &UserTag::of(&identity(user)));
        }
        // Still signed in, wherever the session lies now.
        eventually("the session on its new server", || browser.open(WWW, "/sekisho/home").status == 200);
    }
    while guesses.last() == Some(&200) {
        guesses.push(answered(&mut stranger, (ITO.0, "wrong1")));
    }
    // None was forgotten on the way.
    assert!(guesses.len() <= 6 && guesses.last() == Some(&403), "{guesses:?}");
    let asked = bank.asked().iter().filter(|question| question.contains("wrong1")).count();
    assert!(asked <= 6, "{asked}");
}
