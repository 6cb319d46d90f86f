//! Looks whether the files of the configuration have changed, and has it read anew once they have settled.
//!
//! By asking, not by inotify: it sees through symbolic links (Kubernetes swaps a folder by one), renames, mounts and network
//! file systems alike, and a few dozen stat(2) calls cost next to nothing.
//!
//! What a file is compared with was always looked at before the file was read. The other way round, a change in between
//! would never be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::running::Running;
use crate::edge::Policy;

/// How often it looks. A change is taken up when it is found the same twice: half a second later at most, so that a
/// revocation list holds within a second.
const LOOK: Duration = Duration::from_millis(250);
/// After so many looks, what was refused for something that may pass is tried again: every 5 seconds.
const RETRY: u32 = 20;

/// What tells one state of a file from another: where it is (device, inode), its size, when it was written and changed.
/// None: it can't be looked at.
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// Files and folders as they were at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<PathBuf, Vec<Stamp>>);

impl Seen {
    /// As they are now.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamped = |path: PathBuf| {
            let stamps = stamps(&path);
            (path, stamps)
        };
        Self(paths.into_iter().map(stamped).collect())
    }

    /// The same files as they are now.
    pub(super) fn now(&self) -> Self {
        Self::of(self.0.keys().cloned())
    }

    /// Takes up what others were, in the place of what was known of them.
    pub(super) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Looks at those that aren't known.
    pub(super) fn add_new(&mut self, paths: Vec<PathBuf>) {
        self.add(Self::of(paths.into_iter().filter(|path| !self.0.contains_key(path)).collect::<Vec<_>>()));
    }

    /// Those that are not as they were.
    fn differing<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a PathBuf> {
        self.0.iter().filter(|(path, stamps)| before.0.get(*path) != Some(*stamps)).map(|(path, _)| path)
    }

    /// Forgets all but these.
    pub(super) fn keep<'a>(&mut self, paths: impl Iterator<Item = &'a PathBuf>) {
        let kept: BTreeSet<_> = paths.collect();
        self.0.retain(|path, _| kept.contains(path));
    }
}

/// The file with the configuration, as it was when this was made: before it is read.
#[derive(Debug)]
pub struct ConfigFile {
    pub(super) path: PathBuf,
    pub(super) seen: Seen,
}

impl ConfigFile {
    /// Looks at the file.
    pub fn at(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { seen: Seen::of([path.clone()]), path }
    }
}

/// What was found last, and for how many looks it was left alone.
#[derive(Default)]
pub(super) struct Watch {
    last: Option<Seen>,
    waited: u32,
}

impl Watch {
    /// Looks until the gateway is gone.
    pub(super) async fn follow(running: Weak<Running>) {
        let mut watch = Self::default();
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
        self.waited += 1;
        if !running.reloads_on_change() {
            return self;
        }
        let read = running.seen();
        let now = read.now();
        if now != read && self.last.as_ref() == Some(&now) {
            // Whatever becomes of the reload: who is revoked is, with a mistake in the YAML or names that nobody resolves, too.
            if let Some(keeper) = running.keeper() {
                let _ = now.differing(&read).try_for_each(|path| keeper.reread(path));
            }
            // What went wrong was told.
            let _ = running.reload();
        } else if self.waited >= RETRY && running.may_retry() {
            running.retry();
        } else {
            self.last = Some(now);
            return self;
        }
        // Another configuration names other files.
        Self::default()
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

/// A file's stamp, or a folder's and those of the files in it.
fn stamps(path: &Path) -> Vec<Stamp> {
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
