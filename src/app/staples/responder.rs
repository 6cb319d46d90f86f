//! The responder of one certificate: when it is to be asked, and what is believed of what it says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::app::fetch::{Fetcher, jittered};
use crate::app::lock;
use crate::pki::{self, NoStaple, ServerKey};

/// After the first failure, and the shortest time between two questions.
const SHORTEST: Duration = Duration::from_secs(10);
/// The longest that a responder which failed is left alone.
const RETRY: Duration = Duration::from_secs(10 * 60);
/// The longest that one which gave a good response is: some responses are good for a year.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// Knows what was heard, whatever the configuration becomes.
pub(super) struct Responder {
    pub(super) url: String,
    /// Whose staple is renewed; every host with the same chain and responder shares it.
    pub(super) key: ServerKey,
    question: Vec<u8>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// When it was last heard, with whatever success, and how long it is left alone from then on.
    left_alone: Option<(Timestamp, Duration)>,
    /// In a row.
    failures: u32,
    /// The last one, unless it is over.
    problem: Option<String>,
    last_success: Option<Timestamp>,
    /// thisUpdate of the latest response that was believed, whatever it said.
    latest: Option<Timestamp>,
}

impl Responder {
    pub(super) fn new(url: &str, key: &ServerKey) -> Result<Arc<Self>, &'static str> {
        let question = pki::ocsp_request(&key.certified.cert)?;
        Ok(Arc::new(Self { url: url.to_owned(), key: key.clone(), question, heard: Mutex::default() }))
    }

    /// Whether it is this responder for this certificate.
    pub(super) fn is_for(&self, url: &str, key: &ServerKey) -> bool {
        self.url == url && self.key.certified.cert == key.certified.cert
    }

    /// Whether it has never been asked.
    pub(super) fn is_new(&self) -> bool {
        lock(&self.heard).left_alone.is_none()
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        // Before or after: a clock that was put back must not keep it waiting until then.
        let is_over = |(since, wait): (Timestamp, Duration)| now.duration_since(since).unsigned_abs() >= wait;
        lock(&self.heard).left_alone.is_none_or(is_over)
    }

    pub(super) fn last_success(&self) -> Option<Timestamp> {
        lock(&self.heard).last_success
    }

    /// Has it answer.
    pub(super) async fn answer(&self, fetcher: &Fetcher) -> Result<Vec<u8>, String> {
        fetcher.post(&self.url, "application/ocsp-request", &self.question).await
    }

    /// Staples a response that is good and not older than the last one.
    pub(super) fn take(&self, response: Vec<u8>, now: Timestamp) -> Result<(), String> {
        let mut heard = lock(&self.heard);
        let is_outdated = |from: Timestamp| heard.latest.is_some_and(|latest| from < latest);
        match pki::staple(response, &self.key.certified.cert, now) {
            // On plain http, somebody may play a "good" from before a revocation again.
            Ok(staple) if is_outdated(staple.from) => {
                Err(format!("it is older than the last one: its thisUpdate is {}", staple.from))
            }
            Ok(staple) => {
                let half = staple.until.duration_since(now).unsigned_abs() / 2;
                *heard = Heard {
                    left_alone: Some((now, jittered(half.clamp(SHORTEST, LONGEST)))),
                    failures: 0,
                    problem: None,
                    last_success: Some(now),
                    latest: Some(staple.from),
                };
                self.key.staple(staple);
                Ok(())
            }
            Err(problem) => {
                if let NoStaple::Revoked { from, .. } = problem
                    && !is_outdated(from)
                {
                    // To go on saying "good" would be a lie.
                    heard.latest = Some(from);
                    self.key.unstaple();
                }
                Err(problem.to_string())
            }
        }
    }

    /// Leaves it alone for a while after a failure, longer each time. Whether the problem is another than before.
    pub(super) fn failed(&self, problem: &str, now: Timestamp) -> bool {
        let mut heard = lock(&self.heard);
        let wait = SHORTEST.saturating_mul(2_u32.saturating_pow(heard.failures)).min(RETRY);
        heard.left_alone = Some((now, jittered(wait)));
        heard.failures = heard.failures.saturating_add(1);
        heard.problem.replace(problem.to_owned()).is_none_or(|before| before != problem)
    }

    pub(super) fn is_failing(&self) -> bool {
        lock(&self.heard).problem.is_some()
    }
}
