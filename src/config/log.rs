//! `access_log`: where one JSON line per request goes.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the access log goes: `stdout`, `off`, or the path of a file, opened anew at SIGUSR1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
