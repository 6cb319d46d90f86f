//! Renewing in time: by the user's own certificate, from 30 days before its end.

use jiff::SignedDuration;
use sekisho::clock::Clock;
use sekisho::domain::CredentialState;

use super::{
    Helper, begin, code, fetch_file, gate, gets_in, history, holder, later, machine, password, permit,
    states, unpack,
};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::people::{Browser, ITO};
use crate::support::pki::Credential;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// ito's first certificate, as a file.
pub fn acquired(gate: &Gate) -> Credential {
    permit(gate, ITO.0);
    let mut browser = Browser::new(gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    let password = password(&mut browser, WWW);
    let credential = unpack(&file, &password);
    gets_in(gate, &credential);
    eventually("the first use to be remembered", || history(gate, ITO.0)[0].used_at.is_some());
    credential
}

#[test]
fn renewing_begins_thirty_days_before_the_end_and_the_old_one_retires_when_the_new_one_signs_in() {
    let clock = Clock::manual(Clock::default().now());
    let gate = gate(clock.clone());
    let old = acquired(&gate);
    let mut browser = holder(&gate, &old);
    later(&clock, DAY * 334);
    gets_in(&gate, &old);
    let early = browser.open(CERT, "/sekisho/renewal");
    let answer = if early.status == 303 { browser.follow(CERT, &early).1 } else { early };
    assert!(!answer.text().contains("/sekisho/acquisition/file"), "{}", answer.text());
    later(&clock, DAY * 2);
    gets_in(&gate, &old);
    let file = fetch_file(&mut browser, CERT);
    let new = unpack(&file, &password(&mut browser, CERT));
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live, CredentialState::Live]);
    gets_in(&gate, &old);
    gets_in(&gate, &new);
    eventually("the old one to retire", || {
        states(&gate, ITO.0) == [CredentialState::Live, CredentialState::Retired]
    });
    eventually("the old one to be refused", || machine(&gate, &old).status == 403);
    assert!(machine(&gate, &old).text().contains("更新"), "{}", machine(&gate, &old).text());
}

#[test]
fn a_renewal_that_is_taken_up_again_leaves_one_new_certificate() {
    let clock = Clock::manual(Clock::default().now());
    let gate = gate(clock.clone());
    let old = acquired(&gate);
    later(&clock, DAY * 340);
    // The registry and the revocation list catch up with a clock that jumps.
    gets_in(&gate, &old);
    let mut browser = holder(&gate, &old);
    let mut lost = Helper::new();
    let first = code(&mut browser, CERT);
    assert_eq!(lost.redeem(&gate.client(), &first), 200);
    assert_eq!(lost.prove(&gate.client()).0, 200);
    // It was proven, but the PC's disk died with it: the old one still works, so another can be had.
    let mut helper = Helper::new();
    let second = code(&mut browser, CERT);
    assert_eq!(helper.redeem(&gate.client(), &second), 200);
    assert_eq!(helper.prove(&gate.client()).0, 200);
    assert_eq!(
        states(&gate, ITO.0),
        [CredentialState::Live, CredentialState::Revoked, CredentialState::Live]
    );
    gets_in(&gate, &helper.credential.clone().unwrap());
    eventually("the old one to retire", || {
        states(&gate, ITO.0) == [CredentialState::Live, CredentialState::Revoked, CredentialState::Retired]
    });
}
