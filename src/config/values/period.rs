//! Spans of time.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A span of time: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Period(Duration);

impl Period {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// As the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found `{text}`");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| expected())?;
        let milliseconds = match &text[digits..] {
            "ms" => Some(number),
            "s" => number.checked_mul(1000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
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
            whole if whole % 86_400_000 == 0 => write!(f, "{}d", whole / 86_400_000),
            whole if whole % 3_600_000 == 0 => write!(f, "{}h", whole / 3_600_000),
            whole if whole % 60_000 == 0 => write!(f, "{}m", whole / 60_000),
            whole if whole % 1000 == 0 => write!(f, "{}s", whole / 1000),
            whole => write!(f, "{whole}ms"),
        }
    }
}

text_value!(
    Period,
    "a time such as `500ms`, `10s`, `5m`, `1h` or `30d`",
    "^[0-9]+(ms|s|m|h|d)$",
    "A whole number and a unit: `500ms`, `10s`, `5m`, `1h`, `30d`."
);

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn periods_are_written_in_their_largest_unit() {
        for (text, shown) in [
            ("1500ms", "1500ms"),
            ("60s", "1m"),
            ("90m", "90m"),
            ("48h", "2d"),
            ("36h", "36h"),
            ("007s", "7s"),
        ] {
            assert_eq!(Period::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "s",
            "10",
            "0s",
            "-1s",
            "+1s",
            "1.5s",
            "1 s",
            "1w",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            let refusal = Period::parse(text).unwrap_err();
            assert_eq!(
                refusal,
                format!("expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found `{text}`")
            );
        }
    }
}
