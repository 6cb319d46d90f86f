//! `ca`: a PKI from nothing, as openssl sees it, and what it refuses.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::fails;
use crate::support::process::{outcome, run, sekisho};

const TANAKA: [&str; 7] =
    ["ca", "client", "--contract", "10000000000001", "--user", "tanaka", "--password=canary-4711"];

/// The words after `prefix` on the line that begins with it.
fn after<'a>(text: &'a str, prefix: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(prefix));
    line.unwrap_or_else(|| panic!("`{prefix}` in\n{text}")).trim()
}

fn openssl(folder: &Path, words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    outcome(std::process::Command::new("openssl").args(words).current_dir(folder)).good()
}

fn new_ca() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = sekisho(folder.path(), &["ca", "init"]).good();
    assert!(
        text.starts_with("Made the CA \"Mihon Bank CA-G1\" of Mihon Bank, Ltd., valid until 20"),
        "{text}"
    );
    folder
}

#[test]
fn openssl_accepts_what_the_ca_issues_until_it_is_revoked() {
    let folder = new_ca();
    let path = folder.path();
    let server = sekisho(path, &["ca", "server", "cert.localhost", "cert2.localhost", "--rsa"]).good();
    assert_eq!(after(&server, "Issued"), "O=Mihon Bank, Ltd., CN=cert.localhost");
    let client = sekisho(path, &TANAKA).good();
    assert_eq!(after(&client, "Issued"), "O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka");
    assert!(!client.contains("canary"), "a password that was given is not shown");

    let verify = "verify -x509_strict -crl_check -CRLfile certs/ca.crl -CAfile certs/ca.pem -purpose";
    let good = openssl(path, &format!("{verify} sslserver certs/servers/cert.localhost.pem"));
    assert_eq!(good, "certs/servers/cert.localhost.pem: OK\n");
    openssl(path, &format!("{verify} sslclient certs/clients/tanaka.pem"));
    let shown = openssl(path, "x509 -noout -text -in certs/servers/cert.localhost.pem");
    assert!(shown.contains("Public-Key: (3072 bit)"), "{shown}");
    assert!(shown.contains("DNS:cert.localhost, DNS:cert2.localhost"), "{shown}");
    let p12 = openssl(path, "pkcs12 -in certs/clients/tanaka.p12 -nodes -passin pass:canary-4711");
    assert!(p12.contains("BEGIN PRIVATE KEY") && p12.contains("BEGIN CERTIFICATE"), "key and certificate");

    let serial = after(&client, "serial").to_owned();
    let revoked = sekisho(path, &["ca", "revoke", "certs/clients/tanaka.pem"]).good();
    assert_eq!(revoked.lines().next(), Some(format!("Revoked {serial}.").as_str()));
    let crl = path.join("certs/ca.crl");
    let (crl, ca) = (crl.to_str().unwrap(), path.join("certs/ca.pem"));
    let pem = path.join("certs/clients/tanaka.pem");
    let words =
        ["verify", "-crl_check", "-CRLfile", crl, "-CAfile", ca.to_str().unwrap(), pem.to_str().unwrap()];
    let refused = run("openssl", &words);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("certificate revoked"), "{}", refused.stderr);
    let again = sekisho(path, &["ca", "revoke", &serial]).good();
    assert!(
        again.contains(" already.\n") && again.contains("(number 3, 1 revoked, due again by "),
        "{again}"
    );

    let crl = sekisho(path, &["ca", "crl", "--days", "3"]).good();
    assert!(crl.contains("CRL          certs/ca.crl (number 4, 1 revoked, "), "{crl}");
    let list = sekisho(path, &["ca", "list"]).good();
    let rows: Vec<_> = list.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(
        (rows.len(), rows[0][1], rows[0][4], rows[1][0], rows[1][4]),
        (2, "server", "good", serial.as_str(), "revoked")
    );
}

#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = new_ca();
    sekisho(folder.path(), &["ca", "server", "cert.localhost"]).good();
    sekisho(folder.path(), &TANAKA).good();
    for secret in ["ca.key", "servers/cert.localhost.key", "clients/tanaka.key", "clients/tanaka.p12"] {
        let mode = fs::metadata(folder.path().join("certs").join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
}

#[test]
fn without_a_ca_nothing_can_be_done_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let told = |file: &str| {
        format!(
            "sekisho ca: there is no CA: {file} does not exist\n  \
             `sekisho ca init` makes one; `--dir` names another folder\n"
        )
    };
    for words in [&TANAKA[..], &["ca", "server", "a.localhost"], &["ca", "revoke", "01"], &["ca", "crl"]] {
        fails(path, words, 66, &told("certs/ca.pem"));
    }
    fails(path, &["ca", "list"], 66, &told("certs/issued.json"));
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    fs::write(path.join("certs"), "").unwrap();
    fails(path, &["ca", "init"], 73, "sekisho ca: cannot create certs: File exists (os error 17)\n");
    let name = "sekisho ca: expected a name of 1 to 64 characters without spaces around it, found ``\n";
    fails(path, &["ca", "--dir", "other", "init", "--name", ""], 64, name);
    assert!(!path.join("other").exists());
}

#[test]
fn nothing_is_replaced_or_revoked_by_accident() {
    let folder = new_ca();
    let path = folder.path();
    let exists = "sekisho ca: there is a CA already: certs/ca.key\n  \
                  `--force` makes a new one in its place; what the old one issued is then worth nothing\n";
    fails(path, &["ca", "init"], 73, exists);
    sekisho(path, &TANAKA).good();
    let taken = "sekisho ca: certs/clients/tanaka.pem exists already\n  \
                 `--name` gives the files another name; `--force` replaces them\n";
    fails(path, &TANAKA, 73, taken);
    let neither = "sekisho ca: `zz` is neither a certificate file nor a serial number in hexadecimal\n";
    fails(path, &["ca", "revoke", "zz"], 65, neither);
    let unknown = "sekisho ca: this CA issued no certificate with the serial number 01\n";
    fails(path, &["ca", "revoke", "01"], 65, unknown);
    let missing = "sekisho ca: cannot read password: No such file or directory (os error 2)\n";
    let words = ["ca", "client", "--contract=10000000000001", "--user=sato", "--password-file=password"];
    fails(path, &words, 66, missing);
    fs::write(path.join("certs/ca.key"), "torn").unwrap();
    let torn = sekisho(path, &["ca", "crl"]);
    assert_eq!(torn.code, Some(65));
    assert!(torn.stderr.starts_with("sekisho ca: certs/ca.key: not a private key"), "{}", torn.stderr);
}
