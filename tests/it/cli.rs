//! What is typed: every mistake gets a sentence on stderr and an exit code of sysexits(3), never a panic.

mod ca;
mod check;
pub mod issuing;
mod maintenance;
mod manual;
mod serve;
mod staff;
mod status;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::process::{Outcome, SEKISHO, sekisho};

/// Asserts that a command failed with `code`, printed nothing on stdout and exactly this on stderr.
#[track_caller]
fn fails(folder: &Path, words: &[&str], code: i32, stderr: &str) {
    let outcome = sekisho(folder, words);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (Some(code), "", stderr),
        "{words:?}"
    );
}

/// The same, for a mistake in the words typed: what clap says before its usage.
#[track_caller]
fn usage(words: &[&str], stderr: &str) {
    let Outcome { code, stdout, stderr: said } = sekisho(Path::new("/"), words);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{words:?}");
    let end = "\n\nFor more information, try '--help'.\n";
    let said = said.strip_suffix(end).unwrap_or_else(|| panic!("{words:?}: {said}"));
    let said = said.split("\n\nUsage: ").next().unwrap();
    assert_eq!(said, stderr, "{words:?}");
}

#[test]
fn a_wrong_word_is_named_and_ends_with_64() {
    let missing =
        |what: &str| format!("error: the following required arguments were not provided:\n  {what}");
    usage(&["xyzzy"], "error: unrecognized subcommand 'xyzzy'");
    usage(&["serve"], &missing("--config <FILE>"));
    usage(&["check"], &missing("--config <FILE>"));
    usage(&["check", "--config"], "error: a value is required for '--config <FILE>' but none was supplied");
    usage(&["schema", "--yaml"], "error: unexpected argument '--yaml' found");
    usage(&["--nope"], "error: unexpected argument '--nope' found");
    let socket = |option: &str| {
        format!("error: invalid value 'localhost' for '{option} <IP:PORT>': invalid socket address syntax")
    };
    for option in ["--listen", "--ops-listen", "--backend-listen"] {
        usage(&["demo", option, "localhost"], &socket(option));
    }
    usage(
        &["demo", "--workers", "0"],
        "error: invalid value '0' for '--workers <N>': number would be zero for non-zero type",
    );
    usage(&["ca", "sign"], "error: unrecognized subcommand 'sign'");
    usage(&["ca", "server"], &missing("<HOST>..."));
    usage(&["ca", "revoke"], &missing("<FILE|SERIAL>"));
    usage(&["ca", "client", "--contract", "10000000000001"], &missing("--user <ID>"));
    usage(
        &["ca", "client", "--user", "tanaka", "--contract", "1"],
        "error: invalid value '1' for '--contract <ID>': expected 14 digits",
    );
    usage(
        &["ca", "crl", "--days", "0"],
        "error: invalid value '0' for '--days <DAYS>': 0 is not in 1..=3650",
    );
    usage(
        &["ca", "server", "127.0.0.1"],
        "error: invalid value '127.0.0.1' for '<HOST>...': expected a host name in lower case, without port or \
         trailing dot, such as `www.mihonbank.example`, found `127.0.0.1`",
    );
}

#[test]
fn no_word_at_all_prints_the_help_and_ends_with_64() {
    for words in [&[][..], &["ca"]] {
        let Outcome { code, stdout, stderr } = sekisho(Path::new("/"), words);
        assert_eq!((code, stdout.as_str()), (Some(64), ""));
        assert!(stderr.contains("\nUsage: sekisho ") && stderr.contains("\nCommands:\n"), "{stderr}");
    }
}

#[test]
fn help_and_version_are_no_mistake() {
    let help = sekisho(Path::new("/"), &["--help"]).good();
    for command in
        ["serve", "check", "schema", "ca", "pepper", "contract", "user", "credential", "import", "demo"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        sekisho(Path::new("/"), &[command, "--help"]).good();
    }
    let version = format!("sekisho {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(sekisho(Path::new("/"), &["--version"]).good(), version);
}

#[test]
fn the_schema_is_json_and_knows_every_part_of_the_file() {
    let schema: serde_json::Value =
        serde_json::from_str(&sekisho(Path::new("/"), &["schema"]).good()).unwrap();
    for part in
        ["listeners", "hosts", "trust", "routes", "upstreams", "limits", "timeouts", "access_log", "ops"]
    {
        assert!(schema["properties"][part].is_object(), "{part}");
    }
    let markdown = sekisho(Path::new("/"), &["schema", "--markdown"]).good();
    assert_eq!(markdown, include_str!("../../docs/configuration.md"));
}

#[test]
fn a_key_for_assertions_is_nobody_elses_and_its_public_half_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let made = std::fs::File::create(&file).unwrap();
    // As a shell makes it: open to others.
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut command = std::process::Command::new(SEKISHO);
    assert!(command.args(["assertion", "key"]).stdout(made).status().unwrap().success());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = sekisho::pki::AssertionKey::read(&file).unwrap();
    let printed = sekisho(folder.path(), &["assertion", "jwks", "key.pem"]).good();
    assert_eq!(printed, sekisho::pki::key_set([&key]) + "\n");
    let Outcome { code, stderr, .. } = sekisho(folder.path(), &["assertion", "jwks", "key.pem", "none.pem"]);
    assert_eq!((code, stderr.contains("none.pem: there is no such file")), (Some(66), true), "{stderr}");
}
