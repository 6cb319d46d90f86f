//! How fast bytes flow.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Size;

/// So many bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ByteRate(u64);

impl ByteRate {
    /// So many bytes per second.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes per second.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected bytes per second, such as `240B/s` or `1KiB/s`, found `{text}`");
        let size = text.strip_suffix("/s").ok_or_else(expected)?;
        Size::parse(size).map(|size| Self(size.bytes())).map_err(|_| expected())
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 20) == 0 => write!(f, "{}MiB/s", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{}KiB/s", bytes >> 10),
            bytes => write!(f, "{bytes}B/s"),
        }
    }
}

text_value!(
    ByteRate,
    "bytes per second, such as `240B/s` or `1KiB/s`",
    "^[0-9]+(B|KiB|MiB|GiB)?/s$",
    "Bytes per second: `240B/s`, `1KiB/s`."
);

#[cfg(test)]
mod tests {
    use super::ByteRate;

    #[test]
    fn rates_are_written_with_their_unit() {
        for (text, shown) in [("240B/s", "240B/s"), ("1024B/s", "1KiB/s"), ("2048KiB/s", "2MiB/s")] {
            assert_eq!(ByteRate::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "240", "240B", "0B/s", "1KB/s", "1KiB/m", "/s"] {
            assert_eq!(
                ByteRate::parse(text).unwrap_err(),
                format!("expected bytes per second, such as `240B/s` or `1KiB/s`, found `{text}`")
            );
        }
    }
}
