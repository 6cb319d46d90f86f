//! The gate: whether one request may go on. A pure function, and the only maker of permits.

use super::backstage::FoundSession;
use super::connection::Verdict;
use super::policy::{Host, Policy};
use super::route::{Action, Asked, Own, Route, Unrouted};
use super::sessions::Known;
use crate::config::{ClientCertificate, Require};
use crate::domain::{Identity, Purpose, Reason, Refusal, Role, SessionEnd, Standing};

/// The right to forward one request to one upstream. Only a [`Grant`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Permit {
    upstream: usize,
    is_personal: bool,
}

impl Permit {
    /// Index of the upstream that the permit is for.
    pub(super) const fn upstream(&self) -> usize {
        self.upstream
    }

    /// Whether what comes back is for this person's eyes, and no cache's (T28).
    pub(super) const fn is_personal(&self) -> bool {
        self.is_personal
    }
}

/// A request may have what its route does. Only [`decide`] grants that.
pub(super) struct Grant<'p> {
    pub(super) route: &'p Route,
    /// Whether the session says who is there; else the connection's certificate does, if anything.
    pub(super) by_session: bool,
    /// Whether what comes back is for this person's eyes, and no cache's (T28).
    pub(super) is_personal: bool,
}

impl<'p> Grant<'p> {
    /// The permit, if the route forwards; else what it answers.
    pub(super) const fn permit(&self) -> Result<Permit, &'p Own> {
        match &self.route.action {
            Action::Forward(upstream) => Ok(Permit { upstream: *upstream, is_personal: self.is_personal }),
            Action::Answer(own) => Err(own),
        }
    }
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// For want of a good certificate.
    Certificate(Refusal),
    /// No route leads there.
    NoRoute,
    /// A route does, but not with this method.
    Method,
    /// It is closed for now.
    Closed,
    /// Somebody has to sign in first; their last session ended like this, if they had one.
    SignIn(Option<SessionEnd>),
    /// A temporary PIN has to be changed first.
    PinChange,
    /// The session is for acquiring a certificate.
    Acquisition,
    /// It isn't for this role or this contract.
    NotAllowed,
    /// Nobody can say what the session is worth.
    Unavailable,
    /// Look the session up, and decide again.
    Unasked,
}

/// What a request brings to prove who sends it.
pub(super) struct Claims<'a> {
    /// The connection's certificate.
    pub(super) verdict: &'a Verdict,
    /// Its cookie's session.
    pub(super) session: Claim<'a>,
}

/// A session that a request names.
pub(super) enum Claim<'a> {
    /// None.
    Nothing,
    /// One that nobody has looked up yet.
    Unasked,
    /// One that was looked up.
    Asked(&'a Known),
}

/// Decides on a request. `is_closed` says whether the operator has closed its route for now.
pub(super) fn decide<'p>(
    policy: &'p Policy,
    host: &Host,
    claims: &Claims<'_>,
    asked: &Asked<'_>,
    is_closed: bool,
) -> Result<Grant<'p>, Denied> {
    let standing = claims.verdict.standing();
    demand_of_host(host, standing)?;
    let route = policy.routes.find(&host.name, asked).map_err(|unrouted| match unrouted {
        Unrouted::Nothing => Denied::NoRoute,
        Unrouted::Method => Denied::Method,
    })?;
    if is_closed {
        return Err(Denied::Closed);
    }
    let grant = |by_session, is_personal| Grant { route, by_session, is_personal };
    match (route.require, standing) {
        (Require::Nothing, _) => Ok(grant(false, false)),
        (Require::SignedIn, Standing::Good(identity)) if policy.certificate_suffices() => {
            check_allowed(route, identity, claims.verdict.role)?;
            Ok(grant(false, true))
        }
        (Require::Certificate, Standing::Good(identity)) => {
            check_allowed(route, identity, claims.verdict.role)?;
            Ok(grant(false, true))
        }
        (Require::Certificate, standing) => Err(Denied::Certificate(refusal(standing))),
        // A suspended person's certificate, or a revoked one, isn't made good by signing in beside it.
        (Require::SignedIn, Standing::Refused(refusal)) => Err(Denied::Certificate(*refusal)),
        (Require::SignedIn, Standing::Absent | Standing::Good(_)) => {
            by_session(route, &claims.session)?;
            Ok(grant(true, true))
        }
    }
}

/// What a host demands of everybody. It comes first: not even "no such page" is said to somebody who may not be here.
pub(super) const fn demand_of_host(host: &Host, standing: &Standing) -> Result<(), Denied> {
    match (host.client_certificate, standing) {
        (ClientCertificate::Required, Standing::Good(_))
        | (ClientCertificate::None | ClientCertificate::Optional, _) => Ok(()),
        (ClientCertificate::Required, standing) => Err(Denied::Certificate(refusal(standing))),
    }
}

fn by_session(route: &Route, session: &Claim<'_>) -> Result<(), Denied> {
    let standing = match session {
        Claim::Nothing => return Err(Denied::SignIn(None)),
        Claim::Unasked => return Err(Denied::Unasked),
        Claim::Asked(Known::Holds(standing)) => standing,
        Claim::Asked(Known::Not(found)) => {
            return Err(match found {
                FoundSession::Over(end) => Denied::SignIn(Some(*end)),
                FoundSession::Nobody => Denied::SignIn(None),
                // One that holds is never kept as one that doesn't.
                FoundSession::Unavailable | FoundSession::Holds(_) => Denied::Unavailable,
            });
        }
    };
    match standing.session.purpose {
        Purpose::Full => {}
        Purpose::PinChange => return Err(Denied::PinChange),
        Purpose::Acquisition => return Err(Denied::Acquisition),
    }
    check_allowed(route, &standing.session.identity, Some(standing.session.role))
}

/// Whether the route is for this role and this contract (T10).
fn check_allowed(route: &Route, identity: &Identity, role: Option<Role>) -> Result<(), Denied> {
    let for_role = route.roles.is_empty() || role.is_some_and(|role| route.roles.contains(&role));
    let for_contract = route.contracts.is_empty() || route.contracts.contains(&identity.contract);
    if for_role && for_contract { Ok(()) } else { Err(Denied::NotAllowed) }
}

const fn refusal(standing: &Standing) -> Refusal {
    match standing {
        Standing::Refused(refusal) => *refusal,
        Standing::Absent | Standing::Good(_) => Refusal::new(Reason::Absent, "no certificate was sent"),
    }
}
