//! The development PKI as its users meet it: files in a folder, read by other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use tempfile::TempDir;
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    RevocationOptionsBuilder, anchor_from_trusted_cert,
};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::*;
use crate::domain::{ContractId, UserId};

const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn stem(name: &str) -> FileStem {
    FileStem::new(name).unwrap()
}

fn tanaka() -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new("tanaka").unwrap() }
}

fn made() -> (TempDir, Authority) {
    let folder = TempDir::new().unwrap();
    let authority =
        Authority::create(folder.path(), &AuthorityName::default(), Existing::Keep, now()).unwrap();
    (folder, authority)
}

#[test]
fn an_issued_client_certificate_has_the_profile() {
    let (_folder, mut authority) = made();
    let credential = authority.issue_client(&stem("user"), &tanaka(), 365, now()).unwrap();
    let (rest, certificate) = X509Certificate::from_der(credential.certificate()).unwrap();
    assert!(rest.is_empty());
    assert_eq!(certificate.version(), X509Version::V3);
    assert_eq!(certificate.raw_serial().len(), 20);
    assert!(certificate.raw_serial()[0] & 0x80 == 0, "positive");
    assert_eq!(certificate.issuer().to_string(), "O=Mihon Bank, Ltd., CN=Mihon Bank CA-G1");
    assert_eq!(
        certificate.subject().to_string(),
        "O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka"
    );
    assert_eq!(certificate.subject().iter_common_name().count(), 1);
    assert_eq!(certificate.validity().not_before.timestamp(), NOW);
    assert_eq!(certificate.validity().not_after.timestamp(), NOW + 365 * 86_400);
    assert_eq!(certificate.signature_algorithm.algorithm.to_id_string(), "1.2.840.10045.4.3.2");

    let mut seen = Vec::new();
    for extension in certificate.extensions() {
        let (name, critical) = match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => {
                assert_eq!(usage.flags, 1, "digitalSignature alone");
                ("key usage", true)
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                assert!(usage.client_auth && !usage.server_auth && !usage.any && usage.other.is_empty());
                ("extended key usage", false)
            }
            ParsedExtension::BasicConstraints(constraints) => {
                assert!(!constraints.ca && constraints.path_len_constraint.is_none());
                ("basic constraints", true)
            }
            ParsedExtension::SubjectKeyIdentifier(_) => ("subject key identifier", false),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                assert_eq!(id.key_identifier.as_ref().unwrap().0, key_identifier(&authority.certificate));
                ("authority key identifier", false)
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                let text = format!("{:?}", points.points[0].distribution_point);
                assert!(text.contains("http://crl.mihonbank.example/ca.crl"), "{text}");
                ("CRL distribution points", false)
            }
            other => panic!("an extension too many: {other:?}"),
        };
        assert_eq!(extension.critical, critical, "{name}");
        seen.push(name);
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

fn key_identifier(certificate: &[u8]) -> Vec<u8> {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
        .unwrap()
}

#[test]
fn the_authority_signs_leaves_and_lists_only() {
    let (_folder, authority) = made();
    let (_, certificate) = X509Certificate::from_der(&authority.certificate).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert_eq!(usage.value.flags.count_ones(), 2);
    assert_eq!(certificate.validity().not_after.timestamp(), NOW + 3652 * 86_400);
}

#[test]
fn a_server_certificate_names_its_hosts_and_may_be_rsa() {
    let (_folder, mut authority) = made();
    let hosts = ["www.localhost".to_owned(), "localhost".to_owned()];
    let credential = authority.issue_server(&stem("www"), &hosts, KeyKind::Rsa3072, 365, now()).unwrap();
    let (_, certificate) = X509Certificate::from_der(credential.certificate()).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let names: Vec<_> = names.value.general_names.iter().collect();
    assert_eq!(names, [&GeneralName::DNSName("www.localhost"), &GeneralName::DNSName("localhost")]);
    let usage = certificate.extended_key_usage().unwrap().unwrap();
    assert!(usage.value.server_auth && !usage.value.client_auth);
    let key = certificate.public_key().parsed().unwrap();
    assert_eq!(key.key_size(), 3072);
    let refused = authority.issue_server(&stem("bad"), &["é".to_owned()], KeyKind::EcdsaP256, 1, now());
    assert_eq!(refused.err().unwrap().to_string(), "`é` is not a host name");
}

#[test]
fn nothing_is_valid_beyond_its_issuer() {
    let (_folder, mut authority) = made();
    let late = Timestamp::from_second(NOW + 3650 * 86_400).unwrap();
    let credential = authority.issue_client(&stem("late"), &tanaka(), 365, late).unwrap();
    assert_eq!(credential.issued().not_after, authority.not_after());
    let too_late = authority.issue_client(&stem("later"), &tanaka(), 365, authority.not_after());
    assert!(matches!(too_late, Err(Error::Ended(_))));
}

#[test]
fn a_contract_in_a_certificate_has_fourteen_digits() {
    let (_folder, mut authority) = made();
    for bad in ["1000000000001", "100000000000001", "1000000000000a"] {
        let identity = Identity { contract: ContractId::new(bad).unwrap(), ..tanaka() };
        let refused = authority.issue_client(&stem("bad"), &identity, 365, now());
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
    }
    assert!(authority.issued().is_empty());
}

/// The judgement of webpki with the list in the folder.
fn verify(folder: &Path, certificate: &CertificateDer<'_>) -> Result<(), webpki::Error> {
    let authority = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
    let list = CertificateRevocationListDer::from_pem_file(folder.join("ca.crl")).unwrap();
    let list = CertRevocationList::from(BorrowedCertRevocationList::from_der(&list).unwrap());
    let lists = [&list];
    let revocation = RevocationOptionsBuilder::new(&lists)
        .unwrap()
        .with_expiration_policy(ExpirationPolicy::Enforce)
        .build();
    let anchor = anchor_from_trusted_cert(&authority).unwrap();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(NOW).unwrap() + 60));
    EndEntityCert::try_from(certificate)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            time,
            KeyUsage::client_auth(),
            Some(revocation),
            None,
        )
        .map(|_| ())
}

#[test]
fn a_revoked_certificate_is_in_the_list_and_revoking_twice_is_clear() {
    let (folder, mut authority) = made();
    let good = authority.issue_client(&stem("good"), &tanaka(), 365, now()).unwrap();
    let bad = authority.issue_client(&stem("bad"), &tanaka(), 365, now()).unwrap();
    assert_eq!(verify(folder.path(), bad.certificate()), Ok(()));
    let serial = bad.issued().serial;
    assert_eq!(authority.revoke(&serial, now()).unwrap(), Revocation::Done);
    let list = authority.write_crl(30, now()).unwrap();
    assert_eq!((list.number, list.revoked), (2, 1), "the first list was made with the CA");
    assert_eq!(verify(folder.path(), good.certificate()), Ok(()));
    assert_eq!(verify(folder.path(), bad.certificate()), Err(webpki::Error::CertRevoked));

    let later = Timestamp::from_second(NOW + 5).unwrap();
    assert_eq!(authority.revoke(&serial, later).unwrap(), Revocation::AlreadyAt(now()));
    assert_eq!(authority.write_crl(30, later).unwrap().number, 3);
    let unknown = Serial::parse("01").unwrap();
    let refused = authority.revoke(&unknown, now()).err().unwrap().to_string();
    assert_eq!(refused, "this CA issued no certificate with the serial number 01");
}

#[test]
fn an_authority_is_the_same_after_it_was_closed() {
    let (folder, mut authority) = made();
    let before = authority.issue_client(&stem("a"), &tanaka(), 365, now()).unwrap();
    drop(authority);
    let mut authority = Authority::open(folder.path()).unwrap();
    assert_eq!(authority.name(), &AuthorityName::default());
    assert_eq!(authority.issued(), [before.issued().clone()]);
    let after = authority.issue_client(&stem("b"), &tanaka(), 365, now()).unwrap();
    authority.revoke(&before.issued().serial, now()).unwrap();
    authority.write_crl(30, now()).unwrap();
    assert_eq!(verify(folder.path(), after.certificate()), Ok(()));
    assert_eq!(verify(folder.path(), before.certificate()), Err(webpki::Error::CertRevoked));
    assert_eq!(list(folder.path()).unwrap().len(), 2);
}

#[test]
fn an_existing_authority_is_replaced_only_on_purpose() {
    let (folder, authority) = made();
    drop(authority);
    let again = |existing| Authority::create(folder.path(), &AuthorityName::default(), existing, now());
    let before = fs::read(folder.path().join("ca.pem")).unwrap();
    assert!(matches!(again(Existing::Keep), Err(Error::Exists(_))));
    assert_eq!(fs::read(folder.path().join("ca.pem")).unwrap(), before);
    drop(again(Existing::Replace).unwrap());
    assert_ne!(fs::read(folder.path().join("ca.pem")).unwrap(), before);
    Authority::open(folder.path()).unwrap();
}

#[test]
fn files_of_different_authorities_are_not_opened_together() {
    let ((one, first), (other, second)) = (made(), made());
    drop((first, second));
    for file in ["ca.pem", "ca.key", "issued.json"] {
        let kept = fs::read(one.path().join(file)).unwrap();
        fs::copy(other.path().join(file), one.path().join(file)).unwrap();
        assert!(matches!(Authority::open(one.path()), Err(Error::Broken { .. })), "{file}");
        fs::write(one.path().join(file), "nonsense").unwrap();
        assert!(matches!(Authority::open(one.path()), Err(Error::Broken { .. })), "{file}");
        fs::remove_file(one.path().join(file)).unwrap();
        assert!(Authority::open(one.path()).is_err(), "{file}");
        fs::write(one.path().join(file), kept).unwrap();
    }
    Authority::open(one.path()).unwrap();
}

#[test]
fn only_its_owner_may_read_a_key() {
    let (folder, mut authority) = made();
    let credential = authority.issue_client(&stem("user"), &tanaka(), 365, now()).unwrap();
    // A file that was there before with a wider mode does not lend it to the key.
    fs::write(folder.path().join("user.key"), "").unwrap();
    credential.write(folder.path(), &stem("user"), Some(&Password::new("demo").unwrap())).unwrap();
    for (file, expected) in
        [("ca.key", 0o600), ("user.key", 0o600), ("user.p12", 0o600), ("ca.pem", 0o644), ("user.pem", 0o644)]
    {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        // The process's umask may only take away.
        assert_eq!(mode & 0o777 & !expected, 0, "{file}");
    }
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let temporary = entries.filter(|name| name.to_str().unwrap().ends_with(".new")).count();
    assert_eq!(temporary, 0);
}

#[test]
fn openssl_reads_the_pkcs12_file() {
    let (folder, mut authority) = made();
    let credential = authority.issue_client(&stem("user"), &tanaka(), 365, now()).unwrap();
    let password = Password::generate().unwrap();
    credential.write(folder.path(), &stem("user"), Some(&password)).unwrap();
    let output = Command::new("openssl")
        .args(["pkcs12", "-info", "-nodes", "-in"])
        .arg(folder.path().join("user.p12"))
        .arg("-passin")
        .arg(format!("pass:{}", password.reveal()))
        .output()
        .unwrap();
    let (text, info) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{info}");
    assert!(info.contains("MAC: sha256, Iteration 10000"), "{info}");
    assert!(info.contains("PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256"), "{info}");
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2, "{text}");
    assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 1);
    assert!(text.contains("friendlyName: O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka"));
    assert_eq!(
        read_whole(folder.path(), &stem("user"), Some(&password)).unwrap(),
        credential.issued().serial
    );
    assert!(read_whole(folder.path(), &stem("user"), Some(&Password::new("wrong").unwrap())).is_err());
}

#[test]
fn files_of_different_certificates_are_not_taken_for_one() {
    let (folder, mut authority) = made();
    let password = Password::new("demo").unwrap();
    for name in ["one", "other"] {
        let credential = authority.issue_client(&stem(name), &tanaka(), 365, now()).unwrap();
        credential.write(folder.path(), &stem(name), Some(&password)).unwrap();
    }
    for ending in ["pem", "key", "p12"] {
        let path = |name: &str| folder.path().join(format!("{name}.{ending}"));
        let kept = fs::read(path("one")).unwrap();
        fs::copy(path("other"), path("one")).unwrap();
        assert!(read_whole(folder.path(), &stem("one"), Some(&password)).is_err(), "{ending}");
        fs::write(path("one"), kept).unwrap();
    }
    assert!(read_whole(folder.path(), &stem("one"), Some(&password)).is_ok());
}
