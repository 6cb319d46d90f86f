//! Where a revocation list comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where a revocation list comes from: a file, or a URL. Whatever has `://` in it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum ListSource {
    /// A file.
    File(PathBuf),
    /// An `http` or `https` URL. The list is signed, so plain `http` is no danger to it.
    Url(String),
}

impl ListSource {
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
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

text_value!(
    ListSource,
    "a file or a URL such as `http://crl.internal/ca.crl`",
    ".",
    "A file, or an `http` or `https` URL such as `http://crl.internal/ca.crl`."
);

#[cfg(test)]
mod tests {
    use super::ListSource;

    #[test]
    fn a_source_is_a_file_or_a_url_without_secrets() {
        for file in ["certs/bank-ca.crl", "/a:b.crl", ""] {
            assert_eq!(ListSource::parse(file), Ok(ListSource::File(file.into())));
        }
        for url in ["http://crl.internal/g2.crl", "https://[::1]:8443/ca?g=2"] {
            assert_eq!(ListSource::parse(url), Ok(ListSource::Url(url.to_owned())));
        }
        for bad in ["ldap://x/y", "file:///a", "http://", "http:///a", "http://a:geheim@b/", "http://a/#b"] {
            let refusal = ListSource::parse(bad).unwrap_err();
            let expected = "expected a file, or an `http` or `https` URL without user, password and fragment";
            assert_eq!(refusal, expected, "{bad}");
        }
    }
}
