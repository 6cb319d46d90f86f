//! A change of a file is enough: settled, renamed into place, or a folder swapped beneath a symbolic link.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::process::Signal;
use sekisho::app::ConfigFile;
use sekisho::clock::Clock;
use sekisho::domain::RevocationCause;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::acquisition;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, HOSTS, Settings, WWW, lay_out};
use crate::support::people::{self, Browser, ITO};
use crate::support::pki::{COMMON_NAME, Ca};
use crate::support::process::{Running, sekisho};

const GOOD: &str = "sekisho_config_reloads_total{outcome=\"good\"}";
const REFUSED: &str = "sekisho_config_reloads_total{outcome=\"refused\"}";

fn following(backend: &Backend) -> Gate {
    let gate = Gate::start(backend);
    gate.follow();
    gate
}

#[test]
fn a_list_that_is_renamed_into_place_revokes() {
    let backend = Backend::start();
    let gate = following(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let mut idle = gate.client().with(&credential).connect(CERT).unwrap();
    gate.write("ca.crl", &gate.ca.crl(&[&credential]));
    // The gate closes it: its certificate is good no longer.
    assert!(idle.is_closed());
    gate.counts(GOOD, 1.0);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 403);
}

#[test]
fn a_list_revokes_while_reloads_are_refused() {
    let backend = Backend::start();
    let gate = following(&backend);
    let yaml = gate.file("sekisho.yaml");
    gate.write("sekisho.yaml", &yaml.replace("routes:", "routs:"));
    gate.counts(REFUSED, 1.0);
    let credential = gate.ca.client(COMMON_NAME);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 200);
    gate.write("ca.crl", &gate.ca.crl(&[&credential]));
    gate.counts(REFUSED, 2.0);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 403);
}

#[test]
fn what_was_broken_is_taken_up_when_it_is_mended() {
    let backend = Backend::start();
    let gate = following(&backend);
    let next = Ca::new("Mihon Bank Web CA");
    let server = next.server(&HOSTS);
    gate.write("server.pem", &server.pem);
    gate.counts(REFUSED, 1.0);
    gate.write("server.key", &server.key_pem);
    gate.counts(GOOD, 1.0);
    let tanaka = Client::new(gate.address, &next).with(&gate.ca.client(COMMON_NAME));
    assert_eq!(tanaka.get(CERT, "/banking/").status, 200);
}

#[test]
fn a_file_that_was_missing_is_taken_up_when_it_comes() {
    let backend = Backend::start();
    let gate = following(&backend);
    let next = Ca::new("Mihon Bank CA-G2");
    let text = gate.file("sekisho.yaml");
    gate.write("sekisho.yaml", &text.replace("authorities: ca.pem", "authorities: [ca.pem, g2.pem]"));
    gate.counts(REFUSED, 1.0);
    gate.write("g2.pem", &next.pem());
    gate.counts(GOOD, 1.0);
}

#[test]
fn what_changed_between_the_start_and_the_first_look_is_taken_up() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let folder = lay_out(&[backend.address], &ca, &Settings::default());
    let file = ConfigFile::at(&folder.path().join("sekisho.yaml"));
    // Read, and edited before anybody looks at it again.
    let gate = Gate::in_folder(folder, ca);
    let text = gate.file("sekisho.yaml");
    gate.write("sekisho.yaml", &text.replace("path: /public", "path: /open"));
    gate.follow_since(file);
    gate.counts(GOOD, 1.0);
    assert_eq!(gate.client().get(WWW, "/open/1").status, 200);
    // The same of a file that it names.
    let gate = Gate::start(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    gate.write("ca.crl", &gate.ca.crl(&[&credential]));
    gate.follow();
    gate.counts(GOOD, 1.0);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 403);
}

/// Kubernetes mounts a ConfigMap as links into `..data`, itself a link to a dated folder, and swaps that.
#[test]
fn a_folder_that_is_swapped_beneath_a_link_is_taken_up() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let settings = Settings::default();
    let (first, second) =
        (lay_out(&[backend.address], &ca, &settings), lay_out(&[backend.address], &ca, &settings));
    let mount = tempfile::tempdir().unwrap();
    let data = mount.path().join("..data");
    symlink(first.path(), &data).unwrap();
    for entry in fs::read_dir(first.path()).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(std::path::Path::new("..data").join(&name), mount.path().join(&name)).unwrap();
    }
    let gate = Gate::in_folder(mount, ca);
    gate.follow();
    let credential = gate.ca.client(COMMON_NAME);
    fs::write(second.path().join("ca.crl"), gate.ca.crl(&[&credential])).unwrap();
    let swapped = gate.folder.path().join("..new");
    symlink(second.path(), &swapped).unwrap();
    fs::rename(swapped, data).unwrap();
    gate.counts(GOOD, 1.0);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 403);
}

#[test]
fn sighup_and_the_command_reload_a_gate_that_watches_nothing() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let settings = Settings { yaml: "reload: { on_change: false }\n", ..Settings::default() };
    let folder = lay_out(&[backend.address], &ca, &settings);
    let path = folder.path();
    let mut process = Running::sekisho(path, &["serve", "--config", "sekisho.yaml"]);
    process.wait_until_ready();
    let address = process.address("Listening for operators");
    let ops = address.to_string();
    let reloaded = |count: &str| {
        let (_, text) = crate::support::client::plain_get(address, "/metrics");
        text.contains(&format!("sekisho_config_reloads_total{{outcome=\"good\"}} {count}\n"))
    };
    process.signal(Signal::HUP);
    eventually("SIGHUP reloads", || reloaded("1"));
    // On a machine without authorities of its own, such as a small container: nothing here is encrypted.
    let nowhere = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
    let outcome = Running::sekisho_with(path, &["reload", "--ops", &ops], &nowhere).wait();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "reloaded\n"), "{}", outcome.stderr);
    assert!(reloaded("2"));
    let against = |file: &str| sekisho(path, &["check", "--config", file, "--against", &ops]).good();
    assert_eq!(against("sekisho.yaml"), "sekisho.yaml: ok, a reload brings all of it about\n");
    let good = fs::read_to_string(path.join("sekisho.yaml")).unwrap();
    fs::write(path.join("next.yaml"), good.replace("workers: 1", "workers: 2")).unwrap();
    assert_eq!(
        against("next.yaml"),
        "next.yaml: ok, but without a restart (or an upgrade in place) these can't change:\n  workers\n"
    );
    fs::write(path.join("sekisho.yaml"), good.replace("workers: 1", "workers: 2")).unwrap();
    let outcome = sekisho(path, &["reload", "--ops", &ops]);
    assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("this can't change without a restart"), "{}", outcome.stderr);
    assert_eq!(process.stop(Signal::TERM).code, Some(0));
    let outcome = sekisho(path, &["reload", "--ops", &ops]);
    assert_eq!(outcome.code, Some(69), "{}", outcome.stderr);
}

/// The issuer writes its list into a file that this gateway believes. It must not take that for a change of its
/// configuration, which would have it begin anew, which would have it write the list…
#[test]
fn a_list_that_the_gate_writes_itself_is_no_change() {
    let gate = acquisition::gate(Clock::default());
    gate.follow();
    acquisition::permit(&gate, "ito");
    let mut browser = Browser::new(&gate);
    acquisition::begin(&mut browser, ITO);
    acquisition::fetch_file(&mut browser, WWW);
    let directory = people::stores(gate.folder.path()).directory;
    let (who, at) = (people::identity("ito"), gate.clock.now());
    people::now(directory.revoke(&who, RevocationCause::Withdrawn, "staff:test", None, at)).unwrap();
    // The number of the first is that of the list that the folder was laid out with.
    eventually("the second list is published", || {
        let list = fs::read(gate.folder.path().join("issuer.crl")).unwrap();
        CertificateRevocationList::from_der(&list)
            .is_ok_and(|(_, list)| list.crl_number() == Some(&2_u8.into()))
    });
    for number in 1..=3_u8 {
        let text = gate.file("sekisho.yaml");
        gate.write("sekisho.yaml", &format!("{text}# {number}\n"));
        gate.counts(GOOD, f64::from(number));
    }
}
