//! What is seen from outside: metrics, health, access log, spans. `edge` reports here; nothing here reaches back.

mod access_log;
mod credentials;
mod json;
mod metrics;
mod readiness;
mod server;
mod spans;
pub mod systemd;

pub use access_log::{AccessLog, AccessLogBuffer, Entry, LogTarget};
pub use credentials::{CredentialFigures, Credentials};
pub use json::escape_into;
pub use metrics::{Metrics, seconds};
pub use readiness::Readiness;
pub use server::{COMMAND, Operations, serve};
pub use spans::{Fact, Side, Span, SpanQueue};
