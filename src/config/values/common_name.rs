//! The form of a certificate's common name.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The form of a certificate's common name, with the named groups `contract` and `user`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct CommonNamePattern(String);

impl CommonNamePattern {
    /// The regular expression as it was written, without anchors.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let compile = |pattern: &str| {
            regex::Regex::new(pattern).map_err(|error| {
                // The crate draws the pattern over several lines; the reason is the last.
                let drawn = error.to_string();
                let reason = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("not a regular expression: {reason}, in `{text}`")
            })
        };
        let regex = compile(text)?;
        // It is used between anchors, which an open comment would swallow.
        compile(&format!("^(?:{text})$"))?;
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
    "a regular expression with the groups `contract` and `user`",
    ".",
    "Regular expression for the whole common name, with the named groups `contract` and `user`."
);

#[cfg(test)]
mod tests {
    use super::CommonNamePattern;

    #[test]
    fn a_pattern_names_both_groups_and_stands_between_anchors() {
        let refusal = |text: &str| CommonNamePattern::parse(text).map(|_| ()).unwrap_err();
        let good = CommonNamePattern::default();
        assert_eq!(CommonNamePattern::parse(good.as_str()), Ok(good));
        assert_eq!(refusal("(?<contract>a)"), "the pattern has no group `(?<user>…)`");
        assert_eq!(refusal("(?<contract>a"), "not a regular expression: unclosed group, in `(?<contract>a`");
        let open = "(?x)(?<contract>a)(?<user>b) # open";
        assert_eq!(refusal(open), format!("not a regular expression: unclosed group, in `{open}`"));
    }
}
