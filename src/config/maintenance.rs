//! `maintenance`: when routes answer that they are closed for a while.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// As long as the file is there, every request is answered with 503. Sign-in, portal and health checks go on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// The file. It is the page that people see if it holds HTML (1 MiB at most), else they see the gate's own. It is looked
    /// for four times a second.
    pub file: PathBuf,
    /// What `Retry-After` tells clients.
    #[serde(default = "five_minutes")]
    pub retry_after: Period,
}

impl Maintenance {
    /// Bytes that a page may have.
    pub const LARGEST: u64 = 1 << 20;

    /// Whether the content of the file is a page that people can see.
    pub fn is_page(content: &[u8]) -> bool {
        content.trim_ascii_start().starts_with(b"<") && content.len() as u64 <= Self::LARGEST
    }
}

const fn five_minutes() -> Period {
    Period::seconds(300)
}
