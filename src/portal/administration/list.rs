//! The users of the contract, searched and paged.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::row::Row;
use super::{missing, refused, verbs};
use crate::flows::Administered;
use crate::portal::acquisition::asker;
use crate::portal::asking::Asking;
use crate::portal::ends;
use crate::portal::pages::{self, Shell};
use crate::portal::site::Site;
use crate::portal::way::encoded;
use crate::stores::{Members, Page};

/// How many there are on a page.
const PAGE: u32 = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(in crate::portal) struct Wanted {
    q: String,
    page: u32,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage<'a> {
    s: Shell<'a>,
    search: &'a str,
    total: u64,
    rows: Vec<Row>,
    page: u64,
    pages: u64,
    before: Option<String>,
    after: Option<String>,
}

/// GET: the list.
pub(in crate::portal) async fn list(
    State(site): State<Arc<Site>>,
    asking: Asking,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Some(administration) = verbs(&site, &asking) else { return missing(&site, &asking) };
    let Query(Wanted { q, page }) = wanted.unwrap_or_default();
    let page = page.max(1);
    let part = Page { offset: (page - 1).saturating_mul(PAGE), limit: PAGE };
    match administration.list(asker(&asking), &q, part).await {
        Ok(Administered::Done(members)) => self::page(&site, &asking, &q, page, &members),
        Ok(administered) => refused(&site, &asking, &administered),
        Err(error) => ends::failed(&site, &asking, &error),
    }
}

fn page(site: &Site, asking: &Asking, search: &str, page: u32, members: &Members) -> Response {
    let now = site.clock.now();
    let (page, pages) = (u64::from(page), members.total.div_ceil(u64::from(PAGE)).max(1));
    let address = |number: u64| {
        let mut address = format!("/sekisho/administration?page={number}");
        if !search.is_empty() {
            address.push_str(&format!("&q={}", encoded(search)));
        }
        address
    };
    let list = UsersPage {
        s: Shell::new(site, asking),
        search,
        total: members.total,
        rows: members.members.iter().map(|member| Row::of(member, asking.language, now)).collect(),
        page,
        pages,
        before: (page > 1).then(|| address(page - 1)),
        after: (page < pages).then(|| address(page + 1)),
    };
    pages::html(asking, StatusCode::OK, &list)
}
