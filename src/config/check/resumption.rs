//! Session tickets: what goes with which source of secrets, and how long a ticket may live.

use std::time::Duration;

use super::Report;
use crate::config::TicketSource;

/// RFC 9846, section 4.7.1.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Shared secrets: a new one is known for a minute before it seals.
const OFTENEST: Duration = Duration::from_secs(300);
/// Shared secrets that have sealed and still open.
const MOST: u32 = 24;

impl Report<'_> {
    pub(super) fn resumption(&mut self) {
        let resumption = &self.config.resumption;
        if resumption.lifetime.get() > LONGEST {
            self.problem("/resumption/lifetime", "a session ticket is good for 7 days at most");
        }
        let (keys, files, secret_file) = (resumption.keys, "/resumption/files", "/resumption/secret_file");
        let has = |pointer: &str| self.source.contains(pointer);
        if has("/resumption/keys") && self.is_lost("/resumption/keys") {
            return;
        }
        if keys != TicketSource::Files && has(files) {
            let message = "the gate makes its own secrets: write `keys: files`, or leave this out";
            self.problem(files, message);
        }
        if keys != TicketSource::State && self.source.contains(secret_file) {
            self.problem(secret_file, "nothing is in the state: write `keys: state`, or leave this out");
        }
        match keys {
            TicketSource::Files if !self.source.contains(files) || self.is_given_empty(files) => {
                self.problem("/resumption/keys", "no file: `files` must name at least one");
            }
            TicketSource::State => self.shared_secrets(),
            _ => {}
        }
        for (index, path) in resumption.files.iter().enumerate() {
            self.path(&self.element(files, index), path);
        }
        if let Some(path) = &resumption.secret_file {
            self.path(secret_file, path);
        }
    }

    fn shared_secrets(&mut self) {
        let resumption = &self.config.resumption;
        if !self.source.contains("/resumption/secret_file") {
            self.problem("/resumption/keys", "no `secret_file`: what is in the state must be sealed");
        }
        let (rotate, lifetime) = (resumption.rotate.get(), resumption.lifetime.get());
        let given = self.source.contains("/resumption/rotate");
        let pointer = if given { "/resumption/rotate" } else { "/resumption/lifetime" };
        if rotate < OFTENEST {
            self.problem("/resumption/rotate", "the gateways tell each other first: expected at least 5m");
        } else if rotate * MOST < lifetime {
            let message =
                format!("at least a {MOST}th of `lifetime`, or there would be too many secrets at once");
            self.problem(pointer, format!("`rotate` must be {message}"));
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
            ("resumption: { keys: state, secret_file: a }", ""),
            ("resumption: { keys: state }", "14:21 no `secret_file`: what is in the state must be sealed"),
            (
                "resumption: { keys: state, secret_file: '' }",
                "14:41 expected the path of a file, found an empty text",
            ),
            (
                "resumption: { keys: state, secret_file: a, files: [b] }",
                "14:44 the gate makes its own secrets: write `keys: files`, or leave this out",
            ),
            (
                "resumption: { secret_file: a }",
                "14:28 nothing is in the state: write `keys: state`, or leave this out",
            ),
            (
                "resumption: { keys: state, secret_file: a, rotate: 299s }",
                "14:52 the gateways tell each other first: expected at least 5m",
            ),
            (
                "resumption: { keys: state, secret_file: a, rotate: 6h, lifetime: 7d }",
                "14:52 `rotate` must be at least a 24th of `lifetime`, or there would be too many secrets at once",
            ),
            ("resumption: { keys: state, secret_file: a, lifetime: 7d }", ""),
            ("resumption: { rotate: 1s, lifetime: 7d }", ""),
            (
                "resumption: { keys: memory, secret_file: a, files: [b] }",
                "14:21 expected `process`, `files` or `state`, found `memory`",
            ),
        ] {
            assert_eq!(mistakes(&with(line)).concat(), expected, "{line}");
        }
    }
}
