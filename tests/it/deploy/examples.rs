//! `deploy/examples`: an application that existed before the gate, built and run as its page says, behind a gate and past it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{path, text};
use crate::support::assertion::Forger;
use crate::support::eventually;
use crate::support::pki::now;
use crate::support::process::{Running, SEKISHO, outcome, run, sekisho};

const CONTEXT: &str = "data/tomcat/conf/Catalina/localhost/corporate.xml";
const SERVER: &str = "data/tomcat/conf/server.xml";
const CERT: &str = "cert.localhost";

/// `deploy/examples/tomcat` in a folder of its own, after `init`.
struct Example {
    folder: TempDir,
}

impl Example {
    fn made() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = path("deploy/examples/tomcat/.");
        run("cp", &["-r", example.to_str().unwrap(), folder.path().to_str().unwrap()]).good();
        let _ = fs::remove_dir_all(folder.path().join("data"));
        let example = Self { folder };
        outcome(Command::new("./init").current_dir(example.path()).env("SEKISHO", SEKISHO)).good();
        // On ports that nobody else has.
        for port in ["8443", "9090"] {
            example.edit("sekisho.yaml", &format!("127.0.0.1:{port}"), "127.0.0.1:0");
        }
        example
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Replaces a part of a file, which must be there once.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        fs::write(self.file(name), text.replace(from, to)).unwrap();
    }

    /// Tomcat as `run` starts it, once the application is there.
    fn tomcat(&self) -> Running {
        let mut command = Command::new("/usr/share/tomcat10/bin/catalina.sh");
        command.arg("run").current_dir(self.path());
        command.env("CATALINA_HOME", "/usr/share/tomcat10").env("CATALINA_BASE", self.file("data/tomcat"));
        let mut tomcat = Running::spawn(&mut command);
        eventually("Tomcat serves, or ends", || {
            tomcat.stderr().contains("Server startup in") || !tomcat.is_running()
        });
        assert!(!tomcat.stderr().contains("SEVERE"), "{}", tomcat.stderr());
        tomcat
    }

    /// The gate as `run` starts it, with where it listens.
    fn gate(&self) -> (Running, SocketAddr) {
        let mut gate = Running::sekisho(self.path(), &["serve", "--config", "sekisho.yaml"]);
        gate.wait_until_ready();
        let listen = gate.address("Listening");
        (gate, listen)
    }

    /// Asks the gate as somebody with their certificate.
    fn ask(&self, gate: SocketAddr, user: &str, path: &str, more: &[&str]) -> Answer {
        let file = |name: String| self.file(&name).to_str().unwrap().to_owned();
        let (ca, port) = (file("data/pki/ca.pem".into()), gate.port());
        let (pem, key) =
            (file(format!("data/pki/clients/{user}.pem")), file(format!("data/pki/clients/{user}.key")));
        let (resolve, url) = (format!("{CERT}:{port}:127.0.0.1"), format!("https://{CERT}:{port}{path}"));
        let words = ["--cacert", &ca, "--cert", &pem, "--key", &key, "--resolve", &resolve];
        curl(&[&words[..], more, &[&url]].concat())
    }
}

/// What curl got.
struct Answer {
    status: u16,
    cookies: Vec<String>,
    body: String,
}

fn curl(words: &[&str]) -> Answer {
    let first = ["-q", "-sS", "--noproxy", "*", "--max-time", "50", "--include", "--http1.1"];
    let told = run("curl", &[&first[..], words].concat()).good();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    let cookies = head.lines().filter_map(|line| line.strip_prefix("Set-Cookie: ")).map(str::to_owned);
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        cookies: cookies.collect(),
        body: body.to_owned(),
    }
}

/// A page of the application.
fn page(title: &str, user: &str, more: &str, body: &str) -> String {
    format!(
        "<!doctype html>
<html lang=\"ja\">
<meta charset=\"utf-8\">
<title>{title} - みほん銀行</title>
<link rel=\"stylesheet\" href=\"style.css\">
<header><b>みほん銀行 法人インターネットバンキング</b> <span>契約 10000000000001 利用者 {user} 様</span></header>
<nav><a href=\"accounts\">残高照会</a> <a href=\"transfer\">振込</a>{more}</nav>
<h1>{title}</h1>
{body}
</html>
"
    )
}

/// The accounts as tanaka sees them.
fn accounts() -> String {
    let rows = "<table>
<tr><th>店名<th>科目<th>口座番号<th>残高
<tr><td>本店営業部<td>普通<td>1234567<td>12,345,678円
<tr><td>大手町支店<td>当座<td>7654321<td>98,000,000円
</table>";
    page("残高照会", "tanaka", "", rows)
}

/// The form's token in a page.
fn token(page: &str) -> String {
    Regex::new(r#"name="token" value="([0-9a-f-]+)""#).unwrap().captures(page).unwrap()[1].to_owned()
}

#[test]
fn the_verifier_of_the_example_is_the_one_of_the_page() {
    let page = text("docs/backends.md");
    let on_the_page = page.split("```java\n").nth(1).unwrap().split("```").next().unwrap();
    let file = text("deploy/examples/tomcat/gate/src/example/mihonbank/gate/Verifier.java");
    assert_eq!(file.strip_prefix("package example.mihonbank.gate;\n\n"), Some(on_the_page));
}

#[test]
fn an_application_in_tomcat_learns_from_the_gate_who_is_there_and_from_nobody_else() {
    let example = Example::made();
    // The keys in a file: as where the gate is on another machine.
    let keys = sekisho(example.path(), &["assertion", "jwks", "data/secrets/assertion.pem"]).good();
    fs::write(example.file("data/jwks.json"), keys).unwrap();
    let keys = format!("file:{}", example.file("data/jwks.json").display());
    example.edit(CONTEXT, "http://127.0.0.1:9090/.well-known/jwks.json", &keys);
    example.edit(SERVER, "port=\"8080\"", "port=\"0\"");
    let tomcat = example.tomcat();
    let port = Regex::new(r#"Starting ProtocolHandler \["http-nio-127\.0\.0\.1-auto-\d+-(\d+)"\]"#).unwrap();
    let direct: SocketAddr =
        format!("127.0.0.1:{}", &port.captures(&tomcat.stderr()).unwrap()[1]).parse().unwrap();
    example.edit("sekisho.yaml", "127.0.0.1:8080", &direct.to_string());
    let (_gate, gate) = example.gate();

    // The principal, the roles, the form: all that the application did before.
    let first = example.ask(gate, "tanaka", "/corporate/accounts", &[]);
    assert_eq!((first.status, first.body), (200, accounts()));
    assert_eq!(first.cookies, [""; 0]);
    assert_eq!(example.ask(gate, "tanaka", "/corporate/limits", &[]).status, 403);
    let limits = example.ask(gate, "suzuki", "/corporate/limits", &[]);
    let more = " <a href=\"limits\">振込限度額</a>";
    assert_eq!(limits.body, page("振込限度額", "suzuki", more, "<p>1日あたり 100,000,000円"));
    let form = example.ask(gate, "tanaka", "/corporate/transfer", &[]);
    let [cookie] = &form.cookies[..] else { panic!("{:?}", form.cookies) };
    assert!(cookie.ends_with("; Path=/corporate; Secure; HttpOnly"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let data = |page: &str| format!("to=見本工業&amount=150000&token={}", token(page));
    let field = ["--header", &cookie];
    let post = |user: &str, data: &str| {
        let words = [&field[..], &["--data", data]].concat();
        example.ask(gate, user, "/corporate/transfer", &words)
    };
    let done = post("tanaka", &data(&form.body));
    let said = "<p>見本工業への振込 150,000円を受け付けました。受付番号 10000000000001-0001、依頼者 tanaka";
    assert_eq!(done.body, page("振込受付", "tanaka", "", said));
    // Somebody else at the same browser has nothing of that session.
    let form = example.ask(gate, "tanaka", "/corporate/transfer", &field);
    assert_eq!(form.cookies, [""; 0]);
    assert_eq!(post("suzuki", &data(&form.body)).status, 400);
    assert_eq!(post("tanaka", &data(&form.body)).status, 400);

    past_the_gate(&example, direct);
    let log = tomcat.stderr();
    let refused = |why: &str| log.contains(&format!("Refused GET /corporate/accounts of 127.0.0.1: {why}\n"));
    for why in ["0 assertions", "2 assertions", "expired", "for somebody else", "not signed by the gateway"] {
        assert!(refused(why), "{why}: {log}");
    }
    assert!(!log.contains("eyJ"), "{log}");
}

/// Whoever reaches Tomcat itself.
fn past_the_gate(example: &Example, tomcat: SocketAddr) {
    let ask = |path: &str, fields: &[String]| {
        let url = format!("http://{tomcat}{path}");
        let mut words = vec!["--path-as-is", "--header", "Host: cert.localhost"];
        words.extend(fields.iter().flat_map(|field| ["--header", field.as_str()]));
        words.push(&url);
        curl(&words)
    };
    let gates = Forger::with(&example.file("data/secrets/assertion.pem"));
    let other = sekisho(example.path(), &["assertion", "key"]).good();
    crate::support::write_secret(&example.file("other.pem"), other.as_bytes());
    let stranger = Forger::with(&example.file("other.pem"));
    let seconds = now().unix_timestamp();
    let claims = json!({
        "iss": "https://gateway.mihonbank.example", "aud": "corporate", "sub": "10000000000001/tanaka",
        "contract": "10000000000001", "user": "tanaka", "role": "user", "auth_method": "certificate",
        "htm": "GET", "htu": "https://cert.localhost/corporate/accounts",
        "iat": seconds, "exp": seconds + 30, "jti": "0",
    });
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        gates.sign(&gates.header(), &changed)
    };
    let field = |assertion: &str| format!("X-Sekisho-Assertion: {assertion}");
    let good = gates.sign(&gates.header(), &claims);
    let answer = ask("/corporate/accounts", &[field(&good), "X-User-Id: suzuki".to_owned()]);
    assert_eq!((answer.status, answer.body), (200, accounts()), "as the gate would have asked");
    let names = ["X-Contract-Id: 10000000000001", "X-User-Id: tanaka"].map(str::to_owned);
    assert_eq!(ask("/corporate/accounts", &names).status, 403, "header fields alone");
    assert_eq!(ask("/corporate/accounts", &[field(&good), field(&good)]).status, 403, "two of them");
    for (wrong, forged) in [
        ("expired", with("exp", json!(seconds - 10))),
        ("another audience", with("aud", json!("banking"))),
        ("another issuer", with("iss", json!("https://gateway.example.evil"))),
        ("another method", with("htm", json!("POST"))),
        ("another path", with("htu", json!("https://cert.localhost/corporate/transfer"))),
        ("an unknown key", stranger.sign(&stranger.header(), &claims)),
        ("another key under the gate's name", stranger.sign(&gates.header(), &claims)),
        ("no token", "forged".to_owned()),
    ] {
        assert_eq!(ask("/corporate/accounts", &[field(&forged)]).status, 403, "{wrong}");
    }
    // What is open is open to the letter, and the form is no way in.
    let health = ask("/corporate/health.txt", &[]);
    assert_eq!((health.status, health.body.as_str()), (200, "good\n"));
    for path in ["/corporate/health.txt;a=b", "/corporate/a/../health.txt", "/corporate/login.html"] {
        assert_eq!(ask(path, &[]).status, 403, "{path}");
    }
    let url = format!("http://{tomcat}/corporate/j_security_check");
    let words = ["--data", "j_username=10000000000001/tanaka&j_password=a", url.as_str()];
    assert_eq!(curl(&words).status, 403);
}

#[test]
fn tomcat_listens_at_a_unix_socket_and_fetches_the_keys_of_the_gate() {
    let example = Example::made();
    let page = text("deploy/examples/tomcat/README.md");
    let connector = page.split("```xml\n").nth(1).unwrap().split("```").next().unwrap();
    let socket = example.file("data/tomcat.sock").display().to_string();
    let connector = connector.replace("/run/corporate/tomcat.sock", &socket);
    let server = fs::read_to_string(example.file(SERVER)).unwrap();
    let (before, rest) = server.split_once("<Connector ").unwrap();
    let after = rest.split_once("/>").unwrap().1;
    fs::write(example.file(SERVER), format!("{before}{connector}{after}")).unwrap();
    example.edit("sekisho.yaml", "127.0.0.1:8080", &format!("unix:{socket}"));
    let (running, gate) = example.gate();
    let ops = running.address("Listening for operators").to_string();
    example.edit(CONTEXT, "127.0.0.1:9090", &ops);
    let _tomcat = example.tomcat();
    eventually("the endpoint is well", || {
        example.ask(gate, "tanaka", "/corporate/accounts", &[]).status == 200
    });
    assert_eq!(example.ask(gate, "tanaka", "/corporate/accounts", &[]).body, accounts());
    let form = example.ask(gate, "tanaka", "/corporate/transfer", &[]);
    assert!(form.cookies[0].ends_with("; Path=/corporate; Secure; HttpOnly"), "{:?}", form.cookies);
}
