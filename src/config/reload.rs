//! `reload`: when the configuration is read anew, and what a reload can't change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;

/// When the configuration is read anew, beside SIGHUP and `sekisho reload`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// Whether a change of this file, or of any file that it names, is enough.
    pub on_change: bool,
}

impl Default for Reload {
    fn default() -> Self {
        Self { on_change: true }
    }
}

/// What is opened at start and stays open: sockets, threads, stores, logs.
const FIXED: [&str; 7] = ["/listeners", "/workers", "/ops", "/directory", "/state", "/audit", "/access_log"];

/// Where `next` differs from what runs in a way that only a start, or an upgrade in place, can bring about.
pub fn needs_restart(running: &Config, next: &Config) -> Vec<&'static str> {
    let value = |config: &Config| serde_json::to_value(config).unwrap_or(Value::Null);
    let (running, next) = (value(running), value(next));
    FIXED.into_iter().filter(|pointer| running.pointer(pointer) != next.pointer(pointer)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;
    use crate::config::testing::{BASE, with};

    #[test]
    fn only_what_stays_open_needs_a_restart() {
        let config = |text: &str| parse(Path::new("sekisho.yaml"), text).unwrap().config;
        let running = config(BASE);
        assert_eq!(needs_restart(&running, &running), [""; 0]);
        assert_eq!(needs_restart(&running, &config(&with("limits: { body: 1MiB }"))), [""; 0]);
        let changed = config(&with("workers: 7\nops: { bind: '127.0.0.1:1' }\naccess_log: off"));
        assert_eq!(needs_restart(&running, &changed), ["/workers", "/ops", "/access_log"]);
        assert_eq!(needs_restart(&changed, &running), ["/workers", "/ops", "/access_log"]);
    }
}
