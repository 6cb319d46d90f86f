//! Getting a certificate (取得) and renewing one (更新): the pages, and what the helper asks.

mod downloads;
mod helper;
mod manual;
mod start;
mod steps;
mod words;

use axum::response::Response;
use http::StatusCode;

use super::asking::Asking;
use super::ends;
use super::pages;
use super::router;
use super::site::Site;
use super::way::encoded;
use super::when;
use crate::domain::Language;
use crate::flows::{Acquisition, Asker, Standpoint};

pub(super) use downloads::{Helpers, helper, revocation_list};
pub(super) use helper::{prove, redeem};
pub(super) use start::{show, submit};
pub(super) use steps::{code, done, explain_file, fetch_file, progress, renew, steps};

/// The verbs, where the request's host has these pages.
fn verbs<'a>(site: &'a Site, asking: &Asking) -> Option<&'a Acquisition> {
    let here = asking.place.has_sign_in() || asking.place.asks_for_certificate();
    site.acquisition.as_deref().filter(|_| here)
}

/// Who asks, as the verbs want to know it.
pub(super) fn asker(asking: &Asking) -> Asker<'_> {
    Asker { token: asking.session.as_ref(), browser: asking.visit.value(), visitor: &asking.visitor }
}

/// The page for somebody who is nowhere in an acquisition.
fn elsewhere(site: &Site, asking: &Asking, standpoint: &Standpoint) -> Response {
    match standpoint {
        Standpoint::At(_) => pages::go_to("/sekisho/acquisition/certificate"),
        Standpoint::TooEarly { from } => {
            let from = when::moment(*from, asking.language);
            let what = match asking.language {
                Language::Japanese => {
                    format!("{from}から更新できます。それまでは、いまの電子証明書をお使いください。")
                }
                Language::English => {
                    format!("It can be renewed from {from}. Until then, use the one that you have.")
                }
            };
            pages::message_saying(site, asking, StatusCode::OK, &words::TOO_EARLY, &what)
        }
        Standpoint::NotPermitted => {
            pages::message(site, asking, StatusCode::FORBIDDEN, &words::NOT_PERMITTED)
        }
        Standpoint::Over(end) => ends::gone(&format!("/sekisho/ended?why={}", end.code())),
        Standpoint::Nobody if asking.place.has_sign_in() => pages::go_to("/sekisho/acquisition"),
        Standpoint::Nobody => {
            pages::go_to(&format!("/sekisho/certificate?to={}", encoded("/sekisho/renewal")))
        }
    }
}

/// No certificates are issued, or not on this host.
fn missing(site: &Site, asking: &Asking) -> Response {
    router::missing(site, asking)
}
