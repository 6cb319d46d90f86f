//! `mail`: how notices are sent.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// How notices are sent. Without it they stay in the directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The mail server: `smtp://HOST[:PORT]` (STARTTLS is demanded, unless `insecure`) or `smtps://HOST[:PORT]`.
    pub smtp: String,
    /// Whether `smtp` may go on without TLS. For a server on the same machine.
    #[serde(default)]
    pub insecure: bool,
    /// PEM file with the CAs of the mail server; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// Who signs in at the mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File with that user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The sender, such as `Mihon Bank <no-reply@mihonbank.example>`.
    pub from: String,
    /// Folder with the bank's own texts, in place of the built-in ones: `KIND.LANGUAGE.txt`, such as
    /// `expiry_soon.ja.txt`, the first line of which is the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<PathBuf>,
    /// Bounds every step of the conversation with the mail server.
    #[serde(default = "Mail::default_timeout")]
    pub timeout: Period,
}

impl Mail {
    const fn default_timeout() -> Period {
        Period::seconds(30)
    }
}
