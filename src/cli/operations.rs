//! Speaks to a running gateway through its ops listener.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ops::COMMAND;

/// A gateway that doesn't answer within this time won't.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a gateway didn't do what it was asked.
pub(super) enum Trouble {
    /// It can't be reached, or doesn't answer.
    Unreachable(String),
    /// It answered that it won't.
    Refused(String),
}

/// Has the gateway at `address` read its configuration anew.
pub(super) fn reload(address: SocketAddr) -> Result<(), Trouble> {
    ask(address, |client, base| client.post(format!("{base}/reload")).header(COMMAND, "reload")).map(drop)
}

/// The configuration that the gateway at `address` goes by, as YAML.
pub(super) fn config(address: SocketAddr) -> Result<String, Trouble> {
    ask(address, |client, base| client.get(format!("{base}/config")))
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
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|error| unreachable(&error))?;
        let answer = request(&client, format!("http://{address}")).send().await;
        let answer = answer.map_err(|error| unreachable(&error.without_url()))?;
        let is_good = answer.status().is_success();
        let text = answer.text().await.map_err(|error| unreachable(&error.without_url()))?;
        if is_good { Ok(text) } else { Err(Trouble::Refused(text.trim_end().to_owned())) }
    })
}
