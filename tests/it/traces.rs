//! Traces: what a collector is told of a request, what its backend is, and that nobody waits for either.

mod context;
mod exporting;
mod spans;

use crate::support::backend::Backend;
use crate::support::gate::{Gate, Settings};
use crate::support::pki::Ca;

const CONTEXT: &str = "traceparent";
const STATE: &str = "tracestate";

/// A gate before these backends that tells of its requests as this YAML says.
fn before(backends: &[&Backend], upstream: &str, yaml: &str) -> Gate {
    let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    Gate::before(&addresses, Ca::new("Mihon Bank CA-G1"), Settings { upstream, yaml, ..Settings::default() })
}

fn dropped(cause: &str) -> String {
    format!("sekisho_spans_dropped_total{{cause=\"{cause}\"}}")
}
