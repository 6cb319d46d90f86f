//! Does the time of a refusal tell which IDs exist (T44)? Wrong PINs for known users, for holders of a credential, for
//! suspended users and for nobody, asked for in turns through a whole gateway on this machine:
//!
//! `cargo bench --bench enumeration`
//!
//! For each kind: quartiles of the time to the answer, and how often an answer about it took longer than one about
//! nobody (0.50: they can't be told apart). Repeat it: what isn't there in every run is the machine's noise.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sekisho::app::{Gateway, Stores};
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::domain::{ContractId, Identity, Language, Pin, Role, SuspensionCause, UserId};
use sekisho::pki::development::{Authority, AuthorityName, Existing, FileStem, KeyKind};
use sekisho::stores::{Credential, NewContract, NewUser};

const HOST: &str = "www.localhost";
const CONTRACT: &str = "10000000000001";
/// Users of each kind, and tries for each: one fewer than suspend.
const USERS: usize = 60;
const TRIES: usize = 9;
const KINDS: [&str; 4] = ["nobody", "known", "credential", "suspended"];

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    lay_out(folder.path());
    let document = config::load(&folder.path().join("sekisho.yaml")).expect("a good file");
    enrol(&document);
    let gateway = Gateway::start(&document, Clock::System).expect("a gateway");
    let mut browser = Browser::connect(gateway.addresses()[0], folder.path());

    let mut times: [Vec<Duration>; 4] = Default::default();
    for nth in 0..TRIES {
        for user in 0..USERS {
            // In another order each time, so that none is always the first.
            for turn in 0..KINDS.len() {
                let kind = (turn + user + nth) % KINDS.len();
                times[kind].push(browser.wrong_pin(&name(KINDS[kind], user)));
            }
        }
    }
    gateway.drain();
    println!("{:<12}{:>10}{:>10}{:>10}{:>22}", "ms", "25 %", "50 %", "75 %", "longer than nobody");
    let nobody = times[0].clone();
    for (kind, times) in KINDS.iter().zip(&mut times) {
        let longer = longer(times, &nobody);
        times.sort();
        let at = |part: usize| times[times.len() * part / 4].as_secs_f64() * 1000.0;
        println!("{kind:<12}{:>10.2}{:>10.2}{:>10.2}{longer:>22.3}", at(1), at(2), at(3));
    }
}

/// How often one of `these` is longer than one of `those`; a tie is half.
fn longer(these: &[Duration], those: &[Duration]) -> f64 {
    let score = |this: &Duration, that: &Duration| match this.cmp(that) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let sum: f64 = these.iter().flat_map(|this| those.iter().map(move |that| score(this, that))).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred thousand pairs")]
    let pairs = (these.len() * those.len()) as f64;
    sum / pairs
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn name(kind: &str, user: usize) -> String {
    format!("{kind}{user}")
}

fn lay_out(folder: &Path) {
    let now = Clock::System.now();
    let mut authority =
        Authority::create(folder, &AuthorityName::default(), Existing::Replace, now).expect("a CA");
    let stem = FileStem::new("www").expect("a name");
    let server = authority.issue_server(&stem, &[HOST.to_owned()], KeyKind::EcdsaP256, 30, now);
    server.and_then(|server| server.write(folder, &stem, None)).expect("a server's certificate");
    let pepper = sekisho::flows::new_pepper_line("bench").expect("a pepper");
    let write = |file: &str, text: &str| {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).mode(0o600).open(folder.join(file)).expect("a file");
        file.write_all(text.as_bytes()).expect("a file");
    };
    write("pepper", &pepper);
    write(
        "sekisho.yaml",
        &format!(
            "listeners: [{{ bind: '127.0.0.1:0' }}]
workers: 1
ops: {{ bind: '127.0.0.1:0' }}
access_log: access.log
hosts: {{ {HOST}: {{ tls: {{ certificate: www.pem, key: www.key }}, client_certificate: none }} }}
sign_in:
  host: {HOST}
  pin: {{ pepper_file: pepper }}
  lockout:
    attempts: 10
    per_source: {{ attempts: 1000000, per: 1s }}
    in_all: {{ attempts: 1000000, per: 1s }}
directory: {{ url: 'sqlite:data/sekisho.db' }}
audit: {{ file: audit.log }}
"
        ),
    );
}

fn identity(user: &str) -> Identity {
    Identity {
        contract: ContractId::new(CONTRACT).expect("a contract ID"),
        user: UserId::new(user).expect("a user ID"),
    }
}

fn enrol(document: &config::Document) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let now = Clock::System.now();
        let stores = Stores::open(document).await.expect("stores");
        let contract = NewContract { id: identity("x").contract, name: "Bench".to_owned() };
        stores.directory.add_contract(&contract, now).await.expect("a contract");
        let pin = Pin::typed("r1ght0ne").expect("a PIN");
        for kind in &KINDS[1..] {
            for user in 0..USERS {
                let identity = identity(&name(kind, user));
                let hash = stores.pins.as_ref().expect("pins").hash(&pin).await.expect("a hash");
                let user = NewUser {
                    identity: identity.clone(),
                    role: Role::User,
                    mail: None,
                    language: Language::Japanese,
                    pin: None,
                };
                stores.directory.add_user(&user, now).await.expect("a user");
                stores.directory.set_pin(&identity, &hash, None, now).await.expect("a PIN");
                match *kind {
                    "credential" => {
                        let credential = Credential {
                            fingerprint: format!("{:0>64}", hex(identity.user.as_str())),
                            serial: "01".to_owned(),
                            not_before: now,
                            not_after: now + jiff::SignedDuration::from_hours(24 * 300),
                            identity,
                        };
                        stores.directory.add_credential(&credential, None, now).await.expect("a credential");
                    }
                    "suspended" => {
                        let cause = SuspensionCause::Staff;
                        stores.directory.suspend_user(&identity, cause, now).await.expect("a suspension");
                    }
                    _ => {}
                }
            }
        }
    });
}

/// One connection, one page, its form sent again and again.
struct Browser {
    stream: StreamOwned<ClientConnection, TcpStream>,
    port: u16,
    visit: String,
    token: String,
}

impl Browser {
    fn connect(address: SocketAddr, folder: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = rustls::pki_types::CertificateDer::from_pem_file(folder.join("ca.pem")).expect("a CA");
        roots.add(ca).expect("a CA");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(HOST).expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let tcp = TcpStream::connect(address).expect("a connection");
        tcp.set_nodelay(true).expect("a socket");
        let stream = StreamOwned::new(session, tcp);
        let mut browser = Self { stream, port: address.port(), visit: String::new(), token: String::new() };
        let page = browser.ask("GET /sekisho/sign-in", "", "");
        let between = |start: &str, end: &str| {
            let rest = page.split_once(start).expect(start).1;
            rest.split_once(end).expect(end).0.to_owned()
        };
        browser.visit = between("__Host-sekisho-visit=", ";");
        browser.token = between("name=\"token\" value=\"", "\"");
        browser
    }

    fn wrong_pin(&mut self, user: &str) -> Duration {
        let form = format!("token={}&to=&contract={CONTRACT}&user={user}&pin=wr0ng0ne", self.token);
        let mut fields = String::new();
        let _ = write!(
            fields,
            "Cookie: __Host-sekisho-visit={}\r\nOrigin: https://{HOST}:{}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            self.visit,
            self.port,
            form.len()
        );
        let begun = begin();
        let answer = self.ask("POST /sekisho/sign-in", &fields, &form);
        let took = begun.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        took
    }

    fn ask(&mut self, what: &str, fields: &str, body: &str) -> String {
        let head =
            format!("{what} HTTP/1.1\r\nHost: {HOST}:{}\r\nAccept: text/html\r\n{fields}\r\n", self.port);
        self.stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        self.stream.flush().expect("sent");
        let (mut answer, mut part) = (Vec::new(), [0; 16 << 10]);
        loop {
            let length = self.stream.read(&mut part).expect("an answer");
            answer.extend_from_slice(&part[..length]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn begin() -> Instant {
    Instant::now()
}
