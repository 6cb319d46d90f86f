//! Backup and restore as docs/backup.md has them: what comes back, what is lost, and how it is found and done again.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::Signal;
use sekisho::clock::Clock;
use sekisho::stores::DirectorySettings;
use serde_json::Value;
use tempfile::TempDir;

use crate::acquisition::{begin, fetch_file, password, unpack};
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Settings, WWW, lay_out};
use crate::support::people::{Browser, CONTRACT, ITO, ROUTES, SUZUKI, TANAKA, yaml};
use crate::support::pki::{Ca, Credential};
use crate::support::postgres::Postgres;
use crate::support::process::{Outcome, Running, run, sekisho};

const SQLITE: &str = "sqlite:data/sekisho.db";

/// A gateway that issues certificates, as a process of its own.
struct House {
    folder: TempDir,
    ca: Ca,
    running: Option<Running>,
    address: SocketAddr,
    _backend: Backend,
}

impl House {
    fn new(directory: &str) -> Self {
        let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
        let yaml = yaml("").replace(SQLITE, directory);
        let settings = Settings {
            yaml: &yaml,
            routes: Some(ROUTES),
            people: true,
            issuer: Some("required"),
            ..Settings::default()
        };
        let folder = lay_out(&[backend.address], &ca, &settings);
        let address = "127.0.0.1:0".parse().unwrap();
        let mut house = Self { folder, ca, running: None, address, _backend: backend };
        house.start();
        house
    }

    fn start(&mut self) {
        let mut running = Running::sekisho(self.folder.path(), &["serve", "--config", "sekisho.yaml"]);
        running.wait_until_ready();
        self.address = running.address("Listening");
        self.running = Some(running);
    }

    fn stop(&mut self) {
        assert_eq!(self.running.take().unwrap().stop(Signal::TERM).code, Some(0));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sekisho(&self, words: &[&str]) -> Outcome {
        sekisho(self.folder.path(), &[words, &["--config", "sekisho.yaml"]].concat())
    }

    fn client(&self) -> Client {
        Client::new(self.address, &self.ca)
    }

    /// Permits a user a certificate, and gets it as they would.
    fn acquire(&self, user: (&str, &str)) -> Credential {
        self.sekisho(&["credential", "permit", CONTRACT, user.0]).good();
        let mut browser = Browser::at(self.client());
        begin(&mut browser, user);
        let file = fetch_file(&mut browser, WWW);
        unpack(&file, &password(&mut browser, WWW))
    }

    #[track_caller]
    fn answers(&self, credential: &Credential, status: u16) {
        let client = self.client().with(credential);
        eventually("the certificate's holder gets another answer", || {
            Browser::at(client.clone()).open(CERT, "/machine").status == status
        });
    }

    fn signs_in(&self, (user, pin): (&str, &str)) -> bool {
        Browser::at(self.client()).try_pin(user, pin).status == 303
    }

    /// The number of the revocation list on the disk.
    fn list(&self) -> u64 {
        let file = self.file("issuer.crl");
        let text = run("openssl", &["crl", "-in", file.to_str().unwrap(), "-noout", "-crlnumber"]).good();
        u64::from_str_radix(text.trim().trim_start_matches("crlNumber=0x"), 16).unwrap()
    }
}

/// `restore` brings the directory back to when `backup` was made, and says where it is from then on.
fn what_is_lost_is_found(house: &mut House, backup: impl Fn(&House), restore: impl Fn(&House) -> String) {
    let ito = house.acquire(ITO);
    house.answers(&ito, 200);
    backup(house);
    let since = Clock::default().now().to_string();
    // What nobody will remember but the audit log.
    house.sekisho(&["credential", "revoke", CONTRACT, ITO.0]).good();
    house.answers(&ito, 403);
    let suzuki = house.acquire(SUZUKI);
    house.answers(&suzuki, 200);
    house.sekisho(&["user", "suspend", CONTRACT, TANAKA.0]).good();
    eventually("the suspension holds", || !house.signs_in(TANAKA));
    let before = house.list();

    house.stop();
    let url = restore(house);
    let file = house.file("sekisho.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let from = text.lines().find(|line| line.starts_with("directory:")).unwrap().to_owned();
    fs::write(&file, text.replace(&from, &format!("directory: {url}"))).unwrap();
    house.sekisho(&["issuer", "publish", "--anew"]).good();
    let anew = house.list();
    assert!(anew > before, "{anew} {before}");
    house.start();

    // This is what a restore does.
    house.answers(&ito, 200);
    assert!(house.signs_in(TANAKA));
    house.answers(&suzuki, 403);

    // And this is how it is found.
    let reconciled = house.sekisho(&["issuer", "reconcile", "--output", "json"]);
    assert_eq!(reconciled.code, Some(65), "{}", reconciled.stderr);
    let reconciled: Value = serde_json::from_str(&reconciled.stdout).unwrap();
    let findings: Vec<_> = reconciled["findings"].as_array().unwrap().iter().collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let what = ["user", "discrepancy"].map(|field| findings[0][field].as_str().unwrap());
    assert_eq!(what, ["suzuki", "not_registered"]);
    let kinds = ["revoked", "reissued", "suspended", "lifted", "permitted", "credential_issued"];
    let mut words = vec!["audit", "show", "--since", since.as_str(), "--output", "json"];
    kinds.iter().for_each(|kind| words.extend(["--kind", kind]));
    let done: Vec<_> = house
        .sekisho(&words)
        .good()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| {
            [&record["kind"], &record["user"]].map(|word| word.as_str().unwrap().to_owned()).join(" ")
        })
        .collect();
    assert_eq!(done, ["revoked ito", "permitted suzuki", "credential_issued suzuki", "suspended tanaka"]);

    house.sekisho(&["credential", "revoke", CONTRACT, ITO.0]).good();
    house.sekisho(&["user", "suspend", CONTRACT, TANAKA.0]).good();
    house.answers(&ito, 403);
    eventually("the suspension holds", || !house.signs_in(TANAKA));
    eventually("a list that names it", || house.list() == anew + 1);
    let said = house.running.as_ref().unwrap().stderr();
    assert!(!said.contains("can't be published"), "{said}");
    let verified = house.sekisho(&["audit", "verify", "--strict"]).good();
    assert!(verified.contains("good.\n"), "{verified}");
}

#[test]
fn a_directory_in_a_file_comes_back_from_its_backup_and_what_is_lost_is_found() {
    let mut house = House::new(SQLITE);
    what_is_lost_is_found(
        &mut house,
        |house| {
            let to = format!(".backup {}", house.file("backup.db").display());
            run("sqlite3", &[house.file("data/sekisho.db").to_str().unwrap(), &to]).good();
        },
        |house| {
            // A log of the old file's must not be taken for one of the new file's.
            for file in ["data/sekisho.db", "data/sekisho.db-wal", "data/sekisho.db-shm"] {
                let _ = fs::remove_file(house.file(file));
            }
            fs::copy(house.file("backup.db"), house.file("data/sekisho.db")).unwrap();
            format!("{{ url: '{SQLITE}' }}")
        },
    );
}

#[test]
fn a_directory_in_postgresql_comes_back_from_its_backup_and_what_is_lost_is_found() {
    let postgres = Postgres::start();
    let url = || {
        let DirectorySettings::Postgres { url, .. } = postgres.database() else { unreachable!() };
        url
    };
    let (from, to) = (url(), url());
    let directory = |url: &str| format!("{url}', password_file: 'password");
    let mut house = House::new(&directory(&from));
    let file = house.file("directory.dump");
    let file = file.to_str().unwrap();
    what_is_lost_is_found(
        &mut house,
        |_| postgres.run_tool("pg_dump", &["--format=custom", "--file", file, "--dbname", &from]),
        |_| {
            let words = ["--exit-on-error", "--single-transaction", "--no-owner", "--dbname", &to, file];
            postgres.run_tool("pg_restore", &words);
            format!("{{ url: '{}' }}", directory(&to))
        },
    );
}
