//! Checks of PINs as a whole: on hashes, bounded.

use std::num::NonZeroU32;

use super::*;
use crate::config::Size;
use crate::domain::{ContractId, UserId};

fn pins(concurrency: usize, waiting: usize) -> Pins {
    let cost = Argon2id { memory: Size::kib(8), iterations: NonZeroU32::MIN, parallelism: NonZeroU32::MIN };
    let peppers = vec![("a".to_owned(), Zeroizing::new(b"geheimgeheimgeheimgeheimgeheimge".to_vec()))];
    Pins::new(PinSettings { cost, peppers, concurrency, waiting, http: None }).unwrap()
}

fn identity() -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new("tanaka").unwrap() }
}

fn pin(text: &str) -> Pin {
    Pin::typed(text).unwrap()
}

#[tokio::test]
async fn a_pin_is_right_wrong_or_nobodys() {
    let pins = pins(1, 0);
    let hash = pins.hash(&pin("k7m2x9")).await.unwrap();
    let right = Ok(Verified::Right { rehash: None });
    assert_eq!(pins.verify(&identity(), &pin("ｋ7m2x9 "), Some(&hash)).await, right);
    assert_eq!(pins.verify(&identity(), &pin("k7m2x8"), Some(&hash)).await, Ok(Verified::Wrong));
    assert_eq!(pins.verify(&identity(), &pin("k7m2x9"), None).await, Ok(Verified::Wrong));
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_told_when_to_come_again() {
    let pins = pins(1, 1);
    let (served, waits) = (pins.bounds.turn().await.unwrap(), pins.clone());
    let waits = tokio::spawn(async move { waits.verify(&identity(), &pin("k7m2x9"), None).await });
    tokio::task::yield_now().await;
    let third = pins.verify(&identity(), &pin("k7m2x9"), None).await;
    assert!(matches!(third, Err(PinTrouble::Overloaded { .. })), "{third:?}");
    let hash = pins.hash(&pin("k7m2x9")).await;
    assert!(matches!(hash, Err(PinTrouble::Overloaded { .. })), "{hash:?}");
    drop(served);
    assert_eq!(waits.await.unwrap(), Ok(Verified::Wrong));
}

#[tokio::test]
async fn who_goes_away_frees_the_place() {
    let pins = pins(1, 1);
    let (served, waits) = (pins.bounds.turn().await.unwrap(), pins.clone());
    let waits = tokio::spawn(async move { waits.verify(&identity(), &pin("k7m2x9"), None).await });
    tokio::task::yield_now().await;
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    drop(served);
    assert_eq!(pins.verify(&identity(), &pin("k7m2x9"), None).await, Ok(Verified::Wrong));
}

#[test]
fn without_a_pepper_nothing_is_hashed() {
    let cost = Argon2id::default();
    let settings = PinSettings { cost, peppers: Vec::new(), concurrency: 1, waiting: 1, http: None };
    assert_eq!(Pins::new(settings).map(drop), Err("there is no pepper".to_owned()));
}

#[test]
fn what_checks_pins_prints_no_secret() {
    assert_eq!(format!("{:?}", pins(1, 1)), "Pins(directory)");
}
