//! Whose turn it is.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};

use super::Upstream;
use super::endpoint::Endpoint;
use crate::config::Balance;

/// How often each endpoint's turn has come, in one worker.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<(Arc<Endpoint>, i64)>);

/// Someone that gets a request, with its share.
type Candidate = (Arc<Endpoint>, u64);

/// Chooses among the usable endpoints that `wanted` holds for. `key` says whose request it is.
pub(super) fn choose(
    upstream: &Upstream,
    turns: &mut Turns,
    key: u64,
    now: Instant,
    wanted: impl Fn(&Endpoint) -> bool,
) -> Option<Arc<Endpoint>> {
    let endpoints = upstream.endpoints.load();
    if let [only] = endpoints.as_slice() {
        return (only.is_usable(now) && wanted(only)).then(|| only.clone());
    }
    let slow_start = upstream.settings.slow_start.map(crate::config::Period::get);
    let candidates: Vec<Candidate> = endpoints
        .iter()
        .filter(|endpoint| endpoint.is_usable(now) && wanted(endpoint))
        .map(|endpoint| (endpoint.clone(), endpoint.share(slow_start, now)))
        .collect();
    match (upstream.settings.balance, candidates.as_slice()) {
        (_, []) => None,
        (_, [(only, _)]) => Some(only.clone()),
        (Balance::RoundRobin, several) => Some(turns.next(several)),
        (Balance::LeastRequests, several) => Some(less_busy(several)),
        (Balance::User, several) => Some(nearest(several, key)),
    }
}

impl Turns {
    /// Smooth weighted round robin: everybody gains its share, whoever has most goes first and pays for all.
    fn next(&mut self, candidates: &[Candidate]) -> Arc<Endpoint> {
        self.0.retain(|(known, _)| candidates.iter().any(|(endpoint, _)| Arc::ptr_eq(endpoint, known)));
        let mut all = 0;
        for (endpoint, share) in candidates {
            let share = i64::try_from(*share).unwrap_or(i64::MAX >> 16);
            all += share;
            match self.0.iter_mut().find(|(known, _)| Arc::ptr_eq(endpoint, known)) {
                Some((_, credit)) => *credit += share,
                None => self.0.push((endpoint.clone(), share)),
            }
        }
        let most = self.0.iter_mut().reduce(|most, next| if next.1 > most.1 { next } else { most });
        most.map_or_else(
            || candidates[0].0.clone(),
            |(endpoint, credit)| {
                *credit -= all;
                endpoint.clone()
            },
        )
    }
}

/// The less busy one of two that are drawn by their share. Two are enough to keep everybody from running to the same one,
/// as they would to the least busy of all.
fn less_busy(candidates: &[Candidate]) -> Arc<Endpoint> {
    let first = draw(candidates, None);
    let second = draw(candidates, Some(first));
    let load = |index: usize| {
        let (endpoint, share) = &candidates[index];
        (endpoint.in_flight() as u64 + 1).saturating_mul(1 << 16) / (*share).max(1)
    };
    let chosen = if load(second) < load(first) { second } else { first };
    candidates[chosen].0.clone()
}

/// The index of one, by lot, in proportion to the shares, but not of this one.
fn draw(candidates: &[Candidate], but: Option<usize>) -> usize {
    let share = |index: usize| if but == Some(index) { 0 } else { candidates[index].1 };
    let all: u64 = (0..candidates.len()).map(share).sum();
    let mut left = fastrand::u64(..all.max(1));
    for index in 0..candidates.len() {
        match left.checked_sub(share(index)) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    0
}

/// Rendezvous hashing: everybody's score for this key depends on nobody else, so only the users of an endpoint that goes
/// move. Weighted by -share / ln(score) (Schindelhauer and Schomaker, 2005).
fn nearest(candidates: &[Candidate], key: u64) -> Arc<Endpoint> {
    let score = |(endpoint, share): &Candidate| {
        #[expect(clippy::cast_precision_loss, reason = "a score is as good with 53 bits")]
        let (hash, share) = ((mix(endpoint.hash() ^ key) >> 11) as f64 + 0.5, *share as f64);
        -share / (hash / (1u64 << 53) as f64).ln()
    };
    let best = candidates.iter().max_by(|one, other| score(one).total_cmp(&score(other)));
    best.map_or_else(|| candidates[0].0.clone(), |(endpoint, _)| endpoint.clone())
}

/// Of whatever tells apart; the same in every gateway, of every version.
pub(in crate::edge) fn hash(bytes: &[u8]) -> u64 {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Spreads every bit over all (the finaliser of SplitMix64).
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
