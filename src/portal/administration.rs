//! What a contract's administrator does (利用者情報変更): the list of users, one user, one change after the other.

mod change;
mod choice;
mod list;
mod row;
mod user;
mod words;

use axum::response::Response;
use http::StatusCode;

use super::asking::Asking;
use super::site::Site;
use super::way::encoded;
use super::{ends, messages, pages, router};
use crate::flows::{Administered, Administration};

pub(super) use change::{change, confirm};
pub(super) use list::list;
pub(super) use user::show;

/// The verbs, on the host that asks for certificates.
fn verbs<'a>(site: &'a Site, asking: &Asking) -> Option<&'a Administration> {
    site.administration.as_deref().filter(|_| asking.place.asks_for_certificate())
}

/// The page for everything but success.
fn refused<T>(site: &Site, asking: &Asking, administered: &Administered<T>) -> Response {
    let say =
        |status, texts| pages::message_about(site, asking, status, texts, asking.visitor.identity.as_ref());
    match administered {
        Administered::Done(_) | Administered::NotFound => say(StatusCode::NOT_FOUND, &words::NO_USER),
        Administered::NotAdministrator => say(StatusCode::FORBIDDEN, &words::NOT_ADMINISTRATOR),
        Administered::SignInNeeded => {
            pages::go_to(&format!("/sekisho/certificate?to={}", encoded("/sekisho/administration")))
        }
        Administered::Oneself => say(StatusCode::FORBIDDEN, &words::ONESELF),
        Administered::BankStaffs => say(StatusCode::FORBIDDEN, &words::BANK_STAFFS),
        Administered::Suspended => say(StatusCode::FORBIDDEN, &messages::SUSPENDED_CERTIFICATE),
        Administered::Conflict(conflict) => say(StatusCode::CONFLICT, words::of(*conflict)),
        Administered::WrongPin => say(StatusCode::FORBIDDEN, &words::WRONG_PIN),
        Administered::Throttled { retry_after } => ends::throttled(site, asking, *retry_after),
        Administered::Overloaded { retry_after } => ends::overloaded(site, asking, *retry_after),
    }
}

fn missing(site: &Site, asking: &Asking) -> Response {
    router::missing(site, asking)
}
