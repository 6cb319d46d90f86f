//! `audit`: where every decision is written down, what signs the log, and who else is told.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Period, Size, SyslogAddress};

/// The audit log: one JSON line per decision (sign-ins, suspensions, changes of the directory), each chained to the last.
/// Needed with a directory.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// File that records are appended to. Its head is kept beside it, in a file with `.head` behind the name, and its
    /// older segments, with `.1`, `.2` and so on. Gateways and commands of one machine share it.
    pub file: PathBuf,
    /// PEM file with the Ed25519 key that signs the head and the checkpoints (`sekisho audit key`). Without it, whoever
    /// may write the files may forge the whole chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// When a new segment begins.
    #[serde(default)]
    pub rotate: AuditRotation,
    /// How often what was added is signed, and the log is looked at for what a running gateway knows that must be in it.
    #[serde(default = "Audit::default_checkpoint")]
    pub checkpoint: Period,
    /// A second place for each record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<AuditSyslog>,
}

impl Audit {
    const fn default_checkpoint() -> Period {
        Period::seconds(5 * 60)
    }
}

/// When a new segment of the audit log begins. None is ever deleted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditRotation {
    /// A record that would make the file larger begins a new one.
    pub size: Size,
}

impl Default for AuditRotation {
    fn default() -> Self {
        Self { size: Size::kib(256 << 10) }
    }
}

/// A syslog server that gets a copy of each record (RFC 5424, facility `log audit`). What it doesn't take is lost to it,
/// never to the file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSyslog {
    /// Where: `udp://host:port`, `tcp://host:port` or `unix:PATH`.
    pub to: SyslogAddress,
}
