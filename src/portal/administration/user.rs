//! One user: what there is to know, and what can be done.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::choice::Choice;
use super::row::Row;
use super::{missing, refused, verbs};
use crate::domain::Role;
use crate::flows::Administered;
use crate::portal::acquisition::asker;
use crate::portal::asking::Asking;
use crate::portal::ends;
use crate::portal::pages::{self, Shell};
use crate::portal::site::Site;
use crate::stores::Member;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct Wanted {
    id: String,
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage<'a> {
    s: Shell<'a>,
    row: Row,
    choices: Vec<Choice>,
    /// Why nothing can be done.
    untouchable: Option<&'static str>,
    /// What was just done.
    done: Option<&'static str>,
}

/// GET: the user.
pub(in crate::portal) async fn show(
    State(site): State<Arc<Site>>,
    asking: Asking,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Some(administration) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let Query(Wanted { id }) = wanted.unwrap_or_default();
    match administration.show(asker(&asking), &id).await {
        Ok(Administered::Done(member)) => page(&site, &asking, &member),
        Ok(administered) => refused(&site, &asking, &administered),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

fn page(site: &Site, asking: &Asking, member: &Member) -> Response {
    let s = Shell::new(site, asking);
    let untouchable = if asking.visitor.identity.as_ref() == Some(&member.user.identity) {
        Some(s.t(
            "ご自身の変更はできません。銀行の窓口へお問い合わせください。",
            "You can't change yourself. Ask the bank.",
        ))
    } else if member.user.role == Role::Administrator {
        Some(s.t(
            "管理者の変更は、銀行の窓口で承ります。",
            "Administrators are changed by the bank: ask there.",
        ))
    } else {
        None
    };
    let page = UserPage {
        row: Row::of(member, asking.language, site.clock.now()),
        choices: Choice::of(member, site.acquisition.is_some()),
        untouchable,
        done: Choice::from_code(&asking.asked.done).map(|choice| choice.done(asking.language)),
        s,
    };
    pages::html(asking, StatusCode::OK, &page)
}
