//! Cookies, queries and forms that any browser, or none, may have sent.

use axum::extract::Form;
use axum::extract::FromRequest;
use futures_util::FutureExt as _;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request};

use super::cookies;
use super::sign_in::SignInForm;
use super::way::Way;
use crate::domain::{SESSION_COOKIE, SessionToken};

/// The session of a request whose `Cookie` lines these are.
pub(crate) fn session(lines: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    for line in lines.split(|&byte| byte == b'\n') {
        headers.append(COOKIE, HeaderValue::from_bytes(line).ok()?);
    }
    let token = SessionToken::parse(cookies::read(&headers, SESSION_COOKIE)?)?;
    Some(token.to_cookie().to_string())
}

/// A form is read or refused; a way to go on leads to a path of this very host.
pub(crate) fn forms(body: &[u8]) {
    let mut request = Request::new(axum::body::Body::from(body.to_vec()));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let _ = Form::<SignInForm>::from_request(request, &()).now_or_never().expect("nothing to wait for");
    let Ok(text) = std::str::from_utf8(body) else { return };
    let way = Way::read(text);
    if let Some(path) = way.path() {
        let mut bytes = path.bytes();
        assert_eq!(bytes.next(), Some(b'/'));
        assert!(!matches!(bytes.next(), Some(b'/' | b'\\')), "{path}");
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
    }
}
