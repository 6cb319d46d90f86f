//! The helper as a program, against a real gate and a real NSS database.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use sekisho::clock::Clock;
use sekisho::domain::CredentialState;

use crate::acquisition::{begin, code, gate, gets_in, permit, states};
use crate::support::gate::{Gate, WWW};
use crate::support::people::{Browser, ITO};
use crate::support::pki::Credential;
use crate::support::process::{Outcome, outcome, run};

const CLIENT: &str = env!("CARGO_BIN_EXE_sekisho-client");

/// Runs the helper for somebody whose home this is, in a company whose proxy is the only way out.
fn helper(gate: &Gate, home: &Path, words: &[&str]) -> Outcome {
    let mut command = std::process::Command::new("timeout");
    command.args(["--kill-after=5", "60", CLIENT]).args(words);
    command.arg("--ca").arg(gate.folder.path().join("ca.pem"));
    command.env("HOME", home).env("LANG", "ja_JP.UTF-8").env_remove("LC_ALL");
    command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy(gate.address)));
    outcome(&mut command)
}

/// A proxy that brings every `CONNECT` to this address.
pub fn proxy(to: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let Ok(server) = TcpStream::connect(to) else { continue };
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            let (mut from, mut into) = (server, client);
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        }
    });
    port
}

/// The gate as the page names it.
fn address(_: &Gate) -> String {
    format!("https://{WWW}")
}

fn certutil(home: &Path, words: &[&str]) -> String {
    let database = format!("sql:{}", home.join(".pki/nssdb").display());
    run("certutil", &[&["-d", &database], words].concat()).good()
}

#[test]
fn the_certificate_is_installed_proven_and_shown() {
    let gate = gate(Clock::default());
    permit(&gate, ITO.0);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let code = code(&mut browser, WWW);
    let home = tempfile::tempdir().unwrap();
    let said = helper(&gate, home.path(), &[&address(&gate), &code]).good();
    for shown in ["Mihon Bank, Ltd.", "Mihon Bank CA-G2", "10000000000001 ito", "日本時間"] {
        assert!(said.contains(shown), "{shown} in {said}");
    }
    assert_eq!(states(&gate, ITO.0), [CredentialState::Live]);
    let keys = certutil(home.path(), &["-K"]);
    assert_eq!(keys.matches("10000000000001 ito").count(), 1, "{keys}");
    // What is in the database gets in.
    let listed = certutil(home.path(), &["-L"]);
    let nickname = listed.lines().find_map(|line| line.strip_suffix("u,u,u")).expect(&listed).trim();
    let database = format!("sql:{}", home.path().join(".pki/nssdb").display());
    let file = home.path().join("out.p12");
    let export = ["-o", file.to_str().unwrap(), "-n", nickname, "-W", "x", "-d", &database];
    run("pk12util", &export).good();
    let credential: Credential = crate::acquisition::unpack(&std::fs::read(&file).unwrap(), "x");
    gets_in(&gate, &credential);
    // A code is good once, and nothing is installed twice.
    let again = helper(&gate, home.path(), &[&address(&gate), &code, "--lang", "en"]);
    assert_eq!(again.code, Some(77), "{}", again.stderr);
    assert!(again.stderr.contains("The code can't be used"), "{}", again.stderr);
    assert_eq!(certutil(home.path(), &["-K"]), keys);
}

#[test]
fn without_its_tools_no_code_is_spent() {
    let gate = gate(Clock::default());
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(CLIENT);
    command.args([&address(&gate), "AAAA-BBBB-CCCC"]).env("HOME", home.path()).env("PATH", home.path());
    let said = outcome(command.env("LANG", "en_GB.UTF-8"));
    assert_eq!(said.code, Some(73));
    assert!(said.stderr.contains("libnss3-tools") && said.stderr.contains("was not used"), "{}", said.stderr);
}

#[test]
fn what_is_no_address_and_who_does_not_answer_is_said() {
    let gate = gate(Clock::default());
    let home = tempfile::tempdir().unwrap();
    let wrong = helper(&gate, home.path(), &["http://www.mihonbank.example", "X"]);
    assert_eq!(wrong.code, Some(64));
    assert!(wrong.stderr.contains("https://"), "{}", wrong.stderr);
    let address = "https://www.mihonbank.invalid";
    let nobody = helper(&gate, home.path(), &[address, "AAAA-BBBB-CCCC"]);
    assert_eq!(nobody.code, Some(69));
    assert!(nobody.stderr.contains("銀行のサーバーに接続できません"), "{}", nobody.stderr);
}
