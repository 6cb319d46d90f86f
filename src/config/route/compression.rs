//! Which answers are compressed on their way to clients.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::Size;
use crate::config::values::text_value;

/// Compresses what the backend sends uncompressed, for clients that take it so. Nothing is without this.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// The codings. Where a client likes several equally, the first one is taken.
    #[serde(default = "all")]
    pub codings: Vec<Coding>,
    /// Shorter answers stay as they are, where the backend says how long they are.
    #[serde(default = "worthwhile")]
    pub minimum: Size,
    /// The media types: `text/css`, `text/*`, or `application/*+json` for all with that suffix.
    #[serde(default = "texts")]
    pub types: Vec<MediaRange>,
    /// Compresses answers that demand an identity, too. Their length then says something of what is in them: where a page
    /// repeats what others can have a browser send, beside a secret, that gives the secret away (BREACH).
    #[serde(default)]
    pub despite_secrets: bool,
}

fn all() -> Vec<Coding> {
    vec![Coding::Zstd, Coding::Br, Coding::Gzip]
}

const fn worthwhile() -> Size {
    Size::kib(1)
}

fn texts() -> Vec<MediaRange> {
    [
        "text/*",
        "application/javascript",
        "application/json",
        "application/*+json",
        "application/xml",
        "application/*+xml",
        "application/wasm",
        "image/svg+xml",
    ]
    .map(|range| MediaRange(range.to_owned()))
    .into()
}

/// A content coding, by its name in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// Media types: one, all of a kind, or all of a kind with one suffix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct MediaRange(String);

impl MediaRange {
    /// Whether this media type, without its parameters, is one of them.
    pub fn holds(&self, media_type: &str) -> bool {
        let lower = media_type.to_ascii_lowercase();
        match self.0.split_once('*') {
            None => lower == self.0,
            Some((kind, suffix)) => lower
                .strip_prefix(kind)
                .and_then(|rest| rest.strip_suffix(suffix))
                .is_some_and(|rest| !rest.is_empty()),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&-^_.+".contains(&b))
        };
        let is_range = text.split_once('/').is_some_and(|(kind, rest)| {
            let is_rest = match rest.strip_prefix('*') {
                None => is_name(rest),
                Some("") => true,
                Some(suffix) => suffix.starts_with('+') && is_name(&suffix[1..]),
            };
            is_name(kind) && is_rest
        });
        // gRPC is compressed by its own rules, or not at all.
        match (is_range, text.starts_with("application/grpc")) {
            (true, false) => Ok(Self(text.to_owned())),
            (true, true) => Err("gRPC compresses its messages itself".to_owned()),
            (false, _) => Err(format!(
                "expected media types in lower case, such as `text/html`, `text/*` or `application/*+json`, found `{text}`"
            )),
        }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    MediaRange,
    "media types such as `text/html`, `text/*` or `application/*+json`",
    "^[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]+|[*]([+][a-z0-9!#$&^_.+-]+)?)$",
    "Media types in lower case, without parameters: one, all of a kind (`text/*`), or all of a kind with one suffix (`application/*+json`)."
);

#[cfg(test)]
mod tests {
    use super::{MediaRange, texts};

    #[test]
    fn a_range_holds_what_it_says() {
        for (range, held, not) in [
            ("text/html", vec!["text/html", "TEXT/Html"], vec!["text/htm", "text/html5", "html", ""]),
            (
                "text/*",
                vec!["text/html", "text/event-stream"],
                vec!["text/", "text", "texts/html", "image/text"],
            ),
            (
                "application/*+json",
                vec!["application/problem+json", "application/vnd.mihonbank.v1+JSON"],
                vec!["application/json", "application/+json", "application/a+jsonp", "image/a+json"],
            ),
        ] {
            let range = MediaRange::parse(range).unwrap();
            assert!(held.iter().all(|one| range.holds(one)), "{range}");
            assert!(not.iter().all(|one| !range.holds(one)), "{range}");
        }
        for range in texts() {
            assert_eq!(MediaRange::parse(&range.0), Ok(range));
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in [
            "",
            "*",
            "*/*",
            "text",
            "text/",
            "/html",
            "Text/html",
            "text/html; charset=utf-8",
            "text/h*",
            "text/*html",
            "text/*+",
        ] {
            let refusal = MediaRange::parse(bad).unwrap_err();
            assert!(refusal.ends_with(&format!("found `{bad}`")), "{refusal}");
        }
        for grpc in ["application/grpc", "application/grpc-web+proto"] {
            assert_eq!(MediaRange::parse(grpc).unwrap_err(), "gRPC compresses its messages itself");
        }
    }
}
