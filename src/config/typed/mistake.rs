//! What went wrong while a value was read, in the operator's words. serde's own words ("invalid type: map, expected
//! struct Foo") are translated here, once.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::config::suggest::{any_of, did_you_mean};

/// A mistake, and which value it is about once that is known.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) about: Option<About>,
    /// The key that a mapping lacks, if that is the mistake.
    pub(super) missing: Option<&'static str>,
}

/// Which value, by its index in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Key(usize),
    Value(usize),
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), about: None, missing: None }
    }

    /// The innermost place wins: it is the first that an error passes on its way out.
    pub(super) fn about(mut self, about: About) -> Self {
        self.about.get_or_insert(about);
        self
    }
}

impl Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = plainly(&expected.to_string());
        let quote = match found {
            Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
                if expected == "text" =>
            {
                ": text that looks like something else must be in quotes"
            }
            _ => "",
        };
        Self::new(format!("expected {expected}, found {}{quote}", seen(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {}", plainly(&expected.to_string()), seen(found)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}, found {length} values", plainly(&expected.to_string())))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let guess = did_you_mean(variant, expected.iter().copied());
        Self::new(format!("expected {}, found `{variant}`{guess}", any_of(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(unknown_key(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(missing_key(field)) }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is given twice"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let guess = did_you_mean(key, known.iter().copied());
    if guess.is_empty() && known.len() <= 12 {
        return format!("unknown key `{key}`: expected {}", any_of(known));
    }
    format!("unknown key `{key}`{guess}")
}

pub(super) fn missing_key(key: &str) -> String {
    format!("missing key `{key}`")
}

/// How serde's visitors say what they expect → how we say it.
fn plainly(expected: &str) -> String {
    let range = |from: u8, to: u64| format!("a whole number from {from} to {to}");
    let (from, number) = match expected.strip_prefix("a nonzero ") {
        Some(number) => (1, number),
        None => (0, expected),
    };
    match number {
        "u8" => return range(from, u8::MAX.into()),
        "u16" => return range(from, u16::MAX.into()),
        "u32" => return range(from, u32::MAX.into()),
        "u64" | "usize" => return format!("a whole number from {from}"),
        "i8" | "i16" | "i32" | "i64" | "isize" => return "a whole number".to_owned(),
        "f32" | "f64" => return "a number".to_owned(),
        _ => {}
    }
    match expected {
        "a string" | "string" => "text".to_owned(),
        "path string" => "a path".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}

fn seen(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(number) => format!("the number {number}"),
        Unexpected::Signed(number) => format!("the number {number}"),
        Unexpected::Float(number) => format!("the number {number}"),
        Unexpected::Str(text) => format!("`{text}`"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        Unexpected::Other(what) => what.to_owned(),
        _ => "something else".to_owned(),
    }
}
