//! The acquisition page (CIBMU921): contract ID, user ID and PIN of somebody who may get a certificate.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{missing, words};
use crate::domain::Purpose;
use crate::flows::{BeginOutcome, TypedIds};
use crate::portal::asking::Asking;
use crate::portal::forms::{self, Tokened, Typed};
use crate::portal::pages::{self, Shell};
use crate::portal::site::Site;
use crate::portal::{cookies, ends, messages};

/// What is posted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct BeginForm {
    token: String,
    contract: String,
    user: String,
    pin: Typed,
}

impl Tokened for BeginForm {
    fn token(&self) -> &str {
        &self.token
    }
}

/// What is wrong with what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    Incomplete,
    /// Something isn't right, and it isn't said what (T44).
    Refused,
}

impl Mistake {
    fn is_incomplete(self) -> bool {
        self == Self::Incomplete
    }
}

#[derive(Template)]
#[template(path = "acquisition.html")]
struct BeginPage<'a> {
    s: Shell<'a>,
    attempts: u32,
    mistake: Option<Mistake>,
    contract: &'a str,
    user: &'a str,
}

/// GET: the page.
pub(in crate::portal) async fn show(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    if site.acquisition.is_none() || !asking.place.has_sign_in() {
        return missing(&site, &asking);
    }
    page(&site, &asking, &BeginForm::default(), None)
}

/// POST: IDs and PIN.
pub(in crate::portal) async fn submit(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<BeginForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let Some(acquisition) = site.acquisition.as_ref().filter(|_| asking.place.has_sign_in()) else {
        return missing(&site, &asking);
    };
    if form.contract.trim().is_empty() || form.user.trim().is_empty() || form.pin.0.is_empty() {
        return page(&site, &asking, &form, Some(Mistake::Incomplete));
    }
    let typed = TypedIds {
        contract: form.contract.clone(),
        user: form.user.clone(),
        pin: Zeroizing::new(form.pin.0.to_string()),
    };
    let say = |status, texts| pages::message(&site, &asking, status, texts);
    match acquisition.begin(&typed, &asking.visitor).await {
        Ok(BeginOutcome::Begun(new)) if new.signed_in.purpose == Purpose::PinChange => {
            let mut response = pages::go_to("/sekisho/pin?to=/sekisho/acquisition");
            pages::set_cookie(&mut response, &cookies::session(&new.token.to_cookie()));
            response
        }
        Ok(BeginOutcome::Begun(new)) => {
            let mut response = pages::go_to("/sekisho/acquisition/certificate");
            pages::set_cookie(&mut response, &cookies::acquisition(&new.token.to_cookie()));
            response
        }
        Ok(BeginOutcome::Refused) => page(&site, &asking, &form, Some(Mistake::Refused)),
        Ok(BeginOutcome::Suspended) => say(StatusCode::FORBIDDEN, &messages::SUSPENDED),
        Ok(BeginOutcome::NotPermitted) => say(StatusCode::FORBIDDEN, &words::NOT_PERMITTED),
        Ok(BeginOutcome::Occupied) => say(StatusCode::CONFLICT, &messages::OCCUPIED),
        Ok(BeginOutcome::Throttled { retry_after }) => ends::throttled(&site, &asking, retry_after),
        Ok(BeginOutcome::Overloaded { retry_after }) => ends::overloaded(&site, &asking, retry_after),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

fn page(site: &Site, asking: &Asking, form: &BeginForm, mistake: Option<Mistake>) -> Response {
    let page = BeginPage {
        s: Shell::new(site, asking),
        attempts: site.sign_in.as_ref().map_or(0, |sign_in| sign_in.attempts()),
        mistake,
        contract: &form.contract,
        user: &form.user,
    };
    pages::html(asking, StatusCode::OK, &page)
}
