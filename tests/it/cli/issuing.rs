//! What bank staff do about certificates: permit, reissue, revoke; the revocation list; reconciliation; notices.

use std::fs;
use std::path::Path;

use sekisho::clock::Clock;
use serde_json::{Value, json};

use super::{fails, usage};
use crate::acquisition::{begin, fetch_file, gate, gate_with, password, unpack};
use crate::support::eventually;
use crate::support::gate::{Gate, WWW};
use crate::support::people::{Browser, CONTRACT, ITO, TANAKA};
use crate::support::pki::Credential;
use crate::support::process::{Outcome, run, sekisho};

const HIM: [&str; 2] = [CONTRACT, ITO.0];

fn words<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let command = command.split(' ').chain(["--config", "sekisho.yaml"]);
    command.chain(rest.iter().copied()).collect()
}

fn staff(gate: &Gate, command: &str, rest: &[&str]) -> Outcome {
    sekisho(gate.folder.path(), &words(command, rest))
}

#[track_caller]
fn json(gate: &Gate, command: &str, rest: &[&str]) -> Value {
    let rest = [&["--output", "json"], rest].concat();
    serde_json::from_str(&staff(gate, command, &rest).good()).unwrap()
}

fn acquired(gate: &Gate) -> Credential {
    let mut browser = Browser::new(gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    unpack(&file, &password(&mut browser, WWW))
}

#[test]
fn a_user_is_permitted_reissued_and_revoked() {
    let gate = gate(Clock::default());
    let folder = gate.folder.path();
    let permitted = json(&gate, "credential permit", &HIM);
    assert!(permitted["permit"]["permitted_by"].as_str().unwrap().starts_with("staff:"), "{permitted}");
    assert_eq!(permitted["credentials"], json!([]));
    acquired(&gate);
    let held = json(&gate, "credential list", &HIM);
    assert_eq!((&held["permit"], &held["credentials"][0]["state"]), (&Value::Null, &json!("live")));
    let told = "sekisho credential: user ito of contract 10000000000001 holds a certificate\n\
                \x20 `sekisho credential reissue` revokes it and permits another\n";
    let again = staff(&gate, "credential permit", &HIM);
    assert_eq!((again.code, again.stderr.as_str()), (Some(73), told));

    let reissued = json(&gate, "credential reissue", &HIM);
    assert!(reissued["permit"].is_object());
    assert_eq!(reissued["credentials"][0]["state"], "revoked");
    let text = staff(&gate, "credential list", &HIM).good();
    assert!(text.lines().last().unwrap().starts_with("Permitted at 20"), "{text}");
    acquired(&gate);
    let revoked = json(&gate, "credential revoke", &HIM);
    let states: Vec<_> = (0..3).map(|nth| revoked["credentials"][nth]["state"].clone()).collect();
    assert_eq!(states, [json!("revoked"), json!("revoked"), Value::Null]);
    assert_eq!(revoked["permit"], Value::Null);
    for command in ["credential permit", "credential reissue", "credential revoke", "credential list"] {
        let nobody = words(command, &[CONTRACT, "yamada"]);
        fails(
            folder,
            &nobody,
            67,
            "sekisho credential: there is no user yamada of contract 10000000000001\n",
        );
    }
}

#[test]
fn nobody_is_permitted_where_nothing_is_issued() {
    let gate = gate(Clock::default());
    let file = gate.folder.path().join("sekisho.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    let start = yaml.find("\nissuer:").unwrap();
    let end = start + yaml[start..].find("\nroutes:").unwrap();
    fs::write(&file, format!("{}{}", &yaml[..start], &yaml[end..])).unwrap();
    let told = "sekisho credential: this configuration issues no certificates: it has no `issuer`\n";
    fails(gate.folder.path(), &words("credential permit", &HIM), 78, told);
    fails(gate.folder.path(), &words("credential reissue", &HIM), 78, told);
    for command in ["issuer publish", "issuer reconcile"] {
        let told = "sekisho issuer: this configuration has no `issuer`\n";
        fails(gate.folder.path(), &words(command, &[]), 78, told);
    }
}

/// What OpenSSL reads in a list that the CA in `issuer` signed: its number, and the serial numbers in it.
pub fn read_list(folder: &Path, issuer: &str, der: &[u8]) -> (u64, Vec<String>) {
    let file = folder.join("read.crl");
    fs::write(&file, der).unwrap();
    let issuer = folder.join(issuer);
    let (file, issuer) = (file.to_str().unwrap(), issuer.to_str().unwrap());
    let outcome =
        run("openssl", &["crl", "-inform", "DER", "-in", file, "-CAfile", issuer, "-noout", "-text"]);
    assert!(outcome.stderr.contains("verify OK"), "{}", outcome.stderr);
    let text = outcome.good();
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.contains("CRL Number"));
    let number = lines.next().unwrap().parse().unwrap();
    let serials = text.lines().filter_map(|line| line.trim().strip_prefix("Serial Number: "));
    (number, serials.map(str::to_lowercase).collect())
}

#[test]
fn a_revocation_is_in_the_list_wherever_others_look_for_it() {
    let gate = gate(Clock::default());
    let folder = gate.folder.path();
    json(&gate, "credential permit", &HIM);
    acquired(&gate);
    let mut anybody = Browser::new(&gate);
    eventually("a first list", || anybody.open(WWW, "/sekisho/crl").status == 200);
    let first = anybody.open(WWW, "/sekisho/crl");
    assert_eq!(first.value("content-type").as_deref(), Some("application/pkix-crl"));
    let (first, serials) = read_list(folder, "issuer.pem", &first.body);
    assert_eq!(serials, [""; 0]);

    let revoked = json(&gate, "credential revoke", &HIM);
    let serial = revoked["credentials"][0]["serial"].as_str().unwrap().to_owned();
    // Whoever asks first makes the list; the gateway serves the same.
    let published = json(&gate, "issuer publish", &[]);
    let number = published["number"].as_u64().unwrap();
    assert!(number > first, "{number} after {first}");
    assert_eq!(published["file"], json!(folder.join("issuer.crl")));
    let file = fs::read(folder.join("issuer.crl")).unwrap();
    assert_eq!(read_list(folder, "issuer.pem", &file), (number, vec![serial]));
    eventually("the new list", || anybody.open(WWW, "/sekisho/crl").body == file);
    // Nothing is due: it is the same one again.
    assert_eq!(json(&gate, "issuer publish", &[]), published);
    let next: jiff::Timestamp = published["next_update"].as_str().unwrap().parse().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let metric = next.as_second() as f64;
    gate.counts("sekisho_revocation_list_next_update_timestamp_seconds", metric);
}

/// Rewrites the audit log.
fn edit(gate: &Gate, with: impl Fn(&str) -> Option<String>) {
    let file = gate.folder.path().join("audit.log");
    let lines: String =
        fs::read_to_string(&file).unwrap().lines().filter_map(with).map(|line| line + "\n").collect();
    fs::write(file, lines).unwrap();
}

#[test]
fn what_was_issued_is_held_against_what_was_permitted() {
    let gate = gate(Clock::default());
    json(&gate, "credential permit", &HIM);
    acquired(&gate);
    let good = staff(&gate, "issuer reconcile", &[]).good();
    assert!(good.starts_with("Everything that was issued was permitted.\n1 certificates, "), "{good}");
    // In a roll-over of the CA, audit logs hold what both keys have signed.
    let database = gate.folder.path().join("data/sekisho.db");
    let list = "SELECT 'an earlier key', number, change, this_update, next_update, der FROM lists LIMIT 1";
    let columns = "issuer, number, change, this_update, next_update, der";
    let earlier =
        format!("INSERT INTO lists ({columns}) {list}; UPDATE credentials SET issuer = 'an earlier key'");
    run("sqlite3", &[database.to_str().unwrap(), &earlier]).good();
    assert_eq!(staff(&gate, "issuer reconcile", &[]).good(), good);
    let log = gate.folder.path().join("audit.log");
    let whole = fs::read_to_string(&log).unwrap();
    let serial = json(&gate, "credential list", &HIM)["credentials"][0]["serial"].clone();
    let findings = || {
        let outcome = staff(&gate, "issuer reconcile", &["--output", "json"]);
        assert_eq!(outcome.code, Some(65), "{}", outcome.stderr);
        let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
        (found["findings"].clone(), found["unreadable_records"].clone())
    };
    let of = |serial: &Value, discrepancy: &str| json!({ "contract": CONTRACT, "user": "ito", "serial": serial, "discrepancy": discrepancy });

    edit(&gate, |line| (!line.contains("credential_issued")).then(|| line.to_owned()));
    assert_eq!(findings(), (json!([of(&serial, "not_audited")]), json!(0)));
    fs::write(&log, &whole).unwrap();
    edit(&gate, |line| (!line.contains("\"permitted\"")).then(|| line.to_owned()));
    assert_eq!(findings(), (json!([of(&serial, "not_permitted")]), json!(0)));
    let twice = |line: &str| {
        let again = line.replace(serial.as_str().unwrap(), "0badc0de");
        Some(if line.contains("credential_issued") {
            format!("{line}\n{again}\n{{broken")
        } else {
            line.to_owned()
        })
    };
    fs::write(&log, &whole).unwrap();
    edit(&gate, twice);
    assert_eq!(findings(), (json!([of(&json!("0badc0de"), "not_registered")]), json!(1)));
    // The records of another gateway are taken in.
    fs::write(gate.folder.path().join("other.log"), &whole).unwrap();
    fs::write(&log, "").unwrap();
    assert!(staff(&gate, "issuer reconcile", &["other.log"]).good().starts_with("Everything"));
    let missing = words("issuer reconcile", &["none.log"]);
    fails(
        gate.folder.path(),
        &missing,
        66,
        "sekisho issuer: none.log: No such file or directory (os error 2)\n",
    );
}

#[test]
fn gateways_that_publish_at_once_publish_one_list() {
    let gate = gate(Clock::default());
    json(&gate, "credential permit", &HIM);
    acquired(&gate);
    json(&gate, "credential revoke", &HIM);
    let publish = || json(&gate, "issuer publish", &[]);
    let lists: Vec<Value> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(publish)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:?}");
}

#[test]
fn a_notice_is_dropped_and_sent_after_all() {
    let mail = "mail: { smtp: 'smtp://127.0.0.1:1', from: 'no-reply@mihonbank.example', insecure: true }";
    let gate = gate_with(mail, Clock::default());
    let folder = gate.folder.path();
    assert_eq!(staff(&gate, "notice list", &[]).good(), "There are no notices.\n");
    let set =
        |rest: &[&str]| json(&gate, "user set-mail", &[&[CONTRACT, TANAKA.0], rest].concat())["mail"].clone();
    assert_eq!(set(&["tanaka@corp.example"]), "tanaka@corp.example");
    let of_all = |notices: &Value| -> Vec<(String, String)> {
        let of = |notice: &Value, key: &str| notice[key].as_str().unwrap().to_owned();
        notices.as_array().unwrap().iter().map(|notice| (of(notice, "kind"), of(notice, "mail"))).collect()
    };
    let listed = json(&gate, "notice list", &["--unsent"]);
    assert_eq!(of_all(&listed), [("mail_changed".to_owned(), "tanaka@corp.example".to_owned())]);
    let number = listed[0]["number"].to_string();
    eventually("a first try, in vain", || json(&gate, "notice list", &[])[0]["problem"].is_string());
    json(&gate, "notice drop", &[&number]);
    assert_eq!(json(&gate, "notice list", &[])[0]["state"], "dropped");
    let told = "sekisho notice: there is no notice 99 that is not sent\n";
    fails(folder, &words("notice drop", &["99"]), 66, told);
    json(&gate, "notice send", &[&number]);
    assert_eq!(json(&gate, "notice list", &[])[0]["state"], "waiting");
    let told = format!("sekisho notice: notice {number} is neither uncertain nor dropped\n");
    fails(folder, &words("notice send", &[&number]), 66, &told);
    // The old address is told, and nobody is at the new one.
    assert_eq!(set(&["--none"]), Value::Null);
    assert_eq!(json(&gate, "notice list", &[]).as_array().unwrap().len(), 2);
    let nobody = words("user set-mail", &[CONTRACT, "yamada", "--none"]);
    fails(folder, &nobody, 67, "sekisho user: there is no user yamada of contract 10000000000001\n");
    usage(
        &["notice", "send", "--config", "f", "one"],
        "error: invalid value 'one' for '<NUMBER>': invalid digit found in string",
    );
}
