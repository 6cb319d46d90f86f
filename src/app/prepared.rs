//! A configuration that is ready to take the place of the one in force, or to be the first: every file read, every part made,
//! nothing changed yet.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::back::{Basis, Kept};
use super::plan::{self, Plan};
use super::staples::Stapler;
use super::tickets::{self, Tickets};
use super::traces::Exporter;
use super::trust::{PreparedTrust, TrustKeeper};
use super::upstreams::Names;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::PinRules;
use crate::edge::{Orders, TicketAdoption, Upstream};
use crate::flows::{Pins, TicketSecrets};
use crate::ops::Metrics;
use crate::pki::{Issuer, Trust};

/// A configuration whose files are all read, and what the data path is to do by it.
pub(super) struct Prepared {
    pub(super) orders: Orders,
    /// `None` if no host asks for a certificate.
    pub(super) keeper: Option<TrustKeeper>,
    /// What the keeper is to put in force.
    pub(super) next: Option<PreparedTrust>,
    pub(super) stapler: Arc<Stapler>,
    pub(super) tickets: Tickets,
    /// `None` before they are adopted.
    pub(super) adoption: Option<TicketAdoption>,
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) names: Names,
    pub(super) key_set: Option<Arc<String>>,
    /// Who tells the collector of requests; `None` before it is there, or after it was put to work.
    pub(super) exporter: Option<Exporter>,
}

/// What of a configuration in force goes on in the next one.
pub(super) struct Before {
    pub(super) keeper: Option<TrustKeeper>,
    pub(super) stapler: Arc<Stapler>,
    /// Ticket secrets, if they are shared.
    pub(super) shared: Option<Arc<TicketSecrets>>,
}

/// What a trust becomes: the first one, or what takes the place of another.
pub(super) enum Next {
    First(Trust),
    Successor(PreparedTrust),
}

impl Prepared {
    /// Makes the orders of a plan. Of what was in force `before`, who keeps the trust, what is stapled and which ticket secrets
    /// are shared go on.
    pub(super) fn new(
        config: &Config,
        plan: Plan<Next>,
        (upstreams, names): (Vec<Arc<Upstream>>, Names),
        (pins, rules): (Option<Pins>, Option<PinRules>),
        kept: &Kept,
        before: Option<&Before>,
        around: (&Clock, &Metrics, &Handle),
    ) -> Result<Self, String> {
        let Plan { mut hosts, tickets, trust: next, issuer, signing, bodies, collector, .. } = plan;
        let (assertions, key_set) = signing.map(|it| (it.assertions, Arc::new(it.key_set))).unzip();
        let (clock, metrics, runtime) = around;
        let (keeper, next) = match (next, &config.trust) {
            (Some(Next::First(first)), Some(settings)) => {
                (Some(TrustKeeper::new(settings, first, clock, metrics)?), None)
            }
            (Some(Next::Successor(next)), _) => (before.and_then(|before| before.keeper.clone()), Some(next)),
            _ => (None, None),
        };
        let stapler = Stapler::new(&mut hosts, before.map(|before| &*before.stapler), clock, metrics)?;
        let trust = keeper.as_ref().map(TrustKeeper::trust);
        let shared = before.and_then(|before| before.shared.as_ref());
        let tickets = Tickets::new(tickets, config, kept.state(), shared);
        let (keys, around) = ((&kept.tickets, &kept.rates), (clock, metrics));
        let read = (hosts, bodies);
        let traced = config.traces.as_ref().zip(collector);
        let (traces, exporter) =
            traced.map(|(settings, collector)| Exporter::new(settings, collector, metrics)).unzip();
        let signing = (assertions, traces);
        // Clients are asked for certificates of the authorities to come: the keeper has those of before until this is in force.
        let current = trust.map(|trust| trust.load_full());
        let to_come = next.as_ref().map(PreparedTrust::trust).or(current.as_deref());
        let trusted = trust.zip(to_come);
        let policy = plan::policy(config, read, upstreams.clone(), trusted, keys, signing, around)?;
        // Before the first request goes by it: a gate that was closed comes back closed.
        policy.look_at_closures();
        let basis = Basis { config, trust, issuer: issuer.as_ref(), clock, metrics };
        let house = kept.house(&basis, pins, rules, runtime.clone())?;
        let (trust, registry) = (trust.cloned(), kept.registry.clone());
        Ok(Self {
            orders: Orders { policy, trust, registry, backstage: Arc::new(house) },
            keeper,
            next,
            stapler: Arc::new(stapler),
            issuer,
            tickets,
            adoption: None,
            upstreams,
            names,
            key_set,
            exporter,
        })
    }

    /// Asks those that were never asked: sources of revocation lists before anybody is judged by them, and OCSP responders.
    pub(super) async fn ask_first(&mut self, clock: &Clock) {
        let (keeper, next) = (self.keeper.clone(), self.next.take());
        let lists = async {
            match (keeper, next) {
                (Some(keeper), Some(next)) => Some(keeper.ask_first(next).await),
                (Some(keeper), None) => {
                    keeper.first().await;
                    None
                }
                (None, _) => None,
            }
        };
        let shared = async {
            if let Some(shared) = self.tickets.shared() {
                tickets::first(shared, clock).await;
            }
        };
        (self.next, (), ()) = tokio::join!(lists, self.stapler.first(), shared);
    }

    /// Has tickets sealed and opened as this configuration says, from now on.
    pub(super) fn adopt_tickets(
        &mut self,
        config: &Config,
        kept: &Kept,
        clock: &Clock,
    ) -> Result<(), String> {
        self.adoption = Some(self.tickets.adopt(config, &kept.tickets, clock)?);
        Ok(())
    }
}
