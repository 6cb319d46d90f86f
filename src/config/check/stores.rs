//! The stores: what belongs to which kind, and the log that goes with them.

use super::Report;
use crate::config::{DirectoryUrl, Period, State, StateUrl};

/// Checkpoints are for what people do, not for every moment.
const LEAST_CHECKPOINT: Period = Period::seconds(1);

impl Report<'_> {
    pub(super) fn stores(&mut self) {
        let used = ["/directory", "/sign_in"].into_iter().find(|pointer| self.source.contains(pointer));
        if let (Some(used), false) = (used, self.source.contains("/audit")) {
            self.problem(used, "a directory needs an `audit` log, where every decision is written down");
        }
        if let Some(audit) = &self.config.audit {
            self.path("/audit/file", &audit.file);
            if let Some(key) = &audit.key_file {
                self.path("/audit/key_file", key);
            }
            if audit.rotate.size.bytes() < 4096 {
                self.problem("/audit/rotate/size", "expected at least 4KiB: a segment holds a few records");
            }
            if audit.checkpoint.get() < LEAST_CHECKPOINT.get() {
                let message = format!("expected at least {LEAST_CHECKPOINT}, found {}", audit.checkpoint);
                self.problem("/audit/checkpoint", message);
            }
        }
        if let Some(directory) = &self.config.directory
            && let Some(password) = &directory.password_file
        {
            self.path("/directory/password_file", password);
            if matches!(directory.url, DirectoryUrl::Sqlite(_)) && !self.is_lost("/directory/url") {
                let message = "an SQLite file has no password: leave `password_file` out";
                self.problem("/directory/password_file", message);
            }
        }
        self.state(&self.config.state);
        let portal = &self.config.portal;
        for (key, path) in [("theme", &portal.theme), ("notices", &portal.notices)] {
            if let Some(path) = path {
                self.path(&format!("/portal/{key}"), path);
            }
        }
    }

    fn state(&mut self, state: &State) {
        for (key, path) in [("password_file", &state.password_file), ("authorities", &state.authorities)] {
            if let Some(path) = path {
                self.path(&format!("/state/{key}"), path);
            }
        }
        if self.is_lost("/state/url") {
            return;
        }
        match &state.url {
            StateUrl::Embedded(_) => {
                let keys = [
                    ("password_file", state.password_file.is_some()),
                    ("authorities", state.authorities.is_some()),
                    ("replicas", state.replicas > 0),
                ];
                for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
                    let message = format!("this is only for Redis: leave `{key}` out");
                    self.problem(&format!("/state/{key}"), message);
                }
            }
            StateUrl::Redis(redis) if !redis.tls && state.authorities.is_some() => {
                self.problem("/state/authorities", "this is only for Redis over TLS: `rediss` in `url`");
            }
            StateUrl::Redis(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, with};

    #[test]
    fn a_directory_has_a_log_of_decisions() {
        assert_eq!(
            mistakes(&with("directory: {}")),
            ["14:1 a directory needs an `audit` log, where every decision is written down"]
        );
        assert_eq!(
            mistakes(&with("directory: {}\naudit: { file: '' }")),
            ["15:16 expected the path of a file, found an empty text"]
        );
        assert_eq!(mistakes(&with("audit: { file: audit.log }")), [""; 0]);
    }

    #[test]
    fn an_embedded_store_needs_nothing_of_a_server() {
        let with = |line: &str| mistakes(&with(&format!("audit: {{ file: audit.log }}\n{line}")));
        assert_eq!(
            with("directory: { password_file: p }"),
            ["15:29 an SQLite file has no password: leave `password_file` out"]
        );
        assert_eq!(
            with("state: { password_file: p, replicas: 1, authorities: ca.pem }"),
            [
                "15:25 this is only for Redis: leave `password_file` out",
                "15:38 this is only for Redis: leave `replicas` out",
                "15:54 this is only for Redis: leave `authorities` out",
            ]
        );
        assert_eq!(with("directory: { url: 'postgres://u@db/d', password_file: p }"), [""; 0]);
        assert_eq!(with("state: { url: 'redis://r', password_file: p, replicas: 1 }"), [""; 0]);
        assert_eq!(with("state: { url: 'rediss://r', authorities: ca.pem }"), [""; 0]);
        assert_eq!(with("state: { url: 'embedded:s' }\ndirectory: { url: 'postgres://u@db/d' }"), [""; 0]);
    }

    #[test]
    fn authorities_are_for_tls() {
        assert_eq!(
            mistakes(&with("state: { url: 'redis://r', authorities: ca.pem }")),
            ["14:41 this is only for Redis over TLS: `rediss` in `url`"]
        );
    }

    #[test]
    fn what_is_for_a_server_whose_name_is_wrong_is_not_complained_of() {
        let found = mistakes(&with("state: { url: 'redus://r', replicas: 1 }"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("14:15 expected `embedded:PATH`"), "{found:#?}");
    }

    #[test]
    fn the_pages_have_paths() {
        assert_eq!(
            mistakes(&with("portal: { theme: '', notices: '' }")),
            [
                "14:18 expected the path of a file, found an empty text",
                "14:31 expected the path of a file, found an empty text",
            ]
        );
    }
}
