//! The demo, as whoever tries the gate out meets it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::Message;

use crate::support::client::plain_get;
use crate::support::demo::{CERT, CONTRACT, Demo, WWW, assert_identity};
use crate::support::process::Running;

const PROBLEM: [&str; 2] = ["--header", "Accept: application/json"];

#[test]
fn the_folder_holds_all_that_a_client_needs() {
    let demo = Demo::start();
    for file in ["sekisho.yaml", "ca.pem", "people.json"] {
        assert!(Path::new(&demo.file(file)).is_file(), "{file}");
    }
    for name in ["user", "administrator", "expired", "revoked", "stranger"] {
        for ending in ["pem", "key", "p12"] {
            assert!(Path::new(&demo.file(&format!("clients/{name}.{ending}"))).is_file(), "{name}.{ending}");
        }
    }
    let person = |certificate: Value, user: &str, role: &str| json!({ "contract": CONTRACT, "user": user, "role": role, "pin": demo.pin(user), "certificate": certificate });
    let people: Value = serde_json::from_str(&demo.read("people.json")).unwrap();
    assert_eq!(
        people,
        json!([
            person("user".into(), "tanaka", "user"),
            person("administrator".into(), "suzuki", "administrator"),
            person("expired".into(), "sato", "user"),
            person("revoked".into(), "takahashi", "user"),
            person(Value::Null, "ito", "user"),
            person(Value::Null, "watanabe", "user"),
        ])
    );
    let yaml = demo.read("sekisho.yaml");
    assert!(yaml.starts_with("# What `sekisho demo` runs."), "{yaml}");
    let config = demo.file("sekisho.yaml");
    let checked = crate::support::process::sekisho(Path::new("/"), &["check", "--config", &config]).good();
    assert_eq!(checked, format!("{config}: ok\n"));
    assert_eq!(plain_get(demo.ops, "/readyz").0, 200);
    assert!(plain_get(demo.ops, "/metrics").1.contains("# TYPE "));
}

#[test]
fn the_lines_that_it_prints_work_as_they_are() {
    let demo = Demo::start();
    let stdout = demo.running.stdout();
    let line = |end: &str| {
        stdout
            .lines()
            .find(|line| line.starts_with("  curl ") && line.ends_with(end))
            .unwrap_or_else(|| panic!("{end}"))
    };
    let shell = |line: &str| crate::support::process::run("sh", &["-c", line]).good();
    let headers: Value = serde_json::from_str(&shell(line("/banking/headers"))).unwrap();
    assert_identity(&headers, "tanaka");
    assert!(shell(line("/public/headers")).contains(WWW));
    assert!(shell(line("/banking/")).contains("<code>revoked</code>"));
    let waited: Value = serde_json::from_str(&shell(&line("/slow?ms=2000'").replace("2000", "20"))).unwrap();
    assert_eq!(waited, json!({ "waited_ms": 20 }));
}

#[test]
fn a_user_is_known_over_both_versions_of_http() {
    let demo = Demo::start();
    for (certificate, user) in [("user", "tanaka"), ("administrator", "suzuki")] {
        for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let answer = demo.curl(Some(certificate), CERT, "/banking/headers", &[option]);
            assert_eq!((answer.status, answer.version.as_str()), (200, version));
            assert_identity(&answer.json(), user);
        }
    }
    // What a client claims of itself does not get through.
    let claims = ["--header", "X-User-Id: suzuki", "--header", "X-Contract-Id: 99999999999999"];
    assert_identity(&demo.curl(Some("user"), CERT, "/banking/headers", &claims).json(), "tanaka");
}

#[test]
fn each_bad_certificate_gets_its_own_page() {
    let demo = Demo::start();
    for (certificate, code, ja, en) in [
        (None, "absent", "電子証明書が提示されていません", "No certificate was presented"),
        (Some("expired"), "expired", "電子証明書の有効期限が切れています", "Your certificate has expired"),
        (Some("revoked"), "revoked", "電子証明書は失効しています", "Your certificate was revoked"),
        (
            Some("stranger"),
            "unknown_authority",
            "当行の電子証明書ではありません",
            "This certificate is not ours",
        ),
    ] {
        let page = demo.curl(certificate, CERT, "/banking/headers", &[]);
        assert_eq!(page.status, 403, "{code}");
        assert!(page.body.contains(&format!("<h1>{ja}</h1>")), "{}", page.body);
        let page = demo.curl(certificate, CERT, "/banking/", &["--header", "Accept-Language: en"]);
        assert!(page.body.contains(&format!("<h1>{en}</h1>")), "{}", page.body);
        let problem = demo.curl(certificate, CERT, "/banking/headers", &PROBLEM);
        assert_eq!((problem.status, &problem.json()["code"]), (403, &json!(code)));
    }
}

#[test]
fn the_open_host_knows_nobody_and_lets_nobody_bank() {
    let demo = Demo::start();
    // A certificate changes nothing: it is not asked for.
    for certificate in [None, Some("user")] {
        let answer = demo.curl(certificate, WWW, "/public/headers", &[]);
        assert_eq!(answer.status, 200);
        let headers = answer.json();
        for name in ["x-contract-id", "x-user-id", "x-user-role", "x-auth-method"] {
            assert_eq!(headers.get(name), None, "{headers}");
        }
        let refused = demo.curl(certificate, WWW, "/banking/headers", &PROBLEM);
        assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("sign_in_needed")));
    }
}

#[test]
fn data_arrives_whole_in_both_directions() {
    let demo = Demo::start();
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(5_000_001).collect();
    fs::write(demo.folder.join("sent"), &content).unwrap();
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let (sent, got) = (demo.file("sent"), demo.file("got"));
    for version in ["--http1.1", "--http2"] {
        let upload = demo.curl(Some("user"), CERT, "/banking/upload", &[version, "--upload-file", &sent]);
        assert_eq!(upload.json(), json!({ "length": content.len(), "sha256": sha256 }));
        let download =
            demo.curl(Some("user"), CERT, "/banking/download?bytes=3000001", &[version, "--output", &got]);
        assert_eq!(download.status, 200);
        let content = fs::read(&got).unwrap();
        assert_eq!(content.len(), 3_000_001);
        assert!(content.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
        let slow = demo.curl(Some("user"), CERT, "/banking/slow?ms=15", &[version]);
        assert_eq!(slow.json(), json!({ "waited_ms": 15 }));
    }
}

#[tokio::test]
async fn a_websocket_echoes_through_the_gate() {
    let demo = Demo::start();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(demo.file("ca.pem")).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_file(demo.file("clients/user.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(demo.file("clients/user.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let tcp = tokio::net::TcpStream::connect(demo.listen).await.unwrap();
    let name = ServerName::try_from(CERT).unwrap();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let url = format!("wss://{CERT}:{}/banking/ws", demo.listen.port());
    let (mut socket, response) = tokio_tungstenite::client_async(url, tls).await.unwrap();
    assert_eq!(response.status(), 101);
    for message in [Message::text("みほん銀行"), Message::binary(vec![7_u8; 300_000]), Message::text("")]
    {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::Close(None)).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
}

#[test]
fn two_run_side_by_side() {
    let (one, two) = (Demo::start(), Demo::start());
    let ports: BTreeSet<_> =
        [&one, &two].iter().flat_map(|demo| [demo.listen, demo.ops, demo.backend]).collect();
    assert_eq!(ports.len(), 6);
    for demo in [&one, &two] {
        assert_identity(&demo.curl(Some("user"), CERT, "/banking/headers", &[]).json(), "tanaka");
    }
    // Each has a CA of its own.
    assert_ne!(one.read("ca.pem"), two.read("ca.pem"));
}

#[test]
fn a_second_run_keeps_the_ca_and_either_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut kept = None;
    for (signal, said) in [
        (Signal::INT, "is new: browsers must be told of it, see below."),
        (Signal::TERM, "is the one of the last run."),
        (Signal::INT, "is the one of the last run."),
    ] {
        let demo = Demo::start_in(&dir);
        let read = ["ca.pem", "clients/user.pem", "clients/revoked.pem", "servers/cert.localhost.pem"]
            .map(|name| demo.read(name));
        assert_eq!(kept.get_or_insert_with(|| read.clone()), &read);
        let outcome = demo.running.stop(signal);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(
            outcome.stdout.contains(&format!("\nThe CA in {} {said}\n", dir.display())),
            "{}",
            outcome.stdout
        );
        assert!(outcome.stdout.ends_with("\nCtrl-C ends it.\nready\n"), "{}", outcome.stdout);
        assert!(!outcome.stderr.contains("\"ERROR\""), "{}", outcome.stderr);
    }
    let demo = Demo::start_in(&dir);
    assert_identity(&demo.curl(Some("user"), CERT, "/banking/headers", &[]).json(), "tanaka");
    assert_eq!(demo.curl(Some("revoked"), CERT, "/banking/", &PROBLEM).json()["code"], "revoked");
}

#[test]
fn a_signal_during_the_start_ends_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let any = "127.0.0.1:0";
    let words = ["demo", "--dir", "d", "--listen", any, "--ops-listen", any, "--backend-listen", any];
    let running = Running::sekisho(folder.path(), &words);
    // Written after the signals are installed and long before it serves.
    crate::support::eventually("the first file", || folder.path().join("d/.sekisho-demo").exists());
    assert_eq!(running.stop(Signal::TERM).code, Some(0));
}

#[test]
fn nothing_secret_is_logged_however_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::logging("debug", &folder.path().join("demo"));
    let mut canaries: Vec<String> =
        ["canary-cookie", "canary-bearer", "canary-query", "canary-body", "canary-basic"]
            .map(str::to_owned)
            .to_vec();
    for version in ["--http1.1", "--http2"] {
        let answer = demo.curl(
            Some("user"),
            CERT,
            "/banking/upload?pin=canary-query",
            &[
                version,
                "--cookie",
                "session=canary-cookie",
                "--header",
                "Authorization: Bearer canary-bearer",
                "--header",
                "Proxy-Authorization: Basic canary-basic",
                "--data",
                "pin=canary-body",
            ],
        );
        assert_eq!(answer.status, 200);
        demo.curl(Some("stranger"), CERT, "/banking/?pin=canary-query", &["--cookie", "s=canary-cookie"]);
    }
    for file in [
        "ca",
        "stranger/ca",
        "servers/cert.localhost",
        "servers/www.localhost",
        "clients/user",
        "clients/stranger",
    ] {
        let key = demo.read(&format!("{file}.key"));
        canaries
            .extend(key.lines().filter(|line| !line.starts_with('-') && line.len() > 20).map(str::to_owned));
    }
    let metrics = plain_get(demo.ops, "/metrics").1;
    let folder = demo.folder.clone();
    let outcome = demo.running.stop(Signal::TERM);
    let access_log = fs::read_to_string(folder.join("access.log")).unwrap();
    assert_eq!(access_log.lines().count(), 4, "{access_log}");
    assert!(access_log.contains("\"tanaka\"") && outcome.stderr.contains("\"DEBUG\""), "something is logged");
    for text in [&metrics, &outcome.stdout, &outcome.stderr, &access_log] {
        for canary in &canaries {
            assert!(!text.contains(canary), "{canary} in\n{text}");
        }
    }
    // The password of the .p12 files is told to the person at the terminal, and to no log.
    for text in [&metrics, &outcome.stderr, &access_log] {
        assert!(!text.contains("password"), "{text}");
    }
    assert!(!metrics.contains("tanaka") && !metrics.contains(CONTRACT), "no label names a person");
}
