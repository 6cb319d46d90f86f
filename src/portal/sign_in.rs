//! The sign-in page (CIBMU201), and signing in by ID and PIN.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::asking::Asking;
use super::cookies;
use super::ends;
use super::forms::{self, Tokened, Typed};
use super::messages;
use super::notices::{self, Notice};
use super::pages::{self, Shell};
use super::router;
use super::site::Site;
use super::way::Way;
use super::when;
use crate::domain::Purpose;
use crate::flows::{NewSession, PinOutcome, SignIn, TypedIds};

/// What is posted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SignInForm {
    token: String,
    to: String,
    contract: String,
    user: String,
    pin: Typed,
}

#[cfg(test)]
impl SignInForm {
    pub(super) fn of(contract: &str, user: &str, pin: &str) -> Self {
        let pin = Typed(Zeroizing::new(pin.to_owned()));
        Self { contract: contract.to_owned(), user: user.to_owned(), pin, ..Self::default() }
    }
}

impl Tokened for SignInForm {
    fn token(&self) -> &str {
        &self.token
    }
}

/// What is wrong with what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// A field is empty.
    Incomplete,
    /// Something isn't right, and it isn't said what (T44).
    Refused,
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    s: Shell<'a>,
    notices: Vec<&'a Notice>,
    /// Where the button for certificates leads.
    certificate: Option<String>,
    /// Where the way to a certificate begins.
    acquisition: Option<&'static str>,
    pin_enabled: bool,
    attempts: u32,
    mistake: Option<Mistake>,
    to: &'a str,
    contract: &'a str,
    user: &'a str,
    /// The page itself, empty.
    clear: String,
}

impl SignInPage<'_> {
    fn incomplete(&self) -> bool {
        self.mistake == Some(Mistake::Incomplete)
    }

    fn date(&self, notice: &Notice) -> String {
        when::date(notice.date, self.s.language())
    }
}

/// GET: the page. On another host: the way to it.
pub(super) async fn show(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    if !asking.place.has_sign_in() {
        let origin = site.portal_origin(&asking.authority);
        return pages::go_to(&format!("{origin}/sekisho/sign-in{}", asking.way.query('?')));
    }
    page(&site, sign_in.pin_enabled(), sign_in.attempts(), &asking, &SignInForm::default(), None)
}

/// POST: IDs and PIN.
pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    mut asking: Asking,
    form: Result<Form<SignInForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let Some(sign_in) =
        site.sign_in.as_ref().filter(|verbs| asking.place.has_sign_in() && verbs.pin_enabled())
    else {
        return router::missing(&site, &asking);
    };
    asking.way = Way::read(&form.to);
    asking.here = format!("/sekisho/sign-in{}", asking.way.query('?'));
    if form.contract.trim().is_empty() || form.user.trim().is_empty() || form.pin.0.is_empty() {
        return page(&site, true, sign_in.attempts(), &asking, &form, Some(Mistake::Incomplete));
    }
    let typed = TypedIds {
        contract: form.contract.clone(),
        user: form.user.clone(),
        pin: Zeroizing::new(form.pin.0.to_string()),
    };
    match sign_in.by_pin(&typed, &asking.visitor).await {
        Ok(PinOutcome::SignedIn(new)) => welcome(&site, sign_in, &asking, &new).await,
        Ok(outcome) => turned_away(&site, sign_in.attempts(), &asking, &form, &outcome),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

/// The page for everything but success. Nothing of it depends on why it was refused, and the PIN isn't on it.
pub(super) fn turned_away(
    site: &Site,
    attempts: u32,
    asking: &Asking,
    form: &SignInForm,
    outcome: &PinOutcome,
) -> Response {
    let say = |status, texts| pages::message(site, asking, status, texts);
    match outcome {
        PinOutcome::Refused | PinOutcome::SignedIn(_) => {
            page(site, true, attempts, asking, form, Some(Mistake::Refused))
        }
        PinOutcome::Suspended => say(StatusCode::FORBIDDEN, &messages::SUSPENDED),
        PinOutcome::Occupied => say(StatusCode::CONFLICT, &messages::OCCUPIED),
        PinOutcome::Throttled { retry_after } => ends::throttled(site, asking, *retry_after),
        PinOutcome::Overloaded { retry_after } => ends::overloaded(site, asking, *retry_after),
    }
}

/// The session's cookie, and on to where they wanted to go. Who chose no language gets the one that they read.
pub(super) async fn welcome(site: &Site, sign_in: &SignIn, asking: &Asking, new: &NewSession) -> Response {
    let mut response = pages::go_to(&destination(site, asking, new));
    pages::set_cookie(&mut response, &cookies::session(&new.token.to_cookie()));
    if !asking.chosen
        && let Ok(Some(language)) = sign_in.language(&new.signed_in.identity).await
    {
        pages::set_cookie(&mut response, &cookies::choice(cookies::LANGUAGE, language.code()));
    }
    response
}

pub(super) fn destination(site: &Site, asking: &Asking, new: &NewSession) -> String {
    match new.signed_in.purpose {
        Purpose::PinChange => format!("/sekisho/pin{}", asking.way.query('?')),
        Purpose::Acquisition => "/sekisho/acquisition/certificate".to_owned(),
        Purpose::Full => site.destination(&asking.way, &asking.authority),
    }
}

pub(super) fn page(
    site: &Site,
    pin_enabled: bool,
    attempts: u32,
    asking: &Asking,
    form: &SignInForm,
    mistake: Option<Mistake>,
) -> Response {
    let now = site.clock.now();
    let all = site.notices.as_ref().map(|notices| notices.current(now));
    let page = SignInPage {
        s: Shell::new(site, asking),
        notices: all.iter().flat_map(|all| notices::shown(all, now)).collect(),
        certificate: site
            .has_certificate_host()
            .then(|| format!("/sekisho/certificate{}", asking.way.query('?'))),
        acquisition: site.acquisition.is_some().then_some("/sekisho/acquisition"),
        pin_enabled,
        attempts,
        mistake,
        to: asking.way.path().unwrap_or_default(),
        contract: &form.contract,
        user: &form.user,
        clear: format!("/sekisho/sign-in{}", asking.way.query('?')),
    };
    pages::html(asking, StatusCode::OK, &page)
}
