//! Numbers of bytes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
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

    pub(super) fn parse(text: &str) -> Result<Self, String> {
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

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

/// A size is a number, or a text with a unit.
struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `512`, `16KiB`, `1MiB` or `10GiB`")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Size, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        Size::parse(text).map_err(E::custom)
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

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_written_in_their_largest_unit() {
        for (text, shown) in [("512", "512"), ("1024B", "1KiB"), ("1536KiB", "1536KiB"), ("1024MiB", "1GiB")]
        {
            assert_eq!(Size::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "0", "KiB", "1kb", "1KB", "1 KiB", "-1", "1.5MiB", "99999999999GiB"] {
            let refusal = Size::parse(text).unwrap_err();
            assert_eq!(
                refusal,
                format!("expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found `{text}`")
            );
        }
    }
}
