//! The upstreams of the configuration in force: where their names lead, how their endpoints are, and what metrics say of it.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fetch::jittered;
use crate::clock;
use crate::config::{self, Document, EndpointAddress, Place, Problem, Protocol};
use crate::edge::{Address, Upstream, UpstreamTls};
use crate::ops::Metrics;
use crate::pki;

/// A name is asked for again after its TTL, but neither sooner nor later than this.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// How long a start or a reload waits for names, however many there are.
const FIRST: Duration = Duration::from_secs(5);
/// After a look-up that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// How often an upstream is looked at of which no endpoint is well: each look longer is an outage longer.
const OUT: Duration = Duration::from_secs(1);
/// How often what metrics say of endpoints is brought up to date.
const COUNT: Duration = Duration::from_secs(1);

/// Who knows where names lead: to IPv4, and where there is none of that, to IPv6.
#[derive(Clone)]
pub(super) struct Names([TokioResolver; 2]);

impl Names {
    pub(super) fn new(settings: &config::Dns) -> Result<Self, String> {
        Self::by(settings, TokioResolver::builder_tokio)
    }

    fn by(
        settings: &config::Dns,
        system: impl Fn() -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError>,
    ) -> Result<Self, String> {
        let by_servers = |servers: &[SocketAddr]| {
            let servers = servers.iter().map(|server| name_server(*server)).collect();
            let servers = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        };
        let builder = || {
            if settings.servers.is_empty() {
                // As resolv.conf(5) has it where there is no such file, as in small containers, or no server in it. Many have
                // no names to look up either, and must start.
                system().unwrap_or_else(|error| {
                tracing::info!(%error, "/etc/resolv.conf names no DNS server: this machine's own is asked");
                by_servers(&[(Ipv4Addr::LOCALHOST, 53).into()])
            })
            } else {
                by_servers(&settings.servers.iter().map(|server| server.address()).collect::<Vec<_>>())
            }
        };
        let resolver = |strategy| {
            let mut builder = builder();
            let options = builder.options_mut();
            options.timeout = settings.timeout.get();
            options.attempts = 2;
            options.ip_strategy = strategy;
            // Whoever asks does so by the TTL.
            options.cache_size = 0;
            builder.build().map_err(|error| error.to_string())
        };
        Ok(Self([resolver(LookupIpStrategy::Ipv4Only)?, resolver(LookupIpStrategy::Ipv6Only)?]))
    }

    /// Where an endpoint is, and for how long that is true; `None` for ever.
    async fn find(&self, address: &EndpointAddress) -> Result<(Vec<Address>, Option<Duration>), String> {
        let (name, port) = match address.place() {
            Place::Address(address) => return Ok((vec![Address::Ip(address)], None)),
            Place::Unix(path) => return Ok((vec![Address::Unix(path.to_owned())], None)),
            Place::Name(name, port) => (name, port),
        };
        let [by_ipv4, by_ipv6] = &self.0;
        let found = match by_ipv4.lookup_ip(name).await {
            // Only an answer says that there is none: without one, the traffic would move to other machines.
            Err(error) if error.is_no_records_found() => by_ipv6.lookup_ip(name).await,
            found => found,
        };
        let found = found.map_err(|error| error.to_string())?;
        let addresses: Vec<_> = found.iter().map(|ip| Address::Ip((ip, port).into())).collect();
        if addresses.is_empty() {
            return Err("it has no address".to_owned());
        }
        let left = found.valid_until().saturating_duration_since(clock::instant());
        Ok((addresses, Some(left.clamp(SHORTEST, LONGEST))))
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// The upstreams of a configuration. One that is in force as it is now wanted is kept; what is known of the endpoints of
/// one that changes is kept too. Names of the others are looked up, and what leads nowhere comes with its place in the file.
pub(super) async fn prepare(
    document: &Document,
    mut tls: HashMap<String, UpstreamTls>,
    names: &Names,
    in_force: &[Arc<Upstream>],
    metrics: &Metrics,
) -> (Vec<Arc<Upstream>>, Vec<Problem>) {
    let (mut upstreams, mut places, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (name, settings) in &document.config.upstreams {
        let name = name.as_str();
        let before = in_force.iter().find(|upstream| upstream.name() == name);
        let tls = tls.remove(name);
        let is_same = |before: &&Arc<Upstream>| {
            before.settings() == settings && before.tls() == tls.as_ref().map(|tls| &*tls.made_from)
        };
        if let Some(same) = before.filter(is_same) {
            upstreams.push(same.clone());
            continue;
        }
        let upstream = Arc::new(Upstream::new(name, settings, tls, metrics));
        places.extend((0..settings.endpoints.len()).map(|index| (upstream.clone(), before, index)));
        upstreams.push(upstream);
    }
    // All at once: where no server answers, a gateway with many names would not start in time.
    let looked_up = places.iter().map(|(upstream, _, index)| {
        timeout(FIRST, names.find(&upstream.settings().endpoints[*index].address))
    });
    let looked_up = join_all(looked_up).await;
    for ((upstream, before, index), found) in places.into_iter().zip(looked_up) {
        let found = found.unwrap_or_else(|_| Err(format!("no answer within {} s", FIRST.as_secs())));
        match found {
            Ok((addresses, _)) => {
                let joins = before.map(|_| clock::instant());
                upstream.place(index, &addresses, before.map(|before| &**before), joins);
            }
            Err(error) => {
                let pointer = format!("/upstreams/{}/endpoints/{index}", upstream.name());
                let address = upstream.settings().endpoints[index].address.as_str();
                let told = format!("`{address}` can't be resolved: {error}");
                problems.push(document.source.problem(&pointer, told));
            }
        }
    }
    (upstreams, problems)
}

/// TLS towards the upstreams that have it, and what is wrong with the files of the others.
pub(super) fn tls(document: &Document) -> (HashMap<String, UpstreamTls>, Vec<Problem>) {
    let (mut all, mut problems) = (HashMap::new(), Vec::new());
    for (name, upstream) in &document.config.upstreams {
        match upstream.tls.as_ref().map(|tls| tls_from(tls, upstream.protocol)).transpose() {
            Ok(tls) => all.extend(tls.map(|tls| (name.as_str().to_owned(), tls))),
            Err(error) => problems.push(document.source.problem(&format!("/upstreams/{name}/tls"), error)),
        }
    }
    (all, problems)
}

fn tls_from(settings: &config::UpstreamTls, protocol: Protocol) -> Result<UpstreamTls, String> {
    if settings.authorities.is_none() && !pki::knows_authorities() {
        return Err("this machine knows no certificate authorities: name some in `authorities`".to_owned());
    }
    let own = settings.certificate.as_deref().zip(settings.key.as_deref());
    let mut config = pki::client_config(settings.authorities.as_deref(), own)?;
    if protocol == Protocol::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    let mut digest = Sha256::new();
    for file in [&settings.authorities, &settings.certificate, &settings.key].into_iter().flatten() {
        digest.update(std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(UpstreamTls { config: Arc::new(config), made_from: digest.finalize().to_vec().into() })
}

/// Looks at endpoints and looks names up, until `wanted` changes.
pub(super) async fn follow(
    upstreams: Vec<Arc<Upstream>>,
    names: Names,
    metrics: Metrics,
    mut wanted: watch::Receiver<()>,
) {
    let mut tasks = JoinSet::new();
    for upstream in &upstreams {
        tasks.spawn(look(upstream.clone()));
        for (index, endpoint) in upstream.settings().endpoints.iter().enumerate() {
            if matches!(endpoint.address.place(), Place::Name(..)) {
                tasks.spawn(look_up(upstream.clone(), index, names.clone(), metrics.clone()));
            }
        }
    }
    tasks.spawn(count(upstreams, metrics));
    // The sender goes when its configuration does; with the tasks' set go the tasks.
    let _ = wanted.changed().await;
}

async fn look(upstream: Arc<Upstream>) {
    loop {
        upstream.look().await;
        let Some(health) = &upstream.settings().health else { return };
        let every = health.every.get();
        let every = if upstream.is_out() { every.min(OUT) } else { every };
        // Give or take a tenth, so that gateways that were started together don't ask together for ever.
        tokio::time::sleep(jittered(every)).await;
    }
}

async fn look_up(upstream: Arc<Upstream>, index: usize, names: Names, metrics: Metrics) {
    let address = &upstream.settings().endpoints[index].address;
    let mut is_failing = false;
    loop {
        let after = match names.find(address).await {
            Ok((addresses, left)) => {
                is_failing = false;
                upstream.place(index, &addresses, None, Some(clock::instant()));
                left.unwrap_or(LONGEST)
            }
            Err(error) => {
                metrics.upstream_lookup_failures.with_label_values(&[upstream.name()]).inc();
                if !is_failing {
                    let upstream = upstream.name();
                    tracing::warn!(%upstream, endpoint = %address, error, "A name can't be resolved: its last addresses stay");
                }
                is_failing = true;
                AGAIN
            }
        };
        tokio::time::sleep(after).await;
    }
}

async fn count(upstreams: Vec<Arc<Upstream>>, metrics: Metrics) {
    // What another configuration had.
    metrics.upstream_endpoint_usable.reset();
    metrics.upstream_in_flight.reset();
    metrics.upstream_queued.reset();
    let mut tracked: HashSet<[String; 2]> = HashSet::new();
    let mut tick = tokio::time::interval(COUNT);
    loop {
        tick.tick().await;
        let now = clock::instant();
        let mut told = HashSet::new();
        for upstream in &upstreams {
            #[expect(clippy::cast_precision_loss, reason = "requests are far fewer than 2^53")]
            metrics.upstream_queued.with_label_values(&[upstream.name()]).set(upstream.queued() as f64);
            for endpoint in upstream.endpoints().iter() {
                let labels = &[upstream.name(), endpoint.label()];
                let is_usable = f64::from(u8::from(endpoint.condition(now).is_usable()));
                metrics.upstream_endpoint_usable.with_label_values(labels).set(is_usable);
                #[expect(clippy::cast_precision_loss, reason = "requests are far fewer than 2^53")]
                metrics.upstream_in_flight.with_label_values(labels).set(endpoint.in_flight() as f64);
                told.insert(labels.map(str::to_owned));
            }
        }
        // Never all of them first: who scrapes in between would see nothing.
        for [upstream, endpoint] in tracked.difference(&told) {
            let labels = &[upstream.as_str(), endpoint.as_str()];
            let _ = metrics.upstream_endpoint_usable.remove_label_values(labels);
            let _ = metrics.upstream_in_flight.remove_label_values(labels);
        }
        tracked = told;
    }
}

/// The upstreams and how their endpoints are, as JSON.
pub(super) fn describe(upstreams: &[Arc<Upstream>]) -> String {
    let now = clock::instant();
    let upstreams: Vec<_> = upstreams
        .iter()
        .map(|upstream| {
            let endpoints: Vec<_> = upstream
                .endpoints()
                .iter()
                .map(|endpoint| {
                    json!({
                        "endpoint": endpoint.label(),
                        "configured": endpoint.name(),
                        "condition": endpoint.condition(now).code(),
                        "in_flight": endpoint.in_flight(),
                    })
                })
                .collect();
            json!({ "upstream": upstream.name(), "queued": upstream.queued(), "endpoints": endpoints })
        })
        .collect();
    serde_json::to_string_pretty(&upstreams).unwrap_or_default() + "\n"
}

/// Keeps new requests from an endpoint, or lets them in again; `false` if there is no such endpoint.
pub(super) fn drain(upstreams: &[Arc<Upstream>], upstream: &str, endpoint: &str, is_drained: bool) -> bool {
    let found = upstreams.iter().filter(|found| found.name() == upstream);
    let endpoints: Vec<_> = found.flat_map(|upstream| upstream.endpoints().to_vec()).collect();
    let mut is_found = false;
    for found in endpoints.iter().filter(|found| found.label() == endpoint) {
        found.drain(is_drained, clock::instant());
        is_found = true;
        tracing::info!(upstream, endpoint, is_drained, "An operator drained an endpoint, or let it in again");
    }
    is_found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_without_dns_servers_still_knows_addresses() {
        let none = || Err(NetError::from("no such file"));
        let names = Names::by(&config::Dns::default(), none).unwrap();
        let address = EndpointAddress::try_from("192.0.2.1:80".to_owned()).unwrap();
        let there = vec![Address::Ip("192.0.2.1:80".parse().unwrap())];
        assert_eq!(names.find(&address).await, Ok((there, None)));
    }
}
