//! The leaves of the file: values that parse themselves and cannot hold a bad one.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values, however they were written.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Implements the passage to and from YAML by way of text, and the schema that says so.
macro_rules! text_value {
    ($name:ident, $pattern:expr, $description:expr) => {
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

/// A span of time: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(Duration);

impl Period {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a time such as `500ms`, `10s`, `5m` or `1h`, found `{text}`");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| expected())?;
        let milliseconds = match &text[digits..] {
            "ms" => Some(number),
            "s" => number.checked_mul(1000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            _ => None,
        };
        match milliseconds {
            Some(0) | None => Err(expected()),
            Some(milliseconds) => Ok(Self(Duration::from_millis(milliseconds))),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            whole if whole % 3_600_000 == 0 => write!(f, "{}h", whole / 3_600_000),
            whole if whole % 60_000 == 0 => write!(f, "{}m", whole / 60_000),
            whole if whole % 1000 == 0 => write!(f, "{}s", whole / 1000),
            whole => write!(f, "{whole}ms"),
        }
    }
}

text_value!(Period, "^[0-9]+(ms|s|m|h)$", "A whole number and a unit: `500ms`, `10s`, `5m`, `1h`.");

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SizeText", into = "String")]
pub struct Size(u64);

impl Size {
    /// So many KiB.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found `{text}`");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| expected())?;
        let bytes = match &text[digits..] {
            "" | "B" => Some(number),
            "KiB" => number.checked_mul(1 << 10),
            "MiB" => number.checked_mul(1 << 20),
            "GiB" => number.checked_mul(1 << 30),
            _ => None,
        };
        match bytes {
            Some(0) | None => Err(expected()),
            Some(bytes) => Ok(Self(bytes)),
        }
    }
}

/// A size is a number or a text with a unit.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`")]
enum SizeText {
    Number(u64),
    Text(String),
}

impl TryFrom<SizeText> for Size {
    type Error = String;

    fn try_from(text: SizeText) -> Result<Self, String> {
        match text {
            SizeText::Number(number) => Self::parse(&number.to_string()),
            SizeText::Text(text) => Self::parse(&text),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Bytes: a whole number, or one with a unit: `16KiB`, `1MiB`, `10GiB`.",
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$" },
            ],
        })
    }
}

/// A host name as in TLS's server name: lower case, without port or trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    "^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$",
    "A host name in lower case, without port or trailing dot."
);

/// The name of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

text_value!(UpstreamName, "^[0-9A-Za-z_-]{1,63}$", "A name of letters, digits, `-` and `_`.");

/// The path of a route: absolute, normalised, without a trailing slash unless it is `/` itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let segment = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b))
        };
        match text.strip_prefix('/') {
            Some("") => Ok(Self(text.to_owned())),
            Some(rest) if rest.split('/').all(segment) => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "expected a path such as `/banking`: absolute, nothing percent-encoded, no empty or dot segments, no trailing slash; found `{text}`"
            )),
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(PathPrefix, "^/([^/]+(/[^/]+)*)?$", "A path such as `/banking`, without a trailing slash.");

/// The name of a header field (RFC 9110, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

text_value!(FieldName, "^[0-9A-Za-z-]{1,64}$", "A header field name of letters, digits and `-`.");

/// The address of a backend: an IP address or a host name, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

impl Endpoint {
    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let by_name = text.rsplit_once(':').is_some_and(|(host, port)| {
            HostName::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if by_name || text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected an address such as `10.0.1.11:8080` or `app.internal:8080`, found `{text}`"
            ))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Endpoint, "^.+:[0-9]+$", "An address such as `10.0.1.11:8080` or `app.internal:8080`.");

/// The form of a certificate's common name, with the named groups `contract` and `user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommonNamePattern(String);

impl CommonNamePattern {
    /// The regular expression as it was written, without anchors.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let regex = regex::Regex::new(text).map_err(|error| format!("not a regular expression: {error}"))?;
        for group in ["contract", "user"] {
            if !regex.capture_names().flatten().any(|name| name == group) {
                return Err(format!("the pattern has no group `(?<{group}>…)`"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl Default for CommonNamePattern {
    fn default() -> Self {
        Self("(?<contract>[0-9]{14}) (?<user>[0-9A-Za-z]{1,30})".to_owned())
    }
}

impl fmt::Display for CommonNamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    CommonNamePattern,
    ".",
    "Regular expression for the whole common name, with the named groups `contract` and `user`."
);
