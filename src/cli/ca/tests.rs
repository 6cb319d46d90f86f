//! The commands as they are typed.

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    arguments: Arguments,
}

const NOW: i64 = 1_790_000_000;

fn ca(dir: &Path, words: &[&str]) -> ExitCode {
    let dir = dir.to_str().unwrap();
    let typed = Typed::try_parse_from(["ca", "--dir", dir].iter().chain(words)).unwrap();
    run(&typed.arguments, &Clock::manual(Timestamp::from_second(NOW).unwrap()))
}

fn is(code: ExitCode, expected: u8) -> bool {
    // ExitCode has no equality of its own.
    format!("{code:?}") == format!("{:?}", ExitCode::from(expected))
}

#[test]
fn a_pki_is_made_used_and_never_overwritten_by_accident() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("certs");
    let tanaka = ["client", "--contract", "10000000000001", "--user", "tanaka", "--password", "demo"];
    assert!(is(ca(&dir, &tanaka), 66), "no CA yet");
    assert!(is(ca(&dir, &["list"]), 66));
    assert!(!dir.exists(), "a mistake leaves nothing behind");
    assert!(is(ca(&dir, &["init"]), 0));
    assert!(is(ca(&dir, &["init"]), 73));
    assert!(is(ca(&dir, &["server", "www.localhost", "--rsa"]), 0));
    assert!(is(ca(&dir, &tanaka), 0));
    assert!(is(ca(&dir, &tanaka), 73), "its files exist");
    assert!(is(ca(&dir, &[&tanaka[..], &["--force"]].concat()), 0));
    for file in
        ["servers/www.localhost.key", "clients/tanaka.pem", "clients/tanaka.key", "clients/tanaka.p12"]
    {
        assert!(dir.join(file).exists(), "{file}");
    }
    let file = dir.join("clients/tanaka.pem");
    assert!(is(ca(&dir, &["revoke", file.to_str().unwrap()]), 0));
    assert!(is(ca(&dir, &["revoke", file.to_str().unwrap()]), 0), "twice is no harm");
    assert!(is(ca(&dir, &["revoke", "01"]), 65), "not issued here");
    assert!(is(ca(&dir, &["revoke", "no such file"]), 65));
    assert!(is(ca(&dir, &["crl", "--days", "7"]), 0));
    let table = table(&list(&dir).unwrap(), Timestamp::from_second(NOW).unwrap());
    assert_eq!(table.lines().count(), 4, "{table}");
    assert_eq!(table.matches("revoked 2026-09-21T14:13:20Z").count(), 1, "{table}");
    assert!(table.contains("O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1, CN=10000000000001 tanaka"), "{table}");

    fs::write(dir.join("ca.key"), "torn").unwrap();
    assert!(is(ca(&dir, &["crl"]), 65));
    assert!(is(ca(&dir, &["init", "--force"]), 0));
    assert!(is(ca(&dir, &["crl"]), 0));
}

#[test]
fn a_password_comes_from_a_file_without_its_line_break() {
    let folder = TempDir::new().unwrap();
    let (dir, file) = (folder.path(), folder.path().join("password"));
    assert!(is(ca(dir, &["init"]), 0));
    let client = |name: &str, file: &Path| {
        let words =
            ["client", "--contract", "10000000000001", "--user", "a", "--name", name, "--password-file"];
        ca(dir, &[&words[..], &[file.to_str().unwrap()]].concat())
    };
    fs::write(&file, "open sesame\r\n").unwrap();
    assert!(is(client("good", &file), 0));
    let (name, password) = (FileStem::new("good").unwrap(), Password::new("open sesame").unwrap());
    crate::pki::development::read_whole(&dir.join("clients"), &name, Some(&password)).unwrap();
    fs::write(&file, "パスワード\n").unwrap();
    assert!(is(client("bad", &file), 64));
    assert!(is(client("bad", &folder.path().join("none")), 74));
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
