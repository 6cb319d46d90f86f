//! Where signing in ends: sessions that are over, sign-out, and the pages for what doesn't work just now.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::asking::Asking;
use super::cookies;
use super::forms::{self, Tokened};
use super::messages;
use super::pages;
use super::router;
use super::site::Site;
use crate::domain::{SessionEnd, SessionToken};
use crate::flows::{Current, SignIn, SignedIn};
use crate::stores::Unavailable;

/// When it is worth trying again after a store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// A form with nothing but its token.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct BareForm {
    token: String,
}

impl Tokened for BareForm {
    fn token(&self) -> &str {
        &self.token
    }
}

/// Who is signed in, for a page that is only for them. Otherwise the way to sign in.
pub(super) async fn signed_in<'a>(
    site: &Site,
    sign_in: &SignIn,
    asking: &'a Asking,
) -> Result<(&'a SessionToken, SignedIn), Response> {
    let Some(token) = &asking.session else { return Err(pages::go_to("/sekisho/sign-in")) };
    match sign_in.session(token, &asking.visitor).await {
        Ok(Current::SignedIn(signed_in)) => Ok((token, *signed_in)),
        Ok(Current::Over(end)) => Err(gone(&format!("/sekisho/ended?why={}", end.code()))),
        Ok(Current::Nobody) => Err(gone("/sekisho/sign-in")),
        Err(error) => Err(failed(site, asking, &error)),
    }
}

/// Leads on, without the session's cookie.
pub(super) fn gone(address: &str) -> Response {
    let mut response = pages::go_to(address);
    pages::set_cookie(&mut response, &cookies::gone(cookies::SESSION_COOKIE));
    response
}

/// POST: signs out.
pub(super) async fn sign_out(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<BareForm>, FormRejection>,
) -> Response {
    if let Err(response) = forms::admit(&site, &asking, form) {
        return *response;
    }
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    if let Some(token) = &asking.session
        && let Err(error) = sign_in.sign_out(token, &asking.visitor).await
    {
        // The session may live on: the page must not say that it doesn't, and the cookie stays for another try.
        return failed(&site, &asking, &error);
    }
    gone(&format!("/sekisho/ended?why={}", SessionEnd::SignedOut.code()))
}

/// GET: why there is no session any more.
pub(super) async fn ended(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let texts = match asking.asked.why.as_str() {
        "closed" => &messages::CLOSED,
        why => messages::ended(SessionEnd::from_code(why).unwrap_or(SessionEnd::SignedOut)),
    };
    pages::message(&site, &asking, StatusCode::OK, texts)
}

/// GET: what a suspension is.
pub(super) async fn suspended(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    pages::message(&site, &asking, StatusCode::FORBIDDEN, &messages::SUSPENDED)
}

/// GET: the page for when signing in doesn't work.
pub(super) async fn unavailable(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    pages::message_later(
        &site,
        &asking,
        StatusCode::SERVICE_UNAVAILABLE,
        &messages::UNAVAILABLE,
        AFTER_FAILURE,
    )
}

/// A store failed: nothing was decided, so nobody gets in.
pub(super) fn failed(site: &Site, asking: &Asking, error: &Unavailable) -> Response {
    tracing::error!(
        request_id = asking.visitor.request_id,
        store = error.store,
        problem = error.problem,
        "signing in doesn't work: a store is not available"
    );
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = pages::message_later(site, asking, status, &messages::UNAVAILABLE, AFTER_FAILURE);
    // For whoever looks after the stores; no client sees it.
    response.extensions_mut().insert(error.clone());
    response
}

/// Too many attempts.
pub(super) fn throttled(site: &Site, asking: &Asking, after: Duration) -> Response {
    pages::message_later(site, asking, StatusCode::TOO_MANY_REQUESTS, &messages::THROTTLED, after)
}

/// Too many people at once.
pub(super) fn overloaded(site: &Site, asking: &Asking, after: Duration) -> Response {
    pages::message_later(site, asking, StatusCode::SERVICE_UNAVAILABLE, &messages::OVERLOADED, after)
}
