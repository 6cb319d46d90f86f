//! The Debian package, as far as that shows without one: `tests/package` installs it on a new Debian.

use std::fs;
use std::path::Path;

use super::{path, text};
use crate::support::process::{Outcome, SEKISHO, outcome, sekisho};

/// A folder as the package lays it out, `/etc/sekisho` and what the gate writes.
fn laid_out() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/sekisho/certs", "etc/sekisho/secrets", "var/lib/sekisho", "var/log/sekisho"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let first = text("deploy/debian/sekisho.yaml");
    let first = first.replace(" /var/", &format!(" {}/var/", root.path().display()));
    let first = first.replace(":/var/", &format!(":{}/var/", root.path().display()));
    fs::write(root.path().join("etc/sekisho/sekisho.yaml"), first).unwrap();
    root
}

/// The commands of a section of the handbook's page: its blocks without a language.
fn commands(section: &str) -> String {
    let page = text("docs/install.md");
    let section = page.split("\n## ").find(|part| part.starts_with(section)).unwrap();
    section.split("\n```\n").skip(1).step_by(2).collect::<Vec<_>>().join("\n")
}

fn check(root: &Path) -> Outcome {
    sekisho(&root.join("etc/sekisho"), &["check", "--config", "sekisho.yaml"])
}

#[test]
fn the_first_configuration_says_what_is_missing_and_is_good_after_the_handbook_s_commands() {
    let root = laid_out();
    let missing = check(root.path());
    assert_eq!(missing.code, Some(78));
    for file in [
        "certs/www.pem",
        "secrets/www.key",
        "certs/cert.pem",
        "secrets/cert.key",
        "certs/bank-ca.pem",
        "certs/bank-ca.crl",
        "secrets/pepper",
        "secrets/audit.key",
    ] {
        let told = format!("{file}: there is no such file");
        assert!(missing.stderr.contains(&told), "{file}: {}", missing.stderr);
    }
    assert!(missing.stderr.ends_with("8 mistakes in sekisho.yaml\n"), "{}", missing.stderr);
    let here = root.path().to_str().unwrap();
    let typed = commands("2. ")
        .replace("/etc/sekisho", &format!("{here}/etc/sekisho"))
        .replace("/root/ca", &format!("{here}/ca"));
    // What only root can do.
    let typed: Vec<&str> =
        typed.lines().filter(|line| !line.starts_with("chown ") && !line.starts_with("sudo ")).collect();
    assert!(typed.len() > 8, "{typed:?}");
    let program = Path::new(SEKISHO).parent().unwrap().to_str().unwrap();
    let script = format!("set -eu; PATH={program}:$PATH\n{}", typed.join("\n"));
    outcome(std::process::Command::new("bash").args(["-c", &script])).good();
    assert_eq!(check(root.path()).good(), "sekisho.yaml: ok\n");
}

#[test]
fn whatever_the_package_names_is_there_or_made_for_it() {
    let manifest = text("Cargo.toml");
    let assets = manifest.split("\nassets = [\n").nth(1).unwrap().split("\n]").next().unwrap();
    for line in assets.lines() {
        let source = line.split('"').nth(1).unwrap();
        let is_made = source.starts_with("target/");
        assert!(is_made || path(source).is_file(), "{source}");
    }
    // The unit and the folders of the package agree.
    let (unit, folders) = (text("deploy/sekisho.service"), text("deploy/debian/tmpfiles/sekisho.conf"));
    for (key, folder, mode) in [("State", "/var/lib/sekisho", "0700"), ("Logs", "/var/log/sekisho", "0750")] {
        assert!(unit.contains(&format!("{key}DirectoryMode={mode}\n")), "{key}");
        let line = folders.lines().find(|line| line.contains(folder)).unwrap();
        assert_eq!(line.split_whitespace().nth(2), Some(mode), "{line}");
    }
    assert!(
        text("deploy/debian/logrotate").starts_with("# ")
            && text("deploy/debian/logrotate").contains("/var/log/sekisho/access.log {")
    );
    assert!(text("deploy/debian/sekisho.yaml").contains("\naccess_log: /var/log/sekisho/access.log\n"));
}
