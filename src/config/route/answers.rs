//! What a route answers without a backend.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::FieldValue;
use crate::config::values::text_value;

/// Sends the client elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Where to: `https://…` or a path of this host. `{path}` stands for the path (after `rewrite`), `{query}` at the end for
    /// the query with its `?`, if there is one.
    pub to: RedirectTarget,
    /// 301, 302, 303, 307 or 308. With 307 and 308 a client repeats its request with the same method and body.
    #[serde(default)]
    pub status: RedirectStatus,
}

/// The status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RedirectStatus(u16);

impl RedirectStatus {
    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl Default for RedirectStatus {
    fn default() -> Self {
        Self(302)
    }
}

impl<'de> Deserialize<'de> for RedirectStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u16::deserialize(deserializer)?;
        match code {
            301 | 302 | 303 | 307 | 308 => Ok(Self(code)),
            _ => Err(D::Error::custom(format!("expected 301, 302, 303, 307 or 308, found {code}"))),
        }
    }
}

impl JsonSchema for RedirectStatus {
    fn schema_name() -> Cow<'static, str> {
        "RedirectStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [301, 302, 303, 307, 308], "description": "The status of a redirect." })
    }
}

/// Where a redirect leads. Nothing that a client sends can change the host that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct RedirectTarget {
    before: String,
    has_path: bool,
    after: String,
    has_query: bool,
}

impl RedirectTarget {
    /// The target for a normalised path and a query.
    pub fn expand(&self, path: &str, query: Option<&str>) -> String {
        let mut target = self.before.clone();
        if self.has_path {
            target.push_str(path);
        }
        target.push_str(&self.after);
        if let Some(query) = query.filter(|_| self.has_query) {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    fn parse(text: &str) -> Result<Self, String> {
        let expected = |why: &str| format!("{why}, in `{text}`");
        let (rest, has_query) = match text.strip_suffix("{query}") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (before, after, has_path) = match rest.split_once("{path}") {
            Some((before, after)) => (before, after, true),
            None => (rest, "", false),
        };
        let literal = format!("{before}{after}");
        let is_uri_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,=%".contains(&b);
        if !literal.bytes().all(is_uri_byte) {
            return Err(expected("expected a URI with at most one `{path}`, and `{query}` only at its end"));
        }
        let below = match before.strip_prefix("https://") {
            Some(rest) => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if authority.is_empty() || authority.contains('@') {
                    return Err(expected("expected a host behind `https://`"));
                }
                &rest[authority.len()..]
            }
            None => before,
        };
        let starts_well = match below.as_bytes() {
            // Two slashes, and what follows is a host.
            [b'/', b'/', ..] => false,
            [b'/', ..] => true,
            [] => has_path || before.starts_with("https://"),
            [b'?' | b'#', ..] => before.starts_with("https://"),
            _ => false,
        };
        if !starts_well {
            return Err(expected("expected `https://…` or a path such as `/new`"));
        }
        if has_path && (before.ends_with('/') || before.contains(['?', '#'])) {
            return Err(expected("`{path}` begins with a slash of its own and can't stand in a query"));
        }
        if has_query && literal.contains(['?', '#']) {
            return Err(expected("`{query}` brings its own `?`: there can't be another"));
        }
        Ok(Self { before: before.to_owned(), has_path, after: after.to_owned(), has_query })
    }
}

impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.has_path { "{path}" } else { "" };
        let query = if self.has_query { "{query}" } else { "" };
        write!(f, "{}{path}{}{query}", self.before, self.after)
    }
}

text_value!(
    RedirectTarget,
    "`https://…` or a path such as `/new`",
    "^(https://|/|[{]path[}])",
    "`https://…` or a path. `{path}` stands for the path that was asked for, `{query}` at the end for its query."
);

/// The same answer for everybody.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedAnswer {
    /// From 200 to 599.
    #[serde(default = "ok")]
    pub status: u16,
    /// The text; empty if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Instead of `body`, a file of 1 MiB at most, read when the configuration is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What it is.
    #[serde(default = "plain_text")]
    pub content_type: FieldValue,
}

const fn ok() -> u16 {
    200
}

fn plain_text() -> FieldValue {
    FieldValue::known("text/plain; charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::RedirectTarget;

    #[test]
    fn a_redirect_leads_where_the_operator_says_and_nowhere_else() {
        for (to, path, query, expected) in [
            ("https://new.example{path}{query}", "/a/b", Some("c=d"), "https://new.example/a/b?c=d"),
            ("https://new.example{path}{query}", "/a", None, "https://new.example/a"),
            ("/new{path}", "/a", Some("c"), "/new/a"),
            ("{path}{query}", "/a", Some(""), "/a?"),
            ("https://new.example?from=old", "/a", Some("c"), "https://new.example?from=old"),
            ("/new{path}/index.html", "/a", None, "/new/a/index.html"),
        ] {
            assert_eq!(RedirectTarget::parse(to).unwrap().expand(path, query), expected, "{to}");
            assert_eq!(RedirectTarget::parse(to).unwrap().to_string(), to);
        }
        for bad in [
            "",
            "//evil.example",
            "//{path}",
            "/{path}",
            "https://{path}",
            "https://user@new.example/",
            "http://new.example/",
            "javascript:alert(1)",
            "https://new.example/{path}",
            "https://new.example/?to={path}",
            "/a{path}{path}",
            "/a{query}b",
            "/a?b{query}",
            "/a\r\nb",
            "/a b",
            "new{path}",
            "/a\\b",
            "{host}/a",
        ] {
            assert!(RedirectTarget::parse(bad).is_err(), "{bad}");
        }
    }
}
