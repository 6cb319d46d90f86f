//! Rate limits that all gateways share: several times a second each tells the others, through the state in Redis, what it let
//! through, and hears what all of them did. Nobody in the data path waits for that.

use std::collections::HashSet;
use std::time::Duration;

use crate::clock::Clock;
use crate::edge::{News, RateTables};
use crate::ops::Metrics;
use crate::stores::State;

/// How often. In between, each gateway decides by what it knew last.
const EVERY: Duration = Duration::from_millis(100);
/// For how many is told in one question: a script must not hold up others for long.
const AT_ONCE: usize = 256;

/// Shares until the process ends. While the state can't be asked, each gateway counts for itself.
pub(super) async fn share(tables: RateTables, state: State, clock: Clock, metrics: Metrics) {
    let mut failing = HashSet::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for news in tables.news() {
            let told = tell(&news, &state, &clock).await;
            if told.is_err() {
                metrics.rate_share_failures.inc();
            }
            // Once when it begins, not ten times a second. In a cluster one limit's part may be away, and another's not.
            let limit = news.limit();
            match &told {
                Err(unavailable) if failing.insert(limit.to_owned()) => {
                    tracing::error!(%unavailable, limit, "A rate limit can't be shared: each gateway counts for itself");
                }
                Ok(()) if failing.remove(limit) => tracing::info!(limit, "A rate limit is shared again"),
                _ => {}
            }
        }
    }
}

async fn tell(news: &News, state: &State, clock: &Clock) -> Result<(), crate::stores::Unavailable> {
    let spent: Vec<_> = news.spent().collect();
    let mut dues = Vec::new();
    for some in spent.chunks(AT_ONCE) {
        // The embedded state shares nothing: the configuration's checks refuse that before it comes to this.
        let Some(more) = state.spend(news.limit(), news.pace(), some, clock.now()).await? else {
            return Ok(());
        };
        dues.extend(more);
    }
    news.learn(&dues);
    Ok(())
}
