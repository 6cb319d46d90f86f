//! T9: tricks with the common name.

use crate::domain::{ContractId, Identity, Standing, UserId};
use crate::pki::testing::{CN, Ca, Source, now, tlv};
use crate::pki::tests::{GOOD, verdict};

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const FORM: (&str, &str) = ("bad_subject", "the common name does not have the configured form");
const TYPE: (&str, &str) = ("bad_subject", "the common name is neither PrintableString nor UTF8String");
const TWO: (&str, &str) = ("bad_subject", "the subject has more than one common name");
const SHARED: (&str, &str) = ("bad_subject", "the common name shares its RDN with another attribute");
const BROKEN: (&str, &str) = ("bad_subject", "the subject cannot be read");

/// 2.5.4.`id` = a string.
fn attribute(id: u8, tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[6, 3, 0x55, 4, id], &tlv(tag, value)[..]].concat())
}

fn cn(tag: u8, value: &[u8]) -> Vec<u8> {
    attribute(3, tag, value)
}

fn rdn(attributes: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &attributes.concat())
}

fn organisation() -> Vec<u8> {
    attribute(10, UTF8, b"Mihon Bank")
}

#[test]
fn the_common_name_is_who_it_is() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let judgement = trust.judge(&[ca.leaf(CN)], now());
    let contract = ContractId::new("12345678901234").unwrap();
    let user = UserId::new("user01").unwrap();
    assert_eq!(judgement.standing, Standing::Good(Identity { contract, user }));
}

#[test]
fn the_common_name_is_matched_by_its_bytes_and_nothing_is_folded_or_trimmed() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let cases: &[(&[u8], _)] = &[
        (b"12345678901234 user01", GOOD),
        (b"12345678901234 A", GOOD),
        (b"1234567890123 user01", FORM),
        (b"123456789012345 user01", FORM),
        (b"12345678901234  user01", FORM),
        (b" 12345678901234 user01", FORM),
        (b"12345678901234 user01 ", FORM),
        (b"12345678901234 user01\n", FORM),
        (b"12345678901234 user01\r\n", FORM),
        (b"12345678901234\tuser01", FORM),
        (b"12345678901234 user01\0", FORM),
        (b"12345678901234 user01\0 12345678901234 user02", FORM),
        (b"12345678901234\0user01", FORM),
        (b"12345678901234 ", FORM),
        (b"12345678901234", FORM),
        (b"", FORM),
        (b"x12345678901234 user01", FORM),
        (b"x\n12345678901234 user01\nx", FORM),
        ("１２３４５６７８９０１２３４ user01".as_bytes(), FORM),
        ("12345678901234 usеr01".as_bytes(), FORM), // CYRILLIC SMALL LETTER IE
        ("12345678901234\u{a0}user01".as_bytes(), FORM),
        ("12345678901234\u{3000}user01".as_bytes(), FORM),
        ("12345678901234 user\u{200b}01".as_bytes(), FORM),
        ("\u{feff}12345678901234 user01".as_bytes(), FORM),
        ("١٢٣٤٥٦٧٨٩٠١٢٣٤ user01".as_bytes(), FORM),
        (b"12345678901234 user01\xff", FORM),
        (b"12345678901234 1234567890123456789012345678901", FORM),
    ];
    for (value, expected) in cases {
        let leaf = ca.leaf_named(&rdn(&[cn(UTF8, value)]));
        assert_eq!(verdict(&trust, &[&leaf]), *expected, "{}", value.escape_ascii());
    }
}

#[test]
fn the_common_name_is_a_printable_or_utf8_string_and_nothing_else() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let utf16: Vec<u8> = CN.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let utf32: Vec<u8> = CN.chars().flat_map(|it| u32::from(it).to_be_bytes()).collect();
    for (name, tag, value, expected) in [
        ("UTF8String", UTF8, CN.as_bytes(), GOOD),
        ("PrintableString", PRINTABLE, CN.as_bytes(), GOOD),
        ("TeletexString", 0x14, CN.as_bytes(), TYPE),
        ("IA5String", 0x16, CN.as_bytes(), TYPE),
        ("NumericString", 0x12, b"12345678901234 1", TYPE),
        ("VisibleString", 0x1a, CN.as_bytes(), TYPE),
        ("BMPString", 0x1e, &utf16, TYPE),
        ("UniversalString", 0x1c, &utf32, TYPE),
        ("OCTET STRING", 0x04, CN.as_bytes(), TYPE),
    ] {
        let leaf = ca.leaf_named(&rdn(&[cn(tag, value)]));
        assert_eq!(verdict(&trust, &[&leaf]), expected, "{name}");
    }
}

#[test]
fn there_is_exactly_one_common_name_and_it_stands_alone_in_its_rdn() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let good = || cn(UTF8, CN.as_bytes());
    let other = || cn(UTF8, b"99999999999999 user99");
    let cases = [
        ("none", [rdn(&[organisation()])].concat(), ("bad_subject", "the subject has no common name")),
        ("empty subject", Vec::new(), ("bad_subject", "the subject has no common name")),
        ("first of all", [rdn(&[good()]), rdn(&[organisation()])].concat(), GOOD),
        ("two", [rdn(&[good()]), rdn(&[other()])].concat(), TWO),
        ("the same twice", [rdn(&[good()]), rdn(&[good()])].concat(), TWO),
        ("two of two types", [rdn(&[good()]), rdn(&[cn(0x1e, b"\0A")])].concat(), TWO),
        ("two in one RDN", rdn(&[good(), other()]), TWO),
        ("shared", rdn(&[good(), organisation()]), SHARED),
        ("shared, second", rdn(&[organisation(), good()]), SHARED),
        (
            "another RDN is multi-valued",
            [rdn(&[organisation(), organisation()]), rdn(&[good()])].concat(),
            GOOD,
        ),
    ];
    for (name, subject, expected) in cases {
        assert_eq!(verdict(&trust, &[&ca.leaf_named(&subject)]), expected, "{name}");
    }
}

#[test]
fn nothing_may_hide_in_what_another_parser_leaves_over() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let good = cn(UTF8, CN.as_bytes());
    // x509-parser reads a good name in each of these.
    let after_value = tlv(0x30, &[&[6, 3, 0x55, 4, 3][..], &tlv(UTF8, CN.as_bytes()), &[5, 0]].concat());
    let after_attribute = tlv(0x31, &[&good[..], &[5, 0]].concat());
    for (name, subject) in
        [("after the value", rdn(&[after_value])), ("after the attribute", after_attribute)]
    {
        assert_eq!(verdict(&trust, &[&ca.leaf_named(&subject)]), BROKEN, "{name}");
    }
}

#[test]
fn nothing_may_hide_where_another_parser_stops() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let good = rdn(&[cn(UTF8, CN.as_bytes())]);
    assert_eq!(verdict(&trust, &[&ca.leaf_named(&good)]), GOOD);
    // An RDN of nothing; x509-parser takes it for the end.
    for subject in [[&tlv(0x31, &[])[..], &good].concat(), [&good[..], &tlv(0x31, &[])].concat()] {
        assert_eq!(verdict(&trust, &[&ca.leaf_named(&subject)]), BROKEN);
    }
}

#[test]
fn what_the_form_lets_through_still_has_to_be_two_ids() {
    let ca = Ca::root("Mihon Bank CA");
    let mut source = Source::of(&[&ca]);
    source.common_name = "(?<contract>[^/]*)/(?<user>[^/]*)|(?<rest>none)".to_owned();
    let trust = source.load();
    let contract = ("bad_subject", "the contract ID is not 1 to 30 half-width letters and digits");
    let user = ("bad_subject", "the user ID is not 1 to 30 half-width letters and digits");
    for (common_name, expected) in [
        ("A1/b2", GOOD),
        ("/b2", contract),
        ("A 1/b2", contract),
        ("Ａ/b2", contract),
        ("none", contract),
        ("A1/", user),
        ("A1/b\r\n2", user),
        ("A1/1234567890123456789012345678901", user),
        ("x/A1/b2", FORM),
    ] {
        let leaf = ca.leaf_named(&rdn(&[cn(UTF8, common_name.as_bytes())]));
        assert_eq!(verdict(&trust, &[&leaf]), expected, "{common_name:?}");
    }
}

#[test]
fn a_form_is_anchored_as_a_whole_and_has_both_groups() {
    let ca = Ca::root("Mihon Bank CA");
    let mut source = Source::of(&[&ca]);
    source.common_name = "(?<contract>A)(?<user>B)|x".to_owned();
    for (common_name, expected) in [("AB", "good"), ("ABx", "bad_subject"), ("yx", "bad_subject")] {
        assert_eq!(verdict(&source.load(), &[&ca.leaf(common_name)]).0, expected, "{common_name}");
    }
    for (form, message) in [
        ("(?<contract>A)", "CommonName common_name has no group `(?<user>…)`"),
        ("(?<user>A)", "CommonName common_name has no group `(?<contract>…)`"),
        ("(?<contract>A)(?<user>B))|((x)", "CommonName common_name is not a regular expression over bytes: "),
        ("(?<contract>A)(?<user>[あ]*)", "CommonName common_name is not a regular expression over bytes: "),
    ] {
        source.common_name = form.to_owned();
        let errors = source.errors_at(now());
        assert!(matches!(&errors[..], [error] if error.starts_with(message)), "{form}: {errors:?}");
    }
}
