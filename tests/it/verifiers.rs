//! The verifiers of docs/backends.md, as they stand on the page, against a gate that serves: each takes what the gate signs,
//! and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::assertion::{Forger, ISSUER, UPSTREAM, YAML, key_set, opened};
use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate, Settings};
use crate::support::pki::{Ca, now};
use crate::support::process::{outcome, run};

const GOOD: &str = "good 10000000000001/tanaka";

/// The only block of code of this language on the page.
fn on_the_page(language: &str) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/backends.md")).unwrap();
    let mut blocks = page.split("```");
    let code = blocks.find_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).unwrap();
    code.to_owned()
}

fn driver(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A gate that signs, with what a verifier is configured with.
struct Signing {
    gate: Gate,
    backend: Backend,
    /// For a verifier's files.
    folder: TempDir,
}

impl Signing {
    fn new() -> Self {
        let backend = Backend::start();
        let yaml = format!("{YAML}\nreload: {{ on_change: false }}");
        let settings = Settings { yaml: &yaml, upstream: UPSTREAM, ..Settings::default() };
        let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
        gate.follow();
        Self { gate, backend, folder: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Runs a verifier's driver, with the settings behind `words`.
    fn run(&self, program: &str, words: &[&str]) -> Verifier {
        self.run_with(program, words, &format!("http://{}/.well-known/jwks.json", self.gate.ops))
    }

    /// The same with the keys from elsewhere.
    fn run_with(&self, program: &str, words: &[&str], keys: &str) -> Verifier {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120", program]).args(words).args([keys, ISSUER, "banking"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Verifier { child, input: Some(input), output: BufReader::new(output) }
    }

    /// What the backend was told of a request that came through the gate.
    fn signed(&self, target: &str) -> String {
        assert_eq!(self.gate.tanaka().get(CERT, target).status, 200);
        self.backend.received().pop().unwrap().value("x-sekisho-assertion").unwrap()
    }

    /// Edits the gate's configuration.
    fn reload(&self, from: &str, to: &str) {
        self.gate.write("sekisho.yaml", &self.gate.file("sekisho.yaml").replace(from, to));
        assert_eq!(self.gate.reload(), Ok(()));
    }
}

/// A verifier that runs.
struct Verifier {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Verifier {
    fn ask(&mut self, assertion: &str, method: &str, url: &str) -> String {
        self.tell(assertion, method, url);
        self.answer()
    }

    fn tell(&mut self, assertion: &str, method: &str, url: &str) {
        writeln!(self.input.as_mut().unwrap(), "{assertion}\t{method}\t{url}").unwrap();
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // The end of its input is its own.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Assertions for `GET /banking/a` that the gate didn't sign so, each with what is wrong with it.
fn forgeries(gate: &Path, good: &str, key_set: &Value) -> Vec<(&'static str, String)> {
    let (header, claims) = opened(good, key_set);
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let insider = Forger::with(&gate.join("now.pem"));
    let outsider = Forger::with(&gate.join("next.pem"));
    let with = |base: &Value, name: &str, value: Value| {
        let mut changed = base.clone();
        changed[name] = value;
        changed
    };
    let without = |name: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name).unwrap();
        insider.sign(&header, &changed)
    };
    let other = |name: &str, value: Value| insider.sign(&header, &with(&claims, name, value));
    let seconds = now().unix_timestamp();
    let admin = with(&claims, "user", json!("admin"));
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = format!("{}.{}", encode(&with(&header, "alg", json!("none"))), parts[1]);
    let mixed_up = format!("{}.{}", encode(&with(&header, "alg", json!("HS256"))), parts[1]);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key_set["keys"][0]["x"].as_str().unwrap().as_bytes());
    let tag = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&secret, mixed_up.as_bytes()));
    vec![
        ("nothing", String::new()),
        ("no token", "forged".to_owned()),
        ("three empty parts", "..".to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.a")),
        ("other claims", format!("{}.{}.{}", parts[0], encode(&admin), parts[2])),
        ("another header", format!("{}.{}.{}", encode(&with(&header, "x", json!(1))), parts[1], parts[2])),
        ("half a signature", good[..good.len() - 43].to_owned()),
        ("zeros for a signature", format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86))),
        ("alg none", format!("{unsigned}.")),
        ("alg none, signed", format!("{unsigned}.{}", parts[2])),
        ("alg HS256", format!("{mixed_up}.{tag}")),
        ("alg ES384", insider.sign(&with(&header, "alg", json!("ES384")), &claims)),
        ("another kind of token", insider.sign(&with(&header, "typ", json!("JWT")), &claims)),
        ("a key under the name of another", outsider.sign(&header, &claims)),
        ("an unknown key", outsider.sign(&outsider.header(), &claims)),
        ("a key without a name", insider.sign(&with(&header, "kid", Value::Null), &claims)),
        ("claims that are no object", insider.sign(&header, &json!(["aud", "banking"]))),
        ("for another backend", other("aud", json!("website"))),
        ("for nobody", without("aud")),
        ("from somebody else", other("iss", json!("https://gate.example.evil"))),
        ("from nobody", without("iss")),
        ("expired", other("exp", json!(seconds - 10))),
        ("good for ever", without("exp")),
        ("from the future", other("iat", json!(seconds + 60))),
        ("from no time", without("iat")),
        ("for another method", other("htm", json!("POST"))),
        ("for any method", without("htm")),
        ("for another path", other("htu", json!(format!("https://{CERT}/banking/b")))),
        ("for any path", without("htu")),
    ]
}

/// Asks a verifier about all that a gate may and may not sign.
fn try_out(signing: &Signing, mut verifier: Verifier) {
    let url = format!("https://{CERT}/banking/a");
    let first = signing.signed("/banking/%61?to=b");
    assert_eq!(verifier.ask(&first, "GET", &url), GOOD);
    for (method, url) in [
        ("POST", url.clone()),
        ("get", url.clone()),
        ("GET", format!("{url}?to=b")),
        ("GET", url.replace("https:", "http:")),
        ("GET", format!("https://{CERT}:443/banking/a")),
        ("GET", format!("https://{CERT}/banking/")),
    ] {
        let said = verifier.ask(&first, method, &url);
        assert!(said.starts_with("refused "), "{method} {url}: {said}");
    }
    let keys = key_set(signing.gate.ops);
    for (wrong, forged) in forgeries(signing.gate.folder.path(), &first, &keys) {
        let said = verifier.ask(&forged, "GET", &url);
        assert!(said.starts_with("refused "), "{wrong}: {said}");
    }
    // Clocks differ by a little.
    let gates = Forger::with(&signing.gate.folder.path().join("now.pem"));
    let seconds = now().unix_timestamp();
    for (issued, expires) in [(seconds - 32, seconds - 2), (seconds + 2, seconds + 32)] {
        let mut claims = opened(&first, &keys).1;
        (claims["iat"], claims["exp"]) = (json!(issued), json!(expires));
        assert_eq!(verifier.ask(&gates.sign(&gates.header(), &claims), "GET", &url), GOOD);
    }
    // The next key signs from one request to the next, and is verified at once, as is what was signed before.
    signing.reload("keys: [now.pem]", "keys: [next.pem, now.pem]");
    let second = signing.signed("/banking/a");
    assert_ne!(second.split('.').next(), first.split('.').next());
    assert_eq!(verifier.ask(&second, "GET", &url), GOOD);
    assert_eq!(verifier.ask(&first, "GET", &url), GOOD);
}

#[test]
fn python_verifies() {
    let signing = Signing::new();
    signing.write("verifier.py", &on_the_page("python"));
    // Debian's own, which has Debian's modules.
    try_out(&signing, signing.run("/usr/bin/python3", &["-I", &driver("verify.py"), signing.folder()]));
}

#[test]
fn node_verifies() {
    let signing = Signing::new();
    signing.write("verifier.mjs", &on_the_page("javascript"));
    try_out(&signing, signing.run("node", &[&driver("verify.mjs"), signing.folder()]));
}

#[test]
fn php_verifies() {
    let signing = Signing::new();
    signing.write("verifier.php", &on_the_page("php"));
    try_out(&signing, signing.run("php", &[&driver("verify.php"), signing.folder()]));
}

#[test]
fn go_verifies() {
    let signing = Signing::new();
    signing.write("verifier.go", &on_the_page("go").replace("package assertion", "package main"));
    // Go wants all files of a program in one folder.
    signing.write("main.go", &fs::read_to_string(driver("verify.go")).unwrap());
    let [program, main, source] =
        ["verify", "main.go", "verifier.go"].map(|name| format!("{}/{name}", signing.folder()));
    let mut build = Command::new("timeout");
    build
        .args(["--kill-after=5", "300", "go", "build", "-o", &program, &main, &source])
        .envs([("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", format!("{}/go-cache", env!("CARGO_TARGET_TMPDIR")));
    outcome(&mut build).good();
    try_out(&signing, signing.run(&program, &[]));
}

const GSON: &str = "/usr/share/java/gson.jar";

/// A folder with Java's verifier and its driver, compiled.
fn with_java() -> Signing {
    let signing = Signing::new();
    signing.write("Verifier.java", &on_the_page("java"));
    let source = format!("{}/Verifier.java", signing.folder());
    let mut build = Command::new("timeout");
    let words =
        ["--kill-after=5", "120", "javac", "-Xlint:all", "-Werror", "-cp", GSON, "-d", signing.folder()];
    outcome(build.args(words).args([&source, &driver("Verify.java")])).good();
    signing
}

#[test]
fn java_verifies() {
    let signing = with_java();
    try_out(&signing, signing.run("java", &["-cp", &format!("{GSON}:{}", signing.folder()), "Verify"]));
}

/// The writing end of a pipe, once somebody reads from it.
fn read_by_somebody(pipe: &Path) -> File {
    let (tell, told) = std::sync::mpsc::channel();
    let pipe = pipe.to_owned();
    // The system has whoever opens one end wait for the other.
    std::thread::spawn(move || tell.send(OpenOptions::new().write(true).open(pipe).unwrap()));
    told.recv_timeout(PATIENCE).expect("somebody reads")
}

#[test]
fn java_verifies_with_the_keys_that_it_has_while_it_waits_for_others() {
    let signing = with_java();
    // Whoever reads the keys from it waits until they are written.
    let pipe = signing.folder.path().join("keys");
    run("mkfifo", &[pipe.to_str().unwrap()]).good();
    let words = ["-cp", &format!("{GSON}:{}", signing.folder()), "Verify"];
    let mut verifier = signing.run_with("java", &words, &format!("file:{}", pipe.display()));
    let (good, url) = (signing.signed("/banking/a"), format!("https://{CERT}/banking/a"));
    let keys = key_set(signing.gate.ops);
    verifier.tell(&good, "GET", &url);
    write!(read_by_somebody(&pipe), "{keys}").unwrap();
    assert_eq!(verifier.answer(), GOOD);

    let next = Forger::with(&signing.gate.folder.path().join("next.pem"));
    verifier.tell(&next.sign(&next.header(), &opened(&good, &keys).1), "GET", &url);
    let mut waiting = read_by_somebody(&pipe);
    assert_eq!(verifier.ask(&good, "GET", &url), GOOD);
    write!(waiting, "{keys}").unwrap();
    drop(waiting);
    assert!(verifier.answer().starts_with("refused "), "nobody has published that key");
}
