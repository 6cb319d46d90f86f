//! Paths of routes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The path of a route: absolute, normalised, without a trailing slash unless it is `/` itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
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

text_value!(
    PathPrefix,
    "a path such as `/banking`",
    "^/([^/]+(/[^/]+)*)?$",
    "A path such as `/banking`, without a trailing slash."
);

/// One path: absolute and normalised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ExactPath(String);

impl ExactPath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let without_slash = text.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(text);
        match PathPrefix::parse(without_slash) {
            Ok(_) if text != "//" => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "expected a path such as `/healthz`: absolute, nothing percent-encoded, no empty or dot segments; found `{text}`"
            )),
        }
    }
}

impl fmt::Display for ExactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(ExactPath, "a path such as `/healthz`", "^/([^/]+/?)*$", "One path, such as `/healthz`.");

#[cfg(test)]
mod tests {
    use super::{ExactPath, PathPrefix};

    #[test]
    fn an_exact_path_may_end_in_a_slash() {
        for good in ["/", "/a", "/a/", "/a/b.c/"] {
            assert!(ExactPath::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "//", "/a//", "/../", "/a%2f", "/a?b"] {
            assert!(ExactPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_absolute_and_normal() {
        for good in ["/", "/banking", "/a/b-c.d~e", "/@/x:y"] {
            assert!(PathPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "banking", "/a/", "//", "/a//b", "/.", "/a/../b", "/a%2fb", "/a?b", "/a#b", "/a b", "/銀行",
            "/a;b",
        ] {
            assert!(PathPrefix::parse(bad).is_err(), "{bad}");
        }
    }
}
