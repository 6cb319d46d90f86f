//! Where a request stands in the house: whether it is the portal's, and where its client is sent if it may not go on.

use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::backstage::LONGEST_FORM;
use super::connection::{Connection, Verdict};
use super::failure::Failure;
use super::fields::is_hop_by_hop;
use super::framing::Framing;
use super::gate::{self, Denied};
use super::intake::{ForPortal, Held, RequestHead, expects_continue};
use super::record::Record;
use super::route::Asked;
use super::target::Target;
use super::wants::{Format, Wants};
use crate::domain::SessionEnd;

/// What anybody may have, on every host: the pages of our refusals need it.
const STATIC: &str = "/sekisho/static/";

/// A request that was understood, and where it came in.
pub(super) struct Place<'a> {
    pub(super) connection: &'a Connection,
    pub(super) verdict: &'a Verdict,
    pub(super) request: &'a RequestHead<'a>,
    pub(super) target: &'a Target<'a>,
    /// As the client sees us, with its port.
    pub(super) authority: &'a str,
}

/// Which of the portal's hosts a request came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// The one with the sign-in page.
    Portal,
    /// The one for certificate sign-in.
    Certificate,
    /// Neither.
    Other,
}

impl Place<'_> {
    /// What chooses its route.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { method: self.request.method, path: &self.target.path, fields: self.request.fields }
    }

    fn door(&self) -> Door {
        let name = &*self.verdict.host.name;
        let sign_in = self.verdict.rules.policy.sign_in.as_ref();
        match sign_in {
            Some(sign_in) if sign_in.host.as_str() == name => Door::Portal,
            Some(sign_in) if sign_in.certificate_host.as_ref().is_some_and(|host| host.as_str() == name) => {
                Door::Certificate
            }
            _ => Door::Other,
        }
    }

    /// Hands a request to the portal, if it may be there.
    pub(super) fn portal(&self, record: &mut Record) -> Result<ForPortal, Held> {
        let path = &*self.target.path;
        if !path.starts_with(STATIC) {
            gate::demand_of_host(&self.verdict.host, self.verdict.standing())
                .map_err(|denied| self.denied(denied, record))?;
            if self.door() == Door::Other {
                return Err(Failure::NoRoute.into());
            }
        }
        if matches!(self.request.framing, Some(Framing::Length(length)) if length > LONGEST_FORM) {
            return Err(Failure::BodyTooLarge.into());
        }
        let target = match self.target.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut request =
            Request::builder().method(self.request.method).uri(target).header("host", self.authority);
        for field in self.request.fields {
            if !is_hop_by_hop(field.name) && !field.is("host") {
                request = request.header(field.name, field.value);
            }
        }
        let request = request
            .extension(self.connection.visitor(self.verdict, record))
            .body(())
            .map_err(|_| Failure::BadRequest("a head that the portal can't take"))?;
        let expects_continue = expects_continue(self.request);
        Ok(ForPortal { request, framing: self.request.framing, expects_continue })
    }

    /// What a denial means to this client: a failure, and where it is sent.
    pub(super) fn denied(&self, denied: Denied, record: &mut Record) -> Failure {
        let page = match denied {
            Denied::Certificate(refusal) => return Failure::Certificate(refusal),
            Denied::NotAllowed => return Failure::NotAllowed,
            Denied::Closed => return Failure::Maintenance,
            Denied::Method => {
                let routes = &self.verdict.rules.policy.routes;
                record.allow = Some(routes.allowed(&self.verdict.host.name, &self.asked()));
                return Failure::MethodNotAllowed;
            }
            Denied::Unavailable | Denied::Unasked => return Failure::StateUnavailable,
            Denied::NoRoute if self.target.path == "/" && self.door() != Door::Other => {
                "/sekisho/home".to_owned()
            }
            Denied::NoRoute => return Failure::NoRoute,
            Denied::PinChange => "/sekisho/pin".to_owned(),
            Denied::Acquisition => "/sekisho/acquisition/certificate".to_owned(),
            Denied::SignIn(ended) => self.sign_in_page(ended),
        };
        let is_navigation = Wants::of(self.request.fields).format == Format::Navigation;
        if !is_navigation && denied != Denied::NoRoute {
            return Failure::SignInNeeded;
        }
        let comes_back = matches!(self.request.method, "GET" | "HEAD") && denied != Denied::NoRoute;
        record.location = Some(if comes_back { self.and_back(page) } else { page });
        Failure::SentToPortal
    }

    fn sign_in_page(&self, ended: Option<SessionEnd>) -> String {
        match (ended, self.door()) {
            (Some(end), _) => format!("/sekisho/ended?why={}", end.code()),
            (None, Door::Certificate) => "/sekisho/certificate".to_owned(),
            (None, Door::Portal | Door::Other) => "/sekisho/sign-in".to_owned(),
        }
    }

    /// With where the person wanted to go.
    fn and_back(&self, page: String) -> String {
        let query = self.target.query.map(|query| format!("?{query}")).unwrap_or_default();
        let to = format!("{}{query}", self.target.path);
        let separator = if page.contains('?') { '&' } else { '?' };
        format!("{page}{separator}to={}", utf8_percent_encode(&to, NON_ALPHANUMERIC))
    }
}
