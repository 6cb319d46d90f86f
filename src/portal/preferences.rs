//! Size of the text and language: two small forms in the header of every page.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use serde::Deserialize;

use super::asking::{Asking, Size};
use super::cookies;
use super::forms::{self, Tokened};
use super::pages;
use super::site::Site;
use crate::domain::Language;

/// The pages that one can come from. Others do something when they are opened.
const PAGES: [&str; 6] = ["sign-in", "home", "pin", "ended", "suspended", "certificate"];

/// What is posted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PreferencesForm {
    token: String,
    size: String,
    lang: String,
    page: String,
}

impl Tokened for PreferencesForm {
    fn token(&self) -> &str {
        &self.token
    }
}

/// POST: remembers a choice and returns to the page.
pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<PreferencesForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let mut response = pages::go_to(&back_to(&form));
    if let Some(size) = Size::from_code(&form.size) {
        pages::set_cookie(&mut response, &cookies::choice(cookies::SIZE, size.code()));
    }
    if let Some(language) = Language::from_code(&form.lang) {
        pages::set_cookie(&mut response, &cookies::choice(cookies::LANGUAGE, language.code()));
    }
    response
}

/// The page that the form was on, if it is one to return to. Choices in its address give way to the new one.
fn back_to(form: &PreferencesForm) -> String {
    let plain = form.page.len() <= 2048 && form.page.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let (path, query) = form.page.split_once('?').unwrap_or((&form.page, ""));
    let known = path.strip_prefix("/sekisho/").is_some_and(|page| PAGES.contains(&page));
    if !plain || !known {
        return "/sekisho/home".to_owned();
    }
    let overruled = |pair: &str| {
        (pair.starts_with("lang=") && !form.lang.is_empty())
            || (pair.starts_with("size=") && !form.size.is_empty())
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !overruled(pair)).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(page: &str) -> String {
        back_to(&PreferencesForm { page: page.into(), lang: "en".into(), ..PreferencesForm::default() })
    }

    #[test]
    fn a_choice_returns_to_its_page_and_nowhere_else() {
        assert_eq!(back("/sekisho/sign-in?to=/banking"), "/sekisho/sign-in?to=/banking");
        assert_eq!(
            back("/sekisho/certificate?nonce=a&lang=ja&size=large"),
            "/sekisho/certificate?nonce=a&size=large"
        );
        for bad in [
            "",
            "//evil.example",
            "https://evil.example/sekisho/home",
            "/sekisho/arrive?code=x",
            "/banking",
            "/sekisho/../evil",
            "/sekisho/home\r\nX: y",
            "/sekisho//evil.example/home",
        ] {
            assert_eq!(back(bad), "/sekisho/home", "{bad:?}");
        }
    }
}
