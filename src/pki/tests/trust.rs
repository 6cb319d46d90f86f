//! T5: a trust is loaded whole or not at all, and is never empty.

use std::fs;

use rcgen::{IsCa, KeyUsagePurpose, date_time_ymd};

use crate::pki::testing::{CN, Ca, Change, Source, at, now, pem};
use crate::pki::tests::{GOOD, verdict};

#[test]
fn an_authorities_file_that_is_missing_empty_or_broken_is_an_error() {
    let ca = Ca::root("Mihon Bank CA");
    let mut source = Source::of(&[&ca]);
    for (content, message) in [
        ("", "it is empty"),
        ("none here", "there is no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "the PEM is broken: a section has no END line"),
        (&pem(b"no certificate"), "certificate 1 in it is not a well-formed X.509 certificate"),
        (&pem(&[ca.der(), &[0][..]].concat()), "certificate 1 in it is not a well-formed X.509 certificate"),
        (
            &(ca.pem() + &pem(&ca.leaf(CN))),
            "certificate 2 in it is not a CA's: basicConstraints lacks CA:TRUE",
        ),
    ] {
        fs::write(&source.authorities[0].file, content).unwrap();
        assert_eq!(source.errors_at(now()), [format!("Authority(0) ca-0.pem: {message}")]);
    }
    fs::remove_file(&source.authorities[0].file).unwrap();
    assert_eq!(source.errors_at(now()), ["Authority(0) ca-0.pem: there is no such file"]);
    source.authorities.clear();
    assert_eq!(source.errors_at(now()), ["Authority(0) there are no authorities"]);
}

#[test]
fn an_authority_is_a_ca_that_may_sign_certificates_with_a_strong_key() {
    let cases: [(Change, &str); 4] = [
        (|it| it.is_ca = IsCa::ExplicitNoCa, "is not a CA's: basicConstraints lacks CA:TRUE"),
        (|it| it.is_ca = IsCa::NoCa, "is not a CA's: basicConstraints lacks CA:TRUE"),
        (|it| it.key_usages.clear(), "may not sign certificates: keyUsage is absent"),
        (
            |it| it.key_usages = vec![KeyUsagePurpose::CrlSign],
            "may not sign certificates: keyUsage lacks keyCertSign",
        ),
    ];
    for (change, problem) in cases {
        let source = Source::of(&[&Ca::root_with("Mihon Bank CA", change)]);
        assert_eq!(
            source.errors_at(now()),
            [format!("Authority(0) ca-0.pem: certificate 1 in it {problem}")]
        );
    }
    // A v1 certificate, as old roots are, has no extensions at all; webpki would take it for an anchor.
    let ca = Ca::root("Mihon Bank CA");
    let source = Source::of(&[&ca]);
    let old = ca.forge(ca.der(), |forged| {
        forged.fields.remove(0);
        forged.fields.truncate(6);
    });
    fs::write(&source.authorities[0].file, pem(&old)).unwrap();
    let message = "Authority(0) ca-0.pem: certificate 1 in it is not a CA's: basicConstraints lacks CA:TRUE";
    assert_eq!(source.errors_at(now()), [message]);
}

#[test]
fn all_errors_are_told_at_once_but_none_twice() {
    let ca = Ca::root("Mihon Bank CA");
    let mut source = Source::of(&[&ca, &ca, &ca]).with_crls(&[ca.crl(1, &[]), Vec::new()]);
    fs::write(&source.authorities[0].file, "").unwrap();
    fs::write(&source.authorities[2].file, pem(&ca.leaf(CN)).repeat(2)).unwrap();
    source.common_name = "(".to_owned();
    let errors = source.errors_at(now());
    let starts = ["CommonName", "Authority(0)", "Authority(2)", "Authority(2)"];
    assert_eq!(errors.iter().map(|error| error.split(' ').next().unwrap()).collect::<Vec<_>>(), starts);

    let mut source = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[]), Vec::new()]);
    source.common_name = "(".to_owned();
    let errors = source.errors_at(now());
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[1], "Crl(1) 1.crl: it is empty");
}

#[test]
fn at_least_one_authority_is_in_force() {
    let expired = Ca::root_with("Mihon Bank CA", |it| it.not_after = date_time_ymd(2026, 5, 31));
    let future = Ca::root_with("Mihon Bank CA-G3", |it| it.not_before = date_time_ymd(2026, 6, 2));
    let good = Ca::root("Mihon Bank CA-G2");
    let message = "Authority(0) none of the authorities is within its validity";
    assert_eq!(Source::of(&[&expired]).errors_at(now()), [message]);
    assert_eq!(Source::of(&[&expired, &future]).errors_at(now()), [message]);
    let trust = Source::of(&[&expired, &good, &future]).load();
    assert_eq!(verdict(&trust, &[&good.leaf(CN)]), GOOD);
    assert_eq!(verdict(&trust, &[&expired.leaf(CN)]).0, "expired");
    assert_eq!(verdict(&trust, &[&future.leaf(CN)]).0, "not_yet_valid");
}

#[test]
fn authorities_may_share_a_file_and_be_there_twice() {
    let (one, two) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA-G2"));
    let source = Source::of(&[&one, &one]);
    fs::write(&source.authorities[0].file, one.pem() + "# a comment\n" + &two.pem() + &one.pem()).unwrap();
    let trust = source.load();
    assert_eq!(trust.authorities().len(), 2);
    assert_eq!(trust.authorities()[1].subject(), "O=Mihon Bank, CN=Mihon Bank CA-G2");
    assert_eq!(trust.authorities()[1].validity().until, at("2040-01-01T00:00:00Z"));
    assert_eq!(verdict(&trust, &[&two.leaf(CN)]), GOOD);
}

#[test]
fn every_trust_has_a_generation_of_its_own_greater_than_those_before() {
    let ca = Ca::root("Mihon Bank CA");
    let source = Source::of(&[&ca]);
    let first = source.load();
    let second = first.successor(&source.source(), now()).unwrap();
    assert!(0 < first.generation() && first.generation() < second.generation());
}

#[test]
fn a_trust_tells_of_its_crls() {
    let ca = Ca::root("Mihon Bank CA");
    assert!(Source::of(&[&ca]).load().crls().is_none());
    let trust = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).load();
    let [crl] = trust.crls().unwrap() else { panic!("one CRL") };
    assert_eq!(
        (crl.issuer(), crl.next_update()),
        ("O=Mihon Bank, CN=Mihon Bank CA", at("2026-07-01T00:00:00Z"))
    );
    assert!(crl.in_force(now()) && !crl.in_force(at("2026-07-01T00:00:00Z")));
}

/// The form of the second generation's names.
const G2_FORM: &str = "(?<contract>[0-9]{14})-(?<user>[0-9]{3})";
const G2_CN: &str = "12345678901234-001";

#[test]
fn the_nearest_authority_with_a_form_of_its_own_decides_how_the_name_is_read() {
    let (root, other) = (Ca::root("Mihon Bank Root"), Ca::root("Mihon Bank CA"));
    let (listed, unlisted) = (root.intermediate("Mihon Bank CA-G2"), root.intermediate("Mihon Bank CA-G3"));
    let bad = ("bad_subject", "the common name does not have the configured form");
    let own = |source: &mut Source, index: usize| {
        source.authorities[index].common_name = Some(G2_FORM.to_owned());
    };
    // The root's form is that of all below it; the other root has the form of all.
    let mut source = Source::of(&[&root, &listed, &other]);
    own(&mut source, 0);
    let trust = source.load();
    for (ca, chain) in [(&root, None), (&listed, None), (&unlisted, Some(unlisted.der()))] {
        for (name, expected) in [(G2_CN, GOOD), (CN, bad)] {
            let leaf = ca.leaf(name);
            let chain: Vec<_> = std::iter::once(&leaf).chain(chain).collect();
            assert_eq!(verdict(&trust, &chain), expected, "{name}");
        }
    }
    assert_eq!(verdict(&trust, &[&other.leaf(CN)]), GOOD);
    assert_eq!(verdict(&trust, &[&other.leaf(G2_CN)]), bad);
    // A form at the intermediate is nearer, and no business of the root's other clients.
    let mut source = Source::of(&[&root, &listed]);
    own(&mut source, 1);
    let trust = source.load();
    assert_eq!(verdict(&trust, &[&listed.leaf(G2_CN)]), GOOD);
    assert_eq!(verdict(&trust, &[&listed.leaf(CN)]), bad);
    assert_eq!(verdict(&trust, &[&root.leaf(CN)]), GOOD);
    assert_eq!(verdict(&trust, &[&root.leaf(G2_CN)]), bad);
}

#[test]
fn one_ca_has_one_form_also_if_it_was_renewed() {
    let ca = Ca::root("Mihon Bank CA");
    let renewed = ca.again(|it| it.not_after = date_time_ymd(2050, 1, 1));
    let mut source = Source::of(&[&ca, &renewed]);
    source.authorities[1].common_name = Some(G2_FORM.to_owned());
    let message = "Authority(1) ca-1.pem: the authority \"O=Mihon Bank, CN=Mihon Bank CA\" is listed twice, with \
                   different common names";
    assert_eq!(source.errors_at(now()), [message]);
    source.authorities[0].common_name = Some(G2_FORM.to_owned());
    assert_eq!(verdict(&source.load(), &[&renewed.leaf(G2_CN)]), GOOD);
    source.authorities[0].common_name = Some("(".to_owned());
    assert!(source.errors_at(now())[0].starts_with("AuthorityCommonName(0) common_name is not a regular"));
}
