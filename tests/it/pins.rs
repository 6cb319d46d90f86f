//! PINs that the bank's own system decides about: asked over mutual TLS, and whatever isn't a clear answer in time lets
//! nobody in. And the command that makes a pepper.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use sekisho::domain::{ContractId, Identity, Pin, UserId};
use sekisho::flows::{PinSettings, PinTrouble, Pins, Verified, read_peppers};
use serde_json::json;

use crate::support::eventually;
use crate::support::pki::{COMMON_NAME, Ca, Credential};
use crate::support::process::{Running, sekisho};

const RIGHT: Verified = Verified::Right { rehash: None };

/// What the bank's system does with a question: answer with these bytes, or nothing until the gateway goes away.
pub type Answer = fn(question: &str) -> Option<String>;

/// The bank's own system, and the files with which the gateway asks it.
pub struct Bank {
    folder: tempfile::TempDir,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Bank {
    pub fn start(answer: Answer) -> Self {
        let ca = Ca::new("Mihon Bank internal CA");
        let bank = Self::with_files(&ca, &ca.client(COMMON_NAME), 0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, asked) = (server_config(&ca), bank.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let (stream, asked) = (StreamOwned::new(connection, stream.unwrap()), asked.clone());
                thread::spawn(move || converse(stream, &asked, answer));
            }
        });
        Self { port, ..bank }
    }

    fn with_files(ca: &Ca, gateway: &Credential, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("authorities.pem", &ca.pem());
        file("gateway.pem", &gateway.pem);
        file("gateway.key", &gateway.key_pem);
        Self { folder, port, asked: Arc::default() }
    }

    /// Replaces one of the gateway's files.
    fn replace(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// How a gateway's file names it: members of `sign_in.pin`.
    pub fn yaml(&self) -> String {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        format!(
            "verifier: http, http: {{ url: 'https://localhost:{}/verify', authorities: '{}', certificate: '{}', key: '{}' }}",
            self.port,
            file("authorities.pem"),
            file("gateway.pem"),
            file("gateway.key")
        )
    }

    fn try_pins(&self, timeout: &str) -> Result<Pins, String> {
        let file = |name: &str| self.folder.path().join(name);
        let verifier = json!({
            "url": format!("https://localhost:{}/verify", self.port),
            "authorities": file("authorities.pem"),
            "certificate": file("gateway.pem"),
            "key": file("gateway.key"),
            "timeout": timeout,
        });
        Pins::new(PinSettings {
            cost: Default::default(),
            peppers: Vec::new(),
            concurrency: 1,
            waiting: 1,
            http: Some(serde_json::from_value(verifier).unwrap()),
        })
    }

    /// What the gateway makes of it when somebody types `pin`.
    async fn verify(&self, pin: &str) -> Result<Verified, PinTrouble> {
        verify(&self.try_pins("20s").unwrap(), pin).await
    }

    /// Why the gateway can't say. Never with the PIN in it.
    async fn trouble(&self) -> String {
        match self.verify("k7m2x9").await {
            Err(PinTrouble::Unavailable(unavailable)) => {
                let text = unavailable.to_string();
                assert!(!text.contains("k7m2x9"), "{text}");
                text
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn verify(pins: &Pins, pin: &str) -> Result<Verified, PinTrouble> {
    let identity = Identity {
        contract: ContractId::new("10000000000001").unwrap(),
        user: UserId::new("tanaka").unwrap(),
    };
    pins.verify(&identity, &Pin::typed(pin).unwrap(), None).await
}

fn server_config(ca: &Ca) -> Arc<ServerConfig> {
    let server = ca.server(&["localhost"]);
    let mut roots = RootCertStore::empty();
    roots.add(ca.der()).unwrap();
    let provider = Arc::new(default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(server.chain, server.key)
        .unwrap();
    config.into()
}

/// Reads one question, notes it, and answers.
fn converse(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    asked: &Mutex<Vec<String>>,
    answer: Answer,
) {
    let (mut question, mut part) = (Vec::new(), [0; 1024]);
    while !question.ends_with(b"}") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => question.extend_from_slice(&part[..length]),
        }
    }
    let question = String::from_utf8(question).unwrap();
    asked.lock().unwrap().push(question.clone());
    match answer(&question) {
        Some(answer) => {
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        None => {
            let _ = stream.read(&mut part);
        }
    }
}

fn response(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[expect(clippy::unnecessary_wraps, reason = "it is an `Answer`")]
pub fn decide(question: &str) -> Option<String> {
    let word = if question.contains(r#""pin":"k7m2x9""#) { "right" } else { "wrong" };
    Some(response("200 OK", "", &format!(r#"{{"result":"{word}"}}"#)))
}

#[tokio::test]
async fn the_banks_system_decides_and_is_told_all_that_was_typed() {
    let bank = Bank::start(decide);
    assert_eq!(bank.verify("ｋ7m2x9").await, Ok(RIGHT));
    assert_eq!(bank.verify("K7m2x9").await, Ok(Verified::Wrong));
    let asked = bank.asked();
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /verify HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
    assert_eq!(body, r#"{"contract_id":"10000000000001","user_id":"tanaka","pin":"k7m2x9"}"#);
}

#[tokio::test]
async fn silence_lets_nobody_in_and_lasts_no_longer_than_the_timeout() {
    let bank = Bank::start(|_| None);
    let trouble = verify(&bank.try_pins("300ms").unwrap(), "k7m2x9").await.unwrap_err();
    let PinTrouble::Unavailable(trouble) = trouble else { panic!("{trouble:?}") };
    assert_eq!(
        trouble.to_string(),
        "the verifier is not available: error sending request: operation timed out"
    );
    assert_eq!(bank.asked().len(), 1);
}

#[tokio::test]
async fn half_an_answer_lets_nobody_in() {
    let bank = Bank::start(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"result\":".to_owned()));
    let trouble = bank.trouble().await;
    assert!(trouble.starts_with("the verifier is not available: "), "{trouble}");
}

#[tokio::test]
async fn nobody_waits_for_the_banks_system_longer_than_one_answer_may_take() {
    let bank = Bank::start(|_| None);
    let pins = bank.try_pins("300ms").unwrap();
    let (first, second) = tokio::join!(verify(&pins, "k7m2x9"), verify(&pins, "k7m2x9"));
    assert!(matches!(first, Err(PinTrouble::Unavailable(_))), "{first:?}");
    assert!(second.is_err(), "{second:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = |_: &str| Some(response("307 Temporary Redirect", "Location: /other\r\n", ""));
    let bank = Bank::start(elsewhere);
    let expected = "the verifier is not available: it answered 307 instead of 200";
    assert_eq!(bank.trouble().await, expected);
    assert_eq!(bank.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_clear_lets_nobody_in() {
    let unclear = "its answer is neither `right` nor `wrong`";
    let cases: [(Answer, &str); 10] = [
        (|question| Some(response("200 OK", "", question)), unclear),
        (|_| Some(response("200 OK", "", "right")), unclear),
        (|_| Some(response("200 OK", "", "")), unclear),
        (|_| Some(response("200 OK", "", r#""right""#)), unclear),
        (|_| Some(response("200 OK", "", r#"{"result":true}"#)), unclear),
        (|_| Some(response("200 OK", "", r#"{"result":"Right"}"#)), unclear),
        (|_| Some(response("200 OK", "", r#"{"result":"right","result":"wrong"}"#)), unclear),
        (|_| Some(response("200 OK", "", r#"{"result":"right","expired":true}"#)), unclear),
        (
            |_| Some(response("200 OK", "", &format!(r#"{{"result":"right"{}}}"#, " ".repeat(4096)))),
            "its answer is larger than 4096 bytes",
        ),
        (
            |_| Some(response("500 Internal Server Error", "", r#"{"result":"right"}"#)),
            "it answered 500 instead of 200",
        ),
    ];
    for (answer, problem) in cases {
        let expected = format!("the verifier is not available: {problem}");
        assert_eq!(Bank::start(answer).trouble().await, expected);
    }
}

#[tokio::test]
async fn a_system_with_a_strangers_certificate_is_told_nothing() {
    let bank = Bank::start(decide);
    bank.replace("authorities.pem", &Ca::new("Stranger").pem());
    let trouble = bank.trouble().await;
    assert!(trouble.contains("invalid peer certificate: UnknownIssuer"), "{trouble}");
    assert_eq!(bank.asked(), [""; 0]);
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_and_a_strangers_is_refused() {
    let bank = Bank::start(decide);
    let stranger = Ca::new("Stranger").client(COMMON_NAME);
    bank.replace("gateway.pem", &stranger.pem);
    bank.replace("gateway.key", &stranger.key_pem);
    let trouble = bank.trouble().await;
    assert!(trouble.starts_with("the verifier is not available: error sending request: "), "{trouble}");
    assert_eq!(bank.asked(), [""; 0]);
}

#[tokio::test]
async fn a_system_that_is_not_there_lets_nobody_in() {
    let ca = Ca::new("Mihon Bank internal CA");
    let bank = Bank::with_files(&ca, &ca.client(COMMON_NAME), 1);
    let trouble = bank.trouble().await;
    assert!(trouble.contains("Connection refused"), "{trouble}");
}

#[tokio::test]
async fn files_that_do_not_fit_are_told_at_the_start() {
    let ca = Ca::new("Mihon Bank internal CA");
    let bank = Bank::with_files(&ca, &ca.client(COMMON_NAME), 1);
    let at = |name: &str| bank.folder.path().join(name).display().to_string();
    bank.replace("gateway.key", &ca.client(COMMON_NAME).key_pem);
    let key = bank.try_pins("1s").unwrap_err();
    assert!(key.starts_with(&format!("{}: it can't be used: ", at("gateway.key"))), "{key}");
    bank.replace("authorities.pem", "x");
    let expected = format!("{}: there is no certificate in it", at("authorities.pem"));
    assert_eq!(bank.try_pins("1s").unwrap_err(), expected);
}

#[tokio::test]
async fn the_example_of_the_documentation_works() {
    let ca = Ca::new("Mihon Bank internal CA");
    let mut bank = Bank::with_files(&ca, &ca.client(COMMON_NAME), 0);
    let server = ca.server(&["localhost"]);
    bank.replace("gateway-ca.pem", &ca.pem());
    bank.replace("verifier.pem", &server.pem);
    bank.replace("verifier.key", &server.key_pem);
    let text = include_str!("../../docs/pin-verifier.md");
    let example = text.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let example = example
        .replace("8443", "0")
        .replace("server.serve_forever()", "print(server.server_port, flush=True)\nserver.serve_forever()");
    bank.replace("verifier.py", &example);
    let python = Running::program("python3", bank.folder.path(), &["verifier.py"]);
    eventually("the example listens", || python.stdout().ends_with('\n'));
    bank.port = python.stdout().trim().parse().unwrap();
    assert_eq!(bank.verify("k7m2x9").await, Ok(RIGHT));
    assert_eq!(bank.verify("k7m2x8").await, Ok(Verified::Wrong));
    let stranger = Ca::new("Stranger").client(COMMON_NAME);
    bank.replace("gateway.pem", &stranger.pem);
    bank.replace("gateway.key", &stranger.key_pem);
    bank.trouble().await;
}

#[test]
fn a_new_pepper_is_printed_and_its_file_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let line = sekisho(folder.path(), &["pepper"]).good();
    assert!(regex::Regex::new("^[0-9]{8} [0-9A-Za-z+/]{43}=\n$").unwrap().is_match(&line), "{line}");
    assert_ne!(sekisho(folder.path(), &["pepper"]).good(), line);
    let file = redirected(folder.path());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(read_peppers(&file).map(|peppers| peppers.len()), Ok(1));
}

/// `sekisho pepper > pepper`, as a shell does it.
fn redirected(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("pepper");
    let stdout = fs::File::create(&file).unwrap();
    stdout.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
    let status =
        std::process::Command::new(crate::support::process::SEKISHO).arg("pepper").stdout(stdout).status();
    assert!(status.unwrap().success());
    file
}
