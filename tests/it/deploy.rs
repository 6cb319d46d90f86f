//! What is in `deploy/`: it is what operators install, so it must be good without anybody having tried it first.

mod chart;
mod compose;
mod examples;
mod package;
pub mod watching;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file or folder below the root of the project.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file below the root.
#[track_caller]
pub fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A YAML text as a value.
#[track_caller]
pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A list in a value.
#[track_caller]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}
