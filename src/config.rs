//! The operator's YAML file: its nouns, one file each, and the reader that finds every mistake at once.
//!
//! What lives here is what was *typed*. Turning it into what was *meant* (reading the files that it names,
//! matching keys with certificates, building the parts) is `app`'s.

mod check;
mod load;
mod paths;
mod problem;
mod reference;
mod scalar;
mod schema;
mod snippet;
mod source;
mod suggest;
mod tree;
mod typed;

mod acquisition;
mod assertion;
mod audit;
mod directory;
mod dns;
mod headers;
mod host;
mod issuer;
mod limits;
mod listener;
mod log;
mod mail;
mod maintenance;
mod ops;
mod portal;
mod rate_limits;
mod reload;
mod resumption;
mod route;
mod sign_in;
mod timeouts;
mod traces;
mod trust;
mod upstream;
mod values;

#[cfg(test)]
mod testing;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use acquisition::{Acquisition, Pkcs12};
pub use assertion::Assertion;
pub use audit::{Audit, AuditRotation, AuditSyslog};
pub use directory::{Directory, State};
pub use dns::Dns;
pub use headers::{Headers, OUR_PREFIX, TRACE_FIELDS};
pub use host::{ClientCertificate, Host, Rejection, ServerCertificate};
pub use issuer::{Issuer, IssuerCrl, IssuerRate, Pkcs11};
pub use limits::Limits;
pub use listener::{Listener, ProxyProtocol, Workers};
pub use load::{Document, load, parse};
pub use log::AccessLog;
pub use mail::Mail;
pub use maintenance::Maintenance;
pub use ops::Ops;
pub use paths::inputs;
pub use portal::{Portal, Title};
pub use problem::{Problem, Problems};
pub use rate_limits::{LimitBy, NamedRateLimit, RateLimit, RateLimits};
pub use reference::reference;
pub use reload::{Reload, needs_restart};
pub use resumption::{Resumption, TicketSource};
pub use route::{
    Coding, Compression, Cors, FieldEdits, FieldMatch, FieldPattern, FixedAnswer, MediaRange, Method, Origin,
    PathPlace, Redirect, RedirectStatus, RedirectTarget, Require, Rewrite, Route, RouteLimits, RouteRole,
    RouteTimeouts,
};
pub use schema::{schema, schema_text};
pub use sign_in::{
    Argon2id, CertificateSignIn, Concurrent, HttpVerifier, Lockout, PinSignIn, PinVerifier, Session, SignIn,
    Throttle,
};
pub use source::Source;
pub use timeouts::Timeouts;
pub use traces::{ContinueFrom, Traces};
pub use trust::{Authorities, AuthoritiesWithCommonName, Crl, Registration, Trust};
pub use upstream::{
    Balance, Ejection, Endpoint, ForwardedCertificate, Health, IdentityHeaders, Protocol,
    ProxyProtocolVersion, Retries, Upstream, UpstreamIdentity, UpstreamLimits, UpstreamTls,
};
pub use values::{
    ByteRate, CollectorUrl, CommonNamePattern, DirectoryUrl, DnsServer, EndpointAddress, ExactPath,
    FieldName, FieldValue, HostName, HttpsUrl, LimitName, Network, OneOrMany, PathPrefix, Pattern, Period,
    Place, RedisTopology, RedisUrl, RouteContract, SignedSource, Size, StateUrl, SyslogAddress, UpstreamName,
};

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Threads of the data path: `auto` (one per core) or a number.
    #[serde(default)]
    pub workers: Workers,
    /// Where the gate listens.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// The host names that are served, by TLS server name.
    #[serde(default)]
    pub hosts: BTreeMap<HostName, Host>,
    /// How TLS sessions are taken up again, here and at other gateways.
    #[serde(default)]
    pub resumption: Resumption,
    /// Whose client certificates are believed, and how their subject is read. Needed as soon as a host asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// Signing in on the portal's pages. Without it there are none, and routes can't ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
    /// The durable store of contracts, users, PIN hashes, credentials and suspensions. Needed for `sign_in` and `roles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// The fast store of attempts, sessions and one-time codes. Used with `sign_in`.
    #[serde(default)]
    pub state: State,
    /// What signs client certificates. Without it the gateway issues none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Issuer>,
    /// How people get their certificate, and renew it. Used with `issuer`.
    #[serde(default)]
    pub acquisition: Acquisition,
    /// How notices are sent: expiry in 30 and 10 days, suspension, and so on. Without it they stay in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// How the pages look and what they announce.
    #[serde(default)]
    pub portal: Portal,
    /// The audit log: one JSON line per decision, each chained to the last. Needed with a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Which requests go where, and what each demands. The longest matching path wins.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Closes all routes while a file is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// The applications behind the gate.
    #[serde(default)]
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// Who is asked for the addresses of upstreams that are given by name.
    #[serde(default)]
    pub dns: Dns,
    /// Names of the header fields that carry the identity.
    #[serde(default)]
    pub headers: Headers,
    /// What signs for backends who sends a request. Needed as soon as an upstream asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
    /// Networks of proxies whose `Forwarded` and `X-Forwarded-For` are believed. Of everybody else they are dropped.
    #[serde(default)]
    pub trusted_proxies: Vec<Network>,
    /// Every deadline of the data path.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Every cap of the data path.
    #[serde(default)]
    pub limits: Limits,
    /// How fast requests and connections may come, and from whom.
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// Where the access log goes, one JSON line per request: `stdout`, `off`, or the path of a file with a `/` or a `.` in it.
    #[serde(default)]
    pub access_log: AccessLog,
    /// Who is told of requests as traces (OpenTelemetry). Without it nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// The listener for operators: metrics and health.
    #[serde(default)]
    pub ops: Ops,
    /// When this file is read anew while the gateway runs.
    #[serde(default)]
    pub reload: Reload,
}
