//! What the helper asks: JSON, without cookies. Its code says whose request it is, its signature whose proof.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::words;
use crate::flows::{ProofOutcome, RedeemOutcome};
use crate::portal::asking::Asking;
use crate::portal::forms::Typed;
use crate::portal::messages;
use crate::portal::site::Site;
use crate::portal::texts::Texts;

#[derive(Deserialize)]
pub(in crate::portal) struct Redeem {
    code: Typed,
    request: String,
}

#[derive(Deserialize)]
pub(in crate::portal) struct Prove {
    certificate: String,
    signature: String,
}

/// POST: a code and a request for a certificate.
pub(in crate::portal) async fn redeem(
    State(site): State<Arc<Site>>,
    asking: Asking,
    body: Result<Json<Redeem>, JsonRejection>,
) -> Response {
    let Some(acquisition) = site.acquisition.as_ref().filter(|_| asking.place.has_sign_in()) else {
        return problem(&asking, StatusCode::NOT_FOUND, &messages::NOT_FOUND, None);
    };
    let request =
        body.ok().and_then(|Json(redeem)| Some((redeem.code, BASE64_STANDARD.decode(redeem.request).ok()?)));
    let Some((code, request)) = request else {
        return problem(&asking, StatusCode::BAD_REQUEST, &messages::BAD_FORM, None);
    };
    match acquisition.redeem(&code.0, &request, &asking.visitor).await {
        Ok(RedeemOutcome::Certificate(chain)) => answer(StatusCode::OK, &json!({ "chain": chain })),
        Ok(RedeemOutcome::Refused) => problem(&asking, StatusCode::FORBIDDEN, &words::CODE_REFUSED, None),
        Ok(RedeemOutcome::BadRequest(detail)) => {
            problem(&asking, StatusCode::BAD_REQUEST, &messages::BAD_FORM, Some(detail))
        }
        Ok(RedeemOutcome::Throttled { retry_after }) => too_many(&asking, retry_after),
        Err(error) => failed(&asking, &error),
    }
}

/// POST: the proof that the key is in place.
pub(in crate::portal) async fn prove(
    State(site): State<Arc<Site>>,
    asking: Asking,
    body: Result<Json<Prove>, JsonRejection>,
) -> Response {
    let Some(acquisition) = site.acquisition.as_ref().filter(|_| asking.place.has_sign_in()) else {
        return problem(&asking, StatusCode::NOT_FOUND, &messages::NOT_FOUND, None);
    };
    let proof = body.ok().and_then(|Json(prove)| {
        let certificate = BASE64_STANDARD.decode(prove.certificate).ok()?;
        Some((certificate, BASE64_STANDARD.decode(prove.signature).ok()?))
    });
    let Some((certificate, signature)) = proof else {
        return problem(&asking, StatusCode::BAD_REQUEST, &messages::BAD_FORM, None);
    };
    match acquisition.prove(&certificate, &signature, &asking.visitor).await {
        Ok(ProofOutcome::Proven(details)) => answer(
            StatusCode::OK,
            &json!({
                "organization": details.organization,
                "unit": details.unit,
                "common_name": details.common_name,
                "serial": details.serial,
                "not_before": details.not_before.to_string(),
                "not_after": details.not_after.to_string(),
            }),
        ),
        Ok(ProofOutcome::Refused) => problem(&asking, StatusCode::FORBIDDEN, &words::PROOF_REFUSED, None),
        Ok(ProofOutcome::Throttled { retry_after }) => too_many(&asking, retry_after),
        Err(error) => failed(&asking, &error),
    }
}

fn failed(asking: &Asking, error: &crate::stores::Unavailable) -> Response {
    tracing::error!(
        request_id = asking.visitor.request_id,
        store = error.store,
        problem = error.problem,
        "acquiring doesn't work: a store is not available"
    );
    let mut response = problem(asking, StatusCode::SERVICE_UNAVAILABLE, &messages::UNAVAILABLE, None);
    response.extensions_mut().insert(error.clone());
    response
}

fn too_many(asking: &Asking, retry_after: Duration) -> Response {
    let mut response = problem(asking, StatusCode::TOO_MANY_REQUESTS, &messages::THROTTLED, None);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    response
}

/// A problem document (RFC 9457).
fn problem(asking: &Asking, status: StatusCode, texts: &Texts, detail: Option<&str>) -> Response {
    let words = texts.of(asking.language);
    let mut response = answer(
        status,
        &json!({
            "title": words.title,
            "status": status.as_u16(),
            "detail": detail.map_or_else(|| words.what.to_owned(), |more| format!("{} ({more})", words.what)),
            "request_id": asking.visitor.request_id,
        }),
    );
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

fn answer(status: StatusCode, json: &Value) -> Response {
    let mut response = Response::new(Body::from(json.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
