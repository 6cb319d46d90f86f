//! The log of the gate itself: JSON lines on stderr. The access log is another thing (`ops`).

use std::io;

use tracing_subscriber::EnvFilter;

/// Starts logging. `SEKISHO_LOG` sets the level: `error`, `warn`, `info` (the default), `debug`.
#[expect(clippy::disallowed_methods, reason = "cli/ is where the environment is read")]
pub(super) fn start() {
    let filter = std::env::var("SEKISHO_LOG").ok().and_then(|levels| levels.parse().ok());
    let filter: EnvFilter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(io::stderr);
    // Or it would say on stderr that stderr can't be written, and panic: a full disk must not end whoever has something to say.
    let log = log.log_internal_errors(false);
    // Started already where a test runs several commands in one process.
    let _ = log.try_init();
}
