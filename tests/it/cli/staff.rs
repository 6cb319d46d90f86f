//! The commands of bank staff: contracts, users, credentials, imports.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{fails, usage};
use crate::support::process::{Outcome, sekisho};

/// A folder with a PKI and a configuration on embedded stores.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    sekisho(path, &["ca", "init"]).good();
    sekisho(path, &["ca", "server", "www.localhost"]).good();
    fs::write(path.join("pepper"), sekisho(path, &["pepper"]).good()).unwrap();
    fs::set_permissions(path.join("pepper"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let yaml = "hosts:
  www.localhost:
    tls: { certificate: certs/servers/www.localhost.pem, key: certs/servers/www.localhost.key }
    client_certificate: none
listeners: [{ bind: '127.0.0.1:0' }]
trust: { authorities: certs/ca.pem, crl: { sources: [certs/ca.crl] } }
sign_in:
  host: www.localhost
  pin: { pepper_file: pepper, argon2id: { memory: 64KiB, iterations: 1 } }
directory: { url: 'sqlite:data/sekisho.db' }
state: { url: 'embedded:data/state.db' }
audit: { file: audit.log }
";
    fs::write(path.join("sekisho.yaml"), yaml).unwrap();
    folder
}

/// A command and its group in front of the configuration, then the rest.
fn words<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let mut words: Vec<&str> = command.split(' ').collect();
    words.extend(["--config", "sekisho.yaml"]);
    words.extend(rest);
    words
}

fn staff(folder: &Path, command: &str, rest: &[&str]) -> Outcome {
    sekisho(folder, &words(command, rest))
}

#[track_caller]
fn json(folder: &Path, command: &str, rest: &[&str]) -> Value {
    let rest = [&["--output", "json"], rest].concat();
    serde_json::from_str(&staff(folder, command, &rest).good()).unwrap()
}

/// At a restore on a new machine, nothing is there yet but the folders.
#[test]
fn root_makes_nothing_in_a_folder_of_the_gate_s_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = folder();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65534), Some(65534)).unwrap();
    let told = format!(
        "sekisho contract: {} is not root's: the gate could not open what root makes there
  do it as its owner: sudo -u '#65534' sekisho …\n",
        data.display()
    );
    fails(folder.path(), &words("contract list", &[]), 77, &told);
    assert_eq!((fs::read_dir(&data).unwrap().count(), folder.path().join("audit.log").exists()), (0, false));
    std::os::unix::fs::chown(&data, Some(0), Some(0)).unwrap();
    assert_eq!(staff(folder.path(), "contract list", &[]).good(), "There are no contracts.\n");
}

/// A contract with a user without PIN.
fn with_tanaka() -> TempDir {
    let folder = folder();
    staff(folder.path(), "contract add", &["10000000000001", "見本商事"]).good();
    staff(folder.path(), "user add", &["10000000000001", "tanaka", "--no-pin"]).good();
    folder
}

const TANAKA: [&str; 2] = ["10000000000001", "tanaka"];

/// Kind and detail of every line of the audit log.
fn audit(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join("audit.log")).unwrap();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["by"].as_str().unwrap().starts_with("staff:"), "{line}");
            let of = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (of("kind"), of("detail"))
        })
        .collect()
}

#[test]
fn a_contract_is_opened_suspended_and_resumed() {
    let folder = folder();
    let path = folder.path();
    assert_eq!(staff(path, "contract list", &[]).good(), "There are no contracts.\n");
    let added = json(path, "contract add", &["１０００", " 見本商事 "]);
    assert_eq!(
        added,
        json!({ "id": "1000", "name": "見本商事", "created_at": added["created_at"], "suspended_at": null })
    );
    fails(
        path,
        &words("contract add", &["1000", "x"]),
        73,
        "sekisho contract: contract 1000 is there already\n",
    );
    assert_eq!(
        staff(path, "contract list", &[]).good(),
        "CONTRACT  SUSPENDED SINCE  NAME\n1000      -                見本商事\n"
    );
    let since = json(path, "contract suspend", &["1000"])["suspended_at"].clone();
    assert!(since.is_string());
    assert_eq!(json(path, "contract show", &["1000"])["suspended_at"], since);
    assert_eq!(json(path, "contract resume", &["1000"]), added);
    assert_eq!(json(path, "contract list", &[]), json!([added]));
    for command in ["contract show", "contract suspend", "contract resume"] {
        fails(path, &words(command, &["2000"]), 67, "sekisho contract: there is no contract 2000\n");
    }
    let kinds = ["contract_added", "contract_added", "not_done", "contract_suspended", "contract_resumed"];
    assert_eq!(audit(path).iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), kinds);
    assert_eq!(audit(path)[2].1, "contract_added");
    // Each is found by its contract.
    let found = staff(path, "audit show", &["--contract", "1000", "--output", "json"]).good();
    assert_eq!(found.lines().count(), kinds.len(), "{found}");
}

#[test]
fn a_user_is_added_with_a_temporary_pin_that_is_shown_once() {
    let folder = with_tanaka();
    let path = folder.path();
    let sato = ["10000000000001", "sato"];
    let options = ["--role", "administrator", "--mail", "sato@mihon.example", "--language", "en"];
    let added = json(path, "user add", &[&sato[..], &options].concat());
    let pin = added["temporary_pin"].as_str().unwrap();
    assert_eq!(pin.len(), 8);
    assert!(pin.bytes().all(|byte| byte.is_ascii_alphanumeric() && !b"01loIO".contains(&byte)), "{pin}");
    let mut shown = json(path, "user show", &sato);
    assert_eq!(
        shown,
        json!({
            "contract": "10000000000001", "user": "sato", "role": "administrator",
            "mail": "sato@mihon.example", "language": "en", "has_pin": true,
            "pin_temporary_until": added["pin_temporary_until"], "last_sign_in": null, "suspensions": [],
            "credential_until": null, "created_at": added["created_at"],
        })
    );
    shown["temporary_pin"] = pin.into();
    assert_eq!(shown, added);
    assert!(added["pin_temporary_until"].is_string());

    let again = staff(path, "user set-pin", &sato).good();
    let line = again.lines().find_map(|line| line.strip_prefix("temporary PIN")).unwrap();
    let other = line.split_whitespace().next().unwrap();
    assert_ne!(other, pin);
    assert!(line.ends_with("; it is not shown again)"), "{line}");
    for file in ["audit.log", "data/sekisho.db", "data/sekisho.db-wal", "data/state.db"] {
        let bytes = fs::read(path.join(file)).unwrap_or_default();
        for pin in [pin, other] {
            assert!(!bytes.windows(8).any(|window| window == pin.as_bytes()), "{file} holds a PIN");
        }
    }
    let users = json(path, "user list", &["10000000000001"]);
    assert_eq!((&users[0]["user"], &users[1]["user"]), (&json!("sato"), &json!("tanaka")));
    assert_eq!(users[1]["has_pin"], json!(false));
}

#[test]
fn a_user_is_suspended_and_lifted() {
    let folder = with_tanaka();
    let path = folder.path();
    let suspended = json(path, "user suspend", &TANAKA);
    assert_eq!(suspended["suspensions"][0]["cause"], "staff");
    // Once is enough.
    assert_eq!(json(path, "user suspend", &TANAKA), suspended);
    let lifted = json(path, "user lift", &TANAKA);
    assert_eq!((&lifted["suspensions"], &lifted["lifted"]), (&json!([]), &suspended["suspensions"]));
    assert_eq!(json(path, "user lift", &TANAKA)["lifted"], json!([]));
    let nobody = ["10000000000001", "suzuki"];
    for command in ["user show", "user suspend", "user lift", "user set-pin"] {
        fails(
            path,
            &words(command, &nobody),
            67,
            "sekisho user: there is no user suzuki of contract 10000000000001\n",
        );
    }
    fails(path, &words("user list", &["2000"]), 67, "sekisho user: there is no contract 2000\n");
    fails(
        path,
        &words("user add", &["2000", "a", "--no-pin"]),
        67,
        "sekisho user: there is no contract 2000\n",
    );
    let kinds: Vec<_> = audit(path).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds[2..6], ["suspended", "suspended", "lifted", "lifted"]);
}

#[test]
fn a_certificate_is_registered_with_its_user() {
    let folder = with_tanaka();
    let path = folder.path();
    let issue = |user: &str| {
        sekisho(
            path,
            &["ca", "client", "--contract", "10000000000001", "--user", user, "--password=x12345678"],
        )
        .good();
    };
    issue("tanaka");
    issue("suzuki");
    let file = "certs/clients/tanaka.pem";
    fails(
        path,
        &words("credential add", &[file, "certs/clients/suzuki.pem"]),
        67,
        "sekisho credential: there is no user suzuki of contract 10000000000001\n",
    );
    assert_eq!(json(path, "credential list", &TANAKA), json!({ "permit": null, "credentials": [] }));
    let added = json(path, "credential add", &[file]);
    assert_eq!((&added[0]["user"], &added[0]["new"]), (&json!("tanaka"), &json!(true)));
    assert_eq!(json(path, "credential add", &[file])[0]["new"], json!(false));
    let listed = json(path, "credential list", &TANAKA)["credentials"].clone();
    assert_eq!(listed[0]["state"], json!("live"));
    assert_eq!(listed[0]["serial"], added[0]["serial"]);
    assert_eq!(json(path, "user show", &TANAKA)["credential_until"], listed[0]["not_after"]);
    fails(
        path,
        &words("credential add", &["none.pem"]),
        66,
        "sekisho credential: none.pem: there is no such file\n",
    );
    assert_eq!(staff(path, "credential add", &["sekisho.yaml"]).code, Some(65));
}

#[test]
fn an_import_reports_every_bad_line_and_does_nothing() {
    let folder = with_tanaka();
    let path = folder.path();
    let csv = "contract,contract_name,user,role,mail,language
20000000000002,株式会社い,sato,administrator,sato@i.example,ja
20000000000002,株式会社い,sato,user,,ja
20000000000002,別の会社,kato,user,,ja
30000000000003,,mori,user,,ja
10000000000001,,tanaka,user,,ja
10000000000001,,hayashi,boss,hayashi,fr
10000000000001,,too few
10000000000001,,has-hyphen,user,,en
";
    fs::write(path.join("users.csv"), csv).unwrap();
    let told = "sekisho import:
users.csv:3: the user is on line 2 already
users.csv:4: contract 20000000000002 has another name on line 2
users.csv:5: contract 30000000000003 is new and needs a name
users.csv:6: user tanaka of contract 10000000000001 is there already
users.csv:7: role `boss`: expected `administrator` or `user`
users.csv:7: mail `hayashi`: expected a mail address such as `sato@mihon-shoji.example`
users.csv:7: language `fr`: expected `ja` or `en`
users.csv:8: 3 fields where 6 are expected
users.csv:9: user `has-hyphen`: expected 1 to 30 half-width letters and digits
9 mistakes: nothing was imported
";
    fails(path, &words("import", &["users.csv"]), 65, told);
    assert_eq!(json(path, "contract list", &[]).as_array().unwrap().len(), 1);
    assert_eq!(json(path, "user list", &["10000000000001"]).as_array().unwrap().len(), 1);

    fs::write(path.join("head.csv"), "user,contract\n").unwrap();
    let told = "sekisho import:\nhead.csv:1: expected the head `contract,contract_name,user,role,mail,language`, with `,pin` or without\n1 mistake: nothing was imported\n";
    fails(path, &words("import", &["head.csv"]), 65, told);
    fs::write(path.join("nobody.csv"), "contract,contract_name,user,role,mail,language\n").unwrap();
    let told =
        "sekisho import:\nnobody.csv:1: there is no user below the head\n1 mistake: nothing was imported\n";
    fails(path, &words("import", &["nobody.csv"]), 65, told);
    fails(path, &words("import", &["none.csv"]), 66, "sekisho import: none.csv: there is no such file\n");
}

#[test]
fn a_good_import_adds_everybody() {
    let folder = with_tanaka();
    let path = folder.path();
    let head = "\u{feff}contract,contract_name,user,role,mail,language";
    let rows = "20000000000002,\"株式会社い, 本店\",sato,administrator,sato@i.example,ja\r\n10000000000001,,ito,user,,en";
    fs::write(path.join("users.csv"), format!("{head}\r\n{rows}\r\n")).unwrap();
    let imported = json(path, "import", &["users.csv"]);
    assert_eq!(imported["new_contracts"], json!(1));
    assert_eq!(imported["users"][0]["user"], "sato");
    assert_eq!(imported["users"][1]["temporary_pin"].as_str().unwrap().len(), 8);
    assert_eq!(json(path, "contract show", &["20000000000002"])["name"], "株式会社い, 本店");
    let ito = json(path, "user show", &["10000000000001", "ito"]);
    assert_eq!((&ito["language"], &ito["has_pin"]), (&json!("en"), &json!(true)));

    let rows = "10000000000001,,mori,user,,ja,k7m2x9\n10000000000001,,kato,user,,ja,";
    fs::write(path.join("pins.csv"), format!("{head},pin\n{rows}\n")).unwrap();
    json(path, "import", &["pins.csv"]);
    assert_eq!(json(path, "user show", &["10000000000001", "mori"])["has_pin"], json!(true));
    assert_eq!(json(path, "user show", &["10000000000001", "kato"])["has_pin"], json!(false));
    let bad = "10000000000001,,a1,user,,ja,777777\n10000000000001,,a2,user,,ja,geheim!\n";
    fs::write(path.join("bad.csv"), format!("{head},pin\n{bad}")).unwrap();
    let told = "sekisho import:
bad.csv:2: the PIN is too weak: one_character
bad.csv:3: the PIN is not 4 to 12 half-width letters and digits
2 mistakes: nothing was imported
";
    fails(path, &words("import", &["bad.csv"]), 65, told);
}

#[test]
fn what_can_not_be_done_says_why_and_changes_nothing() {
    let folder = with_tanaka();
    let path = folder.path();
    let before = audit(path).len();
    // No state: the directory is changed, and that attempts may still be counted is told.
    let yaml = fs::read_to_string(path.join("sekisho.yaml")).unwrap();
    let away = yaml.replace("embedded:data/state.db", "redis://127.0.0.1:1");
    fs::write(path.join("sekisho.yaml"), &away).unwrap();
    staff(path, "user suspend", &TANAKA).good();
    let lifted = staff(path, "user lift", &TANAKA);
    assert_eq!(lifted.code, Some(69));
    assert!(lifted.stdout.contains("lifted             staff\n"), "{}", lifted.stdout);
    assert!(lifted.stderr.starts_with("sekisho user: the state is not available: "), "{}", lifted.stderr);
    assert_eq!(json(path, "user show", &TANAKA)["suspensions"], json!([]));
    assert_eq!(audit(path).len(), before + 2);
    // No audit log: nothing happens.
    fs::write(
        path.join("sekisho.yaml"),
        yaml.replace("audit: { file: audit.log }", "audit: { file: certs }"),
    )
    .unwrap();
    let refused = staff(path, "user suspend", &TANAKA);
    assert_eq!(refused.code, Some(69));
    assert!(refused.stderr.starts_with("sekisho user: the audit is not available: "), "{}", refused.stderr);
}

#[test]
fn a_wrong_word_of_staff_is_named() {
    let id = "expected 1 to 30 half-width letters and digits";
    usage(
        &["contract", "add", "--config", "f", "a-b", "x"],
        &format!("error: invalid value 'a-b' for '<CONTRACT>': {id}"),
    );
    usage(
        &["user", "add", "--config", "f", "a", "b", "--mail", "@"],
        "error: invalid value '@' for '--mail <ADDRESS>': expected a mail address such as `sato@mihon-shoji.example`",
    );
    usage(
        &["user", "add", "--config", "f", "a", "b", "--role", "boss"],
        "error: invalid value 'boss' for '--role <ROLE>': expected `administrator` or `user`",
    );
}
