//! The portal: the pages people see, and their handlers. Templates and static files are compiled in.
//!
//! `router` says which handler answers which path; a handler reads its request as an `Asking`, calls a verb of
//! [`crate::flows`], and turns what became of it into a page. Whatever an answer has beside its page is in `headers`.

mod router;
mod site;
mod asking;
mod way;
mod cookies;
mod forms;
mod headers;
mod sign_in;
mod certificate;
mod acquisition;
mod administration;
mod home;
mod pin;
mod ends;
mod preferences;
mod statics;
mod pages;
mod texts;
mod messages;
mod refusals;
mod notices;
mod theme;
mod when;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use self::site::Site;
use crate::clock::Clock;
use crate::config::{RouteContract, RouteRole, Title};
use crate::domain::Language;
use crate::flows::{Acquisition, Administration, SignIn};

pub use self::refusals::refusal_codes;

/// The policy of the gate's refusals: they have no forms and no scripts.
const REFUSAL_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'none'";

/// What the portal is built from.
pub struct PortalSettings {
    /// The verbs. `None` where nobody signs in: then there are only the pages of the gate's own refusals.
    pub sign_in: Option<Arc<SignIn>>,
    /// Getting and renewing certificates; `None` where none are issued.
    pub acquisition: Option<Arc<Acquisition>>,
    /// What administrators do; `None` where nobody signs in by certificate.
    pub administration: Option<Arc<Administration>>,
    /// Folder with the helper program, one file per system.
    pub helpers: Option<PathBuf>,
    /// The newest revocation list (DER), for everybody.
    pub revocation_list: Arc<ArcSwapOption<Vec<u8>>>,
    /// The host with the sign-in page, with the port that browsers must use if it is neither 443 nor the one that
    /// they have reached us at.
    pub host: String,
    /// The host for certificate sign-in, with a port as above.
    pub certificate_host: Option<String>,
    /// The applications for the home page.
    pub applications: Vec<Application>,
    /// The bank's own look.
    pub theme: Option<PathBuf>,
    /// The file of notices.
    pub notices: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
}

/// An application behind the gate.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its path.
    pub path: String,
    /// What it is called.
    pub title: Title,
    /// Whether it asks for a certificate at every request: then it is on the certificate host.
    pub needs_certificate: bool,
    /// Only for these, if any.
    pub roles: Vec<RouteRole>,
    /// Only for these, if any.
    pub contracts: Vec<RouteContract>,
}

/// A refusal of the gate's that needs a page.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// On which host.
    pub host: &'a str,
    /// The code of the failure, as in the access log.
    pub code: &'static str,
    /// In which language.
    pub language: Language,
    /// The request's ID, for questions.
    pub request_id: &'a str,
}

/// The pages.
pub struct Portal {
    site: Arc<Site>,
    router: Router,
}

impl Portal {
    /// Reads the theme and makes the pages ready. The error says what is wrong with its files, and where.
    pub fn new(settings: PortalSettings) -> Result<Self, String> {
        let site = Arc::new(Site::new(settings)?);
        Ok(Self { router: router::router(Arc::clone(&site)), site })
    }

    /// Answers a request for a path below [`crate::domain::PORTAL`]. The request carries a [`crate::domain::Visitor`] as an extension.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let policy = self.site.policy(&asking::authority(request.uri(), request.headers()));
        let answer: Result<_, Infallible> = self.router.clone().oneshot(request.map(Body::from)).await;
        let mut response = answer.unwrap_or_else(|never| match never {});
        headers::dress(&mut response, &policy);
        let (head, body) = response.into_parts();
        // What handlers answer with is whole already: there is nothing to wait for, and nothing to go wrong.
        let body = body.collect().await.map(|collected| collected.to_bytes()).unwrap_or_default();
        Response::from_parts(head, body)
    }

    /// The page for a refusal: title for a problem document, and HTML.
    pub fn refusal(&self, refused: Refused<'_>) -> RefusalPage {
        let words = refusals::of(refused.code).of(refused.language);
        let html = pages::refusal(&self.site, &refused, words);
        RefusalPage { title: words.title, what: words.what, html }
    }

    /// The value of `Content-Security-Policy` for every page of a refusal.
    pub const fn content_security_policy(&self) -> &str {
        REFUSAL_POLICY
    }
}

/// A page for a refusal.
pub struct RefusalPage {
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What is wrong, in a sentence.
    pub what: &'static str,
    /// The page.
    pub html: Vec<u8>,
}
