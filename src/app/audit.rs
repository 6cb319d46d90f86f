//! From `audit` in the configuration to an open log.

use std::io;

use crate::config::Audit;
use crate::stores::{AuditKey, AuditLog, AuditSettings, Syslog};

/// The key that signs, if there is one.
pub fn audit_key(audit: &Audit) -> Result<Option<AuditKey>, String> {
    audit.key_file.as_deref().map(AuditKey::read).transpose()
}

/// Opens the log.
pub(super) fn open(audit: &Audit, key: Option<AuditKey>) -> io::Result<AuditLog> {
    let syslog = audit.syslog.as_ref().map(|syslog| Syslog::start(syslog.to.clone())).transpose()?;
    AuditLog::open(AuditSettings {
        file: audit.file.clone(),
        key,
        segment: audit.rotate.size.bytes(),
        syslog,
    })
}
