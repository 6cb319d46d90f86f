//! `sekisho audit`: what it says of a log that staff commands of several processes have written.

use std::fs;
use std::path::Path;

use crate::support::process::{Outcome, sekisho};

const YAML: &str = "listeners: [{ bind: '127.0.0.1:0' }]
hosts: { www.localhost: { tls: { certificate: c, key: k }, client_certificate: none } }
directory: { url: 'sqlite:data/sekisho.db' }
state: { url: 'embedded:data/state.db' }
audit: { file: audit.log }
";

fn audit(folder: &Path, command: &str, rest: &[&str]) -> Outcome {
    sekisho(folder, &[&["audit", command, "--config", "sekisho.yaml"], rest].concat())
}

fn add(folder: &Path, contract: &str) -> Outcome {
    sekisho(folder, &["contract", "add", "--config", "sekisho.yaml", contract, "x"])
}

#[test]
fn commands_at_once_keep_one_chain_that_is_verified_searched_and_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("sekisho.yaml"), YAML).unwrap();
    assert_eq!(audit(path, "verify", &[]).code, Some(66));
    add(path, "1000").good();
    std::thread::scope(|scope| {
        for contract in ["2000", "3000", "4000"] {
            scope.spawn(move || add(path, contract).good());
        }
    });
    audit(path, "rotate", &[]).good();
    let good = audit(path, "verify", &[]).good();
    // Four contracts, the end of a segment, and the two records of a new one.
    assert!(good.contains("audit.log: good.\n7 records in 2 files.\nNo signature"), "{good}");
    assert_eq!(audit(path, "verify", &["--strict"]).good(), good);
    let of_one = audit(path, "show", &["--contract", "2000", "--output", "json"]).good();
    assert_eq!(of_one.lines().count(), 1, "{of_one}");
    assert!(of_one.contains("\"kind\":\"contract_added\",\"contract\":\"2000\""), "{of_one}");
    let shown = audit(path, "show", &["--kind", "contract_added", "--output", "json"]).good();
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert_eq!(
        audit(path, "show", &["--until", "2000-01-01T00:00:00Z"]).good(),
        "There are no such records.\n"
    );
    assert_eq!(audit(path, "show", &["--user", "nobody"]).good(), "There are no such records.\n");
    fs::remove_file(path.join("audit.log.1")).unwrap();
    let missing = audit(path, "verify", &[]);
    assert_eq!(missing.code, Some(65));
    assert!(missing.stdout.contains("audit.log.1: the segment is missing\n"), "{}", missing.stdout);
    assert_eq!(missing.stderr, "sekisho audit: the log is not what was written: 1 problem\n");
    assert_eq!(sekisho(path, &["audit", "verify", "nowhere.log"]).code, Some(66));
    assert_eq!(sekisho(path, &["audit", "verify"]).code, Some(64));
}
