//! The commands as they are typed.

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::pki::development::read_whole;

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    arguments: Arguments,
}

const NOW: i64 = 1_790_000_000;

fn ca(dir: &Path, words: &[&str]) -> Result<String, Failure> {
    let dir = dir.to_str().unwrap();
    let typed = Typed::try_parse_from(["ca", "--dir", dir].iter().chain(words)).unwrap();
    perform(&typed.arguments, Timestamp::from_second(NOW).unwrap())
}

#[track_caller]
fn refused(result: Result<String, Failure>, code: u8, message: &str) {
    let failure = result.unwrap_err();
    assert_eq!((failure.code, failure.message.as_str()), (code, message));
}

const TANAKA: [&str; 7] =
    ["client", "--contract", "10000000000001", "--user", "tanaka", "--password", "demo"];

#[test]
fn a_mistake_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("certs");
    let none = format!(
        "there is no CA: {} does not exist\n  `sekisho ca init` makes one; `--dir` names another folder",
        dir.join("ca.pem").display()
    );
    refused(ca(&dir, &TANAKA), 66, &none);
    refused(ca(&dir, &["list"]), 66, &none.replace("ca.pem", "issued.json"));
    assert!(!dir.exists());
    fs::write(&dir, "a file").unwrap();
    refused(ca(&dir, &["init"]), 73, &format!("cannot create {}: File exists (os error 17)", dir.display()));
}

#[test]
fn nothing_is_overwritten_by_accident() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    ca(dir, &["init"]).unwrap();
    assert_eq!(ca(dir, &["init"]).unwrap_err().code, 73);
    ca(dir, &TANAKA).unwrap();
    let taken = format!(
        "{} exists already\n  `--name` gives the files another name; `--force` replaces them",
        dir.join("clients/tanaka.pem").display()
    );
    refused(ca(dir, &TANAKA), 73, &taken);
    ca(dir, &[&TANAKA[..], &["--name", "tanaka-2"]].concat()).unwrap();
    ca(dir, &[&TANAKA[..], &["--force"]].concat()).unwrap();
    ca(dir, &["server", "www.localhost", "--rsa"]).unwrap();
    assert_eq!(ca(dir, &["list"]).unwrap().lines().count(), 1 + 4);
    for file in ["servers/www.localhost.key", "clients/tanaka.key", "clients/tanaka-2.p12"] {
        assert!(dir.join(file).exists(), "{file}");
    }
}

#[test]
fn a_certificate_is_revoked_by_file_or_serial_and_twice_is_no_harm() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    ca(dir, &["init"]).unwrap();
    ca(dir, &TANAKA).unwrap();
    let file = dir.join("clients/tanaka.pem");
    let serial = stored_serial(&file).unwrap();
    let list = |number| {
        let path = dir.join("ca.crl");
        format!(
            "CRL          {} (number {number}, 1 revoked, due again by 2026-10-21T14:13:20Z)\n",
            path.display()
        )
    };
    assert_eq!(
        ca(dir, &["revoke", file.to_str().unwrap()]).unwrap(),
        format!("Revoked {serial}.\n{}", list(2))
    );
    assert_eq!(
        ca(dir, &["revoke", &serial.to_string()]).unwrap(),
        format!("{serial} is revoked since 2026-09-21T14:13:20Z already.\n{}", list(3))
    );
    refused(ca(dir, &["revoke", "01"]), 65, "this CA issued no certificate with the serial number 01");
    let neither = "`no such file` is neither a certificate file nor a serial number in hexadecimal";
    refused(ca(dir, &["revoke", "no such file"]), 65, neither);
    assert_eq!(ca(dir, &["revoke", dir.join("ca.key").to_str().unwrap()]).unwrap_err().code, 65);
    let table = ca(dir, &["list"]).unwrap();
    assert!(table.contains("revoked 2026-09-21T14:13:20Z"), "{table}");
    assert!(table.contains("O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka"), "{table}");
}

#[test]
fn a_damaged_ca_says_so_and_can_be_made_anew() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    ca(dir, &["init"]).unwrap();
    fs::write(dir.join("ca.key"), "torn").unwrap();
    let failure = ca(dir, &["crl"]).unwrap_err();
    assert_eq!(failure.code, 65);
    assert!(failure.message.contains("ca.key: not a private key"), "{}", failure.message);
    ca(dir, &["init", "--force"]).unwrap();
    ca(dir, &["crl", "--days", "7"]).unwrap();
}

#[test]
fn a_generated_password_is_shown_once_and_a_file_loses_its_line_break() {
    let folder = TempDir::new().unwrap();
    let (dir, file) = (folder.path(), folder.path().join("password"));
    ca(dir, &["init"]).unwrap();
    let client = |name: &str, more: &[&str]| {
        let words = ["client", "--contract", "10000000000001", "--user", "a", "--name", name];
        ca(dir, &[&words[..], more].concat())
    };
    let opens = |name: &str, password: &str| {
        let (name, password) = (FileStem::new(name).unwrap(), Password::new(password).unwrap());
        read_whole(&dir.join("clients"), &name, Some(&password)).is_ok()
    };
    let text = client("generated", &[]).unwrap();
    let password = text.lines().find_map(|line| line.strip_prefix("password     ")).unwrap();
    assert!(opens("generated", password.split_whitespace().next().unwrap()), "{text}");

    let from_file = ["--password-file", file.to_str().unwrap()];
    fs::write(&file, "open sesame\r\n").unwrap();
    let text = client("given", &from_file).unwrap();
    assert!(opens("given", "open sesame") && !text.contains("sesame"), "{text}");
    fs::write(&file, "パスワード\n").unwrap();
    let reason = "expected a password of 1 to 128 printable ASCII characters";
    refused(client("bad", &from_file), 64, reason);
    fs::remove_file(&file).unwrap();
    assert_eq!(client("bad", &from_file).unwrap_err().code, 66);
    assert!(!dir.join("clients/bad.key").exists());
}

#[test]
fn what_a_certificate_cannot_hold_is_refused_as_it_is_typed() {
    for bad in [
        &["client", "--contract", "1000000000000", "--user", "tanaka"][..],
        &["client", "--contract", "1000000000000a", "--user", "tanaka"],
        &["client", "--contract", "10000000000001", "--user", "ta naka"],
        &["client", "--contract", "10000000000001", "--user", "tanaka", "--name", "../tanaka"],
        &["client", "--contract", "10000000000001", "--user", "tanaka", "--days", "0"],
        &["server"],
        &["server", "WWW.example"],
        &["server", "127.0.0.1"],
        &["crl", "--days", "99999"],
        &["revoke"],
    ] {
        let words = [&["ca"][..], bad].concat();
        assert!(Typed::try_parse_from(&words).is_err(), "{words:?}");
    }
}
