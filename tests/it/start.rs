//! A gate that can't be sure whom to believe doesn't start, and says which line of the file is to blame (T5).

use std::net::SocketAddr;

use sekisho::app::{StartError, plan};
use sekisho::clock::Clock;
use sekisho::config;
use tempfile::TempDir;
use time::Duration;

use crate::support::gate::{CERT, HOSTS, OPTIONAL, STRICT, Settings, WWW, lay_out, start_in};
use crate::support::pki::{COMMON_NAME, Ca, now};

/// Lays out a good gate, breaks it, and has it say what is wrong: each problem's sentence (without the folder), and
/// the words of the YAML that it points at.
fn mistakes(spoil: impl FnOnce(&TempDir, &Ca)) -> Vec<(String, String)> {
    let ca = Ca::new("Mihon Bank CA-G1");
    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let folder = lay_out(&[nowhere], &ca, &Settings::default());
    let document = config::load(&folder.path().join("sekisho.yaml")).unwrap();
    assert!(plan(&document, Clock::System.now()).is_ok(), "before it is broken, all is well");
    spoil(&folder, &ca);
    let Err(planned) = plan(&document, Clock::System.now()) else { panic!("it was planned") };
    let Err(StartError::Config(problems)) = start_in(&folder, Clock::System) else { panic!("it started") };
    assert_eq!(planned, problems);
    let yaml = std::fs::read_to_string(folder.path().join("sekisho.yaml")).unwrap();
    let within = format!("{}/", folder.path().display());
    let words = |(line, column): (usize, usize)| {
        let rest: String = yaml.lines().nth(line - 1).unwrap().chars().skip(column - 1).collect();
        format!("{line}: {}", rest.split([',', ' ', ']']).next().unwrap())
    };
    problems
        .iter()
        .map(|problem| (problem.message().replace(&within, ""), words(problem.position().unwrap())))
        .collect()
}

/// The one problem of a gate whose file `name` holds `text`, or is missing.
fn mistake(name: &str, text: Option<&str>) -> (String, String) {
    let mut mistakes = mistakes(|folder, _| put(folder, name, text));
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes.remove(0)
}

fn put(folder: &TempDir, name: &str, text: Option<&str>) {
    let file = folder.path().join(name);
    match text {
        Some(text) => std::fs::write(file, text).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
}

fn at_authorities(message: &str) -> (String, String) {
    (message.to_owned(), "10: ca.pem".to_owned())
}

fn at_crl(message: &str) -> (String, String) {
    (message.to_owned(), "10: ca.crl".to_owned())
}

#[test]
fn authorities_that_are_missing_empty_or_broken_stop_the_start() {
    let pem = Ca::new("Mihon Bank CA-G1").pem();
    for (text, message) in [
        (None, "ca.pem: there is no such file"),
        (Some(""), "ca.pem: it is empty"),
        (Some("\n\n"), "ca.pem: it is empty"),
        (Some("# later"), "ca.pem: there is no certificate in it"),
        (Some(&pem[..pem.len() / 2]), "ca.pem: the PEM is broken: a section has no END line"),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "ca.pem: certificate 1 in it is not a well-formed X.509 certificate",
        ),
    ] {
        assert_eq!(mistake("ca.pem", text), at_authorities(message));
    }
}

#[test]
fn a_leaf_among_the_authorities_stops_the_start() {
    let ca = Ca::new("Mihon Bank CA-G1");
    let leaf = ca.client(COMMON_NAME).pem;
    let message = "is not a CA's: basicConstraints lacks CA:TRUE";
    let first = format!("ca.pem: certificate 1 in it {message}");
    assert_eq!(mistake("ca.pem", Some(&leaf)), at_authorities(&first));
    // One good authority doesn't make up for it.
    let second = format!("ca.pem: certificate 2 in it {message}");
    assert_eq!(mistake("ca.pem", Some(&format!("{}{leaf}", ca.pem()))), at_authorities(&second));
}

#[test]
fn a_revocation_list_that_is_missing_empty_or_broken_stops_the_start() {
    for (text, message) in [
        (None, "ca.crl: there is no such file"),
        (Some(""), "ca.crl: it is empty"),
        (Some("# later"), "ca.crl: there is no CRL in it"),
        (
            Some("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
            "ca.crl: the revocation list is not a well-formed CRL",
        ),
    ] {
        assert_eq!(mistake("ca.crl", text), at_crl(message));
    }
}

#[test]
fn a_revocation_list_of_another_issuer_stops_the_start() {
    let stranger = Ca::new("Another Bank CA").crl(&[]);
    let message = "ca.crl: the revocation list of \"O=Mihon Bank, Ltd., OU=Another Bank CA\" comes from none of the authorities";
    assert_eq!(mistake("ca.crl", Some(&stranger)), at_crl(message));
    let impostor = Ca::new("Mihon Bank CA-G1").crl(&[]);
    let message = "ca.crl: the revocation list of \"O=Mihon Bank, Ltd., OU=Mihon Bank CA-G1\" does not bear the signature of the authority of that name";
    assert_eq!(mistake("ca.crl", Some(&impostor)), at_crl(message));
}

#[test]
fn a_stale_revocation_list_does_not_stop_the_start_and_lets_nobody_in() {
    let backend = crate::support::backend::Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder = lay_out(&[backend.address], &ca, &Settings::default());
    put(&folder, "ca.crl", Some(&ca.crl_until(&[], now() - Duration::hours(1))));
    let gateway = start_in(&folder, Clock::System).unwrap();
    let client = crate::support::client::Client::new(gateway.addresses()[0], &ca);
    let response =
        client.with(&ca.client(COMMON_NAME)).get_with(CERT, "/banking/", "Accept: application/json\r\n");
    assert_eq!((response.status, response.code()), (503, "revocation_unknown".to_owned()));
    assert_eq!(backend.connections(), 0);
    gateway.drain();
}

/// A problem of every host, whose lines are 6 to 9.
fn at_every_host(file: &str, message: &str) -> Vec<(String, String)> {
    (6..=9).map(|line| (message.to_owned(), format!("{line}: {file}"))).collect()
}

#[test]
fn a_server_key_of_another_certificate_stops_the_start() {
    let other = Ca::new("Mihon Bank CA-G1").server(&HOSTS);
    let found = mistakes(|folder, _| put(folder, "server.key", Some(&other.key_pem)));
    assert_eq!(
        found,
        at_every_host("server.key", "server.key: the key does not belong to the certificate in server.pem")
    );
}

#[test]
fn a_server_key_or_certificate_that_is_missing_stops_the_start() {
    let found = mistakes(|folder, _| put(folder, "server.key", None));
    assert_eq!(found, at_every_host("server.key", "server.key: there is no such file"));
    let found = mistakes(|folder, _| put(folder, "server.pem", None));
    assert_eq!(found, at_every_host("server.pem", "server.pem: there is no such file"));
}

#[test]
fn a_server_certificate_for_other_hosts_stops_the_start() {
    let found = mistakes(|folder, ca| {
        let server = ca.server(&[CERT, WWW, OPTIONAL]);
        put(folder, "server.pem", Some(&server.pem));
        put(folder, "server.key", Some(&server.key_pem));
    });
    let message = format!("the certificate is not for `{STRICT}` but for {CERT}, {WWW}, {OPTIONAL}");
    assert_eq!(found, [(message, "9: server.pem".to_owned())]);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = mistakes(|folder, _| {
        put(folder, "server.key", None);
        put(folder, "ca.pem", Some(""));
    });
    let mut expected = at_every_host("server.key", "server.key: there is no such file");
    expected.push(at_authorities("ca.pem: it is empty"));
    assert_eq!(found, expected);
}
