//! The two questions to the gateway (`docs/helper.md`).

use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use reqwest::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Url, retry};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::{Value, json};

use super::install::Key;
use super::words::Words;
use super::{Failure, NO_PERMISSION, UNAVAILABLE};

const TIMEOUT: Duration = Duration::from_secs(30);
/// The proof is worth telling again: the certificate lives only from it on.
const TRIES: u32 = 6;
const BETWEEN: Duration = Duration::from_secs(2);

/// The bank's gateway.
pub(super) struct Gateway {
    client: Client,
    address: Url,
    words: Words,
}

/// What the gateway says of the certificate.
#[derive(Deserialize)]
pub(super) struct Details {
    pub(super) organization: String,
    pub(super) unit: String,
    pub(super) common_name: String,
    pub(super) serial: String,
    not_after: String,
}

impl Details {
    /// The end of its validity in Japan.
    pub(super) fn until(&self) -> String {
        let japan = TimeZone::fixed(Offset::constant(9));
        match self.not_after.parse::<Timestamp>() {
            Ok(at) => at.to_zoned(japan).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => self.not_after.clone(),
        }
    }
}

/// What comes back.
enum Answer {
    Good(Value),
    Refused(String),
    /// It can't be reached, or can't answer now.
    Nothing(String),
}

impl Gateway {
    pub(super) fn new(address: &str, ca: Option<&Path>, words: Words) -> Result<Self, String> {
        let wrong = || {
            words
                .t("アドレスは https:// で始まる必要があります。", "The address has to begin with https://.")
                .to_owned()
        };
        let url = Url::parse(address).map_err(|_| wrong())?;
        if url.scheme() != "https" || url.host_str().is_none() {
            return Err(wrong());
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls(ca)?)
            .https_only(true)
            .http1_only()
            .redirect(Policy::none())
            // A code is good once.
            .retry(retry::never())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, address: url, words })
    }

    /// Code and request for a certificate, in; the chain in PEM, out.
    pub(super) fn redeem(&self, code: &str, request: &[u8]) -> Result<String, Failure> {
        let body = json!({ "code": code, "request": BASE64_STANDARD.encode(request) });
        match self.ask("/sekisho/helper/certificate", &body)? {
            Answer::Good(answer) => Ok(answer["chain"].as_str().unwrap_or_default().to_owned()),
            Answer::Refused(problem) => Err(Failure(NO_PERMISSION, problem)),
            Answer::Nothing(problem) => Err(Failure(UNAVAILABLE, problem)),
        }
    }

    /// Proves that the key is in place. Asked again if nothing comes back: the same proof once more changes nothing.
    pub(super) fn prove(&self, key: &Key) -> Result<Details, Failure> {
        let signature = key.proof().map_err(|problem| Failure(UNAVAILABLE, problem))?;
        let body = json!({
            "certificate": BASE64_STANDARD.encode(&key.chain[0]),
            "signature": BASE64_STANDARD.encode(signature),
        });
        let mut last = String::new();
        for nth in 0..TRIES {
            if nth > 0 {
                std::thread::sleep(BETWEEN);
            }
            match self.ask("/sekisho/helper/proof", &body)? {
                Answer::Good(answer) => {
                    return serde_json::from_value(answer)
                        .map_err(|error| Failure(UNAVAILABLE, error.to_string()));
                }
                Answer::Refused(problem) => return Err(Failure(NO_PERMISSION, problem)),
                Answer::Nothing(problem) => last = problem,
            }
        }
        Err(Failure(UNAVAILABLE, last))
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure(UNAVAILABLE, error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| broken(&error))?;
        let address = self.address.join(path).map_err(|error| broken(&error))?;
        Ok(runtime.block_on(async {
            let asked = self
                .client
                .post(address)
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT_LANGUAGE, self.words.accept_language())
                .body(body.to_string())
                .send()
                .await;
            let answer = match asked {
                Ok(answer) => answer,
                Err(error) => return Answer::Nothing(self.unreachable(&error)),
            };
            let status = answer.status();
            let body = match answer.bytes().await {
                Ok(body) => body,
                Err(error) => return Answer::Nothing(self.unreachable(&error)),
            };
            let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
            if status.is_success() {
                return Answer::Good(json);
            }
            let said = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            let problem = format!("{} {} ({})", said("title"), said("detail"), status.as_u16());
            if status.is_server_error() || status.as_u16() == 429 {
                Answer::Nothing(problem)
            } else {
                Answer::Refused(problem)
            }
        }))
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        let mut text =
            self.words.t("銀行のサーバーに接続できません", "The bank's server can't be reached").to_owned();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let broken = || format!("{}: not a certificate in PEM", file.display());
            roots.add(certificate.map_err(|_| broken())?).map_err(|_| broken())?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
