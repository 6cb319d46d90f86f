//! One client connection after its handshake: which host it is for, and what the judge says of its certificate.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;

use super::client_cert::ClientCert;
use super::fields::Field;
use super::policy::Host;
use super::proxy_protocol::introduction;
use super::record::Record;
use super::rules::Rules;
use super::told::Person;
use super::trail::{Trail, is_trusted};
use super::worker::Worker;
use crate::config::ClientCertificate;
use crate::domain::{AuthMethod, Identity, Reason, Refusal, Role, Standing, Visitor};
use crate::ops::escape_into;
use crate::pki::Judgement;
use crate::stores::{Registered, RegisteredCredential};

/// A connection whose handshake is through.
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    peer: SocketAddr,
    /// The address of ours that it came to.
    local: SocketAddr,
    tls: TlsFacts,
    chain: Vec<CertificateDer<'static>>,
    /// The chain again, for those beside the data path; made when first asked for.
    der: OnceLock<Arc<[Vec<u8>]>>,
    began_good: bool,
    /// Whether it is one of the last that could be opened, which are for the portal.
    pub(super) is_reserve: bool,
    verdict: Mutex<Arc<Verdict>>,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// The client's, as far as a PROXY header names it.
    pub(super) peer: SocketAddr,
    /// Ours.
    pub(super) local: SocketAddr,
}

/// What is logged of the TLS session.
struct TlsFacts {
    version: &'static str,
    suite: &'static str,
    resumed: bool,
}

/// A judgement, with what follows from it for every request until the next one.
pub(super) struct Verdict {
    /// The rules that it was made under.
    pub(super) rules: Arc<Rules>,
    /// The host, as those rules have it.
    pub(super) host: Arc<Host>,
    /// Whether those rules don't have the host any more: then it is as it was last.
    pub(super) is_misdirected: bool,
    pub(super) judgement: Arc<Judgement>,
    generation: u64,
    /// The version of the registry that it takes into account.
    registry: i64,
    /// The role of the certificate's user, if the directory knows them.
    pub(super) role: Option<Role>,
    /// What backends are told of the certificate's user; `None` without an identity.
    pub(super) person: Option<Person>,
    /// What they are told of the certificate; made when first asked for.
    client_cert: OnceLock<ClientCert>,
    /// Header lines with the client's address, up to where the authority of the request follows.
    pub(super) forwarded: Box<[u8]>,
    /// The connection's members of a log line.
    pub(super) log: Box<[u8]>,
    /// How many bytes of it name the client: the first.
    log_client: usize,
}

impl Verdict {
    /// The standing.
    pub(super) fn standing(&self) -> &Standing {
        &self.judgement.standing
    }
}

impl Connection {
    /// Judges the client's chain. Full and resumed handshakes come by here alike (T1, T2): a resumed session brings
    /// the chain of the session that it resumes, and nothing of what was thought of it then.
    pub(super) fn new(
        worker: Arc<Worker>,
        rules: Arc<Rules>,
        host: Arc<Host>,
        ends: Ends,
        session: &ServerConnection,
        is_reserve: bool,
    ) -> Arc<Self> {
        let chain = session.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Self::judged(worker, rules, host, ends, (TlsFacts::of(session), chain), is_reserve)
    }

    /// A connection in no TLS, whose client has shown nothing.
    #[cfg(any(test, fuzzing))]
    pub(super) fn bare(worker: Arc<Worker>, host: Arc<Host>) -> Arc<Self> {
        let (rules, end) = (worker.rules(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let tls = TlsFacts { version: "none", suite: "none", resumed: false };
        Self::judged(worker, rules, host, Ends { peer: end, local: end }, (tls, Vec::new()), false)
    }

    fn judged(
        worker: Arc<Worker>,
        rules: Arc<Rules>,
        host: Arc<Host>,
        Ends { peer, local }: Ends,
        (tls, chain): (TlsFacts, Vec<CertificateDer<'static>>),
        is_reserve: bool,
    ) -> Arc<Self> {
        let now = worker.clock.now();
        let verdict = judge(&worker, Footing { rules, host, is_misdirected: false }, peer, &tls, &chain, now);
        let began_good = matches!(verdict.standing(), Standing::Good(_));
        Arc::new(Self {
            worker,
            peer,
            local,
            tls,
            chain,
            der: OnceLock::new(),
            began_good,
            is_reserve,
            verdict: Mutex::new(verdict),
        })
    }

    /// What the judge says now: the last verdict, unless the rules, the trust or the registry changed or the time that it
    /// held for is over.
    pub(super) fn verdict(&self, now: Timestamp) -> Arc<Verdict> {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        let is_in_force = verdict.judgement.valid_until().is_none_or(|until| now <= until);
        let goes_on = self.worker.goes_by(&verdict.rules);
        if !goes_on
            || verdict.generation != verdict.rules.generation()
            || verdict.registry != verdict.rules.registry_version()
            || !is_in_force
        {
            let rules = if goes_on { verdict.rules.clone() } else { self.worker.rules() };
            let host = rules.policy.host(&verdict.host.name).cloned();
            let is_misdirected = host.is_none();
            let host = host.unwrap_or_else(|| verdict.host.clone());
            let footing = Footing { rules, host, is_misdirected };
            *verdict = judge(&self.worker, footing, self.peer, &self.tls, &self.chain, now);
        }
        verdict.clone()
    }

    /// Along which trusted proxies a request came, if it did.
    pub(super) fn trail(
        &self,
        verdict: &Verdict,
        fields: &[Field<'_>],
    ) -> Result<Option<Trail>, &'static str> {
        Trail::follow(fields, self.peer.ip(), &verdict.rules.policy.trusted_proxies)
    }

    /// Whether whoever is connected is a trusted proxy.
    pub(super) fn is_trusted(&self, verdict: &Verdict) -> bool {
        is_trusted(self.peer.ip(), &verdict.rules.policy.trusted_proxies)
    }

    /// The port of ours that it came to.
    pub(super) const fn port(&self) -> u16 {
        self.local.port()
    }

    /// The connection's members of the log line of a request that came along `trail`.
    pub(super) fn log_of(&self, verdict: &Verdict, trail: &Trail) -> Vec<u8> {
        let client = format!("\"client\":\"{}\",\"proxy\":\"{}\"", trail.client(), self.peer);
        [client.as_bytes(), &verdict.log[verdict.log_client..]].concat()
    }

    /// Who asks, for those who don't know connections.
    pub(super) fn visitor(&self, verdict: &Verdict, record: &Record) -> Visitor {
        let (identity, chain) = match verdict.standing() {
            Standing::Good(identity) => {
                (Some(identity.clone()), self.der.get_or_init(|| der(&self.chain)).clone())
            }
            Standing::Absent | Standing::Refused(_) => (None, Arc::default()),
        };
        Visitor { source: self.address(record), request_id: record.request_id.to_string(), identity, chain }
    }

    /// Where a request comes from, as far as anybody who is trusted says.
    pub(super) fn address(&self, record: &Record) -> IpAddr {
        record.trail.as_ref().map_or_else(|| self.peer.ip(), Trail::client)
    }

    /// The PROXY header for an upstream: the client of a request, and where it connected to. A trusted proxy that names the
    /// client has no port for it.
    pub(super) fn introduction(&self, record: &Record) -> Vec<u8> {
        let named = record.trail.as_ref().map(|trail| SocketAddr::new(trail.client(), 0));
        introduction::of(named.unwrap_or(self.peer), self.local)
    }

    /// What backends are told of the certificate, which `verdict` must have found good.
    pub(super) fn client_cert<'a>(&self, verdict: &'a Verdict) -> &'a ClientCert {
        let issuers = &verdict.judgement.issuers;
        let made = || self.chain.first().map(|leaf| ClientCert::new(leaf, issuers)).unwrap_or_default();
        verdict.client_cert.get_or_init(made)
    }

    /// The refusal of the certificate that was sent, if it isn't good.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self.verdict(self.worker.clock.now()).standing() {
            Standing::Refused(refusal) => Some(*refusal),
            Standing::Absent | Standing::Good(_) => None,
        }
    }

    /// The client sent so much of something that it lost its connection.
    pub(super) fn note_flood(&self, cause: &'static str) {
        self.worker.metrics.h2_floods.with_label_values(&[cause]).inc();
        let host = &*self.verdict(self.worker.clock.now()).host.name;
        tracing::info!(client = %self.peer, host, cause, "A flood over HTTP/2 was cut off");
    }

    /// Whether the connection had its right to be here taken away (T3), or its host. One that never had it is left alone:
    /// it still has a page to read.
    pub(super) fn has_lost_standing(&self) -> bool {
        let verdict = self.verdict(self.worker.clock.now());
        let is_refused = matches!(verdict.standing(), Standing::Refused(_));
        verdict.is_misdirected || (self.began_good && is_refused)
    }
}

impl TlsFacts {
    fn of(session: &ServerConnection) -> Self {
        Self {
            version: version(session),
            suite: session
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            resumed: is_resumed(session),
        }
    }
}

/// `1.2` or `1.3`.
pub(super) fn version(session: &ServerConnection) -> &'static str {
    match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "unknown",
    }
}

/// Whether the session continues an earlier one.
pub(super) fn is_resumed(session: &ServerConnection) -> bool {
    session.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

/// What a verdict is made under.
struct Footing {
    rules: Arc<Rules>,
    host: Arc<Host>,
    is_misdirected: bool,
}

fn judge(
    worker: &Worker,
    footing: Footing,
    peer: SocketAddr,
    tls: &TlsFacts,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
) -> Arc<Verdict> {
    let Footing { rules, host, is_misdirected } = footing;
    let registry = rules.registry_version();
    // A host that asks for no certificate takes none, whatever it asked for when the connection was made.
    let chain = if host.client_certificate == ClientCertificate::None { &[] } else { chain };
    let (generation, judgement) = rules.judge(chain, now);
    let (judgement, role) = register(&rules, judgement, chain, peer.ip());
    worker.metrics.standings.with_label_values(&[&host.name, judgement.standing.code()]).inc();
    let identity = match &judgement.standing {
        Standing::Good(identity) => Some(identity),
        Standing::Absent | Standing::Refused(_) => None,
    };
    let person = |identity| Person::new(&rules.policy, identity, role, AuthMethod::Certificate);
    Arc::new(Verdict {
        generation,
        registry,
        role,
        person: identity.map(person),
        client_cert: OnceLock::new(),
        forwarded: forwarded_lines(peer),
        is_misdirected,
        log_client: format!("\"client\":\"{peer}\"").len(),
        log: log_members(&host, peer, tls, &judgement, identity),
        judgement,
        rules,
        host,
    })
}

/// What the registry adds to a judgement: the user's role, or that they are suspended, or that the certificate is none of
/// the directory's live ones. What the judgement adds to the directory: that this user holds a certificate, so that no
/// PIN alone lets them in any more (T40), and uses it, so that the one before retires.
fn register(
    rules: &Rules,
    judgement: Arc<Judgement>,
    chain: &[CertificateDer<'static>],
    source: IpAddr,
) -> (Arc<Judgement>, Option<Role>) {
    let (Standing::Good(identity), Some(registry)) = (&judgement.standing, &rules.registry) else {
        return (judgement, None);
    };
    let fingerprint = judgement.leaf.as_ref().map(|leaf| leaf.fingerprint).unwrap_or_default();
    let refusal = match (registry.find(identity, false), registry.objection(&fingerprint)) {
        (Registered::Stale, _) => {
            Refusal::new(Reason::RevocationUnknown, "the directory hasn't answered for too long")
        }
        (_, Some(objection)) => objection,
        (Registered::Known(role), None) => {
            if registry.credential(&fingerprint) != (RegisteredCredential::Live { is_used: true }) {
                rules.backstage.seen(der(chain), source);
            }
            return (judgement, Some(role));
        }
        (Registered::Unknown, None) => return (judgement, None),
        (Registered::Suspended, None) => {
            Refusal::new(Reason::Suspended, "the user or the contract is suspended")
        }
    };
    let refused = Judgement {
        standing: Standing::Refused(refusal),
        leaf: judgement.leaf.clone(),
        validity: judgement.validity,
        signer: judgement.signer.clone(),
        issuers: Vec::new(),
    };
    (Arc::new(refused), None)
}

fn der(chain: &[CertificateDer<'_>]) -> Arc<[Vec<u8>]> {
    chain.iter().map(|certificate| certificate.to_vec()).collect()
}

/// RFC 7239, section 6: an IPv6 address is quoted and in brackets.
fn forwarded_lines(peer: SocketAddr) -> Box<[u8]> {
    let address = peer.ip();
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    format!(
        "X-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\nForwarded: for={node};proto=https;host=\""
    )
    .into_bytes()
    .into()
}

fn log_members(
    host: &Host,
    peer: SocketAddr,
    tls: &TlsFacts,
    judgement: &Judgement,
    identity: Option<&Identity>,
) -> Box<[u8]> {
    let mut out = Vec::new();
    let mut member = |key: &str, value: &str| {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(format!("\"{key}\":\"").as_bytes());
        escape_into(&mut out, value.as_bytes());
        out.push(b'"');
    };
    // First: a trusted proxy may know better.
    member("client", &peer.to_string());
    member("host", &host.name);
    member("tls_version", tls.version);
    member("tls_suite", tls.suite);
    member("standing", judgement.standing.code());
    if let Some(identity) = identity {
        member("contract", identity.contract.as_str());
        member("user", identity.user.as_str());
    }
    if let Some(leaf) = &judgement.leaf {
        member("serial", &leaf.serial);
    }
    out.extend_from_slice(if tls.resumed { b",\"tls_resumed\":true" } else { b",\"tls_resumed\":false" });
    out.into()
}
