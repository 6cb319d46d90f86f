//! Stores that fail: counted, told in the log and at `/readyz`, and tried again until they work, whether anybody needs them
//! meanwhile or not. The state is asked now and then besides: on a quiet gateway nobody would know that it is away. The directory
//! is asked for changes all the time, and the audit log is a file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::ops::{Metrics, Readiness};
use crate::stores::{AuditEvent, AuditLog, Directory, State, Unavailable};

/// How often a store that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the state is asked whether it is there.
const LOOK: Duration = Duration::from_secs(5);
/// Stores that can be tried by themselves. The others are only counted.
const TRIED: [&str; 3] = ["directory", "state", "audit"];

/// What is known of the stores. Cloning is cheap and shares it.
#[derive(Clone)]
pub(super) struct Health(Arc<Inner>);

struct Inner {
    metrics: Metrics,
    readiness: Readiness,
    clock: Clock,
    failing: Mutex<BTreeMap<&'static str, Failing>>,
    failed: Notify,
}

/// A store that failed and hasn't worked since.
#[derive(Clone, Copy)]
struct Failing {
    since: Timestamp,
    times: u64,
}

impl Health {
    pub(super) fn new(metrics: &Metrics, readiness: &Readiness, clock: &Clock) -> Self {
        let (metrics, readiness, clock) = (metrics.clone(), readiness.clone(), clock.clone());
        let (failing, failed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { metrics, readiness, clock, failing, failed }))
    }

    /// Counts and notes a failure, which whoever met it has logged.
    pub(super) fn failed(&self, error: &Unavailable) {
        let Inner { metrics, readiness, clock, failed, .. } = &*self.0;
        metrics.store_failures.with_label_values(&[error.store]).inc();
        if !TRIED.contains(&error.store) {
            return;
        }
        let mut failing = self.failing();
        let failure = failing.entry(error.store).or_insert(Failing { since: clock.now(), times: 0 });
        failure.times += 1;
        metrics.store_failing.with_label_values(&[error.store]).set(1);
        readiness.note(error.store, Some(error.to_string()));
        failed.notify_one();
    }

    /// Tries stores that have failed, for ever: the audit log, and the others if they are there.
    pub(super) async fn follow(self, stores: Option<(Directory, State)>, audit: Arc<AuditLog>) {
        for store in TRIED.into_iter().filter(|store| stores.is_some() || *store == "audit") {
            self.0.metrics.store_failing.with_label_values(&[store]).set(0);
        }
        loop {
            if timeout(LOOK, self.0.failed.notified()).await.is_err()
                && let Some((_, state)) = &stores
                && let Err(error) = state.ping().await
            {
                let Unavailable { store, problem } = &error;
                tracing::error!(store, problem, "A store is not available, which nobody has needed yet");
                self.failed(&error);
            }
            while !self.failing().is_empty() {
                tokio::time::sleep(RETRY).await;
                let failing = self.failing().clone();
                for (store, failure) in failing {
                    let now = self.0.clock.now();
                    let tried = match (store, &stores) {
                        ("directory", Some((directory, _))) => directory.try_to_write().await,
                        ("state", Some((_, state))) => state.try_to_write(now).await,
                        // Of rate limits or tickets, which are shared again by themselves.
                        ("directory" | "state", None) => Ok(()),
                        _ => resume(&audit, failure, now).await,
                    };
                    match tried {
                        Ok(()) => self.works(store),
                        // It may be another reason by now.
                        Err(error) => self.0.readiness.note(store, Some(error.to_string())),
                    }
                }
            }
        }
    }

    fn works(&self, store: &'static str) {
        let Inner { metrics, readiness, .. } = &*self.0;
        let mut failing = self.failing();
        if let Some(Failing { since, times }) = failing.remove(store) {
            tracing::info!(store, %since, failures = times, "A store that failed works again");
        }
        metrics.store_failing.with_label_values(&[store]).set(0);
        readiness.note(store, None);
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failing>> {
        self.0.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down that the audit log can be written again, and what was refused meanwhile.
async fn resume(audit: &Arc<AuditLog>, failure: Failing, now: Timestamp) -> Result<(), Unavailable> {
    let Failing { since, times } = failure;
    let detail = format!("not written since {since}: {times}");
    let event = AuditEvent {
        time: now,
        kind: "audit_resumed",
        about: None,
        by: "gateway",
        source: None,
        request_id: None,
        detail: Some(&detail),
    };
    let (audit, line) = (audit.clone(), event.line()?);
    let written = tokio::task::spawn_blocking(move || audit.append(&line)).await;
    written.unwrap_or_else(|error| Err(Unavailable::new("audit", error)))
}
