//! What the handlers want to know of a request: which host, which cookies, what is in the query, in which language.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::response::Response;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::header::{ACCEPT_LANGUAGE, HOST};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::cookies;
use super::pages;
use super::site::{Place, Site};
use super::way::Way;
use crate::domain::Visitor;
use crate::domain::{Language, SessionToken};

/// The sizes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Size {
    /// 小
    Small,
    /// 標準
    #[default]
    Standard,
    /// 大
    Large,
}

impl Size {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Standard => "standard",
            Self::Large => "large",
        }
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        [Self::Small, Self::Standard, Self::Large].into_iter().find(|size| size.code() == code)
    }
}

/// A random value that a browser holds in a cookie.
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    /// A new one, of 256 bits. `None` if the system has no randomness to give.
    pub(super) fn new() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).ok()?;
        Some(Self(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// Reads a cookie's value.
    fn read(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?);
        (bytes.len() == 32).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The cookie's value.
    pub(super) fn value(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the value behind a `purpose`, in hexadecimal. It betrays nothing of the value.
    pub(super) fn hash(&self, purpose: &str) -> String {
        let hash = Sha256::new().chain_update(purpose).chain_update(self.0.as_bytes()).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What may be in a query.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Where the person wanted to go.
    to: String,
    /// The hash of the flow's secret.
    pub(super) nonce: String,
    /// The code with which a session is taken over.
    pub(super) code: String,
    /// Why a session ended.
    pub(super) why: String,
    /// What was just done.
    pub(super) done: String,
    /// Choices that came along from the other host.
    lang: String,
    size: String,
}

/// A request, as the handlers see it.
pub(super) struct Asking {
    pub(super) visitor: Visitor,
    /// The host as the browser names it, with the port if it isn't 443.
    pub(super) authority: String,
    pub(super) place: Place,
    pub(super) language: Language,
    /// Whether the person chose that language.
    pub(super) chosen: bool,
    pub(super) size: Size,
    pub(super) session: Option<SessionToken>,
    pub(super) flow: Option<Secret>,
    pub(super) visit: Secret,
    /// Whether the browser doesn't have that value yet.
    pub(super) first_visit: bool,
    pub(super) way: Way,
    pub(super) asked: Asked,
    /// The page, for returning to it.
    pub(super) here: String,
    pub(super) origin: Option<String>,
    pub(super) fetch_site: Option<String>,
    /// Whether a person opens this as a page, as far as the browser says.
    pub(super) is_visit: bool,
}

impl FromRequestParts<Arc<Site>> for Asking {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        let secret = Secret::new();
        let (Some(visitor), Some(fresh)) = (visitor, secret) else {
            return Err(pages::bare_failure());
        };
        let headers = &parts.headers;
        let authority = authority(&parts.uri, headers);
        let asked = Query::<Asked>::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
        let known_visit = cookies::read(headers, cookies::VISIT).and_then(Secret::read);
        let chosen = Language::from_code(&asked.lang)
            .or_else(|| cookies::read(headers, cookies::LANGUAGE).and_then(Language::from_code));
        let size = Size::from_code(&asked.size)
            .or_else(|| cookies::read(headers, cookies::SIZE).and_then(Size::from_code));
        Ok(Self {
            place: site.place(&authority),
            authority,
            visitor,
            language: chosen.unwrap_or_else(|| preferred(headers)),
            chosen: chosen.is_some(),
            size: size.unwrap_or_default(),
            session: cookies::read(headers, cookies::SESSION_COOKIE).and_then(SessionToken::parse),
            flow: cookies::read(headers, cookies::FLOW).and_then(Secret::read),
            first_visit: known_visit.is_none(),
            visit: known_visit.unwrap_or(fresh),
            way: Way::read(&asked.to),
            asked,
            here: parts.uri.path_and_query().map_or_else(String::new, |here| here.as_str().to_owned()),
            origin: text(headers, "origin"),
            fetch_site: text(headers, "sec-fetch-site"),
            is_visit: parts.method == Method::GET
                && text(headers, "sec-fetch-dest").is_none_or(|value| value == "document"),
        })
    }
}

impl Asking {
    /// The token that this browser's forms must carry.
    pub(super) fn form_token(&self) -> String {
        self.visit.hash("form")
    }
}

/// The host that a request is for, in lower case and without the default port.
pub(super) fn authority(uri: &Uri, headers: &HeaderMap) -> String {
    let written = uri.authority().map(|authority| authority.as_str().to_owned());
    let host = written.or_else(|| text(headers, HOST.as_str())).unwrap_or_default().to_ascii_lowercase();
    host.strip_suffix(":443").map_or(host.clone(), str::to_owned)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The language that the browser prefers (RFC 9110, section 12.5.4); Japanese if it has no opinion.
fn preferred(headers: &HeaderMap) -> Language {
    let mut best = (0.0, Language::Japanese);
    let ranges = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for range in ranges.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let primary =
            parts.next().unwrap_or_default().split('-').next().unwrap_or_default().to_ascii_lowercase();
        let quality =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if let Some(language) = Language::from_code(&primary)
            && quality > best.0
        {
            best = (quality, language);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_browsers_unless_one_was_chosen() {
        for (value, language) in [
            ("ja,en;q=0.9", Language::Japanese),
            ("ja;q=0.5, en-GB;q=0.8", Language::English),
            ("de, fr;q=0.5", Language::Japanese),
            ("", Language::Japanese),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, value.parse().unwrap());
            assert_eq!(preferred(&headers), language, "{value}");
        }
    }

    #[test]
    fn a_secret_is_never_the_same_and_its_hash_depends_on_the_purpose() {
        let (one, other) = (Secret::new().unwrap(), Secret::new().unwrap());
        assert_ne!(one.value(), other.value());
        assert_ne!(one.hash("form"), one.hash("flow"));
        assert_eq!(one.hash("form").len(), 64);
        assert!(Secret::read(one.value()).is_some());
        assert!(Secret::read("short").is_none() && Secret::read("").is_none());
    }
}
