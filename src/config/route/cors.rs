//! Which pages of other origins may read a route's answers (the Fetch standard's CORS protocol).

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Method;
use crate::config::values::text_value;
use crate::config::{FieldName, Period};

/// Which pages of other origins may read a route's answers. What the backend says of it is dropped.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// The origins, each in full. There is no way to say all of them.
    pub origins: Vec<Origin>,
    /// Methods beside `GET`, `HEAD` and `POST`, which need no leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// Header fields that such a page may send, beside the few that need no leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FieldName>,
    /// Header fields of the answer that it may read, beside the few that need no leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<FieldName>,
    /// Whether requests may carry cookies and client certificates.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the leave.
    #[serde(default = "ten_minutes")]
    pub max_age: Period,
}

const fn ten_minutes() -> Period {
    Period::seconds(600)
}

/// An origin as browsers send it: scheme, host, and the port unless it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Origin(String);

impl Origin {
    /// The origin.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected an origin such as `https://app.mihonbank.example`, without a path, in lower case; found `{text}`"
            )
        };
        let authority = text.strip_prefix("https://").ok_or_else(expected)?;
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
        // A browser never sends the port that goes without saying: such an origin would match nothing.
        let is_port = port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number != 443 && number != 0)
        });
        if is_host && is_port { Ok(Self(text.to_owned())) } else { Err(expected()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    Origin,
    "an origin such as `https://app.mihonbank.example`",
    "^https://[a-z0-9.-]+(:[1-9][0-9]*)?$",
    "An origin: scheme and host in lower case, with the port unless it is 443; no path."
);

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in ["https://app.mihonbank.example", "https://localhost:8443"] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "*",
            "null",
            "https://",
            "https://*.example",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
            "https://a.example:08443",
            "http://a.example",
            "a.example",
            "https://a.example,https://b.example",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
