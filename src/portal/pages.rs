//! The templates' data, and rendering.

use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderValue, StatusCode};

use super::Refused;
use super::asking::{Asking, Size};
use super::cookies;
use super::refusals;
use super::site::{Place, Site};
use super::texts::{Texts, Words};
use crate::domain::{Identity, Language};

/// What every page shows: the head, the header and the foot.
pub(super) struct Shell<'a> {
    site: &'a Site,
    language: Language,
    size: Size,
    /// What the header's forms need. `None` on the gate's refusals, which know nothing of the browser.
    controls: Option<Controls>,
}

/// For the forms that choose size and language.
pub(super) struct Controls {
    pub(super) token: String,
    pub(super) here: String,
}

impl<'a> Shell<'a> {
    /// For an answer to `asking`.
    pub(super) fn new(site: &'a Site, asking: &Asking) -> Self {
        let controls = Controls { token: asking.form_token(), here: asking.here.clone() };
        Self { site, language: asking.language, size: asking.size, controls: Some(controls) }
    }

    /// For a refusal of the gate's.
    pub(super) const fn plain(site: &'a Site, language: Language) -> Self {
        Self { site, language, size: Size::Standard, controls: None }
    }

    /// The text in the page's language.
    pub(super) fn t<'b>(&self, ja: &'b str, en: &'b str) -> &'b str {
        match self.language {
            Language::Japanese => ja,
            Language::English => en,
        }
    }

    pub(super) fn lang(&self) -> &'static str {
        self.language.code()
    }

    pub(super) const fn language(&self) -> Language {
        self.language
    }

    pub(super) fn size(&self) -> &'static str {
        self.size.code()
    }

    pub(super) fn bank(&self) -> &str {
        self.site.theme.bank(self.language)
    }

    pub(super) fn service(&self) -> &str {
        self.site.theme.service(self.language)
    }

    pub(super) fn contact(&self) -> &str {
        self.site.theme.contact(self.language)
    }

    pub(super) fn footer(&self) -> &str {
        self.site.theme.footer(self.language)
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.site.statics.address(name)
    }

    pub(super) fn logo(&self) -> String {
        self.site.statics.logo()
    }

    pub(super) fn own_logo(&self) -> bool {
        self.site.theme.logo.is_some()
    }

    pub(super) fn controls(&self) -> Option<&Controls> {
        self.controls.as_ref()
    }

    pub(super) fn token(&self) -> &str {
        self.controls.as_ref().map_or("", |controls| &controls.token)
    }
}

/// A page that says something, with nothing more to do on it than to go on.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    s: Shell<'a>,
    words: Words,
    /// In the place of the words' own sentence.
    said: Option<&'a str>,
    identity: Option<&'a Identity>,
    /// Where to go on, and what the link is called.
    links: Vec<(String, &'static str)>,
    code: Option<&'static str>,
    request_id: &'a str,
}

/// The link that leads back to signing in.
pub(super) fn to_sign_in(asking: &Asking) -> (String, &'static str) {
    let text = match asking.language {
        Language::Japanese => "ログイン画面へ",
        Language::English => "To the sign-in page",
    };
    (format!("/sekisho/sign-in{}", asking.way.query('?')), text)
}

/// A message with the link back to signing in.
pub(super) fn message(site: &Site, asking: &Asking, status: StatusCode, texts: &Texts) -> Response {
    message_about(site, asking, status, texts, None)
}

/// A message about somebody who has proven who they are.
pub(super) fn message_about(
    site: &Site,
    asking: &Asking,
    status: StatusCode,
    texts: &Texts,
    identity: Option<&Identity>,
) -> Response {
    let links = if site.sign_in.is_some() { vec![to_sign_in(asking)] } else { Vec::new() };
    let page = Message {
        s: Shell::new(site, asking),
        words: texts.of(asking.language),
        said: None,
        identity,
        links,
        code: None,
        request_id: &asking.visitor.request_id,
    };
    html(asking, status, &page)
}

/// A message with a sentence of its own.
pub(super) fn message_saying(
    site: &Site,
    asking: &Asking,
    status: StatusCode,
    texts: &Texts,
    what: &str,
) -> Response {
    let page = Message {
        s: Shell::new(site, asking),
        words: texts.of(asking.language),
        said: Some(what),
        identity: asking.visitor.identity.as_ref(),
        links: vec![to_sign_in(asking)],
        code: None,
        request_id: &asking.visitor.request_id,
    };
    html(asking, status, &page)
}

/// A message for those who come too soon: 429 or 503, with the time after which it is worth trying again.
pub(super) fn message_later(
    site: &Site,
    asking: &Asking,
    status: StatusCode,
    texts: &Texts,
    after: Duration,
) -> Response {
    let mut response = message(site, asking, status, texts);
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// The page of a refusal of the gate's. It leads on where the portal has a page that helps.
pub(super) fn refusal(site: &Site, refused: &Refused<'_>, words: Words) -> Vec<u8> {
    let shell = Shell::plain(site, refused.language);
    let is_here = site.sign_in.is_some() && site.place(refused.host) != Place::Elsewhere;
    let link = if refusals::sign_in_helps(refused.code) {
        Some(("/sekisho/sign-in".to_owned(), shell.t("ログイン画面へ", "To the sign-in page")))
    } else if refusals::home_helps(refused.code) {
        Some(("/sekisho/home".to_owned(), shell.t("ホームへ", "To the home page")))
    } else {
        None
    };
    let page = Message {
        s: shell,
        words,
        said: None,
        identity: None,
        links: link.filter(|_| is_here).into_iter().collect(),
        code: Some(refused.code),
        request_id: refused.request_id,
    };
    page.render().unwrap_or_else(|_| words.title.to_owned()).into_bytes()
}

/// Renders a page. A browser that has no random value yet gets one with it: the page's forms need it.
pub(super) fn html(asking: &Asking, status: StatusCode, page: &impl Template) -> Response {
    let Ok(text) = page.render() else { return bare_failure() };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if asking.first_visit {
        set_cookie(&mut response, &cookies::visit(asking.visit.value()));
    }
    response
}

/// Leads on to another page. 303: whatever was posted is not posted again.
pub(super) fn go_to(address: &str) -> Response {
    let Ok(address) = HeaderValue::from_str(address) else { return bare_failure() };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, address);
    response
}

/// Adds a `Set-Cookie`.
pub(super) fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// For when not even a page can be made.
pub(super) fn bare_failure() -> Response {
    let mut response = Response::new(Body::from("Internal error. ただいまご利用になれません。\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
