//! Revocation lists over HTTP: from the URLs of the configuration and nowhere else (T8). What comes is worth nothing until
//! it is verified.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use reqwest::header::{ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, retry};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::config;
use crate::pki;

/// How long a connection may take; the whole fetch has a longer bound.
const CONNECT: Duration = Duration::from_secs(5);

/// Asks servers for lists. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    client: Client,
    largest: u64,
}

/// What a server says of the list that it gave, so that it can say later that there is no other.
#[derive(Debug, Clone, Default)]
pub(super) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
    is_known: bool,
}

impl Validators {
    /// Whether they are a server's, and not the empty ones of a copy or a file.
    pub(super) const fn are_known(&self) -> bool {
        self.is_known
    }

    const fn are_conditional(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

/// What a source gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The list is the one that we have.
    NotModified,
    /// A list, perhaps.
    Body(Vec<u8>, Validators),
}

impl Fetcher {
    pub(super) fn new(crl: &config::Crl) -> Result<Self, String> {
        let timeout = crl.timeout.get();
        let client = Client::builder()
            .tls_backend_preconfigured(tls(crl)?)
            .http1_only()
            // Only the servers that the file names are asked: a redirect could lead to any inside the bank.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(retry::never())
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .build()
            .map_err(|error| format!("the client can't be made: {}", chain(&error)))?;
        Ok(Self { client, largest: crl.max_size.bytes() })
    }

    /// Asks for the list at `url`, unless it is the one that these validators are of.
    pub(super) async fn get(&self, url: &str, known: Validators) -> Result<Fetched, String> {
        let is_conditional = known.are_conditional();
        let mut request = self.client.get(url);
        for (name, value) in [(IF_NONE_MATCH, known.etag), (IF_MODIFIED_SINCE, known.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = request.send().await.map_err(|error| chain(&error.without_url()))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if is_conditional => return Ok(Fetched::NotModified),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                return Err(format!("it answered {}: redirects are not followed", status.as_u16()));
            }
            status => return Err(format!("it answered {} instead of 200", status.as_u16())),
        }
        let field = |name| response.headers().get(name).cloned();
        let validators =
            Validators { etag: field(ETAG), last_modified: field(LAST_MODIFIED), is_known: true };
        Ok(Fetched::Body(self.body(response).await?, validators))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let too_large = || Err(format!("its answer is larger than {} bytes", self.largest));
        let fits = |length: usize| u64::try_from(length).is_ok_and(|length| length <= self.largest);
        if response.content_length().is_some_and(|length| length > self.largest) {
            return too_large();
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
            if !fits(body.len() + part.len()) {
                return too_large();
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

/// The authorities of the file, or the system's.
fn tls(crl: &config::Crl) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &crl.authorities {
        for authority in pki::certificates(file).map_err(|error| error.to_string())? {
            roots.add(authority).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    } else if crl.urls().any(|url| url.starts_with("https:")) {
        // Some of the system's may be unreadable; a server that needed one of them will say so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error with its causes, which is where the cause is.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}
