//! `sekisho audit show`: the records that somebody asks for, as a table or as the lines that they are.

use std::fs::File;
use std::io::{BufRead, BufReader};

use clap::Args;
use jiff::Timestamp;

use super::{Log, Output, unreadable};
use crate::cli::failure::{Failure, print};
use crate::cli::staff::{note, table};
use crate::domain::{ContractId, UserId};
use crate::stores::{AuditRecord, audit_segments, escaped};

/// Print the records, oldest first
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    log: Log,
    /// Only about this contract
    #[arg(long, value_name = "ID", value_parser = ContractId::typed)]
    contract: Option<ContractId>,
    /// Only about this user
    #[arg(long, value_name = "ID", value_parser = UserId::typed)]
    user: Option<UserId>,
    /// Only of this kind, such as `sign_in`; may be given several times
    #[arg(long)]
    kind: Vec<String>,
    /// Only from then on, such as 2026-07-01T00:00:00+09:00
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only before then
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// How to answer: a table, or the lines of the log
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let configured = self.log.configured()?;
        let log = self.log.path(configured.as_ref())?;
        let (mut lines, mut rows, mut unreadable_lines) = (String::new(), Vec::new(), 0_u64);
        for path in audit_segments(log).map_err(|error| unreadable(log, &error))? {
            if !path.exists() {
                note(&format!("{}: the segment is missing", path.display()));
                continue;
            }
            let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|error| unreadable(&path, &error))?;
                match AuditRecord::read(&line) {
                    None => unreadable_lines += 1,
                    Some(record) if !self.wants(&record) => {}
                    Some(_) if self.output == Output::Json => {
                        lines.push_str(&escaped(&String::from_utf8_lossy(&line)));
                        lines.push('\n');
                    }
                    Some(record) => rows.push(row(record)),
                }
            }
        }
        if unreadable_lines > 0 {
            note(&format!("{unreadable_lines} lines are no records: `sekisho audit verify` says more"));
        }
        match self.output {
            Output::Json => print(&lines),
            Output::Text => print(&table::table(
                ["TIME", "RECORD", "KIND", "CONTRACT", "USER", "BY", "SOURCE", "REQUEST", "DETAIL"],
                &rows,
                "There are no such records.",
            )),
        }
    }

    fn wants(&self, record: &AuditRecord) -> bool {
        let contract =
            self.contract.as_ref().is_none_or(|id| record.contract.as_deref() == Some(id.as_str()));
        let user = self.user.as_ref().is_none_or(|id| record.user.as_deref() == Some(id.as_str()));
        contract
            && user
            && (self.kind.is_empty() || self.kind.contains(&record.kind))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }
}

fn row(record: AuditRecord) -> [String; 9] {
    let or_dash = |value: Option<String>| value.map_or_else(|| "-".to_owned(), |value| visible(&value));
    [
        record.time.to_string(),
        record.seq.to_string(),
        visible(&record.kind),
        or_dash(record.contract),
        or_dash(record.user),
        visible(&record.by),
        or_dash(record.source),
        or_dash(record.request_id),
        or_dash(record.detail),
    ]
}

/// Text from a log that may be forged, for a terminal.
pub(super) fn visible(text: &str) -> String {
    escaped(text)
}
