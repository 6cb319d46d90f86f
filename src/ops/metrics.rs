//! Every metric of the gateway, in one table. Names follow Prometheus' conventions: base units, `_total`, labels
//! whose values are bounded by the configuration, by the code or by DNS; never a user, a path or a client's address.

use jiff::Timestamp;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Bounds of the duration histograms, in seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

macro_rules! metrics {
    ($( $(#[doc = $doc:literal])+ $field:ident: $kind:ident = $name:literal $([$($label:literal),+])?;)+) => {
        /// Name, help and labels of each, for the docs' test.
        #[cfg(test)]
        const NAMES: &[(&str, &str, &[&str])] = &[$(($name, concat!($($doc),+), &[$($($label),+)?])),+];

        /// The metrics. Cloning is cheap and shares the counters.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $( $(#[doc = $doc])+ pub $field: $kind, )+
        }

        impl Metrics {
            /// Makes and registers them all.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let help = concat!($($doc),+).trim();
                    let $field = <$kind as Make>::make($name, help, &[$($($label),+)?])?;
                    registry.register(Box::new($field.clone()))?;
                )+
                let metrics = Self { registry, $($field),+ };
                metrics.begin_at_zero();
                Ok(metrics)
            }
        }
    };
}

/// Makes a metric of one kind from its name, its help and its labels.
trait Make: Sized {
    fn make(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self>;
}

macro_rules! make {
    ($($kind:ident: |$name:ident, $help:ident, $labels:ident| $make:expr;)+) => {
        $(impl Make for $kind {
            fn make($name: &str, $help: &str, $labels: &[&str]) -> prometheus::Result<Self> {
                let _ = $labels;
                $make
            }
        })+
    };
}

make! {
    IntCounter: |name, help, labels| Self::new(name, help);
    IntGauge: |name, help, labels| Self::new(name, help);
    Gauge: |name, help, labels| Self::new(name, help);
    IntCounterVec: |name, help, labels| Self::new(Opts::new(name, help), labels);
    IntGaugeVec: |name, help, labels| Self::new(Opts::new(name, help), labels);
    GaugeVec: |name, help, labels| Self::new(Opts::new(name, help), labels);
    Histogram: |name, help, labels| Self::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()));
    HistogramVec: |name, help, labels| Self::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels);
}

metrics! {
    /// Always 1; the labels say what is running.
    build_info: GaugeVec = "sekisho_build_info" ["version"];
    /// When the process began to serve, in seconds since 1970.
    start_time: Gauge = "sekisho_start_time_seconds";
    /// Client connections that are open.
    connections: IntGauge = "sekisho_connections";
    /// Client connections that were accepted.
    connections_accepted: IntCounter = "sekisho_connections_accepted_total";
    /// Client connections that were closed at once, because limits.connections was reached.
    connections_shed: IntCounter = "sekisho_connections_shed_total";
    /// Requests, and new connections, that a rate limit refused, by limit.
    rate_limited: IntCounterVec = "sekisho_rate_limited_total" ["limit"];
    /// Tries to share a rate limit with other gateways that failed: meanwhile each counts for itself.
    rate_share_failures: IntCounter = "sekisho_rate_share_failures_total";
    /// Requests that were answered with 503 because the gateway had too much to do, by cause: connections, requests or lag.
    shed: IntCounterVec = "sekisho_shed_total" ["cause"];
    /// TLS handshakes that succeeded, by host, TLS version, and whether they resumed a session.
    handshakes: IntCounterVec = "sekisho_handshakes_total" ["host", "version", "resumed"];
    /// TLS handshakes that failed, by cause.
    handshake_failures: IntCounterVec = "sekisho_handshake_failures_total" ["cause"];
    /// Time from accept to the end of the TLS handshake, in seconds.
    handshake_duration: Histogram = "sekisho_handshake_duration_seconds";
    /// HTTP/2 connections that were cut off because their client sent too much of something, by cause.
    h2_floods: IntCounterVec = "sekisho_h2_floods_total" ["cause"];
    /// Judgements of client certificates, by host and standing.
    standings: IntCounterVec = "sekisho_standings_total" ["host", "standing"];
    /// Requests that were answered, by host and class of status (0xx: none was sent).
    requests: IntCounterVec = "sekisho_requests_total" ["host", "status"];
    /// Requests that failed or were refused, by code.
    failures: IntCounterVec = "sekisho_failures_total" ["code"];
    /// Time from the head of a request to the end of its response, in seconds, by host.
    request_duration: HistogramVec = "sekisho_request_duration_seconds" ["host"];
    /// Time from forwarding a request to the head of its response, in seconds, by upstream.
    upstream_first_byte: HistogramVec = "sekisho_upstream_first_byte_seconds" ["upstream"];
    /// Bytes of responses that were compressed, as they came from upstreams, by coding.
    compressed_in: IntCounterVec = "sekisho_compression_input_bytes_total" ["coding"];
    /// Bytes of the same responses as they went on to clients, by coding.
    compressed_out: IntCounterVec = "sekisho_compression_output_bytes_total" ["coding"];
    /// Responses that were not compressed, because limits.compressed_responses was reached.
    compressions_shed: IntCounter = "sekisho_compressions_shed_total";
    /// Connections to upstreams that were opened, by upstream.
    upstream_connects: IntCounterVec = "sekisho_upstream_connects_total" ["upstream"];
    /// Exchanges with upstreams that failed, by upstream and cause.
    upstream_failures: IntCounterVec = "sekisho_upstream_failures_total" ["upstream", "cause"];
    /// Endpoints that were ejected because requests failed there, by upstream.
    upstream_ejections: IntCounterVec = "sekisho_upstream_ejections_total" ["upstream"];
    /// Requests that were sent again after an endpoint had failed them, by upstream.
    upstream_retries: IntCounterVec = "sekisho_upstream_retries_total" ["upstream"];
    /// Requests that were not sent again because the budget for that was spent, by upstream.
    upstream_retries_denied: IntCounterVec = "sekisho_upstream_retries_denied_total" ["upstream"];
    /// Requests that are with an endpoint, tunnels included, by upstream and endpoint.
    upstream_in_flight: GaugeVec = "sekisho_upstream_requests_in_flight" ["upstream", "endpoint"];
    /// Requests that wait for their turn, by upstream.
    upstream_queued: GaugeVec = "sekisho_upstream_requests_queued" ["upstream"];
    /// 1 if an endpoint gets requests; 0 if it is ill, ejected or drained. By upstream and endpoint.
    upstream_endpoint_usable: GaugeVec = "sekisho_upstream_endpoint_usable" ["upstream", "endpoint"];
    /// Look-ups of the names of endpoints that failed, by upstream.
    upstream_lookup_failures: IntCounterVec = "sekisho_upstream_lookup_failures_total" ["upstream"];
    /// WebSocket tunnels that are open.
    tunnels: IntGauge = "sekisho_tunnels";
    /// notAfter of a host's server certificate, by the kind of its key, in seconds since 1970.
    server_certificate_expiry: GaugeVec = "sekisho_server_certificate_expiry_timestamp_seconds" ["host", "algorithm"];
    /// nextUpdate of the OCSP response of a host's server certificate, in seconds since 1970; 0 if it has no good one.
    ocsp_expiry: GaugeVec = "sekisho_ocsp_response_expiry_timestamp_seconds" ["host", "algorithm"];
    /// When a good OCSP response of a server certificate last came from its responder, in seconds since 1970.
    ocsp_last_success: GaugeVec = "sekisho_ocsp_last_success_timestamp_seconds" ["host", "algorithm"];
    /// Questions to the OCSP responder of a server certificate that got no good response.
    ocsp_failures: IntCounterVec = "sekisho_ocsp_failures_total" ["host", "algorithm"];
    /// When the gateway last agreed with the state on the secrets of session tickets, in seconds since 1970; 0 unless `resumption.keys` is `state`.
    ticket_secrets_refreshed: Gauge = "sekisho_ticket_secrets_refreshed_timestamp_seconds";
    /// Ticket secrets in the state that are ignored: changed, from another secret file, or from a gateway whose clock is ahead.
    ticket_secrets_ignored: IntGauge = "sekisho_ticket_secrets_ignored";
    /// 1 while tickets are sealed with a secret that no other gateway knows although `resumption.keys` is `state`, else 0.
    ticket_secret_alone: IntGauge = "sekisho_ticket_secret_alone";
    /// Generation of the trust that certificates are judged against.
    trust_generation: IntGauge = "sekisho_trust_generation";
    /// nextUpdate of the last good revocation list of a source, in seconds since 1970.
    crl_next_update: GaugeVec = "sekisho_crl_next_update_timestamp_seconds" ["source"];
    /// When a source of revocation lists was last looked at with success, in seconds since 1970.
    crl_last_success: GaugeVec = "sekisho_crl_last_success_timestamp_seconds" ["source"];
    /// Certificates that the last good revocation list of a source names.
    crl_entries: GaugeVec = "sekisho_crl_entries" ["source"];
    /// 1 if a source has given no revocation list that is within its nextUpdate, else 0.
    crl_stale: GaugeVec = "sekisho_crl_stale" ["source"];
    /// Looks at a source of revocation lists that failed, or found a list that was not taken.
    crl_failures: IntCounterVec = "sekisho_crl_failures_total" ["source"];
    /// Lists in force of which no copy could be kept on disk, by source.
    crl_copy_failures: IntCounterVec = "sekisho_crl_copy_failures_total" ["source"];
    /// Attempts to sign in, by method and what became of them.
    sign_ins: IntCounterVec = "sekisho_sign_ins_total" ["method", "outcome"];
    /// When the registry last agreed with the directory, in seconds since 1970.
    registry_refreshed: Gauge = "sekisho_registry_refreshed_timestamp_seconds";
    /// Operations that a store couldn't do, by store: directory, state, audit, verifier or issuer.
    store_failures: IntCounterVec = "sekisho_store_failures_total" ["store"];
    /// 1 since a store failed, until it works again; else 0.
    store_failing: IntGaugeVec = "sekisho_store_failing" ["store"];
    /// Audit records that the syslog server didn't get.
    audit_syslog_lost: IntCounter = "sekisho_audit_syslog_lost_total";
    /// Steps in the life of credentials: issued, renewed (issued to renew another), permitted, reissued, revoked.
    credentials: IntCounterVec = "sekisho_credential_events_total" ["event"];
    /// Notices that are not sent, by state.
    notices: GaugeVec = "sekisho_notices" ["state"];
    /// For how long the oldest notice that isn't sent has waited, in seconds.
    notices_oldest: IntGauge = "sekisho_notices_oldest_seconds";
    /// Notices that were sent, by kind.
    notices_sent: IntCounterVec = "sekisho_notices_sent_total" ["kind"];
    /// Tries to send a notice that failed.
    notice_failures: IntCounter = "sekisho_notice_failures_total";
    /// nextUpdate of the revocation list that the issuer publishes, in seconds since 1970.
    revocation_list_next_update: Gauge = "sekisho_revocation_list_next_update_timestamp_seconds";
    /// Whether the last reload of the configuration succeeded: 1 or 0.
    reload_success: IntGauge = "sekisho_config_last_reload_success";
    /// When the configuration was last reloaded with success, in seconds since 1970; 0 before the first time.
    reloaded: Gauge = "sekisho_config_last_reload_success_timestamp_seconds";
    /// Reloads of the configuration, by outcome: good or refused.
    reloads: IntCounterVec = "sekisho_config_reloads_total" ["outcome"];
    /// 1 while the gate drains, else 0.
    draining: IntGauge = "sekisho_draining";
    /// Buffers of access log lines that were dropped, because the disk was too slow.
    access_log_dropped: IntCounter = "sekisho_access_log_dropped_buffers_total";
    /// Lines of the access log that were lost, because the disk was full or broken.
    access_log_lost: IntCounter = "sekisho_access_log_lost_lines_total";
    /// Spans that the collector has taken.
    spans_exported: IntCounter = "sekisho_spans_exported_total";
    /// Spans that the collector never got or took, by cause: queue, unreachable, refused or rejected.
    spans_dropped: IntCounterVec = "sekisho_spans_dropped_total" ["cause"];
}

/// A time as metrics have it: seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
pub fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64
}

/// What became of attempts to sign in, by method.
const SIGN_INS: [(&str, &[&str]); 3] = [
    (
        "pin",
        &[
            "signed_in",
            "refused",
            "exhausted",
            "suspended",
            "throttled",
            "occupied",
            "overloaded",
            "unavailable",
        ],
    ),
    (
        "certificate",
        &["signed_in", "no_certificate", "unknown_user", "suspended_user", "occupied", "unavailable"],
    ),
    (
        "certificate+pin",
        &[
            "signed_in",
            "pin_needed",
            "no_certificate",
            "unknown_user",
            "suspended_user",
            "refused",
            "suspended",
            "throttled",
            "occupied",
            "overloaded",
            "unavailable",
        ],
    ),
];

impl Metrics {
    /// Of what has closed sets of labels and is rare, the counters are there before they count: Prometheus sees no rise in
    /// one that appears with its first event.
    fn begin_at_zero(&self) {
        let begin = |counter: &IntCounterVec, labels: &[&str]| counter.with_label_values(labels).inc_by(0);
        for cause in ["connections", "requests", "lag"] {
            begin(&self.shed, &[cause]);
        }
        for cause in ["resets", "frames", "protocol"] {
            begin(&self.h2_floods, &[cause]);
        }
        for (method, outcomes) in SIGN_INS {
            outcomes.iter().for_each(|outcome| begin(&self.sign_ins, &[method, outcome]));
        }
        for store in ["directory", "state", "audit", "verifier", "issuer"] {
            begin(&self.store_failures, &[store]);
        }
        for outcome in ["good", "refused"] {
            begin(&self.reloads, &[outcome]);
        }
        for cause in ["queue", "unreachable", "refused", "rejected"] {
            begin(&self.spans_dropped, &[cause]);
        }
    }

    /// Adds the kernel's view of this process: CPU seconds, memory, file descriptors, threads.
    pub fn register_process(&self) -> prometheus::Result<()> {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(collector))
    }

    /// Adds what is counted when somebody looks.
    pub fn register(&self, collector: impl prometheus::core::Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// The text that Prometheus scrapes.
    pub fn scrape(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "The metrics can't be encoded");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_in_the_docs() {
        let docs = include_str!("../../docs/metrics.md");
        for (name, help, labels) in NAMES {
            let row = docs.lines().find(|row| row.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/metrics.md has no `{name}`"));
            assert!(row.ends_with(&format!("| {} |", help.trim())), "{row}");
            assert!(labels.iter().all(|label| row.contains(&format!("`{label}`"))), "{row}");
        }
    }

    #[test]
    fn what_alerts_wait_for_is_there_before_its_first_event() {
        let text = Metrics::new().unwrap().scrape();
        for series in [
            "sekisho_shed_total{cause=\"lag\"} 0",
            "sekisho_h2_floods_total{cause=\"frames\"} 0",
            "sekisho_sign_ins_total{method=\"pin\",outcome=\"suspended\"} 0",
            "sekisho_sign_ins_total{method=\"certificate+pin\",outcome=\"throttled\"} 0",
            "sekisho_store_failures_total{store=\"issuer\"} 0",
            "sekisho_config_reloads_total{outcome=\"refused\"} 0",
            "sekisho_spans_dropped_total{cause=\"queue\"} 0",
        ] {
            assert!(text.lines().any(|line| line == series), "{series}\n{text}");
        }
    }

    #[test]
    fn every_metric_has_a_help_text_and_our_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.build_info.with_label_values(&["0"]).set(1.0);
        let text = metrics.scrape();
        assert!(
            text.contains("# HELP sekisho_build_info Always 1; the labels say what is running."),
            "{text}"
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("sekisho_"), "{line}");
        }
    }
}
