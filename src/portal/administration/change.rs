//! One change: what will happen and the administrator's own PIN, then the change itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::choice::Choice;
use super::{missing, refused, verbs, words};
use crate::domain::Language;
use crate::flows::{Administered, Change, Conflict};
use crate::portal::acquisition::asker;
use crate::portal::asking::Asking;
use crate::portal::ends;
use crate::portal::forms::{self, Tokened, Typed};
use crate::portal::pages::{self, Shell};
use crate::portal::site::Site;
use crate::portal::way::encoded;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct Wanted {
    action: String,
    id: String,
}

/// What is posted.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct ChangeForm {
    token: String,
    action: String,
    id: String,
    mail: String,
    language: String,
    pin: Typed,
}

impl Tokened for ChangeForm {
    fn token(&self) -> &str {
        &self.token
    }
}

impl ChangeForm {
    fn change(&self, choice: Choice) -> Change {
        let mail = Some(self.mail.trim()).filter(|mail| !mail.is_empty()).map(str::to_owned);
        match choice {
            Choice::Permit => Change::Permit,
            Choice::Reissue => Change::Reissue,
            Choice::Revoke => Change::Revoke,
            Choice::Lift => Change::Lift,
            Choice::Stop => Change::Stop,
            Choice::Mail => Change::Mail(mail),
            Choice::Add => Change::Add {
                mail,
                language: Language::from_code(&self.language).unwrap_or(Language::Japanese),
            },
        }
    }
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    s: Shell<'a>,
    choice: Choice,
    id: &'a str,
    mail: &'a str,
    attempts: u32,
    problem: Option<&'static str>,
    back: String,
}

#[derive(Template)]
#[template(path = "added.html")]
struct AddedPage<'a> {
    s: Shell<'a>,
    id: &'a str,
    pin: Option<&'a Zeroizing<String>>,
}

/// GET: what will happen.
pub(in crate::portal) async fn confirm(
    State(site): State<Arc<Site>>,
    asking: Asking,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Some(administration) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let Query(Wanted { action, id }) = wanted.unwrap_or_default();
    let Some(choice) = Choice::from_code(&action) else { return missing(&site, &asking) };
    let mut form = ChangeForm { id, ..ChangeForm::default() };
    if choice.is_add() {
        return match administration.administrator(asker(&asking)).await {
            Ok(Administered::Done(_)) => page(&site, &asking, choice, &form, None, StatusCode::OK),
            Ok(administered) => refused(&site, &asking, &administered),
            Err(error) => ends::failed(&site, &asking, &error),
        };
    }
    match administration.show(asker(&asking), &form.id).await {
        Ok(Administered::Done(member)) => {
            form.id = member.user.identity.user.to_string();
            form.mail = member.user.mail.unwrap_or_default();
            page(&site, &asking, choice, &form, None, StatusCode::OK)
        }
        Ok(administered) => refused(&site, &asking, &administered),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

/// POST: the change.
pub(in crate::portal) async fn change(
    State(site): State<Arc<Site>>,
    asking: Asking,
    form: Result<Form<ChangeForm>, FormRejection>,
) -> Response {
    let form = match forms::admit(&site, &asking, form) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let Some(administration) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let Some(choice) = Choice::from_code(&form.action) else { return missing(&site, &asking) };
    let done = administration.change(asker(&asking), &form.id, &form.change(choice), &form.pin.0).await;
    let again = |problem, status| page(&site, &asking, choice, &form, Some(problem), status);
    match done {
        Ok(Administered::Done(changed)) if choice.is_add() => {
            let pin = changed.temporary_pin.as_ref();
            let page = AddedPage { s: Shell::new(&site, &asking), id: form.id.trim(), pin };
            pages::html(&asking, StatusCode::OK, &page)
        }
        Ok(Administered::Done(_)) => pages::go_to(&format!(
            "/sekisho/administration/user?id={}&done={}",
            encoded(form.id.trim()),
            choice.code()
        )),
        // What can be typed better stays on the page.
        Ok(Administered::WrongPin) => again(words::WRONG_PIN.of(asking.language).what, StatusCode::FORBIDDEN),
        Ok(Administered::Conflict(conflict @ (Conflict::BadId | Conflict::BadMail | Conflict::Exists))) => {
            again(words::of(conflict).of(asking.language).what, StatusCode::CONFLICT)
        }
        Ok(administered) => refused(&site, &asking, &administered),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

fn page(
    site: &Site,
    asking: &Asking,
    choice: Choice,
    form: &ChangeForm,
    problem: Option<&'static str>,
    status: StatusCode,
) -> Response {
    let back = if choice.is_add() {
        "/sekisho/administration".to_owned()
    } else {
        format!("/sekisho/administration/user?id={}", encoded(&form.id))
    };
    let page = ConfirmPage {
        s: Shell::new(site, asking),
        choice,
        id: &form.id,
        mail: &form.mail,
        attempts: site.sign_in.as_ref().map_or(0, |sign_in| sign_in.attempts()),
        problem,
        back,
    };
    pages::html(asking, status, &page)
}
