//! Names of hosts, of upstreams and of header fields.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::ContractId;

/// A host name as in TLS's server name: lower case, without port or trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if text.len() <= 253 && text.split('.').all(label) && !all_digits(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a host name in lower case, without port or trailing dot, such as `www.mihonbank.example`, found `{text}`"
            ))
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    HostName,
    "a host name in lower case, without port or trailing dot, such as `www.mihonbank.example`",
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
    "A host name in lower case, without port or trailing dot."
);

/// The name of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct UpstreamName(String);

impl UpstreamName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=63).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("expected a name of letters, digits, `-` and `_`, found `{text}`"))
        }
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    UpstreamName,
    "a name of letters, digits, `-` and `_`",
    "^[0-9A-Za-z_-]{1,63}$",
    "A name of letters, digits, `-` and `_`."
);

/// The name of a rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct LimitName(String);

impl LimitName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        UpstreamName::parse(text).map(|name| Self(name.0))
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    LimitName,
    "a name of letters, digits, `-` and `_`",
    "^[0-9A-Za-z_-]{1,63}$",
    "A name of letters, digits, `-` and `_`."
);

/// The ID of a contract that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct RouteContract(ContractId);

impl RouteContract {
    /// The ID.
    pub const fn id(&self) -> &ContractId {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        ContractId::new(text).map(Self).map_err(|error| format!("{error}, found `{text}`"))
    }
}

impl fmt::Display for RouteContract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(
    RouteContract,
    "a contract ID in quotes, such as `\"10000000000001\"`",
    "^[0-9A-Za-z]{1,30}$",
    "A contract ID: 1 to 30 half-width letters and digits, in quotes."
);

/// The name of a header field (RFC 9110, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct FieldName(String);

impl FieldName {
    /// The name, in the case that it was written in.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name of our own.
    pub(crate) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("expected a header field name of letters, digits and `-`, found `{text}`"))
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    FieldName,
    "a header field name of letters, digits and `-`",
    "^[0-9A-Za-z-]{1,64}$",
    "A header field name of letters, digits and `-`."
);

/// The value of a header field (RFC 9110, section 5.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct FieldValue(String);

impl FieldValue {
    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A value of our own.
    pub(crate) fn known(value: &'static str) -> Self {
        Self(value.to_owned())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let is_visible = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if is_visible && text.len() <= 4096 && text.trim() == text {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected at most 4096 visible ASCII characters, without space around them".to_owned())
        }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    FieldValue,
    "the value of a header field",
    "^[ -~]{0,4096}$",
    "The value of a header field: visible ASCII characters."
);

#[cfg(test)]
mod tests {
    use super::{FieldName, FieldValue, HostName, UpstreamName};

    #[test]
    fn a_value_of_a_field_is_one_line() {
        assert!(FieldValue::parse("max-age=63072000; includeSubDomains").is_ok());
        for bad in ["a\r\nb", "a\nb", "a\0", " a", "a ", "\t", "銀行", &"a".repeat(4097)] {
            assert!(FieldValue::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_name_is_what_tls_would_name() {
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(61));
        for good in ["www.mihonbank.example", "localhost", "1e3.example", "xn--l8j0c.example", &longest] {
            assert!(HostName::parse(good).is_ok(), "{good}");
        }
        let longer = format!("a{longest}");
        for bad in [
            "",
            "WWW.example",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a:443",
            "10.0.0.1",
            "a_b",
            "銀行",
            "*.a",
            &longer,
        ] {
            assert!(HostName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_upstreams_and_fields_are_plain() {
        assert!(UpstreamName::parse("banking_2-b").is_ok());
        assert!(FieldName::parse("X-Contract-Id").is_ok());
        for bad in ["", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(UpstreamName::parse(bad).is_err(), "{bad}");
            assert!(FieldName::parse(bad).is_err(), "{bad}");
        }
        // Some backends read `_` as `-`: a client could send what the gate doesn't remove.
        assert!(FieldName::parse("X_Contract_Id").is_err());
    }
}
