//! Session tickets: what goes with which source of secrets, and how long a ticket may live.

use std::time::Duration;

use super::Report;
use crate::config::TicketSource;

/// RFC 9846, section 4.7.1.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

impl Report<'_> {
    pub(super) fn resumption(&mut self) {
        let resumption = &self.config.resumption;
        if resumption.lifetime.get() > LONGEST {
            self.problem("/resumption/lifetime", "a session ticket is good for 7 days at most");
        }
        let (keys, files) = (resumption.keys, "/resumption/files");
        match keys {
            TicketSource::Process if self.source.contains(files) && !self.is_lost("/resumption/keys") => {
                self.problem(files, "the gate makes its own secrets: write `keys: files`, or leave this out");
            }
            TicketSource::Files if !self.source.contains(files) || self.is_given_empty(files) => {
                self.problem("/resumption/keys", "no file: `files` must name at least one");
            }
            _ => {}
        }
        for (index, path) in resumption.files.iter().enumerate() {
            self.path(&self.element(files, index), path);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, with};

    #[test]
    fn secrets_come_from_files_or_from_the_process() {
        for (line, expected) in [
            ("resumption: { lifetime: 7d }", ""),
            ("resumption: { keys: files, files: [a] }", ""),
            ("resumption: { lifetime: 169h }", "14:25 a session ticket is good for 7 days at most"),
            ("resumption: { keys: files }", "14:21 no file: `files` must name at least one"),
            ("resumption: { keys: files, files: [] }", "14:21 no file: `files` must name at least one"),
            (
                "resumption: { files: [a] }",
                "14:15 the gate makes its own secrets: write `keys: files`, or leave this out",
            ),
        ] {
            assert_eq!(mistakes(&with(line)).concat(), expected, "{line}");
        }
    }
}
