//! The portal as a browser sees it: pages, headers, cookies, forms.

mod pages;
mod requests;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts as _;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;

use super::asking::Asking;
use super::site::Site;
use super::{Application, Portal, PortalSettings};
use crate::clock::Clock;
use crate::config::{RouteRole, Title};
use crate::domain::Visitor;
use crate::domain::{AuthMethod, ContractId, Identity, Language, Purpose, Role, UserId};
use crate::flows::SignedIn;
use crate::stores::LastSignIn;

const WWW: &str = "www.mihonbank.example";
const CERT: &str = "cert.mihonbank.example";

fn application(path: &str, title: [&str; 2], needs_certificate: bool, roles: Vec<RouteRole>) -> Application {
    let title = Title { ja: title[0].to_owned(), en: title[1].to_owned() };
    Application { path: path.to_owned(), title, needs_certificate, roles, contracts: Vec::new() }
}

fn settings() -> PortalSettings {
    PortalSettings {
        acquisition: None,
        administration: None,
        helpers: None,
        revocation_list: Arc::default(),
        sign_in: None,
        host: WWW.to_owned(),
        certificate_host: Some(CERT.to_owned()),
        applications: vec![
            application("/banking", ["残高照会・振込", "Balances and transfers"], false, vec![]),
            application("/banking/payroll", ["給与振込", "Payroll"], true, vec![]),
            application("/admin", ["利用者管理", "Users"], true, vec![RouteRole::Administrator]),
        ],
        theme: None,
        notices: None,
        clock: Clock::manual("2026-11-23T00:15:00Z".parse().unwrap()),
    }
}

fn site() -> Arc<Site> {
    Arc::new(Site::new(settings()).unwrap())
}

fn portal() -> Portal {
    Portal::new(settings()).unwrap()
}

fn identity() -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new("tanaka").unwrap() }
}

fn signed_in(role: Role) -> SignedIn {
    let previous =
        LastSignIn { at: "2026-11-20T09:02:00Z".parse().unwrap(), method: AuthMethod::Certificate };
    SignedIn {
        identity: identity(),
        role,
        method: AuthMethod::Pin,
        purpose: Purpose::Full,
        at: "2026-11-23T00:15:00Z".parse().unwrap(),
        previous: Some(previous),
        certificate: None,
    }
}

fn visitor() -> Visitor {
    Visitor {
        source: "192.0.2.7".parse().unwrap(),
        request_id: "00c0ffee00c0ffee".to_owned(),
        identity: Some(identity()),
        chain: Arc::from([]),
    }
}

/// A request as the edge hands it over. `fields` are lines `name: value`.
fn request(method: &str, host: &str, path: &str, fields: &[&str], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header("host", host).extension(visitor());
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn get(host: &str, path: &str) -> Request<Bytes> {
    request("GET", host, path, &[], "")
}

async fn asking(site: &Arc<Site>, host: &str, path: &str, language: Language) -> Asking {
    let field = format!("accept-language: {language}");
    let (mut parts, _) = request("GET", host, path, &[&field], "").into_parts();
    Asking::from_request_parts(&mut parts, site).await.unwrap()
}

/// Status, fields and text.
async fn read(response: Response<Body>) -> (u16, HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

/// The values of all `Set-Cookie` fields.
fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}
