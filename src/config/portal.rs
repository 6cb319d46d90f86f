//! `portal`: how the pages look and what they announce.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the pages look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    /// Folder with the bank's own `logo.svg` (or `logo.png`), `colours.css` and `texts.yaml`. Each may be absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<PathBuf>,
    /// YAML file with the notices (お知らせ) of the sign-in page. Read anew whenever it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notices: Option<PathBuf>,
}

/// A name in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// In Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
}
