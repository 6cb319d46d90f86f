//! Regular expressions for a whole text.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest pattern, in bytes.
const LONGEST: usize = 1000;
/// The most memory that a compiled pattern may take.
const LARGEST: usize = 1 << 20;

/// A regular expression for a whole text. It takes linear time, whatever the text is.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "String")]
pub struct Pattern {
    text: String,
    compiled: Regex,
}

impl Pattern {
    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern).size_limit(LARGEST).dfa_size_limit(LARGEST).build().map_err(|error| {
                // The crate draws the pattern over several lines; the reason is the last.
                let drawn = error.to_string();
                let reason = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("not a regular expression: {reason}, in `{text}`")
            })
        };
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("expected a regular expression of 1 to {LONGEST} bytes"));
        }
        compile(text)?;
        // Between anchors, which an open comment would swallow.
        let compiled = compile(&format!(r"\A(?:{text})\z"))?;
        Ok(Self { text: text.to_owned(), compiled })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_value!(
    Pattern,
    "a regular expression",
    "^.{1,1000}$",
    "A regular expression for the whole text, in the syntax of the crate regex: no look-around, no back-references."
);

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_pattern_is_for_the_whole_text_and_bounded() {
        let pattern = Pattern::parse("/a|/b.*").unwrap();
        assert!(pattern.matches("/a") && pattern.matches("/b/c"));
        assert!(!pattern.matches("/a/c") && !pattern.matches("/x/a") && !pattern.matches("/a\n"));
        assert_eq!(Pattern::parse("(a").unwrap_err(), "not a regular expression: unclosed group, in `(a`");
        assert!(Pattern::parse("(?x) a # open").is_err());
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse(&"a".repeat(1001)).is_err());
        assert!(Pattern::parse("(a{1000}){1000}").is_err());
    }
}
