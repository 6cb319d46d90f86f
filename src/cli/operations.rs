//! Speaks to a running gateway through its ops listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::failure::{CONFIG, Failure, UNAVAILABLE};
use crate::config;
use crate::ops::COMMAND;

/// A gateway that doesn't answer within this time won't: a reload waits for names and for revocation lists, a few seconds each.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which gateway is asked.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// The configuration file: where it says `ops.bind`, the gateway is asked
    #[arg(long, value_name = "FILE", required_unless_present = "ops")]
    config: Option<PathBuf>,
    /// The gateway's address for operators, if it isn't the one in the file
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    ops: Option<SocketAddr>,
}

impl Running {
    /// Its address for operators.
    pub(super) fn address(&self) -> Result<SocketAddr, Failure> {
        match (&self.ops, &self.config) {
            (Some(address), _) => Ok(*address),
            (None, Some(file)) => {
                let document = config::load(file);
                let document = document.map_err(|problems| Failure::new(CONFIG, format!("\n{problems}")))?;
                Ok(document.config.ops.bind)
            }
            // clap demands one of the two.
            (None, None) => Ok(config::Ops::default().bind),
        }
    }
}

/// Why a gateway didn't do what it was asked.
pub(super) enum Trouble {
    /// It can't be reached, or doesn't answer.
    Unreachable(String),
    /// It answered that it won't.
    Refused(String),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unreachable(told) => Self::new(UNAVAILABLE, told),
            Trouble::Refused(told) => Self::new(CONFIG, told),
        }
    }
}

/// Has the gateway at `address` read its configuration anew.
pub(super) fn reload(address: SocketAddr) -> Result<(), Trouble> {
    ask(address, |client, base| client.post(format!("{base}/reload")).header(COMMAND, "reload")).map(drop)
}

/// The configuration that the gateway at `address` goes by, as YAML.
pub(super) fn config(address: SocketAddr) -> Result<String, Trouble> {
    ask(address, |client, base| client.get(format!("{base}/config")))
}

/// Whether the gateway at `address` serves, and what is wrong nonetheless; refused with the same if it doesn't.
pub(super) fn readiness(address: SocketAddr) -> Result<String, Trouble> {
    ask(address, |client, base| client.get(format!("{base}/readyz")))
}

/// The metrics of the gateway at `address`.
pub(super) fn metrics(address: SocketAddr) -> Result<String, Trouble> {
    ask(address, |client, base| client.get(format!("{base}/metrics")))
}

/// The upstreams of the gateway at `address`, and how their endpoints are, as JSON.
pub(super) fn upstreams(address: SocketAddr) -> Result<String, Trouble> {
    ask(address, |client, base| client.get(format!("{base}/upstreams")))
}

/// Keeps new requests of the gateway at `address` from an endpoint, or lets them in again.
pub(super) fn drain(
    address: SocketAddr,
    upstream: &str,
    endpoint: &str,
    is_drained: bool,
) -> Result<(), Trouble> {
    let verb = if is_drained { "drain" } else { "undrain" };
    let path = format!("/upstreams/{upstream}/{endpoint}/{verb}");
    ask(address, |client, base| client.post(format!("{base}{path}")).header(COMMAND, verb)).map(drop)
}

fn ask(
    address: SocketAddr,
    request: impl FnOnce(&reqwest::Client, String) -> reqwest::RequestBuilder,
) -> Result<String, Trouble> {
    let unreachable = |error: &dyn std::fmt::Display| {
        Trouble::Unreachable(format!("no gateway answers for operators at {address}: {error}"))
    };
    // reqwest wants one at hand, although nothing here is encrypted. That there is one already is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(&error))?;
    runtime.block_on(async {
        // Without a word on authorities reqwest asks the system for its own, and there may be none.
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build();
        let client = client.map_err(|error| unreachable(&error))?;
        let answer = request(&client, format!("http://{address}")).send().await;
        let answer = answer.map_err(|error| unreachable(&error.without_url()))?;
        let is_good = answer.status().is_success();
        let text = answer.text().await.map_err(|error| unreachable(&error.without_url()))?;
        if is_good { Ok(text) } else { Err(Trouble::Refused(text.trim_end().to_owned())) }
    })
}
