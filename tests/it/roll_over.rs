//! The CA's roll-over from G1 to G2, gone through as docs/ca.md has it. Its configuration and its commands are read out of the page:
//! what stands there is what runs here.

mod house;

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sekisho::clock::Clock;
use sekisho::stores::DirectorySettings;

use self::house::{GOOD, House, issuer, publish, serial, signer, trust};
use crate::acquisition::{fetch_file, password, unpack};
use crate::support::eventually;
use crate::support::gate::{CERT, WWW};
use crate::support::people::{Browser, ITO, SUZUKI, TANAKA};
use crate::support::pki::{COMMON_NAME, Credential};
use crate::support::postgres::Postgres;

/// How long a list is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(3 * 24);

fn everybody_moves_from_g1_to_g2(house: &House) {
    let [tanaka, ito, suzuki] = [TANAKA, ITO, SUZUKI].map(|user| house.permitted(user));
    // Signed with G2's key by somebody who isn't the gate.
    let forged = house.g2.client(COMMON_NAME);
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unknown_authority")]);
    assert!(signer(&ito).ends_with("OU=Mihon Bank CA-G1"), "{}", signer(&ito));
    assert_eq!(house.count(), 3);

    // 1. Make G2
    house.step_1();
    house.timer(1);
    let first = house.list("g2");
    assert_eq!(first.1, [""; 0]);
    house.timer(1);
    assert_eq!(house.list("g2"), first, "it is signed once");

    // 2. Believe G2
    house.step_2();
    for generation in ["g1", "g2"] {
        assert_eq!(house.crl("stale", generation), Some(0.0), "{generation}");
        assert_eq!(house.crl("entries", generation), Some(0.0), "{generation}");
    }
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unregistered")]);

    // 3. Sign with G2
    house.step_3();
    let against = house.sekisho(&["check", "--config", "sekisho.yaml", "--against", "g1.yaml"]).good();
    assert_eq!(against, "sekisho.yaml: ok, a reload brings all of it about\n");
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unregistered")]);
    let mut anybody = Browser::new(&house.gate);
    let own = fs::read(house.folder().join("data/ca-g2.crl")).unwrap();
    eventually("the portal to hand out G2's list", || anybody.open(WWW, "/sekisho/crl").body == own);
    // The test user of the page: theirs is too young to be renewed.
    house.reissue(SUZUKI);
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, "revoked")]);
    let (number, listed) = house.list("g1");
    assert_eq!(listed, [""; 0], "nobody publishes G1's");
    house.timer(3);
    assert_eq!(house.list("g1"), (number + 1, vec![serial(&suzuki)]));
    eventually("the gate has taken it up", || house.crl("entries", "g1") == Some(1.0));
    house.timer(3);
    assert_eq!(house.list("g1").0, number + 1, "nothing is due");
    assert_eq!(house.list("g2"), first);
    let new_suzuki = house.acquire(SUZUKI);
    assert!(signer(&new_suzuki).ends_with("OU=Mihon Bank CA-G2"), "{}", signer(&new_suzuki));
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, "revoked"), (&new_suzuki, GOOD)]);
    house.reconcile(4);
    assert_eq!(house.count(), 2);

    // 4. Let people move
    let mut browser = Browser::with(&house.gate, house.gate.client().choosing(&tanaka));
    let early = browser.open(CERT, "/sekisho/renewal");
    let early = if early.status == 303 { browser.follow(CERT, &early).1 } else { early };
    assert!(early.text().contains("から更新できます"), "{}", early.text());
    let text = house.gate.file("sekisho.yaml");
    house.gate.write("sekisho.yaml", &format!("{text}acquisition: {{ renew_from: 180d }}\n"));
    house.check_and_reload();
    let file = fetch_file(&mut browser, CERT);
    let new_tanaka = unpack(&file, &password(&mut browser, CERT));
    assert!(signer(&new_tanaka).ends_with("OU=Mihon Bank CA-G2"), "{}", signer(&new_tanaka));
    house.stand(&[(&new_tanaka, GOOD), (&tanaka, "retired"), (&ito, GOOD)]);

    // 5. See who still uses G1
    assert_eq!(house.count(), 1);
    let before = house.unknown();
    house.believe(&trust("g2"));
    house.stand(&[(&new_tanaka, GOOD), (&ito, "unknown_authority"), (&new_suzuki, GOOD)]);
    assert!(house.unknown() > before);
    house.step_2();
    house.stand(&[(&new_tanaka, GOOD), (&ito, GOOD), (&new_suzuki, GOOD)]);
    house.reissue(ITO);
    assert_eq!(house.count(), 0);
    let new_ito = house.acquire(ITO);
    house.stand(&[(&new_tanaka, GOOD), (&ito, "revoked"), (&new_ito, GOOD), (&new_suzuki, GOOD)]);
    assert_eq!(house.count(), 0);

    // 6. Stop believing G1
    let halves = [
        ("- certs/bank-ca-g1.pem\n", 78, "comes from none of the authorities"),
        ("data/ca-g1.crl, ", 0, "note: no source has a revocation list of "),
    ];
    for (half, code, told) in halves {
        let both = house.both();
        assert!(both.contains(half), "{both}");
        house.edit("half.yaml", "trust", "issuer", &both.replace(half, ""));
        let checked = house.sekisho(&["check", "--config", "half.yaml"]);
        let said = checked.stdout + &checked.stderr;
        assert!(checked.code == Some(code) && said.contains(told), "{said}");
    }
    house.believe(&trust("g2"));
    let gone = "unknown_authority";
    house.stand(&[(&tanaka, gone), (&ito, gone), (&suzuki, gone)]);
    house.stand(&[(&new_tanaka, GOOD), (&new_ito, GOOD), (&new_suzuki, GOOD), (&forged, "unregistered")]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (None, Some(0.0)));
    // Others may believe G1 still: they find in its list what was revoked last.
    house.timer(3);
    assert_eq!(house.list("g1"), (number + 2, vec![serial(&suzuki), serial(&ito)]));

    // 7. End G1
    for file in ["g1.yaml", "secrets/g1.key", "certs/bank-ca-g1.pem", "data/ca-g1.crl"] {
        fs::remove_file(house.folder().join(file)).unwrap();
    }
    house.check_and_reload();
    house.stand(&[(&new_tanaka, GOOD), (&new_ito, GOOD), (&new_suzuki, GOOD)]);
    house.reconcile(6);
}

#[test]
fn everybody_moves_from_g1_to_g2_as_the_page_says() {
    everybody_moves_from_g1_to_g2(&House::new(Clock::default()));
}

#[test]
fn everybody_moves_from_g1_to_g2_with_a_directory_in_postgresql() {
    let postgres = Postgres::start();
    let DirectorySettings::Postgres { url, .. } = postgres.database() else { unreachable!() };
    everybody_moves_from_g1_to_g2(&House::with_directory(Clock::default(), Some(url)));
}

/// A clock at which a list of now ends today: the commands go by the machine's, which nobody moves.
fn lists_ago() -> (Clock, Timestamp) {
    let today = Clock::default().now();
    // The gate is ahead of the commands: what they sign is in force.
    let later = today.checked_add(SignedDuration::from_mins(30)).unwrap();
    (Clock::manual(today.checked_sub(VALIDITY).unwrap()), later)
}

/// A house at a time when both are believed and G2 signs, with a user of G1's and one of G2's.
fn after_step_3(clock: Clock) -> (House, Credential, Credential) {
    let house = House::new(clock);
    let old = house.permitted(TANAKA);
    house.step_1();
    publish(house.folder(), "g2.yaml", house.gate.clock.now());
    house.step_2();
    house.step_3();
    let new = house.permitted(SUZUKI);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    (house, old, new)
}

#[test]
fn without_its_timer_g1s_clients_are_refused_when_its_last_list_ends() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    clock.set(later);
    house.stand(&[(&old, "revocation_unknown"), (&new, GOOD)]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (Some(1.0), Some(0.0)));
    house.timer(3);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (Some(0.0), Some(0.0)));
}

#[test]
fn after_step_2_nobody_notices_that_g2_is_not_believed_after_all() {
    let house = House::new(Clock::default());
    let old = house.permitted(TANAKA);
    let forged = house.g2.client(COMMON_NAME);
    house.step_1();
    house.timer(1);
    house.step_2();
    house.stand(&[(&old, GOOD), (&forged, "unregistered")]);
    house.believe(&trust("g1"));
    house.stand(&[(&old, GOOD), (&forged, "unknown_authority")]);
    assert_eq!(house.crl("stale", "g2"), None);
    house.step_2();
    house.stand(&[(&old, GOOD), (&forged, "unregistered")]);
}

#[test]
fn after_step_3_g1_signs_again_and_g2s_list_needs_the_timer() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    house.edit("sekisho.yaml", "issuer", "routes", &issuer(&house.page, "g1"));
    house.check_and_reload();
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    let ito = house.permitted(ITO);
    assert!(signer(&ito).ends_with("OU=Mihon Bank CA-G1"), "{}", signer(&ito));
    clock.set(later);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, "revocation_unknown")]);
    house.timer(1);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, GOOD)]);
    house.reissue(SUZUKI);
    house.timer(1);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, "revoked")]);
    assert_eq!(house.list("g2").1, [serial(&new)]);
}

/// Long after: its timer was stopped, so its last list has ended.
#[test]
fn after_step_6_g1_is_believed_again_once_it_has_a_list() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    house.believe(&trust("g2"));
    house.stand(&[(&old, "unknown_authority"), (&new, GOOD)]);
    clock.set(later);
    house.stand(&[(&old, "unknown_authority"), (&new, GOOD)]);
    // The other way round everybody of G1's is refused until the list is there.
    house.step_2();
    let file = house.folder().join("data/ca-g1.crl");
    let told = house.check();
    let note = "  note: the revocation list of \"O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1\" in ";
    assert!(told.starts_with(&format!("sekisho.yaml: ok\n{note}{} has ended (", file.display())), "{told}");
    house.stand(&[(&old, "revocation_unknown"), (&new, GOOD)]);
    house.believe(&trust("g2"));
    house.timer(3);
    house.step_2();
    assert_eq!(house.standing(&old), GOOD);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
}
