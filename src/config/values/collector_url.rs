//! Where spans are sent to.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::Uri;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// An `http` or `https` URL of a collector, with the path that takes traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    /// Whether what is sent there can be read on the way: without TLS, to another machine.
    pub fn is_overheard(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_here = host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
        self.0.scheme_str() == Some("http") && !is_here
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected an `http` or `https` URL such as `http://127.0.0.1:4318/v1/traces`, without user, password, query and \
             fragment"
                .to_owned()
        };
        // The URL is printed in logs, which is no place for a password or a token.
        let good = text.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        let uri = good.filter(|_| !text.contains(['@', '?', '#'])).ok_or_else(expected)?;
        if uri.path() == "/" {
            return Err("a collector takes traces at a path of its own: `/v1/traces`, most likely".to_owned());
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    CollectorUrl,
    "a URL such as `http://127.0.0.1:4318/v1/traces`",
    "^https?://[^@?#]+/.+$",
    "An `http` or `https` URL such as `http://127.0.0.1:4318/v1/traces`."
);

#[cfg(test)]
mod tests {
    use super::CollectorUrl;

    #[test]
    fn a_collector_is_at_a_url_without_secrets() {
        for url in [
            "http://127.0.0.1:4318/v1/traces",
            "https://otel.internal/v1/traces",
            "http://[::1]:4318/v1/traces",
        ] {
            assert_eq!(CollectorUrl::parse(url).unwrap().to_string(), url);
        }
        for bad in [
            "127.0.0.1:4318",
            "grpc://a:4317/x",
            "http:///v1",
            "https://a:geheim@b/v1",
            "http://a/v1?key=geheim",
        ] {
            let told = CollectorUrl::parse(bad).unwrap_err();
            assert!(
                told.starts_with("expected an `http` or `https` URL") && !told.contains("geheim"),
                "{bad}: {told}"
            );
        }
        for bare in ["http://127.0.0.1:4318", "https://otel.internal/"] {
            let told = CollectorUrl::parse(bare).unwrap_err();
            assert_eq!(told, "a collector takes traces at a path of its own: `/v1/traces`, most likely");
        }
    }

    #[test]
    fn only_this_machine_and_tls_keep_what_is_sent_to_themselves() {
        let is_overheard = |url: &str| CollectorUrl::parse(url).unwrap().is_overheard();
        for url in [
            "http://127.0.0.1:4318/t",
            "http://127.9.9.9/t",
            "http://[::1]/t",
            "http://localhost/t",
            "https://a/t",
        ] {
            assert!(!is_overheard(url), "{url}");
        }
        for url in ["http://10.0.0.1:4318/t", "http://otel.internal/t", "http://localhost.example/t"] {
            assert!(is_overheard(url), "{url}");
        }
    }
}
