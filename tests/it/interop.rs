//! Clients that others wrote, each with the user's certificate. All find the same backend and the same identity.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::demo::{CERT, Demo, WWW, assert_identity};
use crate::support::eventually;
use crate::support::process::{Outcome, outcome, run, sekisho};

const HEADERS: &str = "/banking/headers";

/// The source of a client.
fn source(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Asserts that a client printed a line for each connection, each with the user's identity below it.
#[track_caller]
fn assert_all_are_tanaka(printed: &str, expected: &[&str]) {
    let lines: Vec<&str> = printed.lines().collect();
    let said: Vec<&str> = lines.iter().step_by(2).copied().collect();
    assert_eq!(said, expected, "{printed}");
    for body in lines.iter().skip(1).step_by(2) {
        assert_identity(&serde_json::from_str(body).unwrap(), "tanaka");
    }
}

/// The files that a client with the user's certificate needs, and where it is to go.
struct User {
    demo: Demo,
    ca: String,
    pem: String,
    key: String,
    p12: String,
    port: String,
}

impl User {
    fn new() -> Self {
        let demo = Demo::start();
        let file = |name: &str| demo.file(name);
        let (ca, pem, key) = (file("ca.pem"), file("clients/user.pem"), file("clients/user.key"));
        let (p12, port) = (file("clients/user.p12"), demo.listen.port().to_string());
        Self { demo, ca, pem, key, p12, port }
    }

    /// The words of a client that takes PEM files.
    fn pem_words(&self) -> [&str; 6] {
        [&self.ca, &self.pem, &self.key, CERT, &self.port, HEADERS]
    }
}

/// Runs a program that is typed to, here a whole request at once.
fn typed(program: &str, words: &[&str], input: &str) -> Outcome {
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", "60", program])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held until the end: at the end of their input some clients say goodbye without waiting for the answer.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The JSON that stands alone on a line of what a client printed.
#[track_caller]
fn headers_in(text: &str) -> Value {
    let line = text.lines().find(|line| line.starts_with("{\"host\""));
    serde_json::from_str(line.unwrap_or_else(|| panic!("{text}"))).unwrap()
}

#[test]
fn python() {
    let user = User::new();
    let source = source("client.py");
    let words = [&["-I", &source][..], &user.pem_words()].concat();
    assert_all_are_tanaka(&run("python3", &words).good(), &["200 TLSv1.3 new", "200 TLSv1.3 resumed"]);
}

#[test]
fn node_with_the_p12_file_over_both_versions_of_http() {
    let user = User::new();
    let source = source("client.js");
    let words = [source.as_str(), &user.ca, &user.p12, "demo", CERT, &user.port, HEADERS];
    let expected = ["200 TLSv1.3 new", "200 TLSv1.3 resumed", "200 h2 new"];
    assert_all_are_tanaka(&run("node", &words).good(), &expected);
}

#[test]
fn java_with_the_p12_file_over_both_versions_of_http() {
    let user = User::new();
    let hosts = user.demo.file("hosts");
    fs::write(&hosts, format!("127.0.0.1 {CERT}\n")).unwrap();
    let property = format!("-Djdk.net.hosts.file={hosts}");
    let (source, url) = (source("Client.java"), user.demo.url(CERT, HEADERS));
    let words = [property.as_str(), &source, &user.ca, &user.p12, "demo", &url];
    assert_all_are_tanaka(&run("java", &words).good(), &["200 TLSv1.3 HTTP_1_1", "200 TLSv1.3 HTTP_2"]);
}

#[test]
fn go_over_both_versions_of_http() {
    let user = User::new();
    let program = user.demo.file("client");
    let mut build = Command::new("timeout");
    build
        .args(["--kill-after=5", "300", "go", "build", "-o", &program, &source("client.go")])
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", format!("{}/go-cache", env!("CARGO_TARGET_TMPDIR")));
    outcome(&mut build).good();
    let expected = ["200 HTTP/1.1 new", "200 HTTP/1.1 resumed", "200 HTTP/2.0 resumed"];
    assert_all_are_tanaka(&run(&program, &user.pem_words()).good(), &expected);
}

#[test]
fn curl_over_both_versions_of_http_and_of_tls() {
    let user = User::new();
    for (http, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for (option, value, tls) in [("--tls-max", "1.2", "TLSv1.2"), ("--tlsv1.3", "--silent", "TLSv1.3")] {
            let answer = user.demo.curl(Some("user"), CERT, HEADERS, &[http, option, value]);
            assert_eq!((answer.status, answer.version.as_str()), (200, version));
            assert_identity(&answer.json(), "tanaka");
            let verbose = user.demo.curl_outcome(Some("user"), CERT, HEADERS, &[http, option, value, "-v"]);
            assert!(verbose.stderr.contains(&format!("SSL connection using {tls} / ")), "{}", verbose.stderr);
        }
    }
}

/// What OpenSSL says of a request with the user's certificate.
fn s_client(user: &User, host: &str, version: &str, keep: [&str; 2]) -> String {
    let address = user.demo.listen.to_string();
    let words = [
        &["s_client", "-connect", &address, "-servername", host, "-verify_hostname", host][..],
        &["-verify_return_error", "-CAfile", &user.ca, "-cert", &user.pem, "-key", &user.key],
        &["-ign_eof", version],
        &keep,
    ]
    .concat();
    let said = typed("openssl", &words, &request(host, HEADERS)).good();
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
    said
}

/// Resumed at its own host, and not at another (T1). A resumed session is refused as soon as its certificate is revoked,
/// whatever it was worth when it was made (T2).
#[test]
fn openssl_resumes_in_both_versions_of_tls_at_one_host_and_only_while_the_certificate_is_good() {
    let user = User::new();
    let versions = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];
    let session = |version: &str| user.demo.file(version);
    for (option, version) in versions {
        for (keep, state) in [("-sess_out", "New"), ("-sess_in", "Reused")] {
            let said = s_client(&user, CERT, option, [keep, &session(version)]);
            assert!(said.contains(&format!("\n{state}, {version}, Cipher is ")), "{state} {version}: {said}");
            assert_identity(&headers_in(&said), "tanaka");
        }
        let elsewhere = s_client(&user, WWW, option, ["-sess_in", &session(version)]);
        assert!(elsewhere.contains(&format!("\nNew, {version}, Cipher is ")), "{elsewhere}");
    }
    let revoke = ["ca", "--dir", &user.demo.file(""), "revoke", &user.pem];
    sekisho(std::path::Path::new("."), &revoke).good();
    for (option, version) in versions {
        let mut said = String::new();
        eventually("the resumed session is refused", || {
            said = s_client(&user, CERT, option, ["-sess_in", &session(version)]);
            said.contains("HTTP/1.1 403 ")
        });
        assert!(said.contains(&format!("\nReused, {version}, Cipher is ")), "{said}");
    }
}

#[test]
fn openssl_finds_an_ecdsa_and_an_rsa_host() {
    let user = User::new();
    let address = user.demo.listen.to_string();
    for (host, path, kind, signature) in
        [(CERT, HEADERS, "id-ecPublicKey", "ECDSA"), (WWW, "/public/headers", "rsaEncryption", "RSA-PSS")]
    {
        for version in ["-tls1_2", "-tls1_3"] {
            let words = [
                "s_client",
                "-connect",
                &address,
                "-servername",
                host,
                "-verify_return_error",
                "-CAfile",
                &user.ca,
                "-cert",
                &user.pem,
                "-key",
                &user.key,
                "-ign_eof",
                version,
            ];
            let said = typed("openssl", &words, &request(host, path)).good();
            assert!(said.contains(&format!("Peer signature type: {signature}\n")), "{said}");
            assert!(said.contains(&format!("a:PKEY: {kind}, ")), "{said}");
            assert_eq!(headers_in(&said)["host"], host);
        }
    }
}

#[test]
fn gnutls_resumes_and_is_still_tanaka() {
    let user = User::new();
    for (priority, version) in
        [("NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS1.2"), ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS1.3")]
    {
        let words = [
            "--port",
            &user.port,
            "--sni-hostname",
            CERT,
            "--verify-hostname",
            CERT,
            "--x509cafile",
            &user.ca,
            "--x509certfile",
            &user.pem,
            "--x509keyfile",
            &user.key,
            "--priority",
            priority,
            "--alpn",
            "http/1.1",
            "--resume",
            "--waitresumption",
            "127.0.0.1",
        ];
        let said = typed("gnutls-cli", &words, &request(CERT, HEADERS)).good();
        assert!(said.contains(&format!("- Description: ({version}")), "{said}");
        assert!(said.contains("*** This is a resumed session"), "{version}: {said}");
        assert_identity(&headers_in(&said), "tanaka");
    }
}
