//! The keeper of the trust: the only one that swaps it. It looks at every source of revocation lists again and again,
//! and puts a list in force once it is verified and no step back; else the last good one goes on. `sources.rs` knows what was
//! heard from whom.
//!
//! Nothing fails open: whoever's list is missing or stale is refused as `revocation_unknown`.

mod sources;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::timeout;

use self::sources::{From, Source, Sources};
use super::fetch::{Fetched, Validators, jittered};
use super::lock;
use crate::clock::Clock;
use crate::config;
use crate::edge::Worker;
use crate::ops::{Metrics, Readiness, seconds};
use crate::pki::{Crl, Trust, revocation_list_in};

pub(super) use sources::load;

/// How often it is looked whether a list has gone stale.
const LOOK: Duration = Duration::from_secs(1);
/// How long a reload waits for lists of new sources, however many there are.
const FIRST: Duration = Duration::from_secs(10);
/// The longest that a source which failed is left alone.
const RETRY: Duration = Duration::from_secs(60);

/// Keeps the trust. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct TrustKeeper(Arc<Inner>);

struct Inner {
    trust: Arc<ArcSwap<Trust>>,
    clock: Clock,
    metrics: Metrics,
    workers: Mutex<Vec<Weak<Worker>>>,
    readiness: OnceLock<Readiness>,
    /// Held while the trust is swapped, so that of two changes at once none is lost.
    sources: Mutex<Arc<Sources>>,
    reconfigured: Notify,
}

/// A trust that was loaded whole, and is not in force yet.
#[derive(Debug)]
pub struct PreparedTrust {
    trust: Trust,
    sources: Sources,
}

impl PreparedTrust {
    /// What will be in force.
    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }
}

impl std::fmt::Debug for TrustKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrustKeeper").field("trust", &self.0.trust).finish_non_exhaustive()
    }
}

impl TrustKeeper {
    /// Takes over a trust that was loaded from these settings. Lists that were fetched before are read from the cache.
    pub fn new(
        settings: &config::Trust,
        trust: Trust,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let sources = Arc::new(Sources::new(settings)?);
        let keeper = Self(Arc::new(Inner {
            trust: Arc::new(ArcSwap::from_pointee(trust)),
            clock: clock.clone(),
            metrics: metrics.clone(),
            workers: Mutex::default(),
            readiness: OnceLock::new(),
            sources: Mutex::new(Arc::clone(&sources)),
            reconfigured: Notify::new(),
        }));
        keeper.count_generation(&keeper.0.trust.load());
        keeper.remember(&sources);
        Ok(keeper)
    }

    /// The trust of now, for judges.
    pub fn trust(&self) -> &Arc<ArcSwap<Trust>> {
        &self.0.trust
    }

    /// Whom to wake when the trust changes, from now on.
    pub fn wakes(&self, workers: &[Arc<Worker>]) {
        *lock(&self.0.workers) = workers.iter().map(Arc::downgrade).collect();
    }

    /// Where `/readyz` is told of copies that can't be kept, from now on.
    pub fn reports_to(&self, readiness: &Readiness) {
        let _ = self.0.readiness.set(readiness.clone());
    }

    /// Loads what shall take the place of the trust, whole or not at all. What is wrong comes with its place in the file.
    pub fn prepare(
        &self,
        settings: &config::Trust,
        now: Timestamp,
    ) -> Result<PreparedTrust, Vec<(String, String)>> {
        let current = self.0.trust.load();
        let trust = sources::with_source(settings, |source| current.successor(source, now))?;
        let sources =
            Sources::new(settings).map_err(|message| vec![("/trust/crl/authorities".to_owned(), message)])?;
        Ok(PreparedTrust { trust, sources })
    }

    /// Puts a prepared trust in force, with the lists that its sources have given meanwhile.
    pub fn commit(&self, prepared: PreparedTrust) {
        let now = self.0.clock.now();
        let PreparedTrust { trust: mut next, sources } = prepared;
        let sources = Arc::new(sources);
        {
            let mut current = lock(&self.0.sources);
            let in_use = self.0.trust.load();
            // Files were read just now: what is in them takes the place of what was, even under the same number.
            for list in in_use.crls().into_iter().flatten().filter(|list| sources.fetch(list.origin())) {
                // One that is behind, or of a CA that is believed no more, stays behind.
                if let Ok(Some(with)) = next.with_list(list, now) {
                    next = with;
                }
            }
            current.list.iter().filter(|old| !sources.have(&old.origin)).for_each(|old| self.forget(old));
            *current = Arc::clone(&sources);
            self.swap(next);
        }
        self.remember(&sources);
        self.0.reconfigured.notify_one();
    }

    /// Puts this trust in force.
    pub(super) fn publish(&self, trust: Trust) {
        let _one_at_a_time = lock(&self.0.sources);
        self.swap(trust);
    }

    /// Asks the sources of which there is no list yet, not even an old one, once: so that a gate which was never here
    /// before doesn't begin with refusing everybody.
    pub async fn first(&self) {
        let sources = self.sources();
        join_all(sources.list.iter().filter(|it| it.list().is_none()).map(|it| self.refresh(it))).await;
    }

    /// The same for what is prepared and not in force yet: nobody is refused because a list that is named from now on has
    /// not been fetched.
    pub async fn ask_first(&self, prepared: PreparedTrust) -> PreparedTrust {
        let PreparedTrust { mut trust, sources } = prepared;
        let known = self.sources();
        let new = sources.list.iter().filter(|source| !known.have(&source.origin));
        let asked = new.filter_map(|source| match &source.from {
            From::Url(url) => {
                Some((source, timeout(FIRST, url.fetcher.get(&url.url, Validators::default()))))
            }
            From::File(_) => None,
        });
        let asked = asked.map(async |(source, answer)| (source, answer.await));
        for (source, answer) in join_all(asked).await {
            let Ok(Ok(Fetched::Body(content, _))) = answer else { continue };
            let now = self.0.clock.now();
            // What is wrong with it is told when it is asked for again, in force.
            let list = revocation_list_in(Path::new(&*source.origin), content)
                .ok()
                .and_then(|der| trust.read_list(&der, &source.origin, now).ok());
            if let Some(Ok(Some(with))) = list.map(|list| trust.with_list(&list, now)) {
                trust = with;
            }
        }
        PreparedTrust { trust, sources }
    }

    /// Looks at every source again and again, for ever.
    pub async fn follow(self) {
        loop {
            let sources = self.sources();
            if sources.are_files() {
                self.tell_unlisted();
            }
            let all = async {
                join_all(sources.list.iter().map(|source| self.follow_one(source, sources.refresh))).await;
                // There may be none: then there is nothing to do until the next configuration.
                std::future::pending::<()>().await;
            };
            let look = async {
                let mut tick = tokio::time::interval(LOOK);
                loop {
                    tick.tick().await;
                    self.look();
                }
            };
            tokio::select! {
                () = self.0.reconfigured.notified() => {}
                () = all => {}
                () = look => {}
            }
        }
    }

    async fn follow_one(&self, source: &Arc<Source>, refresh: Duration) {
        // A file was read just now; a URL is asked at once what there is beyond the copy.
        let mut wait = if source.is_to_be_asked() { Duration::ZERO } else { jittered(refresh) };
        loop {
            tokio::time::sleep(wait).await;
            let is_good = self.refresh(source).await;
            wait = jittered(if is_good { refresh } else { refresh.min(RETRY) });
        }
    }

    /// Looks at a source again. Whether that was well.
    async fn refresh(&self, source: &Arc<Source>) -> bool {
        let heard = match &source.from {
            From::File(path) => {
                let path = path.clone();
                let reading = move || std::fs::read(&path).map_err(|error| error.to_string());
                apart(reading).await.map(|content| Fetched::Body(content, Validators::default()))
            }
            From::Url(url) => url.fetcher.get(&url.url, source.validators()).await,
        };
        let (keeper, taken) = (self.clone(), Arc::clone(source));
        // Verifying a list of a million entries takes long enough to be done where it delays nobody.
        let take = move || {
            let result = heard.and_then(|heard| keeper.take(&taken, heard));
            keeper.note(&taken, &result);
            Ok(result.is_ok())
        };
        apart(take).await.unwrap_or(false)
    }

    /// Looks at a file again, if it is among the sources: it was written just now.
    pub(super) fn reread(&self, file: &Path) -> Result<(), String> {
        for source in self.sources().list.iter().filter(|source| source.is_file(file)) {
            let content = std::fs::read(file).map_err(|error| error.to_string());
            let result =
                content.and_then(|content| self.take(source, Fetched::Body(content, Validators::default())));
            self.note(source, &result);
            result?;
        }
        Ok(())
    }

    /// Verifies what a source gave, puts it in force, and keeps a copy.
    fn take(&self, source: &Source, heard: Fetched) -> Result<(), String> {
        let Fetched::Body(content, validators) = heard else { return Ok(()) };
        let (list, der) = self.enforce(source, content)?;
        source.heard(list, validators);
        // In force it is in any case: a full disk must not hold a revocation up.
        self.note_copy(source, source.keep_copy(&der));
        Ok(())
    }

    /// Verifies a list, and puts it in force if it is a step forward. Gives its DER back.
    fn enforce(&self, source: &Source, content: Vec<u8>) -> Result<(Arc<Crl>, Vec<u8>), String> {
        let now = self.0.clock.now();
        let der = revocation_list_in(Path::new(&*source.origin), content).map_err(|error| error.problem)?;
        let phrase = |problem| format!("the revocation list {problem}");
        let list = self.0.trust.load().read_list(&der, &source.origin, now).map_err(phrase)?;
        let _one_at_a_time = lock(&self.0.sources);
        let with = self.0.trust.load().with_list(&list, now).map_err(phrase)?;
        with.into_iter().for_each(|trust| self.swap(trust));
        Ok((list, der))
    }

    /// Takes up what the trust holds of the sources, and what the cache does.
    fn remember(&self, sources: &Sources) {
        let trust = self.0.trust.load_full();
        for source in &sources.list {
            let known = trust.crls().into_iter().flatten().find(|list| *list.origin() == source.origin);
            if let Some(known) = known {
                source.heard(Arc::clone(known), Validators::default());
            } else if let Some(copy) = source.copy() {
                // The copy is believed no more than the network is: its signature is verified again.
                match copy.and_then(|content| self.enforce(source, content)) {
                    Ok((list, _)) => {
                        source.heard(list, Validators::default());
                        source.is_copied();
                    }
                    Err(problem) => {
                        tracing::warn!(source = %source.origin, problem, "The copy of a revocation list is of no use");
                    }
                }
            }
            let is_file = matches!(source.from, From::File(_));
            if is_file && source.list().is_some() {
                self.note(source, &Ok(()));
            }
        }
        self.look();
    }

    fn sources(&self) -> Arc<Sources> {
        Arc::clone(&lock(&self.0.sources))
    }

    /// Puts a trust in force. The caller holds the lock of `sources`.
    fn swap(&self, trust: Trust) {
        self.count_generation(&trust);
        self.0.trust.store(Arc::new(trust));
        lock(&self.0.workers).iter().filter_map(Weak::upgrade).for_each(|worker| worker.wake_all());
    }

    fn count_generation(&self, trust: &Trust) {
        self.0.metrics.trust_generation.set(trust.generation().try_into().unwrap_or(i64::MAX));
    }

    /// Counts and logs what came of looking at a source: a failure once, until it is over.
    fn note(&self, source: &Source, result: &Result<(), String>) {
        let (metrics, labels) = (&self.0.metrics, [&*source.origin]);
        match result {
            Ok(()) => {
                metrics.crl_last_success.with_label_values(&labels).set(seconds(self.0.clock.now()));
                if source.was_failing(false) {
                    tracing::info!(source = %source.origin, "A source of revocation lists works again");
                }
            }
            Err(problem) => {
                metrics.crl_failures.with_label_values(&labels).inc();
                if !source.was_failing(true) {
                    tracing::error!(source = %source.origin, problem, "No revocation list could be taken from a source; the last good one goes on");
                }
            }
        }
        self.look_at(source, self.0.trust.load().grace());
    }

    /// Counts, notes and logs that no copy could be kept, or that one was.
    fn note_copy(&self, source: &Source, kept: Result<(), String>) {
        let (about, origin) = (copy_of(source), &source.origin);
        let note = |note| self.0.readiness.get().map_or((), |readiness| readiness.note(&about, note));
        match kept {
            Ok(()) => {
                note(None);
                if source.was_without_copy(false) {
                    tracing::info!(source = %origin, "A copy of the revocation list was kept");
                }
            }
            Err(problem) => {
                self.0.metrics.crl_copy_failures.with_label_values(&[&**origin]).inc();
                note(Some(format!("no copy of the revocation list of {origin} can be kept: {problem}")));
                if !source.was_without_copy(true) {
                    tracing::error!(source = %origin, problem, "A revocation list is in force, but no copy of it can be kept");
                }
            }
        }
    }

    /// Says which authorities have no list. Where all lists are files, none will come by itself; a URL says that it gives none.
    fn tell_unlisted(&self) {
        for authority in self.0.trust.load().unlisted() {
            let authority = authority.subject();
            tracing::error!(
                authority,
                "There is no revocation list of an authority: everybody whom it vouches for is refused"
            );
        }
    }

    /// Sees which lists have gone stale.
    fn look(&self) {
        let grace = self.0.trust.load().grace();
        self.sources().list.iter().for_each(|source| self.look_at(source, grace));
    }

    fn look_at(&self, source: &Source, grace: Duration) {
        let (now, labels) = (self.0.clock.now(), [&*source.origin]);
        let (metrics, list) = (&self.0.metrics, source.list());
        if let Some(list) = &list {
            metrics.crl_next_update.with_label_values(&labels).set(seconds(list.next_update()));
            #[expect(clippy::cast_precision_loss, reason = "entries are far below 2^53")]
            metrics.crl_entries.with_label_values(&labels).set(list.entries() as f64);
        }
        let is_stale = list.as_ref().is_none_or(|list| !list.in_force(now));
        metrics.crl_stale.with_label_values(&labels).set(if is_stale { 1.0 } else { 0.0 });
        if source.was_stale(is_stale) || !is_stale {
            return;
        }
        let source = &source.origin;
        match list {
            None => {
                tracing::error!(%source, "There is no revocation list of a source: clients of its CA are refused")
            }
            Some(list) if list.speaks(grace, now) => {
                tracing::error!(%source, issuer = list.issuer(), next_update = %list.next_update(), "A revocation list is past its nextUpdate, and goes on for the configured grace");
            }
            Some(list) => {
                tracing::error!(%source, issuer = list.issuer(), next_update = %list.next_update(), "A revocation list is past its nextUpdate: clients of its CA are refused");
            }
        }
    }

    /// Nobody is believed any more: nothing is said of its sources.
    pub(super) fn retire(&self) {
        self.sources().list.iter().for_each(|source| self.forget(source));
    }

    fn forget(&self, source: &Source) {
        if let Some(readiness) = self.0.readiness.get() {
            readiness.note(&copy_of(source), None);
        }
        let (metrics, labels) = (&self.0.metrics, [&*source.origin]);
        for gauge in
            [&metrics.crl_next_update, &metrics.crl_last_success, &metrics.crl_entries, &metrics.crl_stale]
        {
            // That it was never set is no error.
            let _ = gauge.remove_label_values(&labels);
        }
    }
}

/// What a note about the copy of a source's list is filed under.
fn copy_of(source: &Source) -> String {
    format!("copy of {}", source.origin)
}

async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("the work was broken off".to_owned()))
}
