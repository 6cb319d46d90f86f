//! T7: revocation lists, believed only if all is well with them, and without mercy once they are missing.

use std::time::Duration;

use rcgen::{CertificateParams, KeyUsagePurpose, SerialNumber, date_time_ymd};
use rcgen::{CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope};

use crate::pki::Trust;
use crate::pki::testing::{CN, Ca, Source, at, extension, now, tlv};
use crate::pki::tests::{GOOD, said, verdict};

const REVOKED: (&str, &str) = ("revoked", "a CRL names a certificate of the path");
const NO_CRL: (&str, &str) = ("revocation_unknown", "there is no CRL of an issuer in the path");
const STALE: (&str, &str) = ("revocation_unknown", "the CRL of an issuer in the path is past its nextUpdate");

/// The serial of every leaf of the tests.
const LEAF: u64 = 0x0abc;

fn serial(serial: u64) -> impl Fn(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}

#[test]
fn a_certificate_that_a_crl_names_is_revoked_and_no_other_one() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[7, LEAF, 0xff])]).load();
    assert_eq!(verdict(&trust, &[&ca.leaf(CN)]), REVOKED);
    assert_eq!(verdict(&trust, &[&ca.leaf_with(CN, serial(8))]), GOOD);
    assert_eq!(verdict(&trust, &[&ca.leaf_with(CN, serial(0xff))]), REVOKED);
    assert_eq!(verdict(&trust, &[&ca.leaf_with(CN, serial(0x07ff))]), GOOD);
}

#[test]
fn a_revoked_intermediate_takes_its_clients_with_it() {
    let root = Ca::root("Mihon Bank CA");
    let ca = root.intermediate_with("Mihon Bank CA-G2", serial(0x99));
    let (leaf, lists) = (ca.leaf(CN), |revoked: &[u64]| [root.crl(1, revoked), ca.crl(1, &[])]);
    for listed in [&[&root][..], &[&root, &ca]] {
        let mut source = Source::of(listed);
        source = if listed.len() == 2 {
            source.with_crls(&lists(&[]))
        } else {
            source.with_crls(&[root.crl(1, &[])])
        };
        let expected = if listed.len() == 2 { GOOD } else { NO_CRL };
        assert_eq!(verdict(&source.load(), &[&leaf, ca.der()]), expected);
    }
    let trust = Source::of(&[&root, &ca]).with_crls(&lists(&[0x99])).load();
    assert_eq!(verdict(&trust, &[&leaf, ca.der()]), REVOKED);
    assert_eq!(verdict(&trust, &[&leaf]), REVOKED);
    assert_eq!(verdict(&trust, &[&root.leaf(CN)]), GOOD);
}

#[test]
fn an_anchor_is_never_looked_up_in_a_crl() {
    let root = Ca::root_with("Mihon Bank CA", serial(0x99));
    let trust = Source::of(&[&root]).with_crls(&[root.crl(1, &[0x99])]).load();
    assert_eq!(verdict(&trust, &[&root.leaf(CN)]), GOOD);
}

#[test]
fn without_a_crl_of_the_issuer_the_status_is_unknown_and_the_client_refused() {
    let (ca, other) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA-G2"));
    let leaf = ca.leaf(CN);
    let only_other = Source::of(&[&ca, &other]).with_crls(&[other.crl(1, &[])]).load();
    assert_eq!(verdict(&only_other, &[&leaf]), NO_CRL);
    assert_eq!(verdict(&only_other, &[&other.leaf(CN)]), GOOD);
    assert_eq!(verdict(&Source::of(&[&ca]).with_crls(&[]).load(), &[&leaf]), NO_CRL);
    assert_eq!(verdict(&Source::of(&[&ca]).load(), &[&leaf]), GOOD);
}

#[test]
fn a_crl_speaks_until_the_second_before_its_next_update() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[7])]).load();
    let (leaf, revoked) = ([ca.leaf(CN)], [ca.leaf_with(CN, serial(7))]);
    assert_eq!(trust.judge(&leaf, now()).valid_until(), Some(at("2026-06-30T23:59:59Z")));
    assert_eq!(said(&trust.judge(&leaf, at("2026-06-30T23:59:59.9Z")).standing), GOOD);
    assert_eq!(said(&trust.judge(&leaf, at("2026-07-01T00:00:00Z")).standing), STALE);
    assert_eq!(said(&trust.judge(&revoked, at("2026-07-01T00:00:00Z")).standing), REVOKED);
    // Loaded stale, it says as little as one that went stale.
    let trust = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).load_at(at("2026-08-01T00:00:00Z")).unwrap();
    assert_eq!(said(&trust.judge(&leaf, at("2026-08-01T00:00:00Z")).standing), STALE);
}

#[test]
fn a_ca_with_a_new_key_under_its_old_name_needs_a_crl_of_each_key() {
    let (old, new) = (Ca::root("Mihon Bank CA"), Ca::root("Mihon Bank CA"));
    let trust = Source::of(&[&old, &new]).with_crls(&[old.crl(1, &[LEAF]), new.crl(1, &[])]).load();
    assert_eq!(verdict(&trust, &[&old.leaf(CN)]), REVOKED);
    assert_eq!(verdict(&trust, &[&new.leaf(CN)]), GOOD);
    let trust = Source::of(&[&old, &new]).with_crls(&[old.crl(1, &[])]).load();
    assert_eq!(verdict(&trust, &[&new.leaf(CN)]), NO_CRL);
}

#[test]
fn of_two_crls_of_one_ca_the_newer_one_counts_in_either_order() {
    let ca = Ca::root("Mihon Bank CA");
    let (older, newer) = (ca.crl(255, &[LEAF]), ca.crl(256, &[]));
    for lists in [[older.clone(), newer.clone()], [newer, older]] {
        assert_eq!(verdict(&Source::of(&[&ca]).with_crls(&lists).load(), &[&ca.leaf(CN)]), GOOD);
    }
}

#[test]
fn a_crl_that_a_fast_clock_made_counts_at_once() {
    let ca = Ca::root("Mihon Bank CA");
    let made = |at| ca.crl_with(1, &[LEAF], |params| params.this_update = at);
    let loaded = |list| Source::of(&[&ca]).with_crls(&[list]).load_at(now());
    let midnight = date_time_ymd(2026, 6, 1);
    let trust = loaded(made(midnight + Duration::from_secs(3600))).unwrap();
    assert_eq!(verdict(&trust, &[&ca.leaf(CN)]), REVOKED);
    assert!(loaded(made(midnight + Duration::from_secs(3601))).is_err());
}

#[test]
fn a_crl_with_anything_wrong_is_not_loaded_and_its_file_is_named() {
    let ca = Ca::root("Mihon Bank CA");
    let good = ca.crl(1, &[LEAF]);
    let of = "0.crl: the revocation list of \"O=Mihon Bank, CN=Mihon Bank CA\"";
    let the = "0.crl: the revocation list";
    let delta = extension(27, true, &[2, 1, 1]);
    let number = || extension(20, false, &[2, 1, 1]);
    let unknown = |critical| extension(99, critical, &[5, 0]);
    let with = |extensions: &[Vec<u8>]| ca.forge(&good, |forged| forged.replace_extension(20, extensions));
    let point = |flags: &[u8]| {
        let name = tlv(0xa0, &tlv(0xa0, &tlv(0x86, b"http://x/crl")));
        with(&[number(), extension(28, true, &tlv(0x30, &[&name, flags].concat()))])
    };
    let damaged = |at: usize| {
        let mut list = good.clone();
        list[at] ^= 1;
        list
    };
    let cases = [
        (
            "unsigned",
            damaged(good.len() - 1),
            format!("{of} does not bear the signature of the authority of that name"),
        ),
        (
            "made by a namesake",
            Ca::root("Mihon Bank CA").crl(1, &[]),
            format!("{of} does not bear the signature of the authority of that name"),
        ),
        (
            "of another issuer",
            Ca::root("Another CA").crl(1, &[]),
            format!("{the} of \"O=Mihon Bank, CN=Another CA\" comes from none of the authorities"),
        ),
        ("without a number", with(&[]), format!("{the} has no CRL number")),
        (
            "without extensions",
            ca.forge(&good, |forged| drop(forged.fields.pop())),
            format!("{the} has no CRL number"),
        ),
        ("with two numbers", with(&[number(), number()]), format!("{the} is not a well-formed CRL")),
        (
            "negative number",
            with(&[extension(20, false, &[2, 1, 0x80])]),
            format!("{the} has a CRL number that cannot be read"),
        ),
        (
            "unknown critical extension",
            with(&[number(), unknown(true)]),
            format!("{the} has a critical extension that is not understood"),
        ),
        ("delta", with(&[number(), delta]), format!("{the} is a delta CRL: only complete CRLs are taken")),
        (
            "indirect",
            point(&[0x84, 1, 0xff]),
            format!("{the} is an indirect CRL: only complete CRLs are taken"),
        ),
        (
            "some reasons",
            point(&[0x83, 2, 6, 0x40]),
            format!("{the} is limited by an issuingDistributionPoint: only complete CRLs are taken"),
        ),
        (
            "of one distribution point",
            point(&[]),
            format!("{the} is limited by an issuingDistributionPoint: only complete CRLs are taken"),
        ),
        (
            "without nextUpdate",
            ca.forge(&good, |forged| drop(forged.fields.remove(4))),
            format!("{the} has no nextUpdate"),
        ),
        (
            "of version 1",
            ca.forge(&good, |forged| {
                forged.fields.remove(0);
                forged.fields.pop();
            }),
            format!("{the} is a CRL of version 1: it has no CRL number"),
        ),
        (
            "from so far in the future that no clock explains it",
            ca.crl_with(1, &[], |params| params.this_update = date_time_ymd(2026, 6, 2)),
            format!("{the} is not in force yet: its thisUpdate is 2026-06-02T00:00:00Z"),
        ),
        ("trailing bytes", [&good[..], &[0]].concat(), { format!("{the} is not a well-formed CRL") }),
        ("empty", Vec::new(), "0.crl: it is empty".to_owned()),
        (
            "a certificate",
            ca.pem().into_bytes(),
            "0.crl: there is no CRL in it, but a certificate".to_owned(),
        ),
    ];
    for (name, list, message) in cases {
        let errors = Source::of(&[&ca]).with_crls(&[list]).errors_at(now());
        assert_eq!(errors, [format!("Crl(0) {message}")], "{name}");
    }
    let harmless = with(&[number(), unknown(false)]);
    assert_eq!(verdict(&Source::of(&[&ca]).with_crls(&[harmless]).load(), &[&ca.leaf(CN)]), REVOKED);
}

#[test]
fn rcgens_partitioned_crls_are_not_taken_either() {
    let ca = Ca::root("Mihon Bank CA");
    for scope in [CrlScope::UserCertsOnly, CrlScope::CaCertsOnly] {
        let part = |params: &mut CertificateRevocationListParams| {
            let distribution_point = CrlDistributionPoint { uris: vec!["http://x/crl".to_owned()] };
            params.issuing_distribution_point =
                Some(CrlIssuingDistributionPoint { distribution_point, scope: Some(scope) });
        };
        let errors = Source::of(&[&ca]).with_crls(&[ca.crl_with(1, &[], part)]).errors_at(now());
        assert!(errors[0].ends_with("only complete CRLs are taken"), "{errors:?}");
    }
}

#[test]
fn a_crl_of_an_authority_without_crl_sign_is_not_loaded() {
    let ca = Ca::root_with("Mihon Bank CA", |it| it.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    let errors = Source::of(&[&ca]).with_crls(&[ca.crl(1, &[])]).errors_at(now());
    let expected = "Crl(0) 0.crl: the revocation list of \"O=Mihon Bank, CN=Mihon Bank CA\" is signed by an \
                    authority that may not sign CRLs: its keyUsage lacks cRLSign";
    assert_eq!(errors, [expected]);
}

#[test]
fn a_reload_never_brings_a_crl_back_that_is_older_or_stale_while_the_one_in_use_serves() {
    let ca = Ca::root("Mihon Bank CA");
    let source = |crl: Vec<u8>| Source::of(&[&ca]).with_crls(&[crl]);
    let in_use: Trust = source(ca.crl(5, &[LEAF])).load();
    let after = |crl: Vec<u8>, time| {
        let source = source(crl);
        in_use.successor(&source.source(), at(time)).map(drop).map_err(|errors| source.messages(errors))
    };
    let of = "Crl(0) 0.crl: the revocation list of \"O=Mihon Bank, CN=Mihon Bank CA\" is";
    let stale = ca.crl_with(6, &[LEAF], |params| params.next_update = date_time_ymd(2026, 5, 20));
    let june = "2026-06-01T00:00:00Z";
    assert_eq!(after(ca.crl(5, &[LEAF]), june), Ok(()));
    assert_eq!(after(ca.crl(6, &[]), june), Ok(()));
    assert_eq!(after(ca.crl(4, &[]), june), Err(vec![format!("{of} older than the one in use")]));
    assert_eq!(after(stale.clone(), june), Err(vec![format!("{of} stale, while the one in use is not")]));
    // Once the one in use is stale itself, nothing can get worse.
    assert_eq!(after(stale, "2026-07-01T00:00:00Z"), Ok(()));
    assert_eq!(after(ca.crl(4, &[]), "2026-07-01T00:00:00Z"), Ok(()));
}
