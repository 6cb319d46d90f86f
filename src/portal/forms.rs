//! What is posted: read from the form, and only believed if it comes from a page of ours (T48).

use axum::extract::Form;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::asking::Asking;
use super::messages;
use super::pages;
use super::site::Site;

/// A form with the token that proves that its page was ours.
pub(super) trait Tokened {
    fn token(&self) -> &str;
}

/// A PIN as it was typed. Can't be printed; wiped when dropped.
#[derive(Default)]
pub(super) struct Typed(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The form, if it was sent from one of our own pages in this browser. Otherwise the page that says so.
pub(super) fn admit<F: Tokened>(
    site: &Site,
    asking: &Asking,
    form: Result<Form<F>, FormRejection>,
) -> Result<F, Box<Response>> {
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => {
            return Err(Box::new(pages::message(site, asking, rejection.status(), &messages::BAD_FORM)));
        }
    };
    if from_here(asking) && same_text(form.token(), &asking.form_token()) {
        Ok(form)
    } else {
        Err(Box::new(pages::message(site, asking, StatusCode::FORBIDDEN, &messages::FOREIGN_FORM)))
    }
}

/// Whether the browser says that a page of this very host sent the form.
fn from_here(asking: &Asking) -> bool {
    match (&asking.origin, &asking.fetch_site) {
        (Some(origin), _) => {
            let origin = origin.strip_suffix(":443").unwrap_or(origin);
            origin.strip_prefix("https://") == Some(asking.authority.as_str())
        }
        (None, Some(site)) => matches!(site.as_str(), "same-origin" | "none"),
        (None, None) => false,
    }
}

fn same_text(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
