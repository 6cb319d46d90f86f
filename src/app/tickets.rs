//! Where the secrets of session tickets come from: the process, files, or the state, which is followed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::certificates::{self, TicketSecretSource};
use crate::clock::Clock;
use crate::config::Config;
use crate::edge::{TicketAdoption, TicketKeys, TicketSecret};
use crate::flows::{TicketSecretSettings, TicketSecrets};
use crate::ops::Metrics;
use crate::stores::{State, Unavailable};

/// How often the state is asked for secrets. Far more often than they need to be known before they seal.
const ASK: Duration = Duration::from_secs(1);

/// The source of a configuration's ticket secrets.
pub(super) struct Tickets {
    given: Vec<TicketSecret>,
    /// `None` unless gateways share them through the state.
    shared: Option<Arc<TicketSecrets>>,
}

impl Tickets {
    /// The source that a plan names. With one that is in the state, what `before` knew is known; the state is opened.
    pub(super) fn new(
        source: TicketSecretSource,
        config: &Config,
        state: Option<&State>,
        before: Option<&Arc<TicketSecrets>>,
    ) -> Self {
        let times = certificates::ticket_times(config);
        match (source, state) {
            (TicketSecretSource::Files(given), _) => Self { given, shared: None },
            (TicketSecretSource::State(key), Some(state)) => {
                let (state, lifetime) = (state.clone(), i64::from(times.lifetime));
                let settings = TicketSecretSettings { state, key, rotate: times.rotate, lifetime };
                let shared = TicketSecrets::new(settings, before.map(|before| &**before));
                Self { given: Vec::new(), shared: Some(Arc::new(shared)) }
            }
            _ => Self { given: Vec::new(), shared: None },
        }
    }

    /// What is shared, for a successor to know.
    pub(super) const fn shared(&self) -> Option<&Arc<TicketSecrets>> {
        self.shared.as_ref()
    }

    /// Has tickets sealed and opened by this source from now on. Whoever follows it needs what is answered.
    pub(super) fn adopt(
        &self,
        config: &Config,
        keys: &TicketKeys,
        clock: &Clock,
    ) -> Result<TicketAdoption, String> {
        let known = self.shared.as_ref().map(|shared| known(shared, clock));
        keys.adopt(known.as_ref().unwrap_or(&self.given), certificates::ticket_times(config))
    }
}

/// Looks at the state for the first time, before anybody is served by it. Bounded by `state.timeout`. That nobody answers
/// is said by whoever follows.
pub(super) async fn first(shared: &TicketSecrets, clock: &Clock) {
    let _ = shared.refresh(clock.now()).await;
}

/// What seals and opens, and the IDs of it.
fn known(shared: &TicketSecrets, clock: &Clock) -> Vec<TicketSecret> {
    let known = shared.known(clock.now());
    known
        .iter()
        .map(|secret| TicketSecret::shared(&secret.bytes, secret.seals_from, secret.seals_until))
        .collect()
}

/// Follows the state, until that is no longer wanted.
pub(super) async fn follow(
    shared: Arc<TicketSecrets>,
    (keys, adoption): (TicketKeys, TicketAdoption),
    clock: Clock,
    metrics: Metrics,
    mut wanted: watch::Receiver<()>,
) {
    let mut told = Told::default();
    let mut ids = Vec::new();
    let mut tick = tokio::time::interval(ASK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = wanted.changed() => return,
        }
        let now = clock.now();
        let refreshed = shared.refresh(now).await;
        // Meanwhile another configuration may have taken its place: the metrics are that one's.
        if wanted.has_changed().is_err() {
            return;
        }
        match refreshed {
            Ok(found) => {
                told.answers();
                told.ignores(found.ignored, &metrics);
            }
            Err(unavailable) => told.is_silent(&unavailable),
        }
        let now_known: Vec<String> = shared.known(clock.now()).into_iter().map(|secret| secret.id).collect();
        if ids != now_known {
            keys.share(adoption, &known(&shared, &clock));
            ids = now_known;
        }
        told.seals_alone(keys.seal_alone(), &metrics);
        if !told.silent {
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
            metrics.ticket_secrets_refreshed.set(now.as_second() as f64);
        }
    }
}

/// What the metrics say where nothing is shared.
pub(super) fn nothing_to_follow(metrics: &Metrics) {
    metrics.ticket_secrets_refreshed.set(0.0);
    metrics.ticket_secrets_ignored.set(0);
    metrics.ticket_secret_alone.set(0);
}

/// What the log has been told, so that it is told once.
#[derive(Default)]
struct Told {
    silent: bool,
    alone: bool,
    ignored: Vec<String>,
}

impl Told {
    fn is_silent(&mut self, unavailable: &Unavailable) {
        if !std::mem::replace(&mut self.silent, true) {
            tracing::error!(%unavailable, "Ticket secrets can't be shared: those that are known go on");
        }
    }

    fn answers(&mut self) {
        if std::mem::take(&mut self.silent) {
            tracing::info!("Ticket secrets are shared again");
        }
    }

    fn ignores(&mut self, ignored: Vec<String>, metrics: &Metrics) {
        metrics.ticket_secrets_ignored.set(i64::try_from(ignored.len()).unwrap_or(i64::MAX));
        if ignored.iter().any(|id| !self.ignored.contains(id)) {
            let count = ignored.len();
            tracing::warn!(
                count,
                "Ticket secrets in the state are ignored: they were changed, or come from another secret_file or from a \
                 gateway whose clock is ahead"
            );
        }
        self.ignored = ignored;
    }

    fn seals_alone(&mut self, alone: bool, metrics: &Metrics) {
        metrics.ticket_secret_alone.set(i64::from(alone));
        if alone && !self.alone {
            tracing::warn!("Tickets are sealed with a secret that no other gateway knows");
        }
        self.alone = alone;
    }
}
