//! `access_log`: where one JSON line per request goes.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where the access log goes: `stdout`, `off`, or the path of a file, opened anew at SIGUSR1. The path has a `/` or a `.`
/// in it, so that no misspelt word becomes a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// Standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// A file, appended to.
    #[serde(untagged)]
    File(PathBuf),
}

/// Written out, because serde's `untagged` forgets what was wrong.
impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AccessLogVisitor)
    }
}

struct AccessLogVisitor;

impl Visitor<'_> for AccessLogVisitor {
    type Value = AccessLog;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`stdout`, `off` or the path of a file with a `/` or a `.` in it")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AccessLog, E> {
        match text {
            "stdout" => Ok(AccessLog::Stdout),
            "off" => Ok(AccessLog::Off),
            path if path.contains(['/', '.']) => Ok(AccessLog::File(path.into())),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }
}
