//! Revocation lists and OCSP responses over HTTP: from the URLs of the configuration and nowhere else (T8). What comes is
//! worth nothing until it is verified. And spans, to the collector that the configuration names.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, retry};

use crate::pki;

/// How long a connection may take; the whole fetch has a longer bound.
const CONNECT: Duration = Duration::from_secs(5);

/// How servers are asked.
pub(super) struct FetchSettings<'a> {
    /// How long one may take in all.
    pub(super) timeout: Duration,
    /// Most bytes of an answer.
    pub(super) largest: u64,
    /// The file with the authorities of `https` servers; the system's if `None`.
    pub(super) authorities: Option<&'a Path>,
}

/// Asks servers. Cloning is cheap.
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

/// What a server said to something that was left with it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) status: StatusCode,
    /// When it would like to be asked again.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Fetcher {
    pub(super) fn new(settings: &FetchSettings<'_>) -> Result<Self, String> {
        let &FetchSettings { timeout, largest, .. } = settings;
        let client = Client::builder()
            .tls_backend_preconfigured(pki::client_config(settings.authorities, None)?)
            .http1_only()
            // Only the servers that the file names are asked: a redirect could lead to any inside the bank.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .retry(retry::never())
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .build()
            .map_err(|error| format!("the client can't be made: {}", pki::with_causes(&error)))?;
        Ok(Self { client, largest })
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
        let response = send(request).await?;
        if is_conditional && response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Fetched::NotModified);
        }
        let response = answered(response)?;
        let field = |name| response.headers().get(name).cloned();
        let validators =
            Validators { etag: field(ETAG), last_modified: field(LAST_MODIFIED), is_known: true };
        Ok(Fetched::Body(self.body(response).await?, validators))
    }

    /// Has `url` answer a question.
    pub(super) async fn post(
        &self,
        url: &str,
        kind: &'static str,
        question: &[u8],
    ) -> Result<Vec<u8>, String> {
        let request = self.client.post(url).header(CONTENT_TYPE, kind).body(question.to_vec());
        self.body(answered(send(request).await?)?).await
    }

    /// Leaves something with `url`, whatever it says to that.
    pub(super) async fn deliver(
        &self,
        url: &str,
        kind: &'static str,
        fields: &HeaderMap,
        body: Vec<u8>,
    ) -> Result<Taken, String> {
        let request = self.client.post(url).headers(fields.clone()).header(CONTENT_TYPE, kind).body(body);
        let response = send(request).await?;
        let (status, asked) = (response.status(), response.headers().get(RETRY_AFTER));
        // As a date it would go by a clock that isn't ours.
        let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Ok(Taken { status, retry_after, body: self.body(response).await? })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let too_large = || Err(format!("its answer is larger than {} bytes", self.largest));
        let fits = |length: usize| u64::try_from(length).is_ok_and(|length| length <= self.largest);
        if response.content_length().is_some_and(|length| length > self.largest) {
            return too_large();
        }
        let mut body = Vec::new();
        while let Some(part) =
            response.chunk().await.map_err(|error| pki::with_causes(&error.without_url()))?
        {
            if !fits(body.len() + part.len()) {
                return too_large();
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

async fn send(request: RequestBuilder) -> Result<Response, String> {
    request.send().await.map_err(|error| pki::with_causes(&error.without_url()))
}

fn answered(response: Response) -> Result<Response, String> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
            Err(format!("it answered {}: redirects are not followed", status.as_u16()))
        }
        status => Err(format!("it answered {} instead of 200", status.as_u16())),
    }
}

/// Nine to eleven tenths of `period`, so that gateways which started together don't ask together for ever.
pub(super) fn jittered(period: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    period.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}
