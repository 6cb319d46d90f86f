//! `status`: a person at a terminal sees what a running gateway is doing, and what is wrong with it.

use crate::support::backend::Backend;
use crate::support::gate::Gate;
use crate::support::process::sekisho;

#[test]
fn a_person_sees_what_is_live_and_what_is_wrong() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    gate.follow();
    let ops = gate.ops.to_string();
    let status = || sekisho(gate.folder.path(), &["status", "--ops", &ops]);
    let told = status().good();
    for line in [
        "ready",
        &format!("version      {}", env!("CARGO_PKG_VERSION")),
        "connections  0 open, 0 of them WebSockets",
        "requests     none yet",
        "upstreams    1 of 1 endpoints get requests",
    ] {
        assert!(told.lines().any(|known| known == line), "{line}: {told}");
    }
    for begin in [
        "serving      since 20",
        "certificate  cert.mihonbank.example, until 4096-01-01T00:00:00Z (",
        "list         ",
    ] {
        assert!(told.lines().any(|known| known.starts_with(begin)), "{begin}: {told}");
    }

    std::fs::write(gate.folder.path().join("sekisho.yaml"), "nonsense: 1\n").unwrap();
    assert_eq!(sekisho(gate.folder.path(), &["reload", "--ops", &ops]).code, Some(78));
    let told = status();
    assert_eq!(told.code, Some(75), "{told:?}");
    assert!(told.stdout.starts_with("ready, but "), "{told:?}");
    assert_eq!(told.stderr, "sekisho status: it serves, but something is wrong\n");
}

#[test]
fn where_no_gateway_answers_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let told = sekisho(folder.path(), &["status", "--ops", "127.0.0.1:1"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(69), ""), "{told:?}");
    assert!(
        told.stderr.starts_with("sekisho status: no gateway answers for operators at 127.0.0.1:1"),
        "{told:?}"
    );
}
