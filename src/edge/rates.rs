//! Rate limits: how fast one source, one contract, one user may go on. What is counted lives in a [`Table`] of the process's,
//! which all workers share and a reload keeps as long as the limit stays what it is.

mod table;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::IntCounter;

use self::table::Table;
use crate::config::{LimitBy, RateLimit, RateLimits};
use crate::domain::{Identity, Pace, Source};
use crate::ops::Metrics;

/// Whom a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Counted<'a> {
    /// A source.
    Source(Source),
    /// A contract.
    Contract(&'a str),
    /// A user of a contract.
    User(&'a Identity),
}

impl Counted<'_> {
    /// The same, as every gateway writes it.
    fn text(self) -> String {
        match self {
            Self::Source(source) => format!("source {source}"),
            Self::Contract(contract) => format!("contract {contract}"),
            Self::User(Identity { contract, user }) => format!("user {contract} {user}"),
        }
    }
}

/// Who sends a request, as far as limits are concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) source: Source,
    pub(super) identity: Option<&'a Identity>,
}

/// One limit.
pub(super) struct Limit {
    name: Box<str>,
    by: LimitBy,
    table: Arc<Table>,
    refused: IntCounter,
}

/// What a limit said of a request, for whoever is told.
pub(super) struct Quota {
    limit: Arc<Limit>,
    /// How many more may come now.
    remaining: u32,
    /// Microseconds: until one may come again, if this one may not; else until all may come that ever may at once.
    until: i64,
}

/// A limit is reached: how it stands.
pub(super) struct Exceeded(pub(super) Quota);

impl Limit {
    /// Counts one of `sender`'s, at `now` in microseconds. Whoever may not go on isn't counted.
    pub(super) fn take(self: &Arc<Self>, sender: Sender<'_>, now: i64) -> Result<Quota, Exceeded> {
        let counted = match (self.by, sender.identity) {
            (LimitBy::Source, _) | (_, None) => Counted::Source(sender.source),
            (LimitBy::Contract, Some(identity)) => Counted::Contract(identity.contract.as_str()),
            (LimitBy::User, Some(identity)) => Counted::User(identity),
        };
        let pace = self.table.pace();
        let quota = |remaining, until| Quota { limit: self.clone(), remaining, until };
        match self.table.take(counted, now) {
            Ok(due) => Ok(quota(pace.remaining(due, now), due - now)),
            Err(wait) => {
                self.refused.inc();
                Err(Exceeded(quota(0, wait)))
            }
        }
    }
}

impl Quota {
    /// Seconds until it helps to come again.
    pub(super) fn retry_after(&self) -> i64 {
        seconds(self.until).max(1)
    }
}

/// The fields that tell how limits stand: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11). A policy's
/// quota is what may come at once, and its window the time in which all of that is earned again.
pub(super) fn fields(quotas: &[Quota]) -> impl Iterator<Item = (&'static str, String)> {
    let list = |item: fn(&Quota) -> String| quotas.iter().map(item).collect::<Vec<_>>().join(", ");
    let policy = list(|Quota { limit, .. }| {
        let pace = limit.table.pace();
        format!("\"{}\";q={};w={}", limit.name, pace.burst() / pace.interval(), seconds(pace.burst()))
    });
    let state =
        list(|quota| format!("\"{}\";r={};t={}", quota.limit.name, quota.remaining, seconds(quota.until)));
    let fields = [("ratelimit-policy", policy), ("ratelimit", state)];
    fields.into_iter().filter(|(_, value)| !value.is_empty())
}

const fn seconds(micros: i64) -> i64 {
    (micros + 999_999) / 1_000_000
}

/// The limits of a policy.
pub(super) struct Limits {
    pub(super) handshakes: Option<Arc<Limit>>,
    pub(super) per_source: Option<Arc<Limit>>,
    /// The narrower first: who is too fast alone doesn't use up what others share with them.
    pub(super) per_identity: Vec<Arc<Limit>>,
    pub(super) named: HashMap<Box<str>, Arc<Limit>>,
    pub(super) announce: bool,
}

impl Limits {
    /// The limits of `config`, counted on in `tables`.
    pub(super) fn new(config: &RateLimits, tables: &RateTables, metrics: &Metrics) -> Self {
        let mut named: HashMap<Box<str>, Arc<Limit>> = HashMap::new();
        for (name, by, rate) in config.all() {
            let Some(table) = tables.table(name, by, rate, config.entries.get()) else { continue };
            let refused = metrics.rate_limited.with_label_values(&[name]);
            named.insert(name.into(), Arc::new(Limit { name: name.into(), by, table, refused }));
        }
        Self {
            handshakes: named.remove("handshakes"),
            per_source: named.remove("per_source"),
            per_identity: ["per_user", "per_contract"]
                .iter()
                .filter_map(|name| named.remove(*name))
                .collect(),
            named,
            announce: config.announce,
        }
    }
}

/// What a limit is, as far as its counts go: as long as that stays, so do they.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    name: Box<str>,
    by: LimitBy,
    rate: RateLimit,
    entries: u32,
}

/// The tables of every limit in force. Cloning is cheap and shares them.
#[derive(Clone, Default)]
pub struct RateTables(Arc<Mutex<Vec<InForce>>>);

type InForce = (Kind, Weak<Table>);

impl RateTables {
    fn table(&self, name: &str, by: LimitBy, rate: RateLimit, entries: u32) -> Option<Arc<Table>> {
        let kind = Kind { name: name.into(), by, rate, entries };
        let burst = rate.burst.unwrap_or(rate.requests).get();
        let pace = Pace::new(rate.requests.get(), rate.per.get(), burst)?;
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|(_, table)| table.strong_count() > 0);
        let known = tables.iter().find(|(known, _)| *known == kind);
        if let Some(table) = known.and_then(|(_, table)| table.upgrade()) {
            return Some(table);
        }
        let table = Arc::new(Table::new(pace, entries, rate.shared));
        tables.push((kind, Arc::downgrade(&table)));
        Some(table)
    }

    /// What was let through since this was last asked, of the limits that all gateways share.
    pub fn news(&self) -> Vec<News> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tables.iter().filter(|(kind, _)| kind.rate.shared);
        let news = shared.filter_map(|(kind, table)| {
            let table = table.upgrade()?;
            let spent = table.spent();
            (!spent.is_empty()).then(|| News { limit: kind.name.clone(), table, spent })
        });
        news.collect()
    }
}

/// What one gateway let through by a limit that all share.
pub struct News {
    limit: Box<str>,
    table: Arc<Table>,
    spent: Vec<table::Spent>,
}

impl News {
    /// The limit's name.
    pub fn limit(&self) -> &str {
        &self.limit
    }

    /// How fast it lets through.
    pub fn pace(&self) -> Pace {
        self.table.pace()
    }

    /// For whom, and how many.
    pub fn spent(&self) -> impl Iterator<Item = (&str, u32)> {
        self.spent.iter().map(|spent| (spent.text.as_str(), spent.count))
    }

    /// Takes over when the next of each is due, counted over all gateways.
    pub fn learn(&self, dues: &[i64]) {
        for (spent, due) in self.spent.iter().zip(dues) {
            self.table.learn(spent.tag, *due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const NOW: i64 = 1_790_000_000_000_000;

    fn limits(text: &str, tables: &RateTables) -> Limits {
        let text = format!("listeners: [{{ bind: '0.0.0.0:1' }}]\nhosts: {{}}\nrate_limits: {text}");
        let text = text
            .replace("{}", "{ a.example: { tls: { certificate: a, key: a }, client_certificate: none } }");
        let document = config::parse(std::path::Path::new("a.yaml"), &text)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Limits::new(&document.config.rate_limits, tables, &Metrics::new().unwrap())
    }

    fn sender() -> Sender<'static> {
        Sender { source: Source::of([192, 0, 2, 1].into()), identity: None }
    }

    #[test]
    fn a_limit_that_stays_the_same_keeps_its_counts() {
        let tables = RateTables::default();
        let first =
            limits("{ per_source: { requests: 1, per: 1m }, per_user: { requests: 1, per: 1m } }", &tables);
        let take = |limits: &Limits| limits.per_source.as_ref().unwrap().take(sender(), NOW).is_ok();
        assert!(take(&first));
        let same = limits("{ per_source: { requests: 1, per: 1m }, announce: true }", &tables);
        assert!(!take(&same));
        let other = limits("{ per_source: { requests: 2, per: 1m } }", &tables);
        assert!(take(&other));
        drop((first, same));
        let again = limits("{ per_source: { requests: 1, per: 1m } }", &tables);
        assert!(take(&again), "nobody goes by that limit any more: it was forgotten");
    }

    #[test]
    fn the_fields_tell_what_may_come_at_once_and_when_it_is_earned_again() {
        let tables = RateTables::default();
        let limits = limits("{ per_source: { requests: 100, per: 1s, burst: 250 } }", &tables);
        let limit = limits.per_source.unwrap();
        let told = |quota: Quota| {
            fields(&[quota]).map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let first = limit.take(sender(), NOW).ok().unwrap();
        assert_eq!(
            told(first),
            ["ratelimit-policy: \"per_source\";q=250;w=3", "ratelimit: \"per_source\";r=249;t=1"]
        );
        for _ in 0..249 {
            assert!(limit.take(sender(), NOW).is_ok());
        }
        let Err(Exceeded(quota)) = limit.take(sender(), NOW) else { panic!("the burst is used up") };
        assert_eq!(quota.retry_after(), 1);
        assert_eq!(told(quota)[1], "ratelimit: \"per_source\";r=0;t=1");
        assert_eq!(fields(&[]).count(), 0);
    }

    #[test]
    fn who_has_no_identity_is_counted_by_source() {
        let tables = RateTables::default();
        let limits = limits("{ per_user: { requests: 1, per: 1m } }", &tables);
        let limit = &limits.per_identity[0];
        assert!(limit.take(sender(), NOW).is_ok());
        assert!(limit.take(sender(), NOW).is_err());
        let identity = Identity {
            contract: crate::domain::ContractId::new("1").unwrap(),
            user: crate::domain::UserId::new("a").unwrap(),
        };
        assert!(limit.take(Sender { identity: Some(&identity), ..sender() }, NOW).is_ok());
    }
}
