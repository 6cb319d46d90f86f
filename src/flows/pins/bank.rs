//! A system of the bank's that holds the PINs and decides: asked over mutual TLS. Whatever isn't a clear answer in time
//! lets nobody in. `docs/pin-verifier.md` is the protocol.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url, retry};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Verified;
use crate::config::HttpVerifier;
use crate::domain::{Identity, Pin};
use crate::pki;

/// Most bytes of an answer.
const LARGEST: usize = 4 * 1024;
/// Room for the longest question, so that its buffer never grows and leaves a copy of the PIN behind.
const QUESTION: usize = 256;

pub(super) struct Bank {
    client: Client,
    url: Url,
    pub(super) timeout: Duration,
}

#[derive(Serialize)]
struct Question<'q> {
    contract_id: &'q str,
    user_id: &'q str,
    pin: &'q str,
}

/// Other members are refused: they could be a condition that we don't know.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    result: Word,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Right,
    Wrong,
}

impl Bank {
    pub(super) fn new(verifier: &HttpVerifier) -> Result<Self, String> {
        let timeout = verifier.timeout.get();
        let client = Client::builder()
            .tls_backend_preconfigured(pki::client_config(
                Some(&verifier.authorities),
                Some((&verifier.certificate, &verifier.key)),
            )?)
            .https_only(true)
            .http1_only()
            // The PIN goes where the file says, and nowhere else.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            // Asked twice, a wrong PIN may count twice over there.
            .retry(retry::never())
            .timeout(timeout)
            .build()
            .map_err(|error| format!("the client can't be made: {}", pki::with_causes(&error)))?;
        let url = Url::parse(verifier.url.as_str()).map_err(|error| format!("{}: {error}", verifier.url))?;
        Ok(Self { client, url, timeout })
    }

    /// Asks. The error is for the log.
    pub(super) async fn ask(&self, identity: &Identity, pin: &Pin) -> Result<Verified, String> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(question(identity, pin)?);
        let response = request.send().await.map_err(|error| pki::with_causes(&error.without_url()))?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered {} instead of 200", response.status().as_u16()));
        }
        let body = body(response).await?;
        // Nothing of the answer is repeated: it may echo the question.
        match serde_json::from_slice(&body) {
            Ok(Answer { result: Word::Right }) => Ok(Verified::Right { rehash: None }),
            Ok(Answer { result: Word::Wrong }) => Ok(Verified::Wrong),
            Err(_) => Err("its answer is neither `right` nor `wrong`".to_owned()),
        }
    }
}

/// The body of the request; wiped when it was sent.
fn question(identity: &Identity, pin: &Pin) -> Result<Bytes, String> {
    let question = Question {
        contract_id: identity.contract.as_str(),
        user_id: identity.user.as_str(),
        pin: pin.expose(),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(QUESTION));
    serde_json::to_writer(&mut *text, &question).map_err(|_| "the question can't be written")?;
    Ok(Bytes::from_owner(text))
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| pki::with_causes(&error.without_url()))? {
        if body.len() + part.len() > LARGEST {
            return Err(format!("its answer is larger than {LARGEST} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
