//! Where a revocation list or an OCSP response comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where something signed comes from: a file, or a URL. Whatever has `://` in it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum SignedSource {
    /// A file.
    File(PathBuf),
    /// An `http` or `https` URL. What is there is signed, so plain `http` is no danger to it.
    Url(String),
}

impl SignedSource {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let good = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|it| !it.is_empty())
        });
        // The URL is printed in logs and metrics, which is no place for a password.
        if good && !text.contains(['@', '#']) {
            Ok(Self::Url(text.to_owned()))
        } else {
            Err("expected a file, or an `http` or `https` URL without user, password and fragment".to_owned())
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// The file, if it is one.
    pub(in crate::config) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// The URL, if it is one.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Url(url) => Some(url),
        }
    }
}

impl fmt::Display for SignedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

text_value!(
    SignedSource,
    "a file or a URL such as `http://crl.internal/ca.crl`",
    ".",
    "A file, or an `http` or `https` URL such as `http://crl.internal/ca.crl`."
);

#[cfg(test)]
mod tests {
    use super::SignedSource;
    use crate::config::testing::{BASE, mistakes};

    #[test]
    fn a_mistake_in_a_source_is_told_with_its_place() {
        let told = |ocsp: &str| {
            let host = format!("tls: {{ certificate: a, key: b, ocsp: {ocsp} }}");
            mistakes(&BASE.replace("tls: { certificate: www.pem, key: www.key }", &host))
        };
        assert_eq!(told("www.ocsp"), [""; 0]);
        assert_eq!(told("'http://ocsp.ca.example/'"), [""; 0]);
        assert_eq!(told("''"), ["5:42 expected the path of a file, found an empty text"]);
        let expected = "expected a file, or an `http` or `https` URL without user, password and fragment";
        assert_eq!(told("'ldap://x/y'"), [format!("5:42 {expected}")]);
    }

    #[test]
    fn a_source_is_a_file_or_a_url_without_secrets() {
        for file in ["certs/bank-ca.crl", "/a:b.crl", ""] {
            assert_eq!(SignedSource::parse(file), Ok(SignedSource::File(file.into())));
        }
        for url in ["http://crl.internal/g2.crl", "https://[::1]:8443/ca?g=2"] {
            assert_eq!(SignedSource::parse(url), Ok(SignedSource::Url(url.to_owned())));
        }
        for bad in ["ldap://x/y", "file:///a", "http://", "http:///a", "http://a:geheim@b/", "http://a/#b"] {
            let refusal = SignedSource::parse(bad).unwrap_err();
            let expected = "expected a file, or an `http` or `https` URL without user, password and fragment";
            assert_eq!(refusal, expected, "{bad}");
        }
    }
}
