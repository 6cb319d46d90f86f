//! Credentials in the metrics: how many there are in which state, and how long the live ones have to go. Counted when
//! somebody looks, not kept.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::domain::CredentialState;

const DAY: f64 = 86_400.0;
/// Bounds of the histogram, in days.
const DAYS: [f64; 9] = [0.0, 1.0, 3.0, 10.0, 30.0, 60.0, 90.0, 180.0, 366.0];

const STATES: [&str; 2] = ["sekisho_credentials", "Credentials that the directory knows, by state."];
const EXPIRY: [&str; 2] =
    ["sekisho_credential_expiry_seconds", "How long live credentials have to go, in seconds."];

/// What there is to count: how many are in which state, and how many seconds each live one has to go.
pub type CredentialFigures = (Vec<(CredentialState, u64)>, Vec<i64>);

/// Counts credentials at each scrape.
pub struct Credentials<F> {
    count: F,
    descriptions: Vec<Desc>,
}

impl<F: Fn() -> CredentialFigures + Send + Sync> Credentials<F> {
    /// Asks `count` at each scrape.
    pub fn new(count: F) -> prometheus::Result<Self> {
        let of = |[name, help]: [&str; 2], labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(Self { count, descriptions: vec![of(STATES, &["state"])?, of(EXPIRY, &[])?] })
    }
}

impl<F: Fn() -> CredentialFigures + Send + Sync> Collector for Credentials<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (states, to_expiry) = (self.count)();
        vec![family(STATES, MetricType::GAUGE, gauges(&states)), expiry(&to_expiry)]
    }
}

#[expect(clippy::cast_precision_loss, reason = "credentials are far fewer than 2^53")]
fn gauges(states: &[(CredentialState, u64)]) -> Vec<Metric> {
    let gauge = |(state, count): &(CredentialState, u64)| {
        let mut label = LabelPair::default();
        label.set_name("state".to_owned());
        label.set_value(state.code().to_owned());
        let mut gauge = Gauge::default();
        gauge.set_value(*count as f64);
        let mut metric = Metric::from_gauge(gauge);
        metric.set_label(vec![label]);
        metric
    };
    states.iter().map(gauge).collect()
}

#[expect(clippy::cast_precision_loss, reason = "seconds of some years are far fewer than 2^53")]
fn expiry(to_expiry: &[i64]) -> MetricFamily {
    let buckets = DAYS.map(|days| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(days * DAY);
        bucket.set_cumulative_count(
            to_expiry.iter().filter(|seconds| (**seconds as f64) <= days * DAY).count() as u64,
        );
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_sample_count(to_expiry.len() as u64);
    histogram.set_sample_sum(to_expiry.iter().sum::<i64>() as f64);
    histogram.set_bucket(buckets.to_vec());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(EXPIRY, MetricType::HISTOGRAM, vec![metric])
}

fn family([name, help]: [&str; 2], kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_counted_by_state_and_by_what_they_have_to_go() {
        let figures = || {
            let states = vec![(CredentialState::Live, 3), (CredentialState::Revoked, 1)];
            (states, vec![3600, 9 * 86_400, 200 * 86_400])
        };
        let registry = prometheus::Registry::new();
        registry.register(Box::new(Credentials::new(figures).unwrap())).unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "sekisho_credentials{state=\"live\"} 3",
            "sekisho_credentials{state=\"revoked\"} 1",
            "sekisho_credential_expiry_seconds_bucket{le=\"86400\"} 1",
            "sekisho_credential_expiry_seconds_bucket{le=\"864000\"} 2",
            "sekisho_credential_expiry_seconds_bucket{le=\"+Inf\"} 3",
            "sekisho_credential_expiry_seconds_count 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }

    #[test]
    fn they_are_in_the_docs() {
        let docs = include_str!("../../docs/metrics.md");
        for [name, help] in [STATES, EXPIRY] {
            let row = docs.lines().find(|row| row.starts_with(&format!("| `{name}` |")));
            assert!(row.is_some_and(|row| row.ends_with(&format!("| {help} |"))), "{name}");
        }
    }
}
