//! Signing in by certificate: over to the host that asks for one, and back.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::asking::{Asking, Secret};
use super::cookies;
use super::ends;
use super::forms::{self, Tokened, Typed};
use super::messages;
use super::pages::{self, Shell};
use super::refusals;
use super::router;
use super::sign_in;
use super::site::{Place, Site};
use super::way::encoded;
use crate::domain::Identity;
use crate::flows::{CertificateOutcome, NewSession, SignIn};

/// What is posted: the PIN after the certificate.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PinForm {
    token: String,
    pin: Typed,
}

impl Tokened for PinForm {
    fn token(&self) -> &str {
        &self.token
    }
}

#[derive(Template)]
#[template(path = "certificate.html")]
struct PinNeededPage<'a> {
    s: Shell<'a>,
    identity: &'a Identity,
    attempts: u32,
    wrong: bool,
    here: &'a str,
    back: String,
}

/// GET. On the portal's host: over to the certificate host. There: signs in.
pub(super) async fn open(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    match asking.place {
        Place::Portal if site.has_certificate_host() => over(&site, &asking),
        Place::Certificate | Place::Both => {
            // Signing in changes something, so it is for people, not for pictures on other sites' pages.
            if !asking.is_visit {
                return router::missing(&site, &asking);
            }
            try_certificate(&site, sign_in, &asking, None).await
        }
        Place::Portal | Place::Elsewhere => router::missing(&site, &asking),
    }
}

/// POST: the PIN, on the certificate host.
pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<PinForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let Some(sign_in) = site.sign_in.as_ref().filter(|_| asking.place.asks_for_certificate()) else {
        return router::missing(&site, &asking);
    };
    try_certificate(&site, sign_in, &asking, Some(&form.pin.0)).await
}

/// To the certificate host. What goes into the address is only the hash of a secret that this browser keeps: whoever
/// sees the address can't take the session over.
pub(super) fn over(site: &Site, asking: &Asking) -> Response {
    let (Some(origin), Some(secret)) = (site.certificate_origin(&asking.authority), Secret::new()) else {
        return pages::bare_failure();
    };
    let address = format!(
        "{origin}/sekisho/certificate?nonce={}{}&lang={}&size={}",
        secret.hash(""),
        asking.way.query('&'),
        asking.language.code(),
        asking.size.code(),
    );
    let mut response = pages::go_to(&address);
    pages::set_cookie(&mut response, &cookies::flow(secret.value()));
    response
}

async fn try_certificate(
    site: &Site,
    sign_in: &SignIn,
    asking: &Asking,
    pin: Option<&Zeroizing<String>>,
) -> Response {
    let Some(identity) = asking.visitor.identity.clone() else {
        return pages::message(site, asking, StatusCode::FORBIDDEN, refusals::of("absent"));
    };
    match sign_in.by_certificate(pin, &asking.visitor).await {
        Ok(CertificateOutcome::SignedIn(new)) => go_back(site, sign_in, asking, &new).await,
        Ok(outcome) => turned_away(site, sign_in.attempts(), asking, &identity, &outcome),
        Err(error) => ends::failed(site, asking, &error),
    }
}

/// Signed in here; and if it began on the portal's host, back there with a code for the session.
pub(super) async fn go_back(site: &Site, sign_in: &SignIn, asking: &Asking, new: &NewSession) -> Response {
    let nonce = &asking.asked.nonce;
    let from_portal = nonce.len() == 64 && nonce.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if asking.place == Place::Both || !from_portal {
        return sign_in::welcome(site, sign_in, asking, new).await;
    }
    let code = match sign_in.hand_over(&new.token, nonce).await {
        Ok(code) => code,
        Err(error) => return ends::failed(site, asking, &error),
    };
    let origin = site.portal_origin(&asking.authority);
    let address =
        Zeroizing::new(format!("{origin}/sekisho/arrive?code={}{}", encoded(&code), asking.way.query('&')));
    let mut response = pages::go_to(&address);
    pages::set_cookie(&mut response, &cookies::session(&new.token.to_cookie()));
    response
}

/// The page for everything but success: whom the certificate shows, what is wrong, how to choose another one.
pub(super) fn turned_away(
    site: &Site,
    attempts: u32,
    asking: &Asking,
    identity: &Identity,
    outcome: &CertificateOutcome,
) -> Response {
    let say = |status, texts| pages::message_about(site, asking, status, texts, Some(identity));
    match outcome {
        CertificateOutcome::PinNeeded | CertificateOutcome::SignedIn(_) => {
            pin_page(site, attempts, asking, identity, false)
        }
        CertificateOutcome::NoCertificate => say(StatusCode::FORBIDDEN, refusals::of("absent")),
        CertificateOutcome::Refused => pin_page(site, attempts, asking, identity, true),
        CertificateOutcome::UnknownUser => say(StatusCode::FORBIDDEN, &messages::UNKNOWN_USER),
        CertificateOutcome::Suspended => say(StatusCode::FORBIDDEN, &messages::SUSPENDED_CERTIFICATE),
        CertificateOutcome::Occupied => say(StatusCode::CONFLICT, &messages::OCCUPIED),
        CertificateOutcome::Throttled { retry_after } => ends::throttled(site, asking, *retry_after),
        CertificateOutcome::Overloaded { retry_after } => ends::overloaded(site, asking, *retry_after),
    }
}

pub(super) fn pin_page(
    site: &Site,
    attempts: u32,
    asking: &Asking,
    identity: &Identity,
    wrong: bool,
) -> Response {
    let portal = site.portal_origin(&asking.authority);
    let page = PinNeededPage {
        s: Shell::new(site, asking),
        identity,
        attempts,
        wrong,
        here: &asking.here,
        back: format!("{portal}/sekisho/sign-in{}", asking.way.query('?')),
    };
    pages::html(asking, StatusCode::OK, &page)
}

/// GET, back on the portal's host: takes the session over.
pub(super) async fn arrive(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(sign_in) = site.sign_in.as_ref().filter(|_| asking.place.has_sign_in() && asking.is_visit)
    else {
        return router::missing(&site, &asking);
    };
    let Some(flow) = &asking.flow else {
        return pages::message(&site, &asking, StatusCode::BAD_REQUEST, &messages::NOT_ARRIVED);
    };
    let mut response = match sign_in.take_over(&asking.asked.code, &flow.hash(""), &asking.visitor).await {
        Ok(Some(new)) => sign_in::welcome(&site, sign_in, &asking, &new).await,
        Ok(None) => pages::message(&site, &asking, StatusCode::BAD_REQUEST, &messages::NOT_ARRIVED),
        Err(error) => return ends::failed(&site, &asking, &error),
    };
    pages::set_cookie(&mut response, &cookies::gone(cookies::FLOW));
    response
}
