//! T6: what a client certificate and its path must be, and which reason is given when it isn't.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use crate::domain::Standing;
use crate::pki::testing::{CN, Ca, Change, Source, at, now, validity};
use crate::pki::tests::{GOOD, reason, said, verdict};

const STRANGER: (&str, &str) = ("unknown_authority", "no path leads to one of the authorities");

#[test]
fn no_certificate_is_absent() {
    let trust = Source::of(&[&Ca::root("Mihon Bank CA")]).load();
    assert_eq!(trust.judge(&[], now()).standing, Standing::Absent);
}

#[test]
fn a_good_certificate_is_described_and_good_until_the_first_of_its_path_ends() {
    let root = Ca::root("Mihon Bank CA");
    let ca =
        root.intermediate_with("Mihon Bank CA-G2", |params| params.not_after = date_time_ymd(2026, 12, 1));
    let leaf = ca.leaf(CN);
    let judgement = Source::of(&[&root]).load().judge(&[leaf.clone(), ca.der().clone()], now());
    assert_eq!(said(&judgement.standing), GOOD);
    assert_eq!(judgement.valid_until(), Some(at("2026-12-01T00:00:00Z")));
    assert_eq!(judgement.validity.map(|validity| validity.from), Some(validity().from));
    let described = judgement.leaf.unwrap();
    assert_eq!(described.serial, "0abc");
    assert_eq!((described.not_before, described.not_after), (validity().from, validity().until));
    assert_eq!(described.fingerprint_hex().len(), 64);
}

#[test]
fn every_ca_of_the_path_may_sign_certificates_and_none_exceeds_a_path_length() {
    let signs = "an issuer in the path is no CA, or its keyUsage lacks keyCertSign";
    let length = "the path is longer than a CA's path length allows";
    let cases: [(&str, Change); 6] = [
        ("", |_| {}),
        ("", |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        (signs, |it| it.key_usages = vec![KeyUsagePurpose::CrlSign]),
        (signs, |it| it.key_usages.clear()),
        (signs, |it| it.is_ca = IsCa::ExplicitNoCa),
        (signs, |it| it.is_ca = IsCa::NoCa),
    ];
    let root = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&root]).load();
    for (detail, change) in cases {
        let ca = root.intermediate_with("Mihon Bank CA-G2", change);
        let expected = if detail.is_empty() { GOOD } else { ("wrong_usage", detail) };
        assert_eq!(verdict(&trust, &[&ca.leaf(CN), ca.der()]), expected);
    }

    let zero: Change = |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let middle = root.intermediate_with("Middle", zero);
    let ca = middle.intermediate("Mihon Bank CA-G2");
    assert_eq!(verdict(&trust, &[&ca.leaf(CN), ca.der(), middle.der()]), ("wrong_usage", length));

    // webpki doesn't ask an anchor for it.
    let root = Ca::root_with("Mihon Bank CA", zero);
    let trust = Source::of(&[&root]).load();
    let ca = root.intermediate("Mihon Bank CA-G2");
    assert_eq!(verdict(&trust, &[&ca.leaf(CN), ca.der()]), ("wrong_usage", length));
    assert_eq!(verdict(&trust, &[&root.leaf(CN)]), GOOD);
}

#[test]
fn name_constraints_of_anchor_and_intermediate_bind() {
    let only = |params: &mut CertificateParams| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("mihonbank.example".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    };
    let refused = ("wrong_usage", "a CA's name constraints do not allow the name");
    let named = |ca: &Ca, name: &str| {
        let san = SanType::DnsName(name.try_into().unwrap());
        ca.leaf_with(CN, |params| params.subject_alt_names = vec![san])
    };
    let root = Ca::root("Mihon Bank CA");
    let constrained = root.intermediate_with("Mihon Bank CA-G2", only);
    let trust = Source::of(&[&root]).load();
    assert_eq!(verdict(&trust, &[&named(&constrained, "a.mihonbank.example"), constrained.der()]), GOOD);
    assert_eq!(verdict(&trust, &[&named(&constrained, "evil.example"), constrained.der()]), refused);

    let root = Ca::root_with("Mihon Bank CA", only);
    assert_eq!(verdict(&Source::of(&[&root]).load(), &[&named(&root, "evil.example")]), refused);
}

#[test]
fn a_strangers_certificate_is_a_strangers_whatever_else_is_wrong_with_it() {
    let trust = Source::of(&[&Ca::root("Mihon Bank CA")]).load();
    let stranger = Ca::root("Public CA");
    let namesake = Ca::root("Mihon Bank CA");
    let expired: Change = |it| it.not_after = date_time_ymd(2026, 2, 1);
    let future: Change = |it| it.not_before = date_time_ymd(2026, 8, 1);
    let server: Change = |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let self_signed: Change = |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for change in [|_: &mut CertificateParams| {}, expired, future, server, self_signed] {
        for ca in [&stranger, &namesake] {
            let leaf = ca.leaf_with(CN, change);
            assert_eq!(verdict(&trust, &[&leaf]), STRANGER);
            assert_eq!(verdict(&trust, &[&leaf, ca.der()]), STRANGER);
        }
        let ca = stranger.intermediate("Mihon Bank CA-G2");
        assert_eq!(verdict(&trust, &[&ca.leaf_with("x", change), ca.der(), stranger.der()]), STRANGER);
    }
    // An authority is not its own client.
    assert_eq!(verdict(&trust, &[stranger.der()]), STRANGER);
}

#[test]
fn a_missing_intermediate_is_an_unknown_authority_unless_the_operator_lists_it() {
    let root = Ca::root("Mihon Bank CA");
    let ca = root.intermediate("Mihon Bank CA-G2");
    let leaf = ca.leaf(CN);
    assert_eq!(verdict(&Source::of(&[&root]).load(), &[&leaf]), STRANGER);
    assert_eq!(verdict(&Source::of(&[&root]).load(), &[&leaf, ca.der()]), GOOD);
    assert_eq!(verdict(&Source::of(&[&root, &ca]).load(), &[&leaf]), GOOD);
    assert_eq!(verdict(&Source::of(&[&ca]).load(), &[&leaf]), GOOD);
    // The intermediate's other children are still strangers to somebody who lists only the intermediate.
    assert_eq!(verdict(&Source::of(&[&ca]).load(), &[&root.leaf(CN)]), STRANGER);
}

#[test]
fn a_listed_intermediate_is_bound_by_its_listed_root() {
    let root = Ca::root_with("Mihon Bank CA", |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let middle = root.intermediate("Middle");
    let ca = middle.intermediate("Mihon Bank CA-G2");
    let leaf = ca.leaf(CN);
    assert_eq!(reason(&Source::of(&[&root, &middle, &ca]).load(), &[&leaf]), "wrong_usage");
    assert_eq!(reason(&Source::of(&[&middle]).load(), &[&leaf, ca.der()]), "good");
}

#[test]
fn a_validity_begins_and_ends_on_the_exact_second() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let leaf = [ca.leaf(CN)];
    for (time, expected) in [
        ("2025-12-31T23:59:59.999Z", ("not_yet_valid", "the certificate is before its notBefore")),
        ("2026-01-01T00:00:00Z", GOOD),
        ("2027-01-01T00:00:00Z", GOOD),
        ("2027-01-01T00:00:00.999Z", GOOD),
        ("2027-01-01T00:00:01Z", ("expired", "the certificate is past its notAfter")),
        ("1969-12-31T23:59:59Z", ("not_yet_valid", "the certificate is before its notBefore")),
    ] {
        assert_eq!(said(&trust.judge(&leaf, at(time)).standing), expected, "{time}");
    }
}

#[test]
fn a_ca_out_of_its_validity_vouches_for_nobody_not_even_as_an_anchor() {
    let eternal: Change = |it| it.not_after = date_time_ymd(2050, 1, 1);
    let root = Ca::root("Mihon Bank CA");
    let short = root.intermediate_with("Mihon Bank CA-G2", |it| it.not_after = date_time_ymd(2030, 1, 1));
    let trust = Source::of(&[&root]).load();
    let past = |time, chain: &[CertificateDer<'static>]| said(&trust.judge(chain, at(time)).standing);
    let expired = ("expired", "a CA's certificate of the path is past its notAfter");
    let chain = [short.leaf_with(CN, eternal), short.der().clone()];
    assert_eq!(past("2030-01-01T00:00:01Z", &chain), expired);
    assert_eq!(past("2040-01-01T00:00:00Z", &[root.leaf_with(CN, eternal)]), GOOD);
    assert_eq!(past("2040-01-01T00:00:01Z", &[root.leaf_with(CN, eternal)]), expired);
}

#[test]
fn a_root_renewed_with_its_key_takes_over_from_the_expired_one() {
    let old = Ca::root_with("Mihon Bank CA", |it| it.not_after = date_time_ymd(2026, 5, 1));
    let new = old.again(|it| it.not_after = date_time_ymd(2036, 5, 1));
    let leaf = [old.leaf(CN)];
    assert_eq!(said(&Source::of(&[&old, &new]).load().judge(&leaf, now()).standing), GOOD);
    let other = Ca::root("Another CA");
    assert_eq!(said(&Source::of(&[&old, &other]).load().judge(&leaf, now()).standing).0, "expired");
}

#[test]
fn a_certificate_without_an_end_is_good_as_long_as_time_can_be_told() {
    let ca = Ca::root_with("Mihon Bank CA", |it| it.not_after = date_time_ymd(9999, 12, 31));
    let leaf = ca.leaf_with(CN, |it| it.not_after = date_time_ymd(9999, 12, 31));
    let judgement = Source::of(&[&ca]).load().judge(&[leaf], now());
    assert_eq!(said(&judgement.standing), GOOD);
    assert_eq!(judgement.valid_until(), Some(jiff::Timestamp::MAX));
}

#[test]
fn a_chain_of_more_than_eight_certificates_is_not_looked_at() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let chain = |length| vec![ca.leaf(CN); length];
    assert_eq!(said(&trust.judge(&chain(8), now()).standing), GOOD);
    let expected = ("malformed", "the chain has more than 8 certificates");
    assert_eq!(said(&trust.judge(&chain(9), now()).standing), expected);
}
