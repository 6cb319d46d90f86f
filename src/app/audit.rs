//! From `audit` in the configuration to an open log, and what is done with it every so often.

use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use crate::clock::Clock;
use crate::config::Audit;
use crate::stores::{AuditKey, AuditLog, AuditSettings, Syslog, Unavailable};

/// The key that signs, if there is one.
pub fn audit_key(audit: &Audit) -> Result<Option<AuditKey>, String> {
    audit.key_file.as_deref().map(AuditKey::read).transpose()
}

/// Opens the log.
pub(super) fn open(audit: &Audit, key: Option<AuditKey>) -> Result<AuditLog, Unavailable> {
    let syslog = audit.syslog.as_ref().map(|syslog| Syslog::start(syslog.to.clone())).transpose();
    let open = |syslog| {
        let (file, segment) = (audit.file.clone(), audit.rotate.size.bytes());
        AuditLog::open(AuditSettings { file, key, segment, syslog })
    };
    let opened = syslog.and_then(open);
    opened.map_err(|error| Unavailable::new("audit", format_args!("{}: {error}", audit.file.display())))
}

/// Has the log looked at, and what was added signed, for ever.
pub(super) async fn follow(log: Arc<AuditLog>, every: Duration, clock: Clock, health: Health) {
    loop {
        tokio::time::sleep(every).await;
        let (log, now) = (log.clone(), clock.now());
        let signed = tokio::task::spawn_blocking(move || log.checkpoint(now)).await;
        if let Err(unavailable) = signed.unwrap_or_else(|error| Err(Unavailable::new("audit", error))) {
            tracing::error!(%unavailable, "The audit log can't be signed now");
            health.failed(&unavailable);
        }
    }
}
