//! Everything that can go wrong with a request, whose fault it is, and the status that says so.

use super::load::Shed;
use crate::domain::{Reason, Refusal};

/// A request that was not forwarded, or whose exchange broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not HTTP, or HTTP that could be read in two ways.
    BadRequest(&'static str),
    /// The head is over a cap.
    HeadTooLarge(&'static str),
    /// The head or the body didn't come in time.
    RequestTimeout,
    /// The body is over the cap.
    BodyTooLarge,
    /// The request is for another host than the connection.
    Misdirected,
    /// A method that is never forwarded.
    MethodNotAllowed,
    /// A certificate is demanded, and there is no good one.
    Certificate(Refusal),
    /// No route leads there.
    NoRoute,
    /// Somebody has to sign in first.
    SignInNeeded,
    /// The portal comes first: to sign in, to change a temporary PIN, or because a session ended.
    SentToPortal,
    /// The route isn't for this role or this contract.
    NotAllowed,
    /// Nobody can say what a session is worth: the state can't be asked.
    StateUnavailable,
    /// Somebody asks more often than a rate limit lets them.
    RateLimited,
    /// The gate has too much to do.
    Overloaded(Shed),
    /// The operator has closed the route for now.
    Maintenance,
    /// No endpoint could be reached.
    UpstreamUnreachable,
    /// No endpoint is well.
    UpstreamDown,
    /// The upstream has as much as it can bear, and the request waited for its turn in vain.
    UpstreamBusy,
    /// The upstream closed the connection or answered what isn't HTTP.
    UpstreamBroken(&'static str),
    /// The upstream didn't answer in time.
    UpstreamTimeout,
    /// The exchange wasn't over by when its route wants it to be.
    Overdue,
    /// The response is longer than its route lets it be.
    ResponseTooLarge,
    /// The client went away.
    ClientGone,
    /// The client doesn't read the response.
    ClientStalled,
}

/// The code of every failure that has a page, for whoever writes the pages.
pub fn codes() -> Vec<&'static str> {
    let failures = [
        Failure::BadRequest(""),
        Failure::HeadTooLarge(""),
        Failure::RequestTimeout,
        Failure::BodyTooLarge,
        Failure::Misdirected,
        Failure::MethodNotAllowed,
        Failure::NoRoute,
        Failure::SignInNeeded,
        Failure::SentToPortal,
        Failure::NotAllowed,
        Failure::StateUnavailable,
        Failure::RateLimited,
        Failure::Overloaded(Shed::Requests),
        Failure::Maintenance,
        Failure::UpstreamUnreachable,
        Failure::UpstreamDown,
        Failure::UpstreamBusy,
        Failure::UpstreamBroken(""),
        Failure::UpstreamTimeout,
    ];
    let reasons = Reason::ALL.map(|reason| Failure::Certificate(Refusal::new(reason, "")));
    failures.into_iter().chain(reasons).map(Failure::code).collect()
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// Nobody's that could be told: a bound of the route was reached, and another endpoint would reach it as well.
    Route,
}

impl Failure {
    /// The status of the answer; 0 where no answer reaches anybody.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::HeadTooLarge(_) => 431,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::Misdirected => 421,
            Self::MethodNotAllowed => 405,
            Self::Certificate(Refusal { reason: Reason::RevocationUnknown, .. }) => 503,
            Self::SignInNeeded => 401,
            Self::SentToPortal => 303,
            Self::StateUnavailable
            | Self::Maintenance
            | Self::Overloaded(_)
            | Self::UpstreamDown
            | Self::UpstreamBusy => 503,
            Self::RateLimited => 429,
            Self::Certificate(_) | Self::NotAllowed => 403,
            Self::NoRoute => 404,
            Self::UpstreamUnreachable | Self::UpstreamBroken(_) | Self::ResponseTooLarge => 502,
            Self::UpstreamTimeout | Self::Overdue => 504,
            Self::ClientGone | Self::ClientStalled => 0,
        }
    }

    /// The word for it in logs, metrics and problem documents.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::HeadTooLarge(_) => "head_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::Misdirected => "misdirected",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Certificate(refusal) => refusal.reason.code(),
            Self::NoRoute => "no_route",
            Self::SignInNeeded => "sign_in_needed",
            Self::SentToPortal => "sent_to_portal",
            Self::NotAllowed => "not_allowed",
            Self::StateUnavailable => "state_unavailable",
            Self::RateLimited => "rate_limited",
            Self::Overloaded(_) => "overloaded",
            Self::Maintenance => "maintenance",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamDown => "upstream_down",
            Self::UpstreamBusy => "upstream_busy",
            Self::UpstreamBroken(_) | Self::ResponseTooLarge => "upstream_broken",
            Self::UpstreamTimeout | Self::Overdue => "upstream_timeout",
            Self::ClientGone => "client_gone",
            Self::ClientStalled => "client_stalled",
        }
    }

    /// What exactly, for the log.
    pub(super) const fn detail(self) -> Option<&'static str> {
        match self {
            Self::BadRequest(detail) | Self::HeadTooLarge(detail) | Self::UpstreamBroken(detail) => {
                Some(detail)
            }
            Self::Certificate(refusal) => Some(refusal.detail),
            Self::Overloaded(shed) => Some(shed.code()),
            Self::Overdue => Some("the route's timeouts.total"),
            Self::ResponseTooLarge => Some("more bytes than the route's limits.response_body"),
            _ => None,
        }
    }

    /// Whose fault it is.
    pub(super) const fn fault(self) -> Fault {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamDown
            | Self::UpstreamBusy
            | Self::UpstreamBroken(_)
            | Self::UpstreamTimeout => Fault::Upstream,
            Self::Overdue | Self::ResponseTooLarge => Fault::Route,
            _ => Fault::Client,
        }
    }

    /// Whether the connection can't be read on after this: its next request could begin anywhere. Whoever asked for a
    /// tunnel with `CONNECT` may already be talking through it. One of the last connections makes room for the next.
    pub(super) const fn poisons_connection(self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::HeadTooLarge(_)
                | Self::RequestTimeout
                | Self::BodyTooLarge
                | Self::MethodNotAllowed
                | Self::Overloaded(Shed::Connections)
                | Self::ClientGone
                | Self::ClientStalled
        )
    }
}
