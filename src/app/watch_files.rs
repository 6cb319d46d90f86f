//! Looks whether the files of the configuration have changed, and has it read anew once they have settled.
//!
//! By asking, not by inotify: it sees through symbolic links (Kubernetes swaps a folder by one), renames, mounts and network
//! file systems alike, and a few dozen stat(2) calls cost next to nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::running::Running;
use crate::edge::Policy;

/// How often it looks. A change is taken up when it is found the same twice: half a second later at most, so that a
/// revocation list holds within a second.
const LOOK: Duration = Duration::from_millis(250);

/// What tells one state of a file from another: where it is (device, inode), its size, when it was written and changed.
/// None: it can't be looked at.
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// What was found when the configuration was last read, and what was found last.
pub(super) struct Watch {
    known: Vec<Stamp>,
    last: Vec<Stamp>,
}

impl Watch {
    /// A change is what isn't as it is now.
    pub(super) fn new(running: &Running) -> Self {
        let known = stamps(running);
        Self { last: known.clone(), known }
    }

    /// Looks until the gateway is gone.
    pub(super) async fn follow(self, running: Weak<Running>) {
        let mut watch = self;
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let Some(running) = running.upgrade() else { return };
            // Blocking: a file may be on a network.
            match tokio::task::spawn_blocking(move || watch.look(&running)).await {
                Ok(next) => watch = next,
                Err(error) => return tracing::error!(%error, "The files are no longer looked at"),
            }
        }
    }

    fn look(mut self, running: &Running) -> Self {
        let now = stamps(running);
        if now != self.known && now == self.last && running.reloads_on_change() {
            // Changes from here on are for the next time. What went wrong was told; it is tried again when a file changes.
            let _ = running.reload();
            // Another configuration names other files.
            return Self::new(running);
        }
        self.last = now;
        self
    }
}

/// Looks for the files that close routes, as long as the policy is wanted.
pub(super) async fn closures(policy: Arc<Policy>, mut wanted: watch::Receiver<()>) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = wanted.changed() => return,
        }
        let policy = policy.clone();
        // Blocking: a file may be on a network.
        let _ = tokio::task::spawn_blocking(move || policy.look_at_closures()).await;
    }
}

fn stamps(running: &Running) -> Vec<Stamp> {
    running.inputs().iter().flat_map(|path| stamp_of(path)).collect()
}

/// A file's stamp, or a folder's and those of the files in it.
fn stamp_of(path: &Path) -> Vec<Stamp> {
    let mut all = vec![stamp(path)];
    if let Ok(entries) = fs::read_dir(path) {
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        all.extend(files.iter().map(|file| stamp(file)));
    }
    all
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    let written = (found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.size(), written, (found.ctime(), found.ctime_nsec())))
}
