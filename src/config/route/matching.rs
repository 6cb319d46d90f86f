//! What a request must be like for a route to take it, beside its path.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::values::text_value;
use crate::config::{FieldValue, Pattern};

/// Where a route is on the tree of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathPlace<'a> {
    /// This path alone.
    Exact(&'a str),
    /// This path and everything below it.
    Below(&'a str),
}

impl<'a> PathPlace<'a> {
    /// The path.
    pub const fn path(self) -> &'a str {
        match self {
            Self::Exact(path) | Self::Below(path) => path,
        }
    }
}

/// A method of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Method(String);

impl Method {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let is_name =
            (1..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        match text {
            "CONNECT" | "TRACE" => Err(format!("`{text}` is never forwarded")),
            _ if is_name => Ok(Self(text.to_owned())),
            _ => Err(format!("expected a method in capital letters, such as `GET`, found `{text}`")),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    Method,
    "a method in capital letters, such as `GET`",
    "^[A-Z-]{1,24}$",
    "A method of HTTP in capital letters."
);

/// What a header field of a request must be. One that comes twice, or in another spelling besides, never is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldMatch {
    /// This value, to the letter.
    Value(FieldValue),
    /// A value that matches as a whole.
    Pattern(FieldPattern),
}

/// A regular expression for the value of a header field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldPattern {
    /// For the whole value: `.*` if it only has to be there.
    pub pattern: Pattern,
}

/// Written out, because serde's `untagged` forgets what was wrong with a value and where.
impl<'de> Deserialize<'de> for FieldMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = FieldMatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or `{ pattern: … }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FieldMatch, E> {
                FieldValue::try_from(text.to_owned()).map(FieldMatch::Value).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<FieldMatch, A::Error> {
                FieldPattern::deserialize(MapAccessDeserializer::new(entries)).map(FieldMatch::Pattern)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
