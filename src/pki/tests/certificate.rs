//! T6: what a client's own certificate must be, by itself.

use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::pki_types::CertificateDer;

use crate::pki::testing::{CN, Ca, Change, Forged, Source, extension, tlv};
use crate::pki::tests::{GOOD, verdict};

#[test]
fn usages_other_than_a_clients_are_refused() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let cases: [(&str, Change); 8] = [
        ("keyUsage is absent", |it| it.key_usages.clear()),
        ("keyUsage lacks digitalSignature", |it| it.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        ("extendedKeyUsage is absent", |it| it.extended_key_usages.clear()),
        ("the extendedKeyUsage of a certificate of the path lacks clientAuth", |it| {
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("the extendedKeyUsage of a certificate of the path lacks clientAuth", |it| {
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        }),
        ("the certificate is a CA's", |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ("", |it| it.is_ca = IsCa::NoCa),
        ("", |it| it.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth)),
    ];
    for (detail, change) in cases {
        let expected = if detail.is_empty() { GOOD } else { ("wrong_usage", detail) };
        assert_eq!(verdict(&trust, &[&ca.leaf_with(CN, change)]), expected);
    }
}

#[test]
fn keys_of_every_accepted_kind_are_good() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        assert_eq!(verdict(&trust, &[&ca.leaf_for(&key, CN, |_| {})]), GOOD);
    }
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    assert_eq!(verdict(&trust, &[&ca.leaf_for(&rsa, CN, |_| {})]), GOOD);
}

#[test]
fn weak_keys_are_refused_whoever_signed_the_certificate() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let short = ("weak_key", "the RSA key is shorter than 2048 bits");
    let exponent = ("weak_key", "the RSA key's public exponent is too small, too large or even");
    let kind = ("weak_key", "the public key is neither RSA, nor ECDSA on P-256, P-384 or P-521, nor Ed25519");
    let broken = ("malformed", "the public key cannot be read");
    let point = ("malformed", "the public key is not an uncompressed point of its curve");
    let (p256, secp256k1): (&[u8], &[u8]) =
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], &[0x2b, 0x81, 0x04, 0, 0x0a]);
    let cases = [
        ("RSA-1024", rsa(1024, &[1, 0, 1]), short),
        ("RSA-2047", rsa(2047, &[1, 0, 1]), short),
        ("RSA-16384", rsa(16384, &[1, 0, 1]), ("weak_key", "the RSA key is longer than 8192 bits")),
        ("e = 3", rsa(2048, &[3]), exponent),
        ("e = 65535", rsa(2048, &[0, 0xff, 0xff]), exponent),
        ("e = 65538", rsa(2048, &[1, 0, 2]), exponent),
        ("e of 34 bits", rsa(2048, &[2, 0, 0, 0, 1]), exponent),
        ("e of 100 octets", rsa(2048, &[0x7f; 100]), exponent),
        ("e < 0", rsa(2048, &[0x80]), broken),
        ("secp256k1", ec(secp256k1, &[&[4][..], &[7; 64]].concat()), kind),
        ("compressed P-256", ec(p256, &[&[2][..], &[7; 32]].concat()), point),
        ("short P-256", ec(p256, &[&[4][..], &[7; 63]].concat()), point),
        ("X25519", spki(&[6, 3, 0x2b, 0x65, 0x6e], &[7; 32]), kind),
        ("short Ed25519", spki(&[6, 3, 0x2b, 0x65, 0x70], &[7; 31]), broken),
    ];
    for (name, key, expected) in cases {
        assert_eq!(verdict(&trust, &[&ca.leaf_with_key(&key)]), expected, "{name}");
        assert_eq!(verdict(&trust, &[&Ca::root("Stranger").leaf_with_key(&key)]), expected, "{name}");
    }
}

#[test]
fn signatures_with_sha1_are_weak() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let ecdsa_with_sha1 = tlv(0x30, &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]);
    let sha1 = |signed: &[u8]| {
        CertificateDer::from(ca.forge(signed, |forged| {
            forged.fields[Forged::ALGORITHM] = ecdsa_with_sha1.clone();
            forged.algorithm = ecdsa_with_sha1.clone();
        }))
    };
    let expected = ("weak_key", "the certificate is signed with an algorithm that is not accepted");
    assert_eq!(verdict(&trust, &[&sha1(&ca.leaf(CN))]), expected);

    let below = ca.intermediate("Mihon Bank CA-G2");
    let expected = ("weak_key", "a certificate of the path is signed with an algorithm that is not accepted");
    assert_eq!(verdict(&trust, &[&below.leaf(CN), &sha1(below.der())]), expected);
}

#[test]
fn what_is_no_certificate_of_version_3_is_malformed() {
    let ca = Ca::root("Mihon Bank CA");
    let trust = Source::of(&[&ca]).load();
    let leaf = ca.leaf(CN);
    let is = |der: Vec<u8>| verdict(&trust, &[&CertificateDer::from(der)]);
    let nothing = ("malformed", "not a DER-encoded X.509 certificate");
    assert_eq!(is(Vec::new()), nothing);
    assert_eq!(is(b"hello".to_vec()), nothing);
    assert_eq!(is([leaf.as_ref(), &[0]].concat()), nothing);
    assert_eq!(is(leaf[..leaf.len() - 1].to_vec()), nothing);

    let version = |version| ca.forge(&leaf, |forged| forged.fields[0] = tlv(0xa0, &[2, 1, version]));
    assert_eq!(is(version(1)), ("malformed", "not an X.509 v3 certificate"));
    assert_eq!(is(version(2)), GOOD);
    let serial = |serial: &[u8]| ca.forge(&leaf, |forged| forged.fields[Forged::SERIAL] = tlv(2, serial));
    assert_eq!(is(serial(&[0x7f; 21])), ("malformed", "the serial number is longer than 20 octets"));
    assert_eq!(is(serial(&[&[0][..], &[0xff; 20]].concat())), GOOD);

    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    let critical = ca.leaf_with(CN, |params| params.custom_extensions = vec![unknown]);
    assert_eq!(is(critical.to_vec()), ("malformed", "a critical extension is not understood"));
    let twice = ca.forge(&leaf, |forged| {
        let usage = extension(15, true, &[3, 2, 7, 0x80]);
        forged.replace_extension(15, &[usage.clone(), usage]);
    });
    assert_eq!(is(twice), ("malformed", "an extension cannot be read or is there twice"));
    let unreadable = ca.forge(&leaf, |it| it.replace_extension(19, &[extension(19, true, &[0x30, 1, 7])]));
    assert_eq!(is(unreadable), ("malformed", "an extension cannot be read or is there twice"));
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let key = tlv(3, &[&[0][..], key].concat());
    tlv(0x30, &[tlv(0x30, algorithm), key].concat())
}

fn ec(curve: &[u8], point: &[u8]) -> Vec<u8> {
    spki(&[&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], &tlv(6, curve)[..]].concat(), point)
}

fn rsa(bits: usize, exponent: &[u8]) -> Vec<u8> {
    // A modulus of exactly so many bits.
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= 8 * bits.div_ceil(8) - bits;
    let modulus = if modulus[0] >= 0x80 { [&[0][..], &modulus].concat() } else { modulus };
    let key = tlv(0x30, &[tlv(2, &modulus), tlv(2, exponent)].concat());
    spki(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0], &key)
}
