//! A gate in this process: the real composition root over a real folder of files.

use std::net::SocketAddr;
use std::path::Path;

use sekisho::app::{ConfigFile, Gateway, StartError};
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::pki::{AssertionKey, Trust, TrustSource};
use tempfile::TempDir;

use super::backend::Backend;
use super::client::Client;
use super::pki::{Ca, Credential};

/// Requires a certificate, and says what is wrong on a page.
pub const CERT: &str = "cert.mihonbank.example";
/// Asks for no certificate.
pub const WWW: &str = "www.mihonbank.example";
/// Asks for one, and takes none as well.
pub const OPTIONAL: &str = "optional.mihonbank.example";
/// Requires a certificate, and refuses in the handshake.
pub const STRICT: &str = "strict.mihonbank.example";
/// All of them.
pub const HOSTS: [&str; 4] = [CERT, WWW, OPTIONAL, STRICT];

/// A gate that serves, with what it was made from.
pub struct Gate {
    gateway: Option<Gateway>,
    pub ca: Ca,
    pub folder: TempDir,
    pub clock: Clock,
    pub address: SocketAddr,
    pub ops: SocketAddr,
}

/// How a gate differs from the usual one.
#[derive(Default)]
pub struct Settings<'a> {
    /// More YAML at the top level: `timeouts`, `limits`, `headers`, …
    pub yaml: &'a str,
    /// In the place of the usual `trust`.
    pub trust: Option<&'a str>,
    /// More of the listener, beside its address.
    pub listener: &'a str,
    /// In the place of the usual routes: `/banking` and `/` on the certificate hosts, `/public` anywhere.
    pub routes: Option<&'a str>,
    /// More of the upstream, beside its endpoints.
    pub upstream: &'a str,
    /// Revoked from the beginning.
    pub revoked: &'a [&'a Credential],
    /// The clock; the system's by default.
    pub clock: Clock,
    /// Whether there are people in the directory: those of `support::people`.
    pub people: bool,
    /// Whether the gate issues certificates, under a CA of its own (G2), and of which certificates it demands that they
    /// are registered: `optional` or `required`.
    pub issuer: Option<&'a str>,
    /// The server certificate of every host; by default one with a P-256 key.
    pub server: Option<&'a Credential>,
}

impl Gate {
    /// The usual gate before `backend`.
    pub fn start(backend: &Backend) -> Self {
        Self::with(backend, Ca::new("Mihon Bank CA-G1"), Settings::default())
    }

    /// A gate before `backend` that differs by `settings`.
    pub fn with(backend: &Backend, ca: Ca, settings: Settings<'_>) -> Self {
        Self::before(&[backend.address], ca, settings)
    }

    /// The usual gate before `backend`, with more YAML at the top level.
    pub fn configured(backend: &Backend, yaml: &str) -> Self {
        Self::with(backend, Ca::new("Mihon Bank CA-G1"), Settings { yaml, ..Settings::default() })
    }

    /// A gate before several endpoints.
    pub fn before(endpoints: &[SocketAddr], ca: Ca, settings: Settings<'_>) -> Self {
        let folder = lay_out(endpoints, &ca, &settings);
        Self::in_folder_at(folder, ca, settings.clock)
    }

    /// The gate of a folder that somebody else has laid out under `ca`.
    pub fn in_folder(folder: TempDir, ca: Ca) -> Self {
        Self::in_folder_at(folder, ca, Clock::System)
    }

    /// The same by this clock.
    pub fn in_folder_at(folder: TempDir, ca: Ca, clock: Clock) -> Self {
        let gateway = start_in(&folder, clock.clone()).unwrap_or_else(|error| panic!("{error}"));
        let (address, ops) = (gateway.addresses()[0], gateway.ops_address());
        Self { gateway: Some(gateway), ca, folder, clock, address, ops }
    }

    /// A client that knows the gate's CA.
    pub fn client(&self) -> Client {
        Client::new(self.address, &self.ca)
    }

    /// A client with the usual certificate.
    pub fn tanaka(&self) -> Client {
        self.client().with(&self.ca.client(super::pki::COMMON_NAME))
    }

    /// Puts a CRL that names `revoked` in force.
    pub fn revoke(&self, revoked: &[&Credential]) {
        self.publish_crl(&self.ca.crl(revoked));
    }

    /// Puts this CRL in force.
    pub fn publish_crl(&self, crl: &str) {
        std::fs::write(self.folder.path().join("ca.crl"), crl).unwrap();
        self.publish(&["ca.pem"]);
    }

    /// Believes another CA, and no longer the one that it began with.
    pub fn believe(&self, ca: &Ca) {
        std::fs::write(self.folder.path().join("other.pem"), ca.pem()).unwrap();
        std::fs::write(self.folder.path().join("ca.crl"), ca.crl(&[])).unwrap();
        self.publish(&["other.pem"]);
    }

    /// Believes the authorities of these files, and the folder's CRL, from now on.
    pub fn publish(&self, authorities: &[&str]) {
        let path = |name: &str| self.folder.path().join(name);
        let authorities: Vec<_> = authorities.iter().map(|name| path(name).into()).collect();
        let crls = [path("ca.crl")];
        let source = TrustSource {
            authorities: &authorities,
            common_name: "(?<contract>[0-9]{14}) (?<user>[0-9A-Za-z]{1,30})",
            crls: Some(&crls),
            grace: std::time::Duration::ZERO,
        };
        let trust = Trust::load(&source, self.clock.now()).unwrap_or_else(|errors| panic!("{errors:?}"));
        self.gateway.as_ref().unwrap().publish_trust(trust);
    }

    /// Has the gate read its folder anew whenever something in it changes.
    pub fn follow(&self) {
        self.follow_since(ConfigFile::at(&self.folder.path().join("sekisho.yaml")));
    }

    /// The same with a file that was looked at before.
    pub fn follow_since(&self, file: ConfigFile) {
        self.gateway.as_ref().unwrap().follow(file);
    }

    /// Has the gate read its folder anew, once; [`Gate::follow`] comes first.
    pub fn reload(&self) -> Result<(), String> {
        self.gateway.as_ref().unwrap().reload()
    }

    /// The text of a file of the folder.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Writes a file of the folder, whole or not at all, as a careful operator does.
    pub fn write(&self, name: &str, text: &str) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join(name));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The lines of the access log so far.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        read_log(&self.folder.path().join("access.log"))
    }

    /// The one line of the access log that `wanted` holds for, once it is written.
    pub fn logged(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let mut found = Vec::new();
        super::eventually("a line in the access log", || {
            found = self.access_log().into_iter().filter(|line| wanted(line)).collect();
            !found.is_empty()
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    /// Has the access log's file opened anew.
    pub fn reopen_access_log(&self) {
        self.gateway.as_ref().unwrap().reopen_access_log();
    }

    /// Waits until a metric has this value. The gate counts an end after it has come, and the client may be faster.
    pub fn counts(&self, name: &str, value: f64) {
        super::eventually(&format!("{name} {value}"), || self.metric(name) == value);
    }

    /// The last line of the access log, once it has so many.
    pub fn log_line(&self, number: usize) -> serde_json::Value {
        super::eventually(&format!("{number} lines in the log"), || self.access_log().len() >= number);
        let mut lines = self.access_log();
        assert_eq!(lines.len(), number, "{lines:#?}");
        lines.remove(number - 1)
    }

    /// Begins to drain on a thread of its own.
    pub fn drain(&mut self) -> std::thread::JoinHandle<()> {
        let gateway = self.gateway.take().unwrap();
        std::thread::spawn(move || gateway.drain())
    }

    /// The text of the metrics.
    pub fn metrics(&self) -> String {
        super::client::plain_get(self.ops, "/metrics").1
    }

    /// The handshakes that failed: a line of the metrics for each cause.
    pub fn handshake_failures(&self) -> Vec<String> {
        let text = self.metrics();
        let lines = text.lines().filter(|line| line.starts_with("sekisho_handshake_failures_total{"));
        lines.map(str::to_owned).collect()
    }

    /// The value of one metric, labels included in its name as they are printed.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain();
        }
    }
}

/// A folder with all that a gate is made from: `sekisho.yaml`, `server.pem`, `server.key`, `ca.pem`, `ca.crl`; and the keys
/// `now.pem` and `next.pem`, if it signs for backends.
pub fn lay_out(endpoints: &[SocketAddr], ca: &Ca, settings: &Settings<'_>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let server = settings.server.cloned().unwrap_or_else(|| ca.server(&HOSTS));
    write("server.pem", &server.pem);
    write("server.key", &server.key_pem);
    write("ca.pem", &ca.pem());
    write("ca.crl", &ca.crl(settings.revoked));
    write("sekisho.yaml", &yaml(endpoints, settings));
    if settings.issuer.is_some() {
        let issuer = Ca::new("Mihon Bank CA-G2");
        write("issuer.pem", &issuer.pem());
        write("issuer.crl", &issuer.crl(&[]));
        super::write_secret(&folder.path().join("issuer.key"), issuer.key_pem().as_bytes());
    }
    if settings.yaml.contains("assertion:") {
        for name in ["now.pem", "next.pem"] {
            super::write_secret(&folder.path().join(name), AssertionKey::generate().unwrap().as_bytes());
        }
    }
    super::write_secret(&folder.path().join("password"), super::postgres::PASSWORD.as_bytes());
    if settings.people {
        super::people::enrol(folder.path(), &settings.clock);
    }
    folder
}

/// Starts the gate of a folder.
pub fn start_in(folder: &TempDir, clock: Clock) -> Result<Gateway, StartError> {
    let document =
        config::load(&folder.path().join("sekisho.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    Gateway::start(&document, clock)
}

fn read_log(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A line that is being written isn't one yet.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn yaml(endpoints: &[SocketAddr], settings: &Settings<'_>) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    let tls = "tls: { certificate: server.pem, key: server.key }";
    let routes = settings.routes.unwrap_or(
        "  - { path: /banking, require: certificate, upstream: banking }
  - { path: /public, require: nothing, upstream: banking }",
    );
    format!(
        "listeners: [{{ bind: '127.0.0.1:0', {} }}]
workers: 1
ops: {{ bind: '127.0.0.1:0' }}
access_log: access.log
hosts:
  {CERT}: {{ {tls}, client_certificate: required }}
  {WWW}: {{ {tls}, client_certificate: none }}
  {OPTIONAL}: {{ {tls}, client_certificate: optional }}
  {STRICT}: {{ {tls}, client_certificate: required, rejection: handshake }}
{}
routes:
{routes}
upstreams: {{ banking: {{ endpoints: [{}], {} }} }}
{}
",
        settings.listener,
        trust_yaml(settings),
        endpoints.join(", "),
        settings.upstream,
        settings.yaml
    )
}

fn trust_yaml(settings: &Settings<'_>) -> String {
    if let Some(trust) = settings.trust {
        return trust.to_owned();
    }
    let Some(registration) = settings.issuer else {
        return "trust: { authorities: ca.pem, crl: { sources: [ca.crl] } }".to_owned();
    };
    format!(
        "trust:
  authorities: [ca.pem, issuer.pem]
  registration: {registration}
  crl: {{ sources: [ca.crl, issuer.crl] }}
issuer:
  certificate: issuer.pem
  key: issuer.key
  unit: Mihon Bank CA-G2
  crl: {{ url: 'https://{WWW}/sekisho/crl', file: issuer.crl }}"
    )
}
