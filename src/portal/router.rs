//! Which handler answers which path, and what every answer has in common.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;

use super::acquisition;
use super::administration;
use super::asking::Asking;
use super::certificate;
use super::ends;
use super::home;
use super::messages;
use super::pages;
use super::pin;
use super::preferences;
use super::sign_in;
use super::site::Site;

/// The largest form that is read.
const FORM_BYTES: usize = 16 * 1024;

/// All paths of the portal.
pub(super) fn router(site: Arc<Site>) -> Router {
    // Not nested: a nested handler doesn't see its whole path, which pages name to be returned to.
    Router::new()
        .route("/sekisho/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sekisho/sign-out", post(ends::sign_out))
        .route("/sekisho/certificate", get(certificate::open).post(certificate::submit))
        .route("/sekisho/arrive", get(certificate::arrive))
        .route("/sekisho/home", get(home::show))
        .route("/sekisho/pin", get(pin::show).post(pin::submit))
        .route("/sekisho/ended", get(ends::ended))
        .route("/sekisho/suspended", get(ends::suspended))
        .route("/sekisho/unavailable", get(ends::unavailable))
        .route("/sekisho/preferences", post(preferences::submit))
        .route("/sekisho/acquisition", get(acquisition::show).post(acquisition::submit))
        .route("/sekisho/acquisition/certificate", get(acquisition::steps))
        .route("/sekisho/acquisition/code", post(acquisition::code))
        .route("/sekisho/acquisition/progress", get(acquisition::progress))
        .route("/sekisho/acquisition/file", get(acquisition::explain_file).post(acquisition::fetch_file))
        .route("/sekisho/acquisition/done", get(acquisition::done))
        .route("/sekisho/renewal", get(acquisition::renew))
        .route("/sekisho/helper/certificate", post(acquisition::redeem))
        .route("/sekisho/helper/proof", post(acquisition::prove))
        .route("/sekisho/helper/{file}", get(acquisition::helper))
        .route("/sekisho/crl", get(acquisition::revocation_list))
        .route("/sekisho/administration", get(administration::list))
        .route("/sekisho/administration/user", get(administration::show))
        .route("/sekisho/administration/confirm", get(administration::confirm))
        .route("/sekisho/administration/change", post(administration::change))
        .route("/sekisho/static/{file}", get(static_file))
        .route("/sekisho", get(to_home))
        .route("/sekisho/", get(to_home))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .with_state(site)
}

async fn to_home() -> Response {
    pages::go_to("/sekisho/home")
}

async fn static_file(
    State(site): State<Arc<Site>>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    asking: Asking,
) -> Response<Body> {
    site.statics
        .answer(&file, query.as_deref())
        .unwrap_or_else(|| pages::message(&site, &asking, StatusCode::NOT_FOUND, &messages::NOT_FOUND))
}

async fn not_found(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    missing(&site, &asking)
}

async fn wrong_method(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    pages::message(&site, &asking, StatusCode::METHOD_NOT_ALLOWED, &messages::WRONG_METHOD)
}

/// There is no such page, at least not on this host.
pub(super) fn missing(site: &Site, asking: &Asking) -> Response {
    pages::message(site, asking, StatusCode::NOT_FOUND, &messages::NOT_FOUND)
}
