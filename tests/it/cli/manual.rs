//! `completions` and `man`: what packages ship knows every command.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::fails;
use crate::support::process::{outcome, sekisho};

/// The commands of `--help`, but for `help` itself.
fn commands() -> Vec<String> {
    let help = sekisho(Path::new("/"), &["--help"]).good();
    let list = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names = list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn completions_know_every_command_and_are_good_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let script = sekisho(Path::new("/"), &["completions", shell]).good();
        for command in commands() {
            assert!(script.contains(&command), "{shell} doesn't know {command}");
        }
    }
    let script = sekisho(Path::new("/"), &["completions", "bash"]).good();
    let completed =
        "COMP_WORDS=(sekisho ser); COMP_CWORD=1; _sekisho sekisho ser sekisho; echo \"${COMPREPLY[*]}\"";
    let mut bash = std::process::Command::new("bash");
    let told = outcome(bash.args(["--norc", "-euc", &format!("{script}\n{completed}")]));
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("serve\n", ""));
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    sekisho(folder.path(), &["man", "pages/man1"]).good();
    let pages = fs::read_dir(folder.path().join("pages/man1")).unwrap();
    let pages: BTreeSet<String> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    for command in commands() {
        assert!(pages.contains(&format!("sekisho-{command}.1")), "{command}: {pages:?}");
    }
    for inner in ["sekisho.1", "sekisho-ca-init.1", "sekisho-user-set-pin.1"] {
        assert!(pages.contains(inner), "{inner}: {pages:?}");
    }
    // Those that nobody types have none.
    assert!(!pages.contains("sekisho-man.1") && !pages.contains("sekisho-completions.1"), "{pages:?}");
}

#[test]
fn a_manual_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let told = "sekisho man: cannot write file/pages: Not a directory (os error 20)\n";
    fails(folder.path(), &["man", "file/pages"], 73, told);
}
