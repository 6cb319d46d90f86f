//! `traces`: which requests are traced, and who is told of them.

use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CollectorUrl, Period};

/// Tells an OpenTelemetry collector of requests (OTLP over HTTP), and hands the trace on to backends (`traceparent`). See
/// docs/tracing.md.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Where the collector takes spans by POST.
    pub url: CollectorUrl,
    /// PEM file with the authorities of a collector with `https`; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// File with header fields for the collector, `Name: value` on each line: `Authorization`, say. Nobody but its owner and
    /// their group may read it. Not over plain `http`, except to this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// The part of the traces that is recorded, from 0 to 1. Backends hear of the others as well, and that they aren't.
    #[serde(default = "Traces::default_ratio")]
    #[schemars(range(min = 0, max = 1))]
    pub ratio: f64,
    /// Whose traces go on here. Everybody else's requests begin one, and what they say of one is dropped.
    #[serde(default)]
    pub continue_from: ContinueFrom,
    /// Whether spans say who sends a request, as the access log does: contract and user.
    #[serde(default)]
    pub identity: bool,
    /// What the gateway calls itself in its spans: their service name.
    #[serde(default = "Traces::default_service")]
    pub service: String,
    /// How long the collector may take for a batch of spans.
    #[serde(default = "Traces::default_timeout")]
    pub timeout: Period,
    /// For how many requests spans may wait for the collector; those of further ones are dropped.
    #[serde(default = "Traces::default_queue")]
    pub queue: NonZeroU32,
}

/// Whose traces go on here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContinueFrom {
    /// Nobody's.
    #[default]
    Nobody,
    /// Those of `trusted_proxies`, which also decide what is recorded.
    TrustedProxies,
}

impl Traces {
    const fn default_ratio() -> f64 {
        0.01
    }

    fn default_service() -> String {
        "sekisho".to_owned()
    }

    const fn default_timeout() -> Period {
        Period::seconds(10)
    }

    const fn default_queue() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(2047)
    }
}
