//! The steps after that (CIBRA001 to 003): by the helper or as a file, under way, done. Each page asks anew how far the
//! person is, so that every one of them can be reloaded, left and come back to.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::downloads::{Offered, System};
use super::{asker, elsewhere, manual, missing, verbs, words};
use crate::domain::Identity;
use crate::flows::{Acquiring, Acquisition, CodeOutcome, CredentialDetails, FileOutcome, Stage, Standpoint};
use crate::portal::asking::Asking;
use crate::portal::ends::{self, BareForm};
use crate::portal::pages::{self, Shell};
use crate::portal::site::Site;
use crate::portal::{cookies, forms, messages, when};

#[derive(Template)]
#[template(path = "steps.html")]
struct StepsPage<'a> {
    s: Shell<'a>,
    title: &'static str,
    identity: &'a Identity,
    renews: bool,
    /// Whether an earlier try came as far as a certificate.
    issued: bool,
    /// The serial number of the one that an earlier try brought: it isn't what the page waits for.
    held: &'a str,
    helpers: Vec<Offered<'a>>,
    /// The code, and until when it can be used.
    code: Option<(&'a str, String)>,
    /// The address for the helper.
    gateway: String,
}

#[derive(Template)]
#[template(path = "file.html")]
struct FilePage<'a> {
    s: Shell<'a>,
    identity: &'a Identity,
}

#[derive(Template)]
#[template(path = "acquired.html")]
struct DonePage<'a> {
    s: Shell<'a>,
    details: &'a CredentialDetails,
    serial: String,
    from: String,
    until: String,
    renews: bool,
    password: Option<Zeroizing<String>>,
    manual: Vec<(&'static str, &'static [&'static str])>,
    sign_in: String,
}

/// Where the person is, or the answer for those who are nowhere.
async fn at(site: &Site, acquisition: &Acquisition, asking: &Asking) -> Result<Acquiring, Response> {
    match acquisition.standpoint(asker(asking)).await {
        Ok(Standpoint::At(acquiring)) => Ok(*acquiring),
        Ok(standpoint) => Err(elsewhere(site, asking, &standpoint)),
        Err(error) => Err(ends::failed(site, asking, &error)),
    }
}

/// GET: the two ways.
pub(in crate::portal) async fn steps(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    asking: Asking,
) -> Response {
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let acquiring = match at(&site, acquisition, &asking).await {
        Ok(acquiring) => acquiring,
        Err(response) => return response,
    };
    // Until a renewed one is used, another can be had: the one before still works.
    let again = acquiring.renews && asking.asked.done == "again";
    if matches!(acquiring.stage, Stage::Held { .. }) && !again {
        return pages::go_to("/sekisho/acquisition/done");
    }
    steps_page(&site, &asking, &acquiring, System::of(&headers), None)
}

/// GET: the same, from where renewing begins.
pub(in crate::portal) async fn renew(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    asking: Asking,
) -> Response {
    if !asking.place.asks_for_certificate() {
        return missing(&site, &asking);
    }
    steps(State(site), headers, asking).await
}

/// POST: a code for the helper.
pub(in crate::portal) async fn code(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    asking: Asking,
    form: Result<Form<BareForm>, FormRejection>,
) -> Response {
    if let Err(response) = forms::admit(&site, &asking, form) {
        return *response;
    }
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let acquiring = match at(&site, acquisition, &asking).await {
        Ok(acquiring) => acquiring,
        Err(response) => return response,
    };
    match acquisition.code(asker(&asking)).await {
        Ok(CodeOutcome::Code { code, until }) => {
            let until = when::moment(until, asking.language);
            steps_page(&site, &asking, &acquiring, System::of(&headers), Some((&code, until)))
        }
        Ok(CodeOutcome::Not(standpoint)) => elsewhere(&site, &asking, &standpoint),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

fn steps_page(
    site: &Site,
    asking: &Asking,
    acquiring: &Acquiring,
    system: Option<System>,
    code: Option<(&str, String)>,
) -> Response {
    let s = Shell::new(site, asking);
    let title = if acquiring.renews {
        s.t("電子証明書の更新", "Renew your certificate")
    } else {
        s.t("電子証明書の取得", "Get your certificate")
    };
    let page = StepsPage {
        title,
        identity: &acquiring.identity,
        renews: acquiring.renews,
        issued: matches!(acquiring.stage, Stage::Issued(_)),
        held: match &acquiring.stage {
            Stage::Held { details, .. } => &details.serial,
            Stage::Ready | Stage::Issued(_) => "",
        },
        helpers: site.helpers.offered(system, asking.language),
        code,
        gateway: site.portal_origin(&asking.authority),
        s,
    };
    pages::html(asking, StatusCode::OK, &page)
}

/// GET: how far it is, for the page that waits.
pub(in crate::portal) async fn progress(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let (stage, serial) = match acquisition.standpoint(asker(&asking)).await {
        Ok(Standpoint::At(acquiring)) => match acquiring.stage {
            Stage::Ready => ("ready", String::new()),
            Stage::Issued(details) => ("issued", details.serial),
            Stage::Held { details, .. } => ("held", details.serial),
        },
        Ok(_) => ("over", String::new()),
        Err(error) => return ends::failed(&site, &asking, &error),
    };
    let json = serde_json::json!({ "stage": stage, "serial": serial });
    let mut response = Response::new(Body::from(json.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// GET: what the file is.
pub(in crate::portal) async fn explain_file(State(site): State<Arc<Site>>, asking: Asking) -> Response {
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    match at(&site, acquisition, &asking).await {
        Ok(acquiring) => {
            let page = FilePage { s: Shell::new(&site, &asking), identity: &acquiring.identity };
            pages::html(&asking, StatusCode::OK, &page)
        }
        Err(response) => response,
    }
}

/// POST: the file.
pub(in crate::portal) async fn fetch_file(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<BareForm>, FormRejection>,
) -> Response {
    if let Err(response) = forms::admit(&site, &asking, form) {
        return *response;
    }
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    match acquisition.file(asker(&asking)).await {
        Ok(FileOutcome::File(file)) => {
            let mut response = Response::new(Body::from(file.to_vec()));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-pkcs12"));
            let attachment = HeaderValue::from_static("attachment; filename=\"certificate.p12\"");
            headers.insert(CONTENT_DISPOSITION, attachment);
            pages::set_cookie(&mut response, &cookies::acquiring_visit(asking.visit.value()));
            response
        }
        Ok(FileOutcome::Not(Standpoint::At(_))) => {
            pages::message(&site, &asking, StatusCode::CONFLICT, &words::IN_USE)
        }
        Ok(FileOutcome::Not(standpoint)) => elsewhere(&site, &asking, &standpoint),
        Ok(FileOutcome::Suspended) => {
            pages::message(&site, &asking, StatusCode::FORBIDDEN, &messages::SUSPENDED)
        }
        Ok(FileOutcome::Throttled { retry_after }) => ends::overloaded(&site, &asking, retry_after),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

/// GET: what they have, and for a file its password.
pub(in crate::portal) async fn done(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    asking: Asking,
) -> Response {
    let Some(acquisition) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let acquiring = match at(&site, acquisition, &asking).await {
        Ok(acquiring) => acquiring,
        Err(response) => return response,
    };
    let Stage::Held { details, as_file } = &acquiring.stage else {
        return pages::go_to("/sekisho/acquisition/certificate");
    };
    let password = match acquisition.password(asker(&asking)).await {
        Ok(password) => password.filter(|_| *as_file),
        Err(error) => return ends::failed(&site, &asking, &error),
    };
    done_page(&site, &asking, details, acquiring.renews, System::of(&headers), password)
}

fn done_page(
    site: &Site,
    asking: &Asking,
    details: &CredentialDetails,
    renews: bool,
    system: Option<System>,
    password: Option<Zeroizing<String>>,
) -> Response {
    let page = DonePage {
        s: Shell::new(site, asking),
        details,
        serial: spaced(&details.serial),
        from: when::moment(details.not_before, asking.language),
        until: when::moment(details.not_after, asking.language),
        renews,
        password,
        manual: manual::of(system, asking.language),
        sign_in: format!("{}/sekisho/sign-in", site.portal_origin(&asking.authority)),
    };
    pages::html(asking, StatusCode::OK, &page)
}

/// As certificate viewers show it: in pairs of upper-case digits.
fn spaced(serial: &str) -> String {
    let digits: Vec<char> = serial.to_uppercase().chars().collect();
    digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(":")
}

/// What the browser says that it runs on.
impl System {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let agent = headers.get(USER_AGENT)?.to_str().ok()?;
        let is = |word: &str| agent.contains(word);
        if is("Windows") {
            Some(Self::Windows)
        } else if is("Mac OS X") {
            Some(Self::MacOs)
        } else if is("Linux") || is("X11") {
            Some(Self::Linux)
        } else {
            None
        }
    }
}
