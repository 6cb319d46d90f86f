//! Looking at endpoints: a connection, or a GET over one, apart from the data path.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Upstream;
use super::endpoint::{Address, Endpoint};
use super::wire::Wire;
use crate::clock;
use crate::config::Health;
use crate::edge::http1::{HeadEnd, parse_response};

/// A head of an answer may be so long.
const LONGEST_HEAD: usize = 16 << 10;

impl Upstream {
    /// Looks at every endpoint, at all of them at the same time.
    pub async fn look(&self) {
        let Some(health) = &self.settings.health else {
            return self.endpoints().iter().for_each(|endpoint| endpoint.vitals().forget_looks());
        };
        let endpoints = self.endpoints();
        futures_util::future::join_all(endpoints.iter().map(|endpoint| self.look_at(endpoint, health))).await;
    }

    async fn look_at(&self, endpoint: &Arc<Endpoint>, health: &Health) {
        let seen = tokio::time::timeout(health.timeout.get(), see(endpoint, health));
        let seen = seen.await.unwrap_or_else(|_| Err("it took too long".to_owned()));
        let upstream = &self.name;
        match (endpoint.vitals().looked(seen.is_ok(), health, clock::instant()), seen) {
            (true, Ok(())) => tracing::info!(%upstream, %endpoint, "An endpoint is well again"),
            (true, Err(cause)) => tracing::warn!(%upstream, %endpoint, cause, "An endpoint is not well"),
            (false, _) => {}
        }
    }
}

async fn see(endpoint: &Endpoint, health: &Health) -> Result<(), String> {
    let io = Wire::connect(endpoint.address(), endpoint.tls()).await;
    let mut io = io.map_err(|error| error.to_string())?;
    let Some(path) = &health.path else { return Ok(()) };
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: ");
    match (&health.host, endpoint.address()) {
        (Some(host), _) => request.push_str(host.as_str()),
        (None, Address::Ip(address)) => {
            let _ = write!(request, "{address}");
        }
        (None, Address::Unix(_)) => request.push_str("localhost"),
    }
    request.push_str("\r\nUser-Agent: sekisho-health\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())?;
    let status = status(&mut io).await?;
    let is_well = match health.statuses.as_slice() {
        [] => (200..300).contains(&status),
        statuses => statuses.contains(&status),
    };
    if is_well { Ok(()) } else { Err(format!("it answered {status}")) }
}

async fn status(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<u16, String> {
    let (mut read, mut end) = (Vec::new(), HeadEnd::default());
    loop {
        match end.find(&read) {
            Ok(Some(length)) => {
                let response = parse_response(&read[..length]);
                return response
                    .map(|response| response.status)
                    .map_err(|_| "it answered no HTTP".to_owned());
            }
            Ok(None) if read.len() < LONGEST_HEAD => {}
            _ => return Err("it answered no HTTP".to_owned()),
        }
        match io.read_buf(&mut read).await {
            Ok(0) => return Err("it closed the connection without an answer".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
