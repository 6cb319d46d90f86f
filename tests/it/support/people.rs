//! A gate with people: directory, state, PINs, and a browser's worth of a client to sign in with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;

use sekisho::app::Stores;
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::domain::{ContractId, Identity, Language, Pin, Role, UserId};
use sekisho::stores::{NewContract, NewUser};
use tokio::runtime::Runtime;

use super::backend::Backend;
use super::client::{Client, Response};
use super::gate::{CERT, Gate, Settings, WWW};
use super::pki::Ca;

/// Everybody's contract, as in the usual certificate.
pub const CONTRACT: &str = "10000000000001";
/// Users of the contract with their PINs. Nobody has a certificate until they show one.
pub const TANAKA: (&str, &str) = ("tanaka", "k7m2x9");
pub const ITO: (&str, &str) = ("ito", "p4q8w1");
pub const SUZUKI: (&str, &str) = ("suzuki", "z3t6v5");

/// YAML of a gate on which people sign in. PINs are hashed cheaply: these tests aren't about the hash.
pub fn yaml(more: &str) -> String {
    let lockout = "lockout: { attempts: 6, per_source: { attempts: 10000, per: 1m }, in_all: { attempts: 10000, per: 1m } }";
    format!(
        "sign_in:
  host: {WWW}
  certificate_host: {CERT}
  pin: {{ pepper_file: pepper, argon2id: {{ memory: 64KiB, iterations: 1 }}, waiting: 1000 }}
{}
directory: {{ url: 'sqlite:data/sekisho.db' }}
audit: {{ file: audit.log }}
{more}",
        if more.contains("lockout:") { String::new() } else { format!("  {lockout}") }
    )
}

/// The same, where two tries from one source are enough for an hour.
pub fn throttled_yaml() -> String {
    let usual = yaml("");
    let lockout = usual.lines().find(|line| line.trim_start().starts_with("lockout:")).unwrap();
    usual.replace(lockout, "  lockout: { attempts: 6, per_source: { attempts: 2, per: 1h } }")
}

/// Routes for people who have signed in, for administrators, for the contract, for certificates, for everybody.
pub const ROUTES: &str = "  - { path: /banking, require: signed_in, upstream: banking }
  - { path: /administration, require: signed_in, roles: [administrator], upstream: banking }
  - { path: /other, require: signed_in, contracts: ['20000000000002'], upstream: banking }
  - { path: /machine, require: certificate, upstream: banking }
  - { path: /public, require: nothing, upstream: banking }";

/// A gate with people before `backend`.
pub fn gate(backend: &Backend) -> Gate {
    gate_with(backend, &yaml(""), Clock::default())
}

/// The same with other YAML and another clock.
pub fn gate_with(backend: &Backend, yaml: &str, clock: Clock) -> Gate {
    let settings = Settings { yaml, routes: Some(ROUTES), clock, people: true, ..Settings::default() };
    Gate::with(backend, Ca::new("Mihon Bank CA-G1"), settings)
}

/// Runs what the stores do later, now.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    // One for all: connections of a store work only as long as the runtime that opened them.
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(future)
}

/// The stores that the configuration in this folder names, opened beside the gate's own.
pub fn stores(folder: &Path) -> Stores {
    let document = config::load(&folder.join("sekisho.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    now(Stores::open(&document)).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Writes a pepper and brings the people into the directory.
pub fn enrol(folder: &Path, clock: &Clock) {
    let pepper = sekisho::flows::new_pepper_line("test").unwrap();
    super::write_secret(&folder.join("pepper"), pepper.as_bytes());
    let stores = stores(folder);
    now(async {
        let contract = ContractId::new(CONTRACT).unwrap();
        let new = NewContract { id: contract, name: "見本商事".to_owned() };
        stores.directory.add_contract(&new, clock.now()).await.unwrap();
        for ((user, pin), role) in [(TANAKA, Role::User), (ITO, Role::User), (SUZUKI, Role::Administrator)] {
            // A bank that holds the PINs itself has told nobody.
            let hash = stores.pins.as_ref().unwrap().hash(&Pin::typed(pin).unwrap()).await.ok();
            let new = NewUser {
                identity: identity(user),
                role,
                mail: None,
                language: Language::Japanese,
                pin: None,
            };
            stores.directory.add_user(&new, clock.now()).await.unwrap();
            if let Some(hash) = hash {
                stores.directory.set_pin(&identity(user), &hash, None, clock.now()).await.unwrap();
            }
        }
    });
}

/// A user of the contract.
pub fn identity(user: &str) -> Identity {
    Identity { contract: ContractId::new(CONTRACT).unwrap(), user: UserId::new(user).unwrap() }
}

/// A browser: it keeps cookies for each host, sends forms from the page that it was given, and follows nothing by
/// itself.
pub struct Browser {
    client: Client,
    cookies: BTreeMap<(String, String), String>,
    port: u16,
}

impl Browser {
    /// A new one, without a certificate.
    pub fn new(gate: &Gate) -> Self {
        Self::with(gate, gate.client())
    }

    /// A new one that connects as `client`.
    pub fn with(gate: &Gate, client: Client) -> Self {
        let mut browser = Self { client, cookies: BTreeMap::new(), port: 0 };
        browser.go_to(gate.address);
        browser
    }

    /// A new one that reaches a gateway of another process.
    pub fn at(client: Client) -> Self {
        Self { port: client.address.port(), client, cookies: BTreeMap::new() }
    }

    /// From now on it reaches another gateway, as if a load balancer had sent it there.
    pub fn go_to(&mut self, gateway: SocketAddr) {
        self.client.address = gateway;
        self.port = gateway.port();
    }

    /// Opens a page as a person does.
    pub fn open(&mut self, host: &str, target: &str) -> Response {
        self.send(host, &format!("GET {target} HTTP/1.1"), &["Accept: text/html,*/*;q=0.8"], "")
    }

    /// Opens where an answer leads.
    pub fn follow(&mut self, host: &str, response: &Response) -> (String, Response) {
        let location =
            response.value("location").unwrap_or_else(|| panic!("leads nowhere: {}", response.head));
        let (host, target) = self.resolve(host, &location);
        (host.clone(), self.open(&host, &target))
    }

    /// Host and target of a location that was given on `host`.
    pub fn resolve(&self, host: &str, location: &str) -> (String, String) {
        let Some(rest) = location.strip_prefix("https://") else {
            return (host.to_owned(), location.to_owned());
        };
        let (authority, target) = rest.split_once('/').unwrap();
        let port = format!(":{}", self.port);
        (authority.trim_end_matches(&port).to_owned(), format!("/{target}"))
    }

    /// Sends a form with the token of its page.
    pub fn post(&mut self, host: &str, target: &str, page: &Response, fields: &[(&str, &str)]) -> Response {
        let token = hidden(&page.text(), "token");
        let mut all = vec![("token", token.as_str())];
        all.extend(fields);
        self.post_raw(host, target, &all, &[&format!("Origin: https://{host}:{}", self.port)])
    }

    /// Sends a form as it is.
    pub fn post_raw(&mut self, host: &str, target: &str, fields: &[(&str, &str)], more: &[&str]) -> Response {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let body = body.join("&");
        let length = format!("Content-Length: {}", body.len());
        let mut lines = vec!["Accept: text/html", "Content-Type: application/x-www-form-urlencoded", &length];
        lines.extend(more);
        self.send(host, &format!("POST {target} HTTP/1.1"), &lines, &body)
    }

    /// Sends any request, and keeps the cookies that come back.
    pub fn send(&mut self, host: &str, line: &str, fields: &[&str], body: &str) -> Response {
        let mut head = format!("{line}\r\nHost: {host}:{}\r\n", self.port);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        for field in fields {
            head.push_str(&format!("{field}\r\n"));
        }
        let mut connection = self.client.connect(host).unwrap();
        connection.send(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        let method = line.split(' ').next().unwrap();
        let response = connection.response_to(method).expect("an answer");
        for cookie in response.values("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((&cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let key = (host.to_owned(), name.to_owned());
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        response
    }

    /// The value of a cookie.
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(&(host.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Sets a cookie, as nobody but a thief does.
    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
    }

    /// Types IDs and PIN on the sign-in page, and says what comes back.
    pub fn try_pin(&mut self, user: &str, pin: &str) -> Response {
        self.try_pin_to("/banking/start", user, pin)
    }

    /// The same, on the way to `to`.
    pub fn try_pin_to(&mut self, to: &str, user: &str, pin: &str) -> Response {
        let page = self.open(WWW, &format!("/sekisho/sign-in?to={}", percent_encoded(to)));
        assert_eq!(page.status, 200, "{}", page.text());
        let fields = [("contract", CONTRACT), ("user", user), ("pin", pin), ("to", to)];
        self.post(WWW, "/sekisho/sign-in", &page, &fields)
    }

    /// The same with more header lines.
    pub fn try_pin_with(&mut self, user: &str, pin: &str, lines: &[&str]) -> Response {
        let page = self.open(WWW, "/sekisho/sign-in");
        let token = hidden(&page.text(), "token");
        let fields = [("token", token.as_str()), ("contract", CONTRACT), ("user", user), ("pin", pin)];
        let origin = format!("Origin: https://{WWW}:{}", self.port);
        self.post_raw(WWW, "/sekisho/sign-in", &fields, &[&[origin.as_str()], lines].concat())
    }

    /// Signs in by PIN.
    pub fn sign_in(&mut self, (user, pin): (&str, &str)) {
        let response = self.try_pin(user, pin);
        assert_eq!(response.status, 303, "{}", response.text());
        assert_eq!(response.value("location").as_deref(), Some("/banking/start"));
    }
}

/// The value of a hidden field.
pub fn hidden(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name} in {page}"));
    let rest = &page[at..];
    let value = rest.split_once("value=\"").unwrap().1;
    value.split('"').next().unwrap().to_owned()
}

/// For a query or a form.
pub fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
