//! T67: what is secret is where it belongs and nowhere else. A gateway that logs everything it can is used in every way, and
//! then everything that it has written is searched.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use sekisho::clock::Clock;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::client::{Client, plain_get};
use crate::support::eventually;
use crate::support::gate::{CERT, Settings, WWW, lay_out};
use crate::support::people::{Browser, CONTRACT, ITO, ROUTES, TANAKA, yaml};
use crate::support::pki::Ca;
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::process::Running;
use crate::support::redis::RedisServer;

const SESSION: &str = "__Host-sekisho-session";
const FLOW: &str = "__Host-sekisho-flow";
const VISIT: &str = "__Host-sekisho-visit";
/// A wrong PIN, and a new one.
const WRONG: &str = "kanari7wr";
const NEW: &str = "kanari7nw";

/// A gateway that says all it can, with the addresses that it listens at.
fn start(folder: &TempDir) -> (Running, SocketAddr, SocketAddr) {
    let everything = [("SEKISHO_LOG", "debug")];
    let mut running =
        Running::sekisho_with(folder.path(), &["serve", "--config", "sekisho.yaml"], &everything);
    running.wait_until_ready();
    let mut found = Vec::new();
    eventually("two addresses in the log", || {
        found = addresses(&running.stderr());
        found.len() == 2
    });
    (running, found[0], found[1])
}

fn addresses(log: &str) -> Vec<SocketAddr> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["fields"]["message"].as_str().is_some_and(|text| text.starts_with("Listening")))
        .map(|line| line["fields"]["address"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// Every file below a folder, but those that hold the secrets by design.
fn written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(written(&path));
        } else if !["pepper", "password", "server.key"].iter().any(|name| path.ends_with(name)) {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

fn holds(text: &[u8], secret: &str) -> bool {
    text.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret.as_bytes()))
}

/// Uses the gateway in every way, and returns what no file may hold, and all that it answered beside pages' own tokens.
fn use_it(browser: &mut Browser, answers: &mut Vec<u8>) -> Vec<String> {
    let mut secrets: Vec<String> = [ITO.1, TANAKA.1, WRONG, NEW].map(str::to_owned).into();
    let note = |browser: &Browser, secrets: &mut Vec<String>| {
        for (host, name) in [(WWW, SESSION), (CERT, SESSION), (WWW, FLOW), (WWW, VISIT), (CERT, VISIT)] {
            let value = browser.cookie(host, name).map(|value| value.split('.').next().unwrap().to_owned());
            secrets.extend(value);
        }
    };
    answers.extend(browser.try_pin(ITO.0, WRONG).body);
    browser.sign_in(ITO);
    note(browser, &mut secrets);
    answers.extend(browser.open(WWW, "/banking").body);
    answers.extend(browser.send(WWW, "GET /other HTTP/1.1", &["Accept: application/json"], "").body);
    answers.extend(browser.open(WWW, "/nothing").body);
    let page = browser.open(WWW, "/sekisho/pin");
    for present in [WRONG, ITO.1] {
        let fields = [("present", present), ("new", NEW), ("again", NEW)];
        answers.extend(browser.post(WWW, "/sekisho/pin", &page, &fields).body);
        note(browser, &mut secrets);
    }
    let sent = browser.open(WWW, "/sekisho/certificate");
    note(browser, &mut secrets);
    let (_, over) = browser.follow(WWW, &sent);
    note(browser, &mut secrets);
    let location = over.value("location").unwrap();
    secrets.push(location.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned());
    assert_eq!(browser.follow(CERT, &over).1.status, 303);
    note(browser, &mut secrets);
    let home = browser.open(WWW, "/sekisho/home");
    assert_eq!(browser.post(WWW, "/sekisho/sign-out", &home, &[]).status, 303);
    secrets.sort();
    secrets.dedup();
    secrets
}

/// Runs a gateway with this YAML, uses it, and searches.
fn search(more: &str) {
    let (backend, ca) = (Backend::start(), Ca::new("Mihon Bank CA-G1"));
    let yaml = yaml(more);
    let embedded = "directory: { url: 'sqlite:data/sekisho.db' }\n";
    let yaml = if more.contains("directory:") { yaml.replacen(embedded, "", 1) } else { yaml };
    let settings = Settings {
        yaml: &yaml,
        routes: Some(ROUTES),
        clock: Clock::default(),
        people: true,
        ..Settings::default()
    };
    let folder = lay_out(&[backend.address], &ca, &settings);
    let (running, address, ops) = start(&folder);
    let client = Client::new(address, &ca).with(&ca.client(&format!("{CONTRACT} ito")));
    let (mut browser, mut answers) = (Browser::at(client), Vec::new());
    let mut secrets = use_it(&mut browser, &mut answers);
    secrets.push(PASSWORD.to_owned());
    // As it would stand in a URL.
    secrets.push("kanarienvogel".to_owned());
    let pepper = fs::read_to_string(folder.path().join("pepper")).unwrap();
    secrets.push(pepper.trim().split_once(' ').unwrap().1.to_owned());
    assert!(secrets.len() >= 12, "{secrets:?}");
    let metrics = plain_get(ops, "/metrics").1;
    let mut places = written(folder.path());
    let outcome = running.stop(rustix::process::Signal::TERM);
    places.extend(written(folder.path()));
    // Servers are asked without a word; the statements for a file are logged, without their values.
    if more.is_empty() {
        assert!(outcome.stderr.contains("\"level\":\"DEBUG\""), "nothing was logged at that level");
    }
    for (what, text) in [("stdout", outcome.stdout), ("stderr", outcome.stderr), ("metrics", metrics)] {
        places.push((what.to_owned(), text.into_bytes()));
    }
    places.push(("answers".to_owned(), answers));
    for name in ["access.log", "audit.log"] {
        assert!(places.iter().any(|(place, text)| place.ends_with(name) && !text.is_empty()), "{name}");
    }
    for (place, text) in &places {
        for secret in &secrets {
            assert!(!holds(text, secret), "{secret} is in {place}");
        }
    }
}

#[test]
fn no_secret_is_in_any_log_metric_answer_or_database_file() {
    search("");
}

#[test]
fn no_secret_is_in_any_log_where_the_stores_are_servers() {
    let (postgres, redis) = (Postgres::start(), RedisServer::start());
    let sekisho::stores::DirectorySettings::Postgres { url, .. } = postgres.database() else {
        unreachable!()
    };
    redis.tell::<()>(&["CONFIG", "SET", "requirepass", PASSWORD]);
    search(&format!(
        "directory: {{ url: '{url}', password_file: password }}\n\
         state: {{ url: 'redis://127.0.0.1:{}', password_file: password }}",
        redis.port()
    ));
}
