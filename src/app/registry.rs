//! Keeps the registry at the directory's heels, and wakes the data path when somebody's standing may have changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::edge::Worker;
use crate::ops::{Metrics, seconds};
use crate::stores::{Directory, Registry};

/// How often the directory is asked what changed. With the look-ups that the data path keeps, a suspension holds
/// everywhere within a second.
const ASK: Duration = Duration::from_millis(300);
/// How often attempts that are forgotten are dropped.
const PRUNE: Duration = Duration::from_secs(600);

/// Follows the directory for ever.
pub(super) async fn follow(
    directory: Directory,
    registry: Arc<Registry>,
    workers: Vec<Arc<Worker>>,
    clock: Clock,
    metrics: Metrics,
    max_age: Duration,
) {
    // On a task of its own: a tick must not break a connection off that is being made.
    let (heard, mut news) = (Arc::new(Notify::new()), directory.news());
    let telling = heard.clone();
    tokio::spawn(async move {
        loop {
            news.next().await;
            telling.notify_one();
        }
    });
    let mut failing = false;
    let mut tick = tokio::time::interval(ASK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Told of a change, it asks at once; asking every now and then is for what it wasn't told.
        tokio::select! {
            _ = tick.tick() => {}
            () = heard.notified() => {}
        }
        let before = registry.version();
        match directory.refresh(&registry, clock.now()).await {
            Ok(()) => {
                if failing {
                    tracing::info!("The directory answers again");
                }
                failing = false;
                metrics.registry_refreshed.set(seconds(clock.now()));
            }
            Err(unavailable) if !failing => {
                failing = true;
                tracing::error!(%unavailable, "Changes of the directory can't be followed: the registry stays as it is");
            }
            Err(_) => {}
        }
        registry.age(clock.now(), max_age);
        if registry.version() != before {
            workers.iter().for_each(|worker| worker.wake_all());
        }
    }
}

/// Drops forgotten attempts for ever. Apart from following, which must not wait for whoever writes, and may not fail
/// because the disk is full.
pub(super) async fn prune(directory: Directory, clock: Clock) {
    let mut tick = tokio::time::interval(PRUNE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(unavailable) = directory.prune(clock.now()).await {
            tracing::warn!(%unavailable, "Forgotten attempts stay in the directory for now");
        }
    }
}
