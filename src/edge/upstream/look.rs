//! Looking at endpoints: a connection, or a GET over one, apart from the data path.

use std::sync::Arc;

use futures_util::future::{Either, select};
use http::header::USER_AGENT;
use http::{Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::endpoint::{Address, Endpoint};
use super::wire::Wire;
use super::{Upstream, carrier};
use crate::config::{Health, Protocol};
use crate::edge::http1::{HeadEnd, parse_response};
use crate::edge::proxy_protocol::introduction::LOCAL;
use crate::{clock, config};

/// A head of an answer may be so long.
const LONGEST_HEAD: usize = 16 << 10;
/// Who asks.
const AGENT: &str = "sekisho-health";

impl Upstream {
    /// Looks at every endpoint, at all of them at the same time.
    pub async fn look(&self) {
        let Some(health) = &self.settings.health else {
            return self.endpoints().iter().for_each(|endpoint| endpoint.vitals().forget_looks());
        };
        let endpoints = self.endpoints();
        futures_util::future::join_all(endpoints.iter().map(|endpoint| self.look_at(endpoint, health))).await;
    }

    /// Whether looks have found every endpoint ill, so that nobody is served.
    pub fn is_out(&self) -> bool {
        let endpoints = self.endpoints();
        !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.vitals().is_ill())
    }

    async fn look_at(&self, endpoint: &Arc<Endpoint>, health: &Health) {
        let seen = tokio::time::timeout(health.timeout.get(), see(endpoint, &self.settings, health));
        let seen = seen.await.unwrap_or_else(|_| Err("it took too long".to_owned()));
        let upstream = &self.name;
        match (endpoint.vitals().looked(seen.is_ok(), health, clock::instant()), seen) {
            (true, Ok(())) => tracing::info!(%upstream, %endpoint, "An endpoint is well again"),
            (true, Err(cause)) => tracing::warn!(%upstream, %endpoint, cause, "An endpoint is not well"),
            (false, _) => {}
        }
    }
}

async fn see(endpoint: &Endpoint, settings: &config::Upstream, health: &Health) -> Result<(), String> {
    let introduction = settings.proxy_protocol.map_or(&[][..], |_| &LOCAL);
    let status = match settings.protocol {
        Protocol::Http1 => ask(endpoint, introduction, health).await?,
        Protocol::Http2 => ask_over_http2(endpoint, health).await?,
    };
    let Some(status) = status else { return Ok(()) };
    let is_well = match health.statuses.as_slice() {
        [] => (200..300).contains(&status),
        statuses => statuses.contains(&status),
    };
    if is_well { Ok(()) } else { Err(format!("it answered {status}")) }
}

/// The status that it answers with, if it is asked something at all.
async fn ask(endpoint: &Endpoint, introduction: &[u8], health: &Health) -> Result<Option<u16>, String> {
    let io = Wire::connect(endpoint.address(), endpoint.tls(), introduction).await;
    let mut io = io.map_err(|error| error.to_string())?;
    let Some(path) = &health.path else { return Ok(None) };
    let host = host(endpoint, health);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n");
    io.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())?;
    status(&mut io).await.map(Some)
}

/// The same over HTTP/2, where a connection counts once the endpoint has said its first word.
async fn ask_over_http2(endpoint: &Endpoint, health: &Health) -> Result<Option<u16>, String> {
    let (mut sender, connection) = carrier::connect(endpoint).await.map_err(|error| error.to_string())?;
    let Some(path) = &health.path else { return Ok(None) };
    let scheme = if endpoint.tls().is_some() { "https" } else { "http" };
    let request = Request::get(format!("{scheme}://{}{path}", host(endpoint, health)))
        .version(Version::HTTP_2)
        .header(USER_AGENT, AGENT)
        .body(())
        .map_err(|error| error.to_string())?;
    let (response, _) = sender.send_request(request, true).map_err(|error| error.to_string())?;
    match select(response, connection).await {
        Either::Left((response, _)) => {
            response.map(|response| Some(response.status().as_u16())).map_err(|error| error.to_string())
        }
        Either::Right(_) => Err("it closed the connection without an answer".to_owned()),
    }
}

/// Whom the question is for.
fn host(endpoint: &Endpoint, health: &Health) -> String {
    match (&health.host, endpoint.address()) {
        (Some(host), _) => host.as_str().to_owned(),
        (None, Address::Ip(address)) => address.to_string(),
        (None, Address::Unix(_)) => "localhost".to_owned(),
    }
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
