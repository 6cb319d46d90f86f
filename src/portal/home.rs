//! The home page of somebody who has signed in.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::asking::Asking;
use super::ends;
use super::pages::{self, Shell};
use super::router;
use super::site::Site;
use super::when;
use crate::domain::{AuthMethod, Language, Purpose, Role};
use crate::flows::SignedIn;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    s: Shell<'a>,
    signed_in: &'a SignedIn,
    role: &'static str,
    method: &'static str,
    at: String,
    /// When and how they signed in before.
    previous: Option<(String, &'static str)>,
    /// Address, name, and whether it needs a certificate.
    applications: Vec<(String, &'a str, bool)>,
    pin_changed: bool,
    /// Whether the PIN can be changed here.
    holds_pins: bool,
    /// Where an administrator manages the contract's users.
    administration: Option<String>,
    /// Where a certificate is renewed.
    renewal: Option<String>,
}

/// GET: who is signed in, and what they may open.
pub(super) async fn show(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(sign_in) = &site.sign_in else { return router::missing(&site, &asking) };
    match ends::signed_in(&site, sign_in, &asking).await {
        Ok((_, signed_in)) if signed_in.purpose == Purpose::PinChange => pages::go_to("/sekisho/pin"),
        Ok((_, signed_in)) if signed_in.purpose == Purpose::Acquisition => {
            pages::go_to("/sekisho/acquisition/certificate")
        }
        Ok((_, signed_in)) => page(&site, &asking, &signed_in),
        Err(response) => response,
    }
}

pub(super) fn page(site: &Site, asking: &Asking, signed_in: &SignedIn) -> Response {
    let language = asking.language;
    let by_certificate = signed_in.method != AuthMethod::Pin;
    let applications = site.applications_of(signed_in).map(|application| {
        let title = match language {
            Language::Japanese => &application.title.ja,
            Language::English => &application.title.en,
        };
        let address = site.address_of(application, &application.path, &asking.authority);
        (address, title.as_str(), application.needs_certificate)
    });
    let page = HomePage {
        s: Shell::new(site, asking),
        signed_in,
        role: role(signed_in.role, language),
        method: method(signed_in.method, language),
        at: when::moment(signed_in.at, language),
        previous: signed_in
            .previous
            .map(|last| (when::moment(last.at, language), method(last.method, language))),
        applications: applications.collect(),
        holds_pins: site.pin_length.is_some(),
        administration: site
            .certificate_origin(&asking.authority)
            .filter(|_| {
                by_certificate && signed_in.role == Role::Administrator && site.administration.is_some()
            })
            .map(|origin| format!("{origin}/sekisho/administration")),
        renewal: site
            .certificate_origin(&asking.authority)
            .filter(|_| by_certificate && site.acquisition.is_some())
            .map(|origin| format!("{origin}/sekisho/renewal")),
        pin_changed: asking.asked.done == "pin",
    };
    pages::html(asking, StatusCode::OK, &page)
}

const fn role(role: Role, language: Language) -> &'static str {
    match (role, language) {
        (Role::Administrator, Language::Japanese) => "管理者",
        (Role::Administrator, Language::English) => "Administrator",
        (Role::User, Language::Japanese) => "利用者",
        (Role::User, Language::English) => "User",
    }
}

const fn method(method: AuthMethod, language: Language) -> &'static str {
    match (method, language) {
        (AuthMethod::Certificate, Language::Japanese) => "電子証明書方式",
        (AuthMethod::Certificate, Language::English) => "Certificate",
        (AuthMethod::Pin, Language::Japanese) => "ID・暗証番号方式",
        (AuthMethod::Pin, Language::English) => "ID and PIN",
        (AuthMethod::CertificateAndPin, Language::Japanese) => "電子証明書と暗証番号",
        (AuthMethod::CertificateAndPin, Language::English) => "Certificate and PIN",
    }
}
