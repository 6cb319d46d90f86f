//! What the issuer signs, looked at by others: OpenSSL, a lint of the profile, and four importers; and the same with its key
//! encrypted, and in an HSM.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use sekisho::clock::Clock;
use sekisho::domain::{ContractId, Identity, RevocationCause, UserId};
use sekisho::pki::{Issuer, IssuerKeySource, IssuerSettings, ListEntry, Signed, certificate_pem};
use tempfile::TempDir;
use x509_parser::prelude::*;

use crate::support::process::{outcome, run};
use crate::support::write_secret;

const PASSWORD: &str = "K7QM-2XWD-9RTF-AB3C-XYZ2";

/// An issuer whose CA was made by OpenSSL, as a bank's would be.
struct Bank {
    folder: TempDir,
}

impl Bank {
    fn new(algorithm: &[&str]) -> Self {
        let bank = Self { folder: tempfile::tempdir().unwrap() };
        let (key, certificate) = (bank.path("ca.key"), bank.path("ca.pem"));
        let words = [
            &["req", "-x509", "-nodes", "-days", "3650", "-subj", "/O=Mihon Bank, Ltd./CN=Mihon Bank CA-G2"]
                [..],
            &["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", &key, "-out", &certificate],
            algorithm,
        ];
        run("openssl", &words.concat()).good();
        bank
    }

    fn ecdsa() -> Self {
        Self::new(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn settings(&self, key: IssuerKeySource) -> IssuerSettings {
        IssuerSettings {
            certificate: self.path("ca.pem").into(),
            key,
            organization: None,
            unit: None,
            validity: Duration::from_secs(365 * 86_400),
            crl_url: "http://crl.mihonbank.example/ca.crl".to_owned(),
        }
    }

    fn file(&self) -> IssuerKeySource {
        IssuerKeySource::File { key: self.path("ca.key").into(), passphrase: None }
    }

    fn open(&self) -> Issuer {
        Issuer::open(self.settings(self.file()), Clock::default().now()).unwrap()
    }

    fn problems(&self, key: IssuerKeySource) -> Vec<String> {
        let errors = Issuer::open(self.settings(key), Clock::default().now()).err().unwrap();
        errors.into_iter().map(|error| format!("{:?} {}", error.part, error.message)).collect()
    }

    /// Has OpenSSL verify a certificate, against the CA and a list that revokes what `revoked` says.
    fn verifies(&self, issuer: &Issuer, signed: &Signed, revoked: &[&str]) -> bool {
        let now = Clock::default().now();
        let entries: Vec<_> = revoked
            .iter()
            .map(|serial| ListEntry {
                serial: (*serial).to_owned(),
                at: now,
                cause: RevocationCause::Withdrawn,
            })
            .collect();
        let next = now + jiff::SignedDuration::from_hours(24);
        let list = issuer.sign_list(7, &entries, now, next).unwrap();
        std::fs::write(self.path("ca.crl"), list).unwrap();
        run(
            "openssl",
            &["crl", "-inform", "DER", "-in", &self.path("ca.crl"), "-out", &self.path("crl.pem")],
        )
        .good();
        std::fs::write(self.path("leaf.pem"), certificate_pem(&signed.chain[0])).unwrap();
        let (ca, crl, leaf) = (self.path("ca.pem"), self.path("crl.pem"), self.path("leaf.pem"));
        let words = ["verify", "-x509_strict", "-purpose", "sslclient", "-crl_check", "-CAfile", &ca];
        let verified = run("openssl", &[&words[..], &["-CRLfile", &crl, &leaf]].concat());
        verified.code == Some(0)
    }
}

fn ito() -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new("ito").unwrap() }
}

/// The profile, field by field.
fn lint(signed: &Signed, organization: &str, unit: &str) {
    let (_, certificate) = parse_x509_certificate(&signed.chain[0]).unwrap();
    assert_eq!(certificate.version(), X509Version::V3);
    let serial = certificate.raw_serial();
    assert!((9..=20).contains(&serial.len()) && serial[0] & 0x80 == 0, "{serial:02x?}");
    let subject = format!("O={organization}, OU={unit}, CN=10000000000001 ito");
    assert_eq!(certificate.subject().to_string(), subject);
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && !basic.value.ca);
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1, "digitalSignature alone");
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any && extended.other.is_empty());
    let names: Vec<_> =
        certificate.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
    // Key usages, constraints, both key identifiers, the distribution point, and nothing else.
    let mut expected =
        ["2.5.29.14", "2.5.29.15", "2.5.29.19", "2.5.29.31", "2.5.29.35", "2.5.29.37"].to_vec();
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    let days = certificate.validity().not_after.timestamp() - Clock::default().now().as_second();
    assert!((364 * 86_400..=365 * 86_400).contains(&days), "{days}");
}

#[test]
fn every_certificate_verifies_and_keeps_to_the_profile() {
    let authorities = [
        Bank::ecdsa(),
        Bank::new(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        Bank::new(&["-newkey", "rsa:3072"]),
    ];
    for bank in authorities {
        let issuer = bank.open();
        let (file, _) = issuer.sign_file(&ito(), PASSWORD, false, Clock::default().now()).unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let asked = issuer.sign_request(request.der(), &ito(), Clock::default().now()).unwrap();
        assert_ne!(file.serial, asked.serial);
        for signed in [&file, &asked] {
            lint(signed, "Mihon Bank, Ltd.", "Mihon Bank CA-G2");
            assert!(bank.verifies(&issuer, signed, &[]));
            assert!(!bank.verifies(&issuer, signed, &[&signed.serial]), "it is revoked");
        }
    }
}

#[test]
fn a_request_is_proven_and_strong_and_nothing_else_of_it_counts() {
    let issuer = Bank::ecdsa().open();
    let sign = |der: &[u8]| issuer.sign_request(der, &ito(), Clock::default().now()).map(drop);
    let of = |algorithm| {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
    };
    let good = of(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(sign(&good), Ok(()));
    let weak = "its key is neither ECDSA on P-256 or P-384 nor RSA of 3072 bits or more";
    let error = |der: &[u8]| format!("{:?}", sign(der).unwrap_err());
    assert_eq!(error(&of(&rcgen::PKCS_ED25519)), format!("BadRequest({weak:?})"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weak.csr");
    let out = file.to_str().unwrap();
    let words = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-outform", "DER"];
    run("openssl", &[&words[..], &["-keyout", "/dev/null", "-out", out]].concat()).good();
    assert_eq!(error(&std::fs::read(&file).unwrap()), format!("BadRequest({weak:?})"));
    // Whatever one bit of it is changed, it is refused or it is the same key: never a panic, never another's.
    for position in 0..good.len() {
        let mut changed = good.clone();
        changed[position] ^= 1;
        assert!(sign(&changed).is_err(), "byte {position}");
        assert!(sign(&good[..position]).is_err());
    }
}

#[test]
fn the_file_imports_into_openssl_nss_java_and_gnutls() {
    let bank = Bank::ecdsa();
    let issuer = bank.open();
    for legacy in [false, true] {
        let (_, file) = issuer.sign_file(&ito(), PASSWORD, legacy, Clock::default().now()).unwrap();
        let path = bank.path("certificate.p12");
        write_secret(Path::new(&path), &file);
        let password = format!("pass:{PASSWORD}");
        let words = ["pkcs12", "-in", &path, "-nodes", "-passin", &password];
        let words = if legacy { [&words[..], &["-legacy"]].concat() } else { words.to_vec() };
        assert!(run("openssl", &words).good().contains("BEGIN PRIVATE KEY"));
        let info = run("openssl", &[&words[..], &["-info", "-noout"]].concat()).stderr;
        let expected = if legacy { "pbeWithSHA1And3-KeyTripleDES-CBC" } else { "PBES2, PBKDF2, AES-256-CBC" };
        assert!(info.contains(expected), "{info}");
        assert!(legacy || info.contains("MAC: sha256"), "{info}");

        let nss = tempfile::tempdir().unwrap();
        let database = format!("sql:{}", nss.path().display());
        run("certutil", &["-N", "-d", &database, "--empty-password"]).good();
        run("pk12util", &["-d", &database, "-i", &path, "-W", PASSWORD]).good();
        assert!(run("certutil", &["-K", "-d", &database]).good().contains("ec"));
        let words = ["-list", "-storetype", "PKCS12", "-keystore", &path, "-storepass", PASSWORD];
        assert!(run("keytool", &words).good().contains("PrivateKeyEntry"));
        let words = ["--p12-info", "--inder", "--infile", &path, "--password", PASSWORD];
        assert!(run("certtool", &words).good().contains("BEGIN"));
    }
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_and_what_is_wrong_is_said() {
    let bank = Bank::ecdsa();
    let (plain, encrypted) = (bank.path("ca.key"), bank.path("encrypted.key"));
    let words = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", &plain, "-out", &encrypted];
    run("openssl", &[&words[..], &["-passout", "pass:hunter2"]].concat()).good();
    let mode = |path: &str, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&encrypted, 0o600);
    write_secret(Path::new(&bank.path("right")), b"hunter2\n");
    write_secret(Path::new(&bank.path("wrong")), b"hunter3\n");
    let source = |key: &str, passphrase: Option<&str>| IssuerKeySource::File {
        key: bank.path(key).into(),
        passphrase: passphrase.map(|name| PathBuf::from(bank.path(name))),
    };
    let settings = bank.settings(source("encrypted.key", Some("right")));
    let issuer = Issuer::open(settings, Clock::default().now()).unwrap();
    let (signed, _) = issuer.sign_file(&ito(), PASSWORD, false, Clock::default().now()).unwrap();
    assert!(bank.verifies(&issuer, &signed, &[]));
    let told = |key, passphrase| bank.problems(source(key, passphrase)).join("\n");
    assert_eq!(
        told("encrypted.key", Some("wrong")),
        format!("Passphrase {}: it does not open {encrypted}", bank.path("wrong"))
    );
    assert_eq!(
        told("encrypted.key", None),
        format!("Key {encrypted}: it is encrypted: `passphrase_file` is missing")
    );
    assert_eq!(
        told("ca.key", Some("right")),
        format!("Key {plain}: it is not encrypted, so it needs no `passphrase_file`")
    );
    assert_eq!(told("none.key", None), format!("Key {}: there is no such file", bank.path("none.key")));
    let other = Bank::ecdsa();
    std::fs::copy(other.path("ca.key"), bank.path("other.key")).unwrap();
    assert_eq!(
        told("other.key", None),
        format!("Key the key does not belong to the certificate in {}", bank.path("ca.pem"))
    );
    mode(&plain, 0o644);
    assert!(told("ca.key", None).contains("others may read or write it (mode 644)"));
}

/// A token of SoftHSM with the CA's key in it.
fn token(bank: &Bank) -> PathBuf {
    let tokens = bank.folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = bank.path("softhsm2.conf");
    std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let softhsm = |words: &[&str]| {
        outcome(Command::new("softhsm2-util").args(words).env("SOFTHSM2_CONF", &config)).good()
    };
    softhsm(&["--init-token", "--free", "--label", "bank-ca", "--so-pin", "12345678", "--pin", "1234"]);
    let key = bank.path("ca.key");
    softhsm(&["--import", &key, "--token", "bank-ca", "--label", "g2", "--id", "a1", "--pin", "1234"]);
    config.into()
}

/// Where Debian has the library.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Runs again in a process of its own, whose environment says where the tokens are: the library reads nothing else.
fn in_a_process_of_its_own(test: &str, config: &Path, folder: &Path) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.env("SOFTHSM2_CONF", config).env("SEKISHO_TEST_BANK", folder);
    outcome(&mut command).good();
}

#[test]
fn a_key_in_an_hsm_signs_certificates_and_lists() {
    for algorithm in [&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..], &["-newkey", "rsa:3072"]]
    {
        let bank = Bank::new(algorithm);
        let config = token(&bank);
        write_secret(Path::new(&bank.path("pin")), b"1234\n");
        write_secret(Path::new(&bank.path("wrong")), b"4321\n");
        // Nothing of the key is left but in the token.
        std::fs::remove_file(bank.path("ca.key")).unwrap();
        in_a_process_of_its_own("issuer::with_an_hsm", &config, bank.folder.path());
    }
}

#[test]
#[ignore = "a part of a_key_in_an_hsm_signs_certificates_and_lists"]
#[expect(
    clippy::disallowed_methods,
    reason = "the other half of it hands its folder over by the environment"
)]
fn with_an_hsm() {
    let folder = std::env::var("SEKISHO_TEST_BANK").unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["ca.pem", "pin", "wrong"] {
        std::fs::copy(Path::new(&folder).join(file), copy.path().join(file)).unwrap();
    }
    let bank = Bank { folder: copy };
    let source = |token: &str, label: &str, pin: &str| IssuerKeySource::Pkcs11 {
        module: MODULE.into(),
        token: token.to_owned(),
        label: label.to_owned(),
        pin: bank.path(pin).into(),
    };
    let told = |key| bank.problems(key).join("\n");
    assert_eq!(
        told(source("bank-ca", "g2", "wrong")),
        format!("Pkcs11 {MODULE}: the PIN for the token `bank-ca` is wrong")
    );
    assert_eq!(
        told(source("bank-ca", "g3", "pin")),
        format!("Pkcs11 {MODULE}: the token `bank-ca` has no private key `g3`")
    );
    assert_eq!(told(source("none", "g2", "pin")), format!("Pkcs11 {MODULE}: there is no token `none`"));
    let settings = bank.settings(source("bank-ca", "g2", "pin"));
    let issuer = Issuer::open(settings, Clock::default().now()).unwrap();
    let (signed, _) = issuer.sign_file(&ito(), PASSWORD, false, Clock::default().now()).unwrap();
    lint(&signed, "Mihon Bank, Ltd.", "Mihon Bank CA-G2");
    assert!(bank.verifies(&issuer, &signed, &[]));
    assert!(!bank.verifies(&issuer, &signed, &[&signed.serial]));
}
