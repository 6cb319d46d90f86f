//! `check`: every mistake at once, each with its place.

use std::fs;

use super::fails;
use crate::support::eventually;
use crate::support::process::{Running, sekisho};

#[test]
fn a_file_that_is_none_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let told = |what: &str| format!("error: {what}\n  --> f.yaml\n\n1 mistake in f.yaml\n");
    let check = ["check", "--config", "f.yaml"];
    fails(folder.path(), &check, 78, &told("there is no such file"));
    fs::create_dir(folder.path().join("f.yaml")).unwrap();
    fails(folder.path(), &check, 78, &told("this is a directory: expected a YAML file"));
}

#[test]
fn broken_yaml_says_where_it_breaks() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), "listeners: [\n").unwrap();
    let told = "error: not valid YAML: while parsing a node, did not find expected node content
  --> f.yaml:2:1
  |
2 | 
  | ^

1 mistake in f.yaml
";
    fails(folder.path(), &["check", "--config", "f.yaml"], 78, told);
}

const SEVERAL: &str = r#"listeners:
  - bind: "127.0.0.1:99999"
  - bnd: "127.0.0.1:0"
hosts:
  cert.localhost:
    tls: { certificate: c.pem, key: c.key }
    client_certificate: requierd
rutes: []
limits: { body: 1GB }
timeouts: { drain: 5 parsecs }
"#;

const SEVERAL_TOLD: &str = r#"error: expected an IP address and a port such as `0.0.0.0:443` or `[::]:443`, found `127.0.0.1:99999`
  --> f.yaml:2:11
  |
2 |   - bind: "127.0.0.1:99999"
  |           ^^^^^^^^^^^^^^^^^

error: unknown key `bnd`: did you mean `bind`?
  --> f.yaml:3:5
  |
3 |   - bnd: "127.0.0.1:0"
  |     ^^^

error: expected `none`, `optional` or `required`, found `requierd`: did you mean `required`?
  --> f.yaml:7:25
  |
7 |     client_certificate: requierd
  |                         ^^^^^^^^

error: unknown key `rutes`: did you mean `routes`?
  --> f.yaml:8:1
  |
8 | rutes: []
  | ^^^^^

error: expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found `1GB`
  --> f.yaml:9:17
  |
9 | limits: { body: 1GB }
  |                 ^^^

error: expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found `5 parsecs`
   --> f.yaml:10:20
   |
10 | timeouts: { drain: 5 parsecs }
   |                    ^^^^^^^^^

6 mistakes in f.yaml
"#;

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f.yaml"), SEVERAL).unwrap();
    fails(folder.path(), &["check", "--config", "f.yaml"], 78, SEVERAL_TOLD);
    // The gate itself says the same and doesn't start.
    let told = format!("sekisho serve:\n{SEVERAL_TOLD}");
    fails(folder.path(), &["serve", "--config", "f.yaml"], 78, &told);
}

#[test]
fn what_print_shows_is_a_configuration_with_all_defaults() {
    let folder = super::serve::folder();
    let path = folder.path();
    assert_eq!(sekisho(path, &["check", "--config", "sekisho.yaml"]).good(), "sekisho.yaml: ok\n");
    let printed = sekisho(path, &["check", "--print", "--config", "sekisho.yaml"]).good();
    let key = path.join("certs/servers/cert.localhost.key");
    for line in [
        format!("      key: {}\n", key.display()),
        "  drain: 30s\n".to_owned(),
        "  body: 1GiB\n".to_owned(),
        "workers: auto\n".to_owned(),
    ] {
        assert!(printed.contains(&line), "{line} in\n{printed}");
    }
    let secret = fs::read_to_string(key).unwrap();
    assert!(!printed.contains(secret.lines().nth(1).unwrap()), "a key is named, never shown");
    fs::write(path.join("printed.yaml"), &printed).unwrap();
    assert_eq!(sekisho(path, &["check", "--print", "--config", "printed.yaml"]).good(), printed);
}

#[test]
fn a_key_that_cannot_be_used_is_pointed_at() {
    let folder = super::serve::folder();
    let path = folder.path();
    let yaml = fs::read_to_string(path.join("sekisho.yaml")).unwrap();
    fs::write(path.join("garbage.key"), "garbage").unwrap();
    fs::create_dir(path.join("folder.key")).unwrap();
    sekisho(path, &["ca", "server", "other.localhost"]).good();
    let other = "certs/servers/other.localhost.key";
    let belongs = format!(
        "the key does not belong to the certificate in {}",
        path.join("certs/servers/cert.localhost.pem").display()
    );
    for (key, why) in [
        ("garbage.key", "there is no private key in it"),
        ("folder.key", "it is a directory, not a file"),
        ("none.key", "there is no such file"),
        (other, &belongs),
    ] {
        let line = format!("    tls: {{ certificate: certs/servers/cert.localhost.pem, key: {key} }}");
        let bad = yaml.replace("    tls: { certificate: certs/servers/cert.localhost.pem, key: certs/servers/cert.localhost.key }", &line);
        fs::write(path.join("bad.yaml"), bad).unwrap();
        let told = format!(
            "error: {}: {why}\n  --> bad.yaml:4:64\n  |\n4 | {line}\n  | {}{}\n\n1 mistake in bad.yaml\n",
            path.join(key).display(),
            " ".repeat(63),
            "^".repeat(key.len()),
        );
        fails(path, &["check", "--config", "bad.yaml"], 78, &told);
        fails(path, &["serve", "--config", "bad.yaml"], 78, &format!("sekisho serve:\n{told}"));
    }
}

/// As when the root is listed beside its CA: nobody gets in, and everything else looks well.
#[test]
fn an_authority_without_a_list_is_a_doubt_and_said_when_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    sekisho(path, &["ca", "init"]).good();
    sekisho(path, &["ca", "--dir", "other", "init", "--name", "Mihon Bank Root"]).good();
    sekisho(path, &["ca", "server", "www.localhost"]).good();
    let yaml = |sources: &str| {
        format!(
            "listeners: [{{ bind: '127.0.0.1:0' }}]
hosts:
  www.localhost:
    tls: {{ certificate: certs/servers/www.localhost.pem, key: certs/servers/www.localhost.key }}
    client_certificate: required
trust: {{ authorities: [certs/ca.pem, other/ca.pem], crl: {{ sources: [{sources}] }} }}
ops: {{ bind: '127.0.0.1:0' }}
"
        )
    };
    let check = || sekisho(path, &["check", "--config", "f.yaml"]).good();
    fs::write(path.join("f.yaml"), yaml("certs/ca.crl, other/ca.crl")).unwrap();
    assert_eq!(check(), "f.yaml: ok\n");
    fs::write(path.join("f.yaml"), yaml("certs/ca.crl")).unwrap();
    let name = r#""O=Mihon Bank, Ltd., CN=Mihon Bank Root""#;
    let note = "everybody whom it vouches for is refused";
    assert_eq!(check(), format!("f.yaml: ok\n  note: no source has a revocation list of {name}: {note}\n"));
    let mut gate = Running::sekisho(path, &["serve", "--config", "f.yaml"]);
    gate.wait_until_ready();
    let told = "There is no revocation list of an authority: everybody whom it vouches for is refused\",\"authority\":\"O=Mihon Bank, Ltd., CN=Mihon Bank Root";
    eventually("what the journal says", || gate.stderr().contains(told));
}
