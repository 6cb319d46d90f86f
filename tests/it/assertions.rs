//! An upstream that wants it is told who sends a request in a way that it can check (T27).

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sekisho::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::assertion::{ISSUER, UPSTREAM, YAML, key_set, opened};
use crate::support::backend::Backend;
use crate::support::client::{plain, plain_get};
use crate::support::gate::{CERT, Gate, OPTIONAL, Settings, WWW, start_in};
use crate::support::http2::Version;
use crate::support::people::{self, Browser, ROUTES, SUZUKI, TANAKA};
use crate::support::pki::{COMMON_NAME, Ca, Credential};

const FIELD: &str = "x-sekisho-assertion";

fn gate(backend: &Backend, yaml: &str, clock: Clock) -> Gate {
    let settings = Settings { yaml, upstream: UPSTREAM, clock, ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// A gate on which people sign in.
fn gate_with_people(backend: &Backend) -> Gate {
    let yaml = people::yaml(YAML);
    let settings = Settings {
        yaml: &yaml,
        upstream: UPSTREAM,
        routes: Some(ROUTES),
        people: true,
        ..Settings::default()
    };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// The claims of the only request so far.
fn only_claims(backend: &Backend, gate: &Gate) -> Value {
    opened(&backend.only().value(FIELD).expect("an assertion"), &key_set(gate.ops)).1
}

fn thumbprint(credential: &Credential) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&credential.chain[0]))
}

#[test]
fn an_assertion_says_who_asks_whom_for_what_and_since_when() {
    for version in Version::BOTH {
        let backend = Backend::start();
        let clock =
            Clock::manual(jiff::Timestamp::from_second(crate::support::pki::now().unix_timestamp()).unwrap());
        let gate = gate(&backend, YAML, clock.clone());
        let tanaka = gate.ca.client(COMMON_NAME);
        let client = gate.client().with(&tanaka);
        let asked = version.ask(&client, CERT, ("POST", "/banking/%61%22?to=b"), &[], b"hello");
        assert_eq!(asked.status, 200);
        let received = backend.only();
        let keys = key_set(gate.ops);
        let (header, claims) = opened(&received.value(FIELD).unwrap(), &keys);
        let expected =
            json!({ "alg": "ES256", "typ": "sekisho-assertion+jwt", "kid": keys["keys"][0]["kid"] });
        assert_eq!(header, expected);
        let issued = clock.now().as_second();
        let expected = json!({
            "iss": ISSUER,
            "aud": "banking",
            "iat": issued,
            "exp": issued + 30,
            "jti": received.value("x-request-id").unwrap(),
            "sub": "10000000000001/tanaka",
            "contract": "10000000000001",
            "user": "tanaka",
            "auth_method": "certificate",
            "cnf": { "x5t#S256": thumbprint(&tanaka) },
            "htm": "POST",
            "htu": format!("https://{CERT}/banking/a%22"),
        });
        assert_eq!(claims, expected, "{version:?}");
        // What the backend sees of the request is what the assertion says of it.
        assert_eq!(received.line(), "POST /banking/a%22?to=b");
        assert_eq!(received.value("host").as_deref(), Some(CERT));
    }
}

#[test]
fn an_assertion_says_how_somebody_signed_in_and_with_which_certificate() {
    let backend = Backend::start();
    let gate = gate_with_people(&backend);
    let mut browser = Browser::new(&gate);
    browser.sign_in(SUZUKI);
    assert_eq!(browser.open(WWW, "/banking/start").status, 200);
    let claims = only_claims(&backend, &gate);
    let said = |claims: &Value| {
        ["sub", "role", "auth_method"].map(|name| claims[name].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(said(&claims), ["10000000000001/suzuki", "administrator", "pin"]);
    assert_eq!(claims.get("cnf"), None);

    let tanaka = gate.ca.client(COMMON_NAME);
    let mut browser = Browser::with(&gate, gate.client().with(&tanaka));
    let sent = browser.open(WWW, "/sekisho/certificate?to=/banking/start");
    let (host, answer) = browser.follow(WWW, &sent);
    browser.follow(&host, &answer);
    // On a host that asks for no certificate, and on one where it is shown again.
    for host in [WWW, CERT] {
        assert_eq!(browser.open(host, "/banking/start").status, 200, "{host}");
        let last = backend.received().pop().unwrap();
        let (_, claims) = opened(&last.value(FIELD).unwrap(), &key_set(gate.ops));
        assert_eq!(said(&claims), ["10000000000001/tanaka", "user", "certificate"], "{host}");
        assert_eq!(claims["cnf"]["x5t#S256"], thumbprint(&tanaka), "{host}");
    }
    assert_eq!(backend.received().len(), 3);
}

#[test]
fn nobody_is_asserted_where_nobody_is_signed_in() {
    let backend = Backend::start();
    let gate = gate_with_people(&backend);
    let forged = [(FIELD, "forged")];
    // A session means nothing on a route that doesn't ask for one.
    let mut browser = Browser::new(&gate);
    browser.sign_in(TANAKA);
    assert_eq!(browser.open(WWW, "/public/a").status, 200);
    let stranger = Ca::new("Another CA").client(COMMON_NAME);
    for version in Version::BOTH {
        for (client, host) in [
            (gate.client(), WWW),
            (gate.tanaka(), WWW),
            (gate.client(), OPTIONAL),
            (gate.client().with(&stranger), OPTIONAL),
        ] {
            assert_eq!(version.ask(&client, host, ("GET", "/public/a"), &forged, b"").status, 200);
        }
    }
    let received = backend.received();
    assert_eq!(received.len(), 9);
    assert!(received.iter().all(|received| received.values(FIELD).is_empty()), "{received:#?}");
}

#[test]
fn nothing_is_asserted_to_an_upstream_that_does_not_ask_for_it() {
    let backend = Backend::start();
    let gate = Gate::configured(&backend, YAML);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert!(backend.only().values(FIELD).is_empty());
    assert_eq!(backend.only().value("x-user-id").as_deref(), Some("tanaka"));
}

#[test]
fn a_request_that_is_sent_again_has_an_assertion_of_then() {
    let begun = crate::support::pki::now().unix_timestamp();
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
    let clock = Clock::manual(at(begun));
    let is_first = Arc::new(AtomicBool::new(true));
    let backends = [(); 2].map(|()| {
        let (clock, is_first) = (clock.clone(), is_first.clone());
        Backend::answering(move |_| {
            if !is_first.swap(false, Ordering::Relaxed) {
                return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
            }
            // It takes longer than an assertion lives.
            clock.set(at(begun + 40));
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec()
        })
    });
    let upstream = format!("{UPSTREAM}, retries: {{ most: 1, statuses: [503] }}");
    let settings = Settings { yaml: YAML, upstream: &upstream, clock, ..Settings::default() };
    let endpoints = [backends[0].address, backends[1].address];
    let gate = Gate::before(&endpoints, Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    let mut said: Vec<_> = backends
        .iter()
        .map(|backend| only_claims(backend, &gate))
        .map(|claims| {
            (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap(), claims["jti"].clone())
        })
        .collect();
    said.sort_by_key(|(issued, ..)| *issued);
    let id = said[0].2.clone();
    assert_eq!(said, [(begun, begun + 30, id.clone()), (begun + 40, begun + 70, id)]);
}

#[test]
fn an_assertion_may_be_all_that_an_upstream_is_told() {
    let backend = Backend::start();
    let settings = Settings {
        yaml: YAML,
        upstream: "identity: { headers: none, assertion: true }",
        ..Settings::default()
    };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert_eq!(only_claims(&backend, &gate)["user"], "tanaka");
    assert!(backend.only().values("x-user-id").is_empty());
}

#[test]
fn the_keys_are_published_for_backends_to_keep_for_a_while() {
    let backend = Backend::start();
    let gate = gate(&backend, YAML, Clock::default());
    let mut stream = std::net::TcpStream::connect(gate.ops).unwrap();
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: application/jwk-set+json\r\n",
        "cache-control: max-age=300\r\n",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    let keys = key_set(gate.ops);
    let members: Vec<&str> = keys["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
    // Not `d`: that would be the key itself.
    assert_eq!(members, ["kty", "crv", "x", "y", "kid", "alg", "use"]);
    assert_eq!(plain(gate.ops, "POST", "/.well-known/jwks.json").0, 405);
    let none = Gate::start(&backend);
    let expected = (404, "no `assertion` is configured\n".to_owned());
    assert_eq!(plain_get(none.ops, "/.well-known/jwks.json"), expected);
}

#[test]
fn a_key_is_replaced_while_every_assertion_verifies() {
    let backend = Backend::start();
    let gate = gate(&backend, &format!("{YAML}\nreload: {{ on_change: false }}"), Clock::default());
    gate.follow();
    let mut connection = gate.tanaka().connect(CERT).unwrap();
    let mut signed = |gate: &Gate| {
        connection.send(format!("GET /banking/a HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
        assert_eq!(connection.response().unwrap().status, 200);
        let assertion = backend.received().pop().unwrap().value(FIELD).unwrap();
        opened(&assertion, &key_set(gate.ops)).0["kid"].clone()
    };
    let published = |gate: &Gate| {
        let keys = key_set(gate.ops)["keys"].as_array().unwrap().clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let first = published(&gate);
    assert_eq!(first, [signed(&gate)]);
    let mut yaml = gate.file("sekisho.yaml");
    for (from, to, signs, number) in [
        ("keys: [now.pem]", "keys: [now.pem, next.pem]", 0, 2),
        ("keys: [now.pem, next.pem]", "keys: [next.pem, now.pem]", 1, 2),
        ("keys: [next.pem, now.pem]", "keys: [next.pem]", 1, 1),
    ] {
        let before = published(&gate);
        yaml = yaml.replace(from, to);
        gate.write("sekisho.yaml", &yaml);
        assert_eq!(gate.reload(), Ok(()));
        let kid = signed(&gate);
        assert_eq!(first.contains(&kid), signs == 0, "{to}");
        assert_eq!((published(&gate).len(), published(&gate)[0].clone()), (number, kid.clone()), "{to}");
        // Whoever fetched the keys at the step before knows this one, but for the first fetch of all.
        assert!(before.contains(&kid), "{to}");
    }
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_neither_starts_nor_reloads() {
    let backend = Backend::start();
    let gate = gate(&backend, &format!("{YAML}\nreload: {{ on_change: false }}"), Clock::default());
    gate.follow();
    let key = gate.folder.path().join("now.pem");
    let refused = |problem: &str| {
        let told = gate.reload().unwrap_err();
        assert!(told.contains(problem) && told.contains("keys: [now.pem]"), "{told}");
        let start = start_in(&gate.folder, Clock::default()).map(drop).unwrap_err().to_string();
        assert!(start.contains(problem), "{start}");
    };
    set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    refused("others may read or write it (mode 644): `chmod 600` ends that");
    set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "x").unwrap();
    refused("this is no P-256 key as PKCS#8 in PEM (`sekisho assertion key` makes one)");
    // What was in force still signs.
    assert_eq!(gate.tanaka().get(CERT, "/banking/a").status, 200);
    assert_eq!(only_claims(&backend, &gate)["user"], "tanaka");
}
