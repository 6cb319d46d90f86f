//! What a worker goes by: the policy in force, with this worker's own connections to the upstreams and all else that
//! changes together with it. A request keeps the rules that it began under.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use super::backstage::{Backstage, Session};
use super::policy::Policy;
use super::sessions::{Known, Question, Sessions};
use super::upstream::{Pool, Upstream};
use crate::domain::AuthMethod;
use crate::pki::{Judge, Judgement, Trust};
use crate::stores::{Registered, Registry};

/// What all workers are told to go by.
#[derive(Clone)]
pub struct Orders {
    /// What to do.
    pub policy: Arc<Policy>,
    /// Whom to believe; `None` if no host asks for a certificate.
    pub trust: Option<Arc<ArcSwap<Trust>>>,
    /// Who is registered; `None` without a directory.
    pub registry: Option<Arc<Registry>>,
    /// Who does what the data path can't.
    pub backstage: Arc<dyn Backstage>,
}

/// What one worker goes by.
pub(super) struct Rules {
    pub(super) policy: Arc<Policy>,
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) backstage: Arc<dyn Backstage>,
    /// By the policy's index.
    pub(super) pools: Vec<Arc<Pool>>,
    pub(super) sessions: Sessions,
    judge: Option<Judge>,
}

impl Rules {
    /// The rules that follow from `orders`. An upstream that is what it was under the rules `before` keeps its connections.
    pub(super) fn new(orders: &Orders, before: Option<&Self>) -> Self {
        let policy = orders.policy.clone();
        let kept = |wanted: &_| {
            let mut known = before.into_iter().flat_map(|before| &before.pools);
            known.find(|pool| pool.is_for(wanted, &policy.timeouts, &policy.limits)).cloned()
        };
        let pool = |wanted| {
            let new = |wanted: &Arc<Upstream>| {
                Arc::new(Pool::new(wanted.clone(), &policy.timeouts, &policy.limits))
            };
            kept(wanted).unwrap_or_else(|| new(wanted))
        };
        Self {
            pools: policy.upstreams.iter().map(pool).collect(),
            judge: orders.trust.clone().map(Judge::new),
            registry: orders.registry.clone(),
            backstage: orders.backstage.clone(),
            sessions: Sessions::default(),
            policy,
        }
    }

    /// Another number whenever the registry may say something else of somebody.
    pub(super) fn registry_version(&self) -> i64 {
        self.registry.as_ref().map_or(0, |registry| registry.version())
    }

    /// Looks a session up.
    pub(super) async fn ask(&self, question: Question) -> Known {
        let found = self.backstage.session(question.token.clone(), question.visitor.clone(), true).await;
        let known = Known::new(found, &self.policy);
        self.sessions.keep(&question, known.clone());
        known
    }

    /// Whether the session's user has been suspended since it was looked up.
    pub(super) fn is_suspended(&self, session: &Session) -> bool {
        let by_pin = session.method == AuthMethod::Pin;
        let find =
            |registry: &Arc<Registry>| registry.find(&session.identity, by_pin) == Registered::Suspended;
        self.registry.as_ref().is_some_and(find)
    }

    /// What the judge says of a chain, and the generation of the trust that it judged by.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> (u64, Arc<Judgement>) {
        match &self.judge {
            // The generation first: should the trust change in between, the next request judges again.
            Some(judge) => (judge.generation(), judge.judge(chain, now)),
            None => (0, Arc::new(Judgement::ABSENT)),
        }
    }

    /// The generation of the trust of now.
    pub(super) fn generation(&self) -> u64 {
        self.judge.as_ref().map_or(0, Judge::generation)
    }
}
