//! `sekisho audit rotate`: begins a new segment. It is a record itself, of who did it.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Answer, Common, failed};
use crate::clock::Clock;
use crate::stores::AuditEvent;

/// Begin a new segment
#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    #[command(flatten)]
    common: Common,
}

impl Rotate {
    pub(in crate::cli) fn run(&self, clock: &Clock) -> ExitCode {
        super::run("audit", &self.common, clock, async |desk| {
            let event = AuditEvent {
                time: desk.now(),
                kind: "audit_rotated",
                about: None,
                by: &desk.by,
                source: None,
                request_id: None,
                detail: None,
            };
            let line = event.line().map_err(|error| failed(&error))?;
            desk.stores.audit.rotate(&line).map_err(|error| failed(&error))?;
            Answer::new("A new segment has begun.\n".to_owned(), &json!({ "rotated": true }))
        })
    }
}
