//! Another configuration takes the place of the one in force whole or not at all, and no connection is dropped by it.

use std::fs;

use sekisho::clock::Clock;

use crate::support::backend::Backend;
use crate::support::client::{Connection, plain, plain_get, plain_with};
use crate::support::gate::{CERT, Gate, OPTIONAL, WWW};
use crate::support::http2::Http2;
use crate::support::people;
use crate::support::pki::{COMMON_NAME, Ca, now};

/// A gate that reloads when it is told to, and only then.
fn gate(backend: &Backend) -> Gate {
    let gate = Gate::configured(backend, "reload: { on_change: false }");
    gate.follow();
    gate
}

/// Replaces a part of the configuration.
fn edit(gate: &Gate, from: &str, to: &str) {
    let text = gate.file("sekisho.yaml");
    assert!(text.contains(from), "{text}");
    gate.write("sekisho.yaml", &text.replace(from, to));
}

fn ask(connection: &mut Connection, host: &str, path: &str) -> u16 {
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    connection.response().expect("a response").status
}

#[test]
fn new_routes_hold_for_the_next_request_of_every_live_connection() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut h1 = gate.tanaka().connect(CERT).unwrap();
    let mut h2 = Http2::connect(&gate.tanaka(), CERT);
    assert_eq!(ask(&mut h1, CERT, "/banking/1"), 200);
    assert_eq!(h2.get(CERT, "/loans/1").status, 404);
    edit(&gate, "path: /banking", "path: /loans");
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut h1, CERT, "/banking/2"), 404);
    assert_eq!(ask(&mut h1, CERT, "/loans/2"), 200);
    assert_eq!(h2.get(CERT, "/loans/2").status, 200);
    assert_eq!(gate.metric("sekisho_connections"), 2.0, "the connections of the beginning");
    assert_eq!(gate.metric("sekisho_config_last_reload_success"), 1.0);
    assert_eq!(gate.metric("sekisho_config_reloads_total{outcome=\"good\"}"), 1.0);
}

#[test]
fn an_upstream_that_stays_as_it_is_keeps_its_connections_and_a_changed_one_gets_new_ones() {
    let (backend, other) = (Backend::start(), Backend::start());
    let gate = gate(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, CERT, "/banking/1"), 200);
    edit(&gate, "path: /public", "path: /open");
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut connection, CERT, "/banking/2"), 200);
    assert_eq!(backend.connections(), 1);
    edit(&gate, &backend.address.to_string(), &other.address.to_string());
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut connection, CERT, "/banking/3"), 200);
    assert_eq!((backend.received().len(), other.received().len()), (2, 1));
}

#[test]
fn idle_connections_of_rules_before_are_closed_although_a_tunnel_still_goes_by_them() {
    use std::io::Write;
    let backend = Backend::conversing(|mut conversation| {
        while let Some(received) = conversation.receive() {
            let is_tunnel = received.value("upgrade").is_some();
            let answer: &[u8] = match is_tunnel {
                true => {
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                }
                false => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            conversation.stream.write_all(answer).unwrap();
            if is_tunnel {
                conversation.read_exactly(1);
                return;
            }
        }
        conversation.note("closed");
    });
    let gate = gate(&backend);
    let mut tunnel = gate.tanaka().connect(CERT).unwrap();
    tunnel.send(
        format!(
            "GET /banking/ws HTTP/1.1\r\nHost: {CERT}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(tunnel.response().unwrap().status, 101);
    assert_eq!(gate.tanaka().get(CERT, "/banking/1").status, 200);
    edit(&gate, "reload:", "timeouts: { upstream_connect: 7s }\nreload:");
    assert_eq!(gate.reload(), Ok(()));
    crate::support::eventually("it is closed", || {
        backend.received().iter().any(|received| received.head == "closed")
    });
    tunnel.send(b"x");
    assert!(tunnel.is_closed());
}

#[test]
fn a_request_under_way_ends_under_the_rules_that_it_began_under() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    connection
        .send(format!("POST /banking/1 HTTP/1.1\r\nHost: {CERT}\r\nContent-Length: 4\r\n\r\nab").as_bytes());
    crate::support::eventually("the gate has begun", || {
        gate.metric("sekisho_upstream_connects_total{upstream=\"banking\"}") == 1.0
    });
    edit(&gate, "path: /banking", "path: /loans");
    assert_eq!(gate.reload(), Ok(()));
    connection.send(b"cd");
    assert_eq!(connection.response().unwrap().status, 200);
    assert_eq!(ask(&mut connection, CERT, "/banking/2"), 404);
}

#[test]
fn new_limits_hold_for_live_connections() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let long = format!("/banking/{}", "a".repeat(2000));
    assert_eq!(ask(&mut connection, CERT, &long), 200);
    edit(&gate, "reload:", "limits: { header_bytes: 1KiB }\nreload:");
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut connection, CERT, &long), 431);
}

#[test]
fn a_host_that_is_gone_is_misdirected_on_live_connections_and_unknown_to_new_ones() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut connection = gate.client().connect(WWW).unwrap();
    connection
        .send(format!("GET /public/1 HTTP/1.1\r\nHost: {WWW}\r\n\r\nGET /public/2 HTTP/1.1\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 200);
    let text = gate.file("sekisho.yaml");
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(&format!("  {WWW}:"))).collect();
    gate.write("sekisho.yaml", &kept.join("\n"));
    assert_eq!(gate.reload(), Ok(()));
    connection.send(format!("Host: {WWW}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 421);
    assert_eq!(gate.client().alert(WWW), rustls::AlertDescription::UnrecognisedName);
}

#[test]
fn a_host_that_asks_for_certificates_from_now_on_takes_no_connection_of_before_for_one_that_has_one() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut connection = gate.client().connect(OPTIONAL).unwrap();
    assert_eq!(ask(&mut connection, OPTIONAL, "/public/1"), 200);
    edit(&gate, "client_certificate: optional", "client_certificate: required");
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut connection, OPTIONAL, "/public/2"), 403);
    assert_eq!(gate.tanaka().get(OPTIONAL, "/public/3").status, 200);
}

#[test]
fn server_certificates_rotate_and_connections_of_before_live_on() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut before = gate.tanaka().connect(CERT).unwrap();
    let next = Ca::new("Mihon Bank Web CA");
    let server = next.server(&crate::support::gate::HOSTS);
    gate.write("server.pem", &server.pem);
    gate.write("server.key", &server.key_pem);
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ask(&mut before, CERT, "/banking/1"), 200);
    assert!(gate.tanaka().connect(CERT).is_err(), "signed by a CA that this client doesn't know");
    let knows_next = crate::support::client::Client::new(gate.address, &next);
    let tanaka = knows_next.with(&gate.ca.client(COMMON_NAME));
    assert_eq!(tanaka.get(CERT, "/banking/2").status, 200);
}

#[test]
fn authorities_and_revocations_are_those_of_the_files_after_a_reload() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let mut connection = gate.client().with(&credential).connect(CERT).unwrap();
    assert_eq!(ask(&mut connection, CERT, "/banking/1"), 200);
    connection.send(b"GET /banking/2 HTTP/1.1\r\n");
    gate.write("ca.crl", &gate.ca.crl(&[&credential]));
    assert_eq!(gate.reload(), Ok(()));
    connection.send(format!("Host: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(connection.response().unwrap().status, 403);
    let next = Ca::new("Mihon Bank CA-G2");
    gate.write("g2.pem", &next.pem());
    gate.write("g2.crl", &next.crl(&[]));
    let credential = next.client(COMMON_NAME);
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/3").status, 403);
    edit(
        &gate,
        "authorities: ca.pem, crl: { sources: [ca.crl] }",
        "authorities: [ca.pem, g2.pem], crl: { sources: [ca.crl, g2.crl] }",
    );
    assert_eq!(gate.reload(), Ok(()));
    // Browsers offer no certificate of a CA that isn't named.
    assert_eq!(gate.client().choosing(&credential).get(CERT, "/banking/4").status, 200);
}

#[test]
fn an_older_revocation_list_does_not_bring_certificates_back() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let credential = gate.ca.client(COMMON_NAME);
    let old = gate.ca.crl_until(&[], now() + time::Duration::days(29));
    gate.write("ca.crl", &gate.ca.crl(&[&credential]));
    assert_eq!(gate.reload(), Ok(()));
    gate.write("ca.crl", &old);
    let told = gate.reload().unwrap_err();
    assert!(told.contains("is older than the one in use"), "{told}");
    assert_eq!(gate.client().with(&credential).get(CERT, "/banking/").status, 403);
}

/// Whatever is broken, the last good goes on, and metric, `/readyz` and the answer say why.
#[test]
fn what_is_broken_changes_nothing_and_is_named() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut live = gate.tanaka().connect(CERT).unwrap();
    let other = Ca::new("Mihon Bank CA-G2");
    let yaml = gate.file("sekisho.yaml");
    let breaks: [(&str, Option<String>, &str); 13] = [
        ("sekisho.yaml", Some("routes: [".to_owned()), "sekisho.yaml:1"),
        ("sekisho.yaml", Some(String::new()), "the file is empty"),
        ("sekisho.yaml", None, "there is no such file"),
        ("sekisho.yaml", Some(yaml.replace("upstream: banking", "upstream: bankin")), "`bankin`"),
        (
            "sekisho.yaml",
            Some(yaml.replace("'127.0.0.1:0'", "'127.0.0.2:0'")),
            "can't change without a restart",
        ),
        (
            "sekisho.yaml",
            Some(yaml.replace(&backend.address.to_string(), "no-such-host.invalid:80")),
            "can't be resolved",
        ),
        ("server.key", Some(String::new()), "server.key"),
        ("server.key", Some(other.server(&[CERT]).key_pem), "server.key"),
        ("server.pem", None, "server.pem: there is no such file"),
        (
            "ca.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
            "ca.pem",
        ),
        ("ca.pem", Some(String::new()), "ca.pem"),
        ("ca.crl", Some(other.crl(&[])), "comes from none of the authorities"),
        ("ca.crl", None, "ca.crl: there is no such file"),
    ];
    for (number, (file, content, told)) in breaks.into_iter().enumerate() {
        let good = gate.file(file);
        match content {
            Some(content) => gate.write(file, &content),
            None => fs::remove_file(gate.folder.path().join(file)).unwrap(),
        }
        let problem = gate.reload().unwrap_err();
        assert!(problem.contains(told), "{file}: {problem}");
        assert_eq!(gate.metric("sekisho_config_last_reload_success"), 0.0);
        assert_eq!(gate.metric("sekisho_config_reloads_total{outcome=\"refused\"}"), (number + 1) as f64);
        let (status, ready) = plain_get(gate.ops, "/readyz");
        assert_eq!((status, ready), (200, format!("ready, but the last reload was refused: {problem}\n")));
        assert_eq!(ask(&mut live, CERT, "/banking/live"), 200);
        assert_eq!(gate.tanaka().get(CERT, "/banking/new").status, 200);
        gate.write(file, &good);
    }
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(plain_get(gate.ops, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(gate.metric("sekisho_config_last_reload_success"), 1.0);
}

/// Who has signed in stays so: sessions are in the state, which stays open.
#[test]
fn whoever_has_signed_in_is_not_signed_out_by_a_reload() {
    let backend = Backend::start();
    let yaml = people::yaml("reload: { on_change: false }");
    let gate = people::gate_with(&backend, &yaml, Clock::default());
    gate.follow();
    let mut ito = people::Browser::new(&gate);
    ito.sign_in(people::ITO);
    edit(&gate, "attempts: 6,", "attempts: 5,");
    assert_eq!(gate.reload(), Ok(()));
    assert_eq!(ito.open(WWW, "/banking/").status, 200);
}

#[test]
fn every_reload_is_an_audit_record() {
    let backend = Backend::start();
    let yaml = people::yaml("reload: { on_change: false }");
    let gate = people::gate_with(&backend, &yaml, Clock::default());
    gate.follow();
    assert_eq!(gate.reload(), Ok(()));
    edit(&gate, "routes:", "routs:");
    assert!(gate.reload().is_err());
    let log = gate.file("audit.log");
    let kinds: Vec<&str> = log.lines().filter(|line| line.contains("reload")).collect();
    assert_eq!(kinds.len(), 2, "{log}");
    assert!(kinds[0].contains("\"kind\":\"reloaded\""), "{log}");
    assert!(kinds[1].contains("\"kind\":\"reload_refused\""), "{log}");
}

#[test]
fn an_audit_log_is_written_without_a_directory_too() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, "reload: { on_change: false }\naudit: { file: audit.log }");
    gate.follow();
    assert_eq!(gate.reload(), Ok(()));
    assert!(gate.file("audit.log").contains("\"kind\":\"reloaded\""), "{}", gate.file("audit.log"));
}

#[test]
fn a_reload_that_is_refused_at_the_last_step_leaves_the_metrics_of_certificates_alone() {
    let backend = Backend::start();
    let yaml = people::yaml("reload: { on_change: false }");
    let gate = people::gate_with(&backend, &yaml, Clock::default());
    gate.follow();
    let name =
        format!("sekisho_server_certificate_expiry_timestamp_seconds{{algorithm=\"ecdsa\",host=\"{WWW}\"}}");
    let before = gate.metric(&name);
    let names: Vec<String> = crate::support::gate::HOSTS.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_after = now() + time::Duration::days(90);
    let server = gate.ca.issue(params);
    gate.write("server.pem", &server.pem);
    gate.write("server.key", &server.key_pem);
    // What can't be written down doesn't happen.
    let (log, away) = (gate.folder.path().join("audit.log"), gate.folder.path().join("away"));
    fs::rename(&log, &away).unwrap();
    fs::create_dir(&log).unwrap();
    let refused = gate.reload().unwrap_err();
    assert!(refused.contains("audit"), "{refused}");
    assert_eq!(gate.metric(&name), before);
    fs::remove_dir(&log).unwrap();
    fs::rename(&away, &log).unwrap();
    assert_eq!(gate.reload(), Ok(()));
    assert!(gate.metric(&name) < before, "{before}");
}

#[test]
fn only_a_command_of_ours_on_this_machine_reloads() {
    let backend = Backend::start();
    let gate = gate(&backend);
    assert_eq!(
        plain(gate.ops, "POST", "/reload"),
        (403, "this takes the header field sekisho-command\n".to_owned())
    );
    assert_eq!(plain_get(gate.ops, "/reload").0, 404);
    // Whom a proxy of this machine speaks for is somewhere else.
    for forwarded in ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Via: 1.1 proxy"] {
        let lines = format!("sekisho-command: reload\r\n{forwarded}\r\n");
        for (method, path) in [("POST", "/reload"), ("GET", "/config"), ("GET", "/upstreams")] {
            let told = (403, "only from this machine\n".to_owned());
            assert_eq!(plain_with(gate.ops, method, path, &lines), told, "{forwarded} {path}");
        }
        assert_eq!(plain_with(gate.ops, "POST", "/upstreams/banking/127.0.0.1:1/drain", &lines).0, 403);
        assert_eq!(plain_with(gate.ops, "GET", "/readyz", &lines), (200, "ready\n".to_owned()));
    }
    edit(&gate, "routes:", "routs:");
    assert!(gate.reload().is_err());
    assert!(plain_get(gate.ops, "/readyz").1.contains("routs"));
    let elsewhere = plain_with(gate.ops, "GET", "/readyz", "Via: 1.1 proxy\r\n");
    assert_eq!(elsewhere, (200, "ready, but something is wrong with: reload\n".to_owned()));
    assert_eq!(gate.metric("sekisho_config_reloads_total{outcome=\"good\"}"), 0.0);
}
