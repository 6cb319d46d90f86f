//! The keeper of the server certificates in use: it says until when they are good, and renews what is stapled to them. It
//! asks the responders that the configuration names (never those that certificates name, T8), well before a response
//! runs out, and staples what `pki` believes. Whatever goes wrong, the certificates serve: with the last good response
//! as long as that is in force, then without one. `responder.rs` knows what was heard from whom.

mod responder;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::responder::Responder;
use super::certificates::HostKeys;
use super::fetch::{FetchSettings, Fetcher};
use super::lock;
use crate::clock::Clock;
use crate::config::{HostName, SignedSource};
use crate::ops::{Metrics, seconds};
use crate::pki::{LARGEST_RESPONSE, ServerKey};

/// How often it is looked whether a responder is to be asked, or a response has run out.
const LOOK: Duration = Duration::from_secs(1);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a start or a reload waits for the first responses. Without one, a certificate serves all the same.
const FIRST: Duration = Duration::from_secs(2);

/// The server certificates of one configuration.
pub(super) struct Stapler {
    certificates: Vec<Certificate>,
    responders: Vec<Arc<Responder>>,
    /// `None` if nobody is to be asked.
    fetcher: Option<Fetcher>,
    clock: Clock,
    metrics: Metrics,
    /// Whether another configuration's certificates are the ones in use. Held while something is counted.
    is_over: Mutex<bool>,
}

/// One certificate of one host.
struct Certificate {
    host: HostName,
    key: ServerKey,
    /// Whether something is to be stapled.
    staples: bool,
    responder: Option<Arc<Responder>>,
}

impl Certificate {
    fn labels(&self) -> [&str; 2] {
        [self.host.as_str(), self.key.algorithm]
    }
}

impl Stapler {
    /// Takes these certificates into its care. A responder that was asked about the same certificate `before` is not new,
    /// and what it said is stapled on.
    pub(super) fn new(
        hosts: &mut [HostKeys],
        before: Option<&Self>,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let (mut certificates, mut responders) = (Vec::new(), Vec::<Arc<Responder>>::new());
        for (name, host, keys) in hosts {
            for (key, tls) in keys.iter_mut().zip(host.tls.as_slice()) {
                let responder = match tls.ocsp.as_ref().and_then(SignedSource::url) {
                    Some(url) => {
                        let mut known =
                            before.iter().flat_map(|before| &before.responders).chain(&responders);
                        let responder = match known.find(|it| it.is_for(url, key)) {
                            Some(known) => Arc::clone(known),
                            None => Responder::new(url, key).map_err(|error| format!("{name}: {error}"))?,
                        };
                        // The same chain, and with it the same key.
                        key.stapled = responder.key.stapled.clone();
                        if !responders.iter().any(|other| Arc::ptr_eq(other, &responder)) {
                            responders.push(Arc::clone(&responder));
                        }
                        Some(responder)
                    }
                    None => None,
                };
                let staples = tls.ocsp.is_some();
                certificates.push(Certificate { host: name.clone(), key: key.clone(), staples, responder });
            }
        }
        let fetcher = if responders.is_empty() {
            None
        } else {
            Some(Fetcher::new(&FetchSettings {
                timeout: TIMEOUT,
                largest: LARGEST_RESPONSE as u64,
                authorities: None,
            })?)
        };
        let (clock, metrics) = (clock.clone(), metrics.clone());
        Ok(Self { certificates, responders, fetcher, clock, metrics, is_over: Mutex::new(false) })
    }

    /// Asks the responders that were never asked, for a moment, so that few clients get a certificate without a response.
    /// Counts and logs nothing: those that give none are asked again once the certificates are in use.
    pub(super) async fn first(&self) {
        let Some(fetcher) = &self.fetcher else { return };
        let ask = async |responder: &Arc<Responder>| {
            if let Ok(response) = responder.answer(fetcher).await {
                let _ = responder.take(response, self.clock.now());
            }
        };
        let new = self.responders.iter().filter(|responder| responder.is_new());
        let _ = timeout(FIRST, join_all(new.map(ask))).await;
    }

    /// From now on these certificates are the ones in use.
    pub(super) fn begin(&self) {
        let metrics = &self.metrics;
        for certificate in &self.certificates {
            let labels = certificate.labels();
            let not_after = seconds(certificate.key.not_after);
            metrics.server_certificate_expiry.with_label_values(&labels).set(not_after);
            if certificate.responder.is_some() {
                metrics.ocsp_failures.with_label_values(&labels).inc_by(0);
            }
        }
        self.look();
    }

    /// From now on they no longer are.
    pub(super) fn end(&self) {
        let mut is_over = lock(&self.is_over);
        *is_over = true;
        for certificate in &self.certificates {
            let Metrics { server_certificate_expiry, ocsp_expiry, ocsp_last_success, .. } = &self.metrics;
            for gauge in [server_certificate_expiry, ocsp_expiry, ocsp_last_success] {
                // That it was never set is no error.
                let _ = gauge.remove_label_values(&certificate.labels());
            }
        }
    }

    /// Renews what is stapled, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        let asking = self.responders.iter().map(async |responder| {
            let mut tick = ticks();
            loop {
                tick.tick().await;
                self.ask_if_due(responder).await;
            }
        });
        let looking = async {
            let mut tick = ticks();
            loop {
                tick.tick().await;
                self.look();
            }
        };
        tokio::join!(join_all(asking), looking);
    }

    async fn ask_if_due(&self, responder: &Arc<Responder>) {
        let Some(fetcher) = self.fetcher.as_ref().filter(|_| responder.is_due(self.clock.now())) else {
            return;
        };
        let answer = responder.answer(fetcher).await;
        let now = self.clock.now();
        let was_failing = responder.is_failing();
        let taken = answer.and_then(|response| responder.take(response, now));
        self.note(responder, taken, was_failing, now);
        self.look();
    }

    /// Counts and logs what came of asking: a failure once, until it is over or another.
    fn note(&self, responder: &Arc<Responder>, taken: Result<(), String>, was_failing: bool, now: Timestamp) {
        let url = &responder.url;
        let of = |it: &&Certificate| it.responder.as_ref().is_some_and(|it| Arc::ptr_eq(it, responder));
        let mut certificates = self.certificates.iter().filter(of).peekable();
        let host = certificates.peek().map_or("", |certificate| certificate.host.as_str());
        match taken {
            Ok(()) if was_failing => {
                tracing::info!(%host, responder = %url, "An OCSP responder gives good responses again");
            }
            Ok(()) => {}
            Err(problem) => {
                if responder.failed(&problem, now) {
                    tracing::error!(
                        %host, responder = %url, problem,
                        "An OCSP responder gave no good response; the last one is stapled as long as it is in force"
                    );
                }
                certificates.for_each(|it| self.metrics.ocsp_failures.with_label_values(&it.labels()).inc());
            }
        }
    }

    /// Takes off what has run out, and says until when the rest is good.
    fn look(&self) {
        let is_over = lock(&self.is_over);
        if *is_over {
            return;
        }
        let now = self.clock.now();
        for certificate in self.certificates.iter().filter(|certificate| certificate.staples) {
            let (labels, key) = (certificate.labels(), &certificate.key);
            if let Some(until) = key.stapled_until().filter(|until| *until <= now) {
                key.unstaple();
                tracing::error!(
                    host = %certificate.host, next_update = %until,
                    "An OCSP response has run out; the certificate is served without one"
                );
            }
            let until = key.stapled_until().map_or(0.0, seconds);
            self.metrics.ocsp_expiry.with_label_values(&labels).set(until);
            let success = certificate.responder.as_ref().and_then(|responder| responder.last_success());
            if let Some(success) = success {
                self.metrics.ocsp_last_success.with_label_values(&labels).set(seconds(success));
            }
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
