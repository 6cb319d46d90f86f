//! The folder after a first start, a second one, and after accidents.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::pki::development::{Serial, list, stored_serial};

const NOW: i64 = 1_790_000_000;
const CLIENTS: [&str; 5] = ["user", "administrator", "expired", "revoked", "stranger"];

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(NOW + number * 86_400).unwrap()
}

fn serial(dir: &Path, name: &str) -> Serial {
    stored_serial(&dir.join(format!("clients/{name}.pem"))).unwrap()
}

/// The files belong together.
fn assert_whole(dir: &Path) {
    let password = password().unwrap();
    for name in CLIENTS {
        read_whole(&dir.join("clients"), &stem(name).unwrap(), Some(&password)).unwrap();
    }
    for name in [CERTIFICATE_HOST, OPEN_HOST] {
        read_whole(&dir.join("servers"), &stem(name).unwrap(), None).unwrap();
    }
}

/// And each certificate is what its name says.
fn assert_complete(dir: &Path) {
    assert_whole(dir);
    let issued = list(dir).unwrap();
    let entry = |name: &str| issued.iter().find(|entry| entry.serial == serial(dir, name));
    assert!(entry("user").unwrap().revoked_at.is_none());
    assert!(entry("administrator").unwrap().revoked_at.is_none());
    assert!(entry("expired").unwrap().not_after < day(0));
    assert!(entry("revoked").unwrap().revoked_at.is_some());
    assert!(entry("stranger").is_none());
}

#[test]
fn the_first_start_makes_everything() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("target/demo");
    assert_eq!(prepare(&dir, day(0)).unwrap(), Pki::Made);
    assert_complete(&dir);
    let people: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("people.json")).unwrap()).unwrap();
    assert_eq!(people.as_array().unwrap().len(), 6);
    assert_eq!((&people[1]["user"], &people[1]["role"]), (&"suzuki".into(), &"administrator".into()));
    assert!(people[4]["certificate"].is_null());
    let pins: std::collections::HashSet<_> =
        people.as_array().unwrap().iter().map(|person| person["pin"].as_str().unwrap()).collect();
    assert_eq!(pins.len(), 6);
    assert!(pins.iter().all(|pin| crate::domain::Pin::typed(pin).is_ok()));
}

#[test]
fn the_second_start_keeps_everything_and_renews_the_list() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    prepare(dir, day(0)).unwrap();
    let read = |file: &str| fs::read(dir.join(file)).unwrap();
    let (ca, list) = (read("ca.pem"), read("ca.crl"));
    let (people, pepper) = (read("people.json"), read("secrets/pepper"));
    let serials = CLIENTS.map(|name| serial(dir, name));
    assert_eq!(prepare(dir, day(1)).unwrap(), Pki::Kept);
    assert_eq!(read("ca.pem"), ca);
    assert_eq!((read("people.json"), read("secrets/pepper")), (people, pepper));
    assert_ne!(read("ca.crl"), list);
    assert_eq!(CLIENTS.map(|name| serial(dir, name)), serials);
}

#[test]
fn certificates_that_end_soon_are_replaced_and_the_ca_in_time() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    prepare(dir, day(0)).unwrap();
    let (user, expired) = (serial(dir, "user"), serial(dir, "expired"));
    assert_eq!(prepare(dir, day(340)).unwrap(), Pki::Kept);
    assert_ne!(serial(dir, "user"), user);
    assert_eq!(serial(dir, "expired"), expired);
    assert_eq!(prepare(dir, day(3000)).unwrap(), Pki::Made);
    assert_whole(dir);
}

#[test]
fn a_revoked_user_gets_a_new_certificate() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    prepare(dir, day(0)).unwrap();
    let user = serial(dir, "user");
    Authority::open(dir).unwrap().revoke(&user, day(0)).unwrap();
    assert_eq!(prepare(dir, day(0)).unwrap(), Pki::Kept);
    assert_ne!(serial(dir, "user"), user);
    assert_complete(dir);
}

/// Every file of a folder that two starts could tear apart.
fn every_file(dir: &Path) -> Vec<PathBuf> {
    let mut files = ["ca.pem", "ca.key", "ca.crl", "issued.json", "people.json"].map(PathBuf::from).to_vec();
    files.extend(["stranger/ca.pem", "stranger/ca.key", "stranger/issued.json"].map(PathBuf::from));
    for folder in ["clients", "servers"] {
        let entries = fs::read_dir(dir.join(folder)).unwrap();
        files.extend(entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())));
    }
    files
}

#[test]
fn a_folder_that_misses_any_file_or_holds_a_torn_one_is_repaired() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    prepare(dir, day(0)).unwrap();
    let files = every_file(dir);
    assert_eq!(files.len(), 5 + 3 + 5 * 3 + 2 * 2);
    // Each file is missing once, and torn once beside a missing one.
    for (missing, torn) in files.iter().zip(files.iter().cycle().skip(1)) {
        let content = fs::read(dir.join(torn)).unwrap();
        fs::write(dir.join(torn), &content[..content.len() / 2]).unwrap();
        fs::remove_file(dir.join(missing)).unwrap();
        prepare(dir, day(0)).unwrap();
        assert_complete(dir);
    }
    assert_eq!(every_file(dir).len(), files.len(), "nothing is left over");
}

#[test]
fn a_folder_with_another_ca_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path();
    drop(Authority::create(dir, &AuthorityName::default(), Existing::Keep, day(0)).unwrap());
    let before = fs::read(dir.join("ca.key")).unwrap();
    assert!(prepare(dir, day(0)).is_err());
    assert_eq!(fs::read(dir.join("ca.key")).unwrap(), before);
    assert!(!dir.join("clients").exists());
}
