//! Changing the PIN; the only page that a temporary PIN opens.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::asking::Asking;
use super::cookies;
use super::ends;
use super::forms::{self, Tokened, Typed};
use super::messages;
use super::pages::{self, Shell};
use super::router;
use super::site::Site;
use super::way::Way;
use crate::domain::{Identity, Purpose, WeakPin};
use crate::flows::{PinChange, SignIn, SignedIn};

/// What is posted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ChangeForm {
    token: String,
    to: String,
    present: Typed,
    new: Typed,
    again: Typed,
}

impl Tokened for ChangeForm {
    fn token(&self) -> &str {
        &self.token
    }
}

/// What is wrong with what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    Incomplete,
    Wrong,
    Different,
    Weak(WeakPin),
}

impl Mistake {
    /// In Japanese and English.
    const fn texts(self) -> [&'static str; 2] {
        match self {
            Self::Incomplete => ["すべての項目を入力してください。", "Fill in all fields."],
            Self::Wrong => ["現在の利用者暗証番号が正しくありません。", "The present PIN is not right."],
            Self::Different => [
                "新しい利用者暗証番号と確認用の入力が一致しません。",
                "The new PIN and its repetition differ.",
            ],
            Self::Weak(WeakPin::Length) => [
                "新しい利用者暗証番号の桁数または文字が正しくありません。半角英数字で入力してください。",
                "The new PIN is too short or too long, or has characters other than letters and digits.",
            ],
            Self::Weak(WeakPin::LikeId) => [
                "契約法人IDや利用者IDに似た番号は使えません。",
                "The new PIN is too much like the contract ID or the user ID.",
            ],
            Self::Weak(WeakPin::OneCharacter) => {
                ["同じ文字だけの番号は使えません。", "The new PIN can't be one character repeated."]
            }
            Self::Weak(WeakPin::Denied) => {
                ["推測されやすい番号のため使えません。", "The new PIN is too easily guessed."]
            }
            Self::Weak(WeakPin::Unchanged) => {
                ["現在と同じ番号は使えません。", "The new PIN is the same as the present one."]
            }
        }
    }

    /// Whether the present PIN is what has to be typed otherwise.
    fn is_about_present(self) -> bool {
        self == Self::Wrong
    }
}

#[derive(Template)]
#[template(path = "pin.html")]
struct PinPage<'a> {
    s: Shell<'a>,
    identity: &'a Identity,
    forced: bool,
    mistake: Option<Mistake>,
    attempts: u32,
    least: usize,
    most: usize,
    to: &'a str,
}

impl PinPage<'_> {
    /// Whether the present PIN (or else the new one) is what has to be typed otherwise.
    fn blames(&self, present: bool) -> bool {
        self.mistake.is_some_and(|mistake| mistake.is_about_present() == present)
    }
}

/// GET: the form.
pub(super) async fn show(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    match ends::signed_in(&site, sign_in, &asking).await {
        Ok((_, signed_in)) if signed_in.purpose == Purpose::Acquisition => {
            pages::go_to("/sekisho/acquisition/certificate")
        }
        Ok((_, signed_in)) => page(&site, sign_in.attempts(), &asking, &signed_in, None),
        Err(response) => response,
    }
}

/// POST: changes it.
pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    mut asking: Asking,
    form: Result<Form<ChangeForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    asking.way = Way::read(&form.to);
    asking.here = format!("/sekisho/pin{}", asking.way.query('?'));
    match ends::signed_in(&site, sign_in, &asking).await {
        Ok((_, signed_in)) => change(&site, sign_in, &asking, &signed_in, &form).await,
        Err(response) => response,
    }
}

async fn change(
    site: &Site,
    sign_in: &SignIn,
    asking: &Asking,
    signed_in: &SignedIn,
    form: &ChangeForm,
) -> Response {
    let again = |mistake| page(site, sign_in.attempts(), asking, signed_in, Some(mistake));
    let Some(token) = &asking.session else { return pages::go_to("/sekisho/sign-in") };
    let (present, new, repeated) = (&form.present.0, &form.new.0, &form.again.0);
    if present.is_empty() || new.is_empty() || repeated.is_empty() {
        return again(Mistake::Incomplete);
    }
    if !bool::from(new.as_bytes().ct_eq(repeated.as_bytes())) {
        return again(Mistake::Different);
    }
    match sign_in.change_pin(token, present, new, &asking.visitor).await {
        Ok(PinChange::Changed(new)) => {
            let home = "/sekisho/home?done=pin".to_owned();
            let address =
                asking.way.path().map_or(home, |_| site.destination(&asking.way, &asking.authority));
            let mut response = pages::go_to(&address);
            pages::set_cookie(&mut response, &cookies::session(&new.token.to_cookie()));
            response
        }
        Ok(PinChange::Wrong) => again(Mistake::Wrong),
        Ok(PinChange::Weak(weakness)) => again(Mistake::Weak(weakness)),
        Ok(outcome) => turned_away(site, asking, &outcome),
        Err(error) => ends::failed(site, asking, &error),
    }
}

pub(super) fn turned_away(site: &Site, asking: &Asking, outcome: &PinChange) -> Response {
    match outcome {
        PinChange::Suspended => {
            let mut response = pages::message(site, asking, StatusCode::FORBIDDEN, &messages::SUSPENDED);
            pages::set_cookie(&mut response, &cookies::gone(cookies::SESSION_COOKIE));
            response
        }
        PinChange::NotHere => pages::message(site, asking, StatusCode::FORBIDDEN, &messages::PIN_NOT_HERE),
        PinChange::Throttled { retry_after } => ends::throttled(site, asking, *retry_after),
        PinChange::Overloaded { retry_after } => ends::overloaded(site, asking, *retry_after),
        PinChange::Nobody | PinChange::Changed(_) | PinChange::Wrong | PinChange::Weak(_) => {
            ends::gone("/sekisho/sign-in")
        }
    }
}

pub(super) fn page(
    site: &Site,
    attempts: u32,
    asking: &Asking,
    signed_in: &SignedIn,
    mistake: Option<Mistake>,
) -> Response {
    let Some((least, most)) = site.pin_length else {
        return pages::message(site, asking, StatusCode::FORBIDDEN, &messages::PIN_NOT_HERE);
    };
    let page = PinPage {
        s: Shell::new(site, asking),
        least,
        most,
        identity: &signed_in.identity,
        forced: signed_in.purpose == Purpose::PinChange,
        mistake,
        attempts,
        to: asking.way.path().unwrap_or_default(),
    };
    pages::html(asking, StatusCode::OK, &page)
}
