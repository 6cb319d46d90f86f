//! The operator's YAML file: its nouns, one file each, and the reader that finds every mistake at once.
//!
//! What lives here is what was *typed*. Turning it into what was *meant* (reading the files that it names,
//! matching keys with certificates, building the parts) is `app`'s.

mod headers;
mod host;
mod limits;
mod listener;
mod log;
mod ops;
mod route;
mod timeouts;
mod trust;
mod upstream;
mod values;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use headers::Headers;
pub use host::{ClientCertificate, Host, Rejection, ServerCertificate};
pub use limits::Limits;
pub use listener::{Listener, Workers};
pub use log::AccessLog;
pub use ops::Ops;
pub use route::{Require, Route};
pub use timeouts::Timeouts;
pub use trust::{Crl, Trust};
pub use upstream::{IdentityHeaders, Upstream, UpstreamIdentity};
pub use values::{
    CommonNamePattern, Endpoint, FieldName, HostName, OneOrMany, PathPrefix, Period, Size, UpstreamName,
};

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Threads of the data path: `auto` (one per core) or a number.
    #[serde(default)]
    pub workers: Workers,
    /// Where the gate listens.
    pub listeners: Vec<Listener>,
    /// The host names that are served, by TLS server name.
    pub hosts: BTreeMap<HostName, Host>,
    /// Whose client certificates are believed, and how their subject is read. Needed as soon as a host asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// Which requests go where, and what each demands. The longest matching path wins.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The applications behind the gate.
    #[serde(default)]
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// Names of the header fields that carry the identity.
    #[serde(default)]
    pub headers: Headers,
    /// Deadlines.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Caps.
    #[serde(default)]
    pub limits: Limits,
    /// Where the access log goes.
    #[serde(default)]
    pub access_log: AccessLog,
    /// The listener for operators: metrics and health.
    #[serde(default)]
    pub ops: Ops,
}
