//! `acquisition`: how people get their certificate, and renew it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// How people get their certificate, and renew it. Used with `issuer`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acquisition {
    /// After so long a permit that nobody used lapses.
    pub permit: Period,
    /// From so long before its end a certificate can be renewed by its holder.
    pub renew_from: Period,
    /// Folder with the helper program, one file per system: `sekisho-client-linux-x86_64`,
    /// `sekisho-client-windows-x86_64.exe`, `sekisho-client-macos-aarch64`, and so on. Without it, people are offered the PKCS#12 file only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helpers: Option<PathBuf>,
    /// How PKCS#12 files are encrypted.
    pub pkcs12: Pkcs12,
}

/// How PKCS#12 files are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pkcs12 {
    /// PBES2 with AES-256-CBC, and a MAC with SHA-256 (RFC 9579's field): Windows 10 1709 and later, current macOS.
    #[default]
    Modern,
    /// Triple DES and SHA-1, for systems older than that. Weak: the file is only as safe as its way to the PC.
    Legacy,
}

impl Default for Acquisition {
    fn default() -> Self {
        Self {
            permit: Period::seconds(80 * 86_400),
            renew_from: Period::seconds(30 * 86_400),
            helpers: None,
            pkcs12: Pkcs12::default(),
        }
    }
}
