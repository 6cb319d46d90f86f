//! The judge remembers what is good, and forgets it in time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::date_time_ymd;
use rustls::pki_types::CertificateDer;

use crate::domain::Standing;
use crate::pki::testing::{CN, Ca, Source, at, now};
use crate::pki::tests::said;
use crate::pki::{Judge, Trust};

fn judge(trust: Trust) -> (Arc<ArcSwap<Trust>>, Judge) {
    let trust = Arc::new(ArcSwap::from_pointee(trust));
    (Arc::clone(&trust), Judge::new(trust))
}

#[test]
fn a_good_judgement_is_made_once_and_a_refusal_every_time() {
    let ca = Ca::root("Mihon Bank CA");
    let (_, judge) = judge(Source::of(&[&ca]).load());
    let (good, bad) = ([ca.leaf(CN)], [Ca::root("Stranger").leaf(CN)]);
    assert!(Arc::ptr_eq(&judge.judge(&good, now()), &judge.judge(&good, now())));
    assert_eq!(judge.judge(&bad, now()), judge.judge(&bad, now()));
    assert!(!Arc::ptr_eq(&judge.judge(&bad, now()), &judge.judge(&bad, now())));
    assert_eq!(judge.judge(&[], now()).standing, Standing::Absent);
}

#[test]
fn what_was_good_is_judged_anew_outside_of_its_validity() {
    let ca = Ca::root("Mihon Bank CA");
    let (_, judge) = judge(Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).load());
    let leaf = [ca.leaf_with(CN, |it| it.not_after = date_time_ymd(2026, 6, 15))];
    let at = |time| said(&judge.judge(&leaf, at(time)).standing).0;
    assert_eq!(at("2026-06-15T00:00:00Z"), "good");
    assert_eq!(at("2026-06-15T00:00:00.9Z"), "good");
    assert_eq!(at("2026-06-15T00:00:01Z"), "expired");
    assert_eq!(at("2025-12-31T23:59:59Z"), "not_yet_valid");
    assert_eq!(at("2026-06-15T00:00:00Z"), "good");
}

#[test]
fn what_was_good_is_refused_once_its_crl_is_stale() {
    let ca = Ca::root("Mihon Bank CA");
    let (_, judge) = judge(Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).load());
    let leaf = [ca.leaf(CN)];
    assert_eq!(said(&judge.judge(&leaf, at("2026-06-30T23:59:59Z")).standing).0, "good");
    assert_eq!(said(&judge.judge(&leaf, at("2026-07-01T00:00:00Z")).standing).0, "revocation_unknown");
}

#[test]
fn a_new_trust_is_obeyed_at_once() {
    let ca = Ca::root("Mihon Bank CA");
    let leaf = [ca.leaf(CN)];
    let (trust, judge) = judge(Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).load());
    let before = judge.generation();
    assert_eq!(said(&judge.judge(&leaf, now()).standing).0, "good");

    trust.store(Arc::new(Source::of(&[&ca]).with_crls(&[ca.crl(2, &[0x0abc])]).load()));
    assert!(judge.generation() > before);
    assert_eq!(said(&judge.judge(&leaf, now()).standing).0, "revoked");

    trust.store(Arc::new(Source::of(&[&Ca::root("Another CA")]).load()));
    assert_eq!(said(&judge.judge(&leaf, now()).standing).0, "unknown_authority");
}

#[test]
fn a_remembered_judgement_is_of_that_very_certificate() {
    let ca = Ca::root("Mihon Bank CA");
    let (_, judge) = judge(Source::of(&[&ca]).load());
    let leaf = ca.leaf(CN);
    assert_eq!(said(&judge.judge(std::slice::from_ref(&leaf), now()).standing).0, "good");
    // Same subject, same serial, same issuer; another signature, and the good one as company.
    let mut forged = leaf.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let chain = [CertificateDer::from(forged), leaf];
    assert_eq!(said(&judge.judge(&chain, now()).standing).0, "unknown_authority");
}
