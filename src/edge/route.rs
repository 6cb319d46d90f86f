//! Routes as the data path knows them: which one takes a request, on which terms, and what it does.
//!
//! The path alone decides at which place of the tree a request is; the other conditions only choose among the routes of that
//! place. Otherwise a method or a header field, which a client can choose, would lead around what a longer path demands.

mod action;
mod closure;
mod compression;
mod cors;
mod places;
mod terms;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub(super) use self::action::{Action, Own};
use self::closure::Closure;
pub(super) use self::closure::Notice;
pub(super) use self::compression::{Compression, forbids_transforming};
pub(super) use self::cors::{Cors, Leave};
use self::places::Places;
pub(super) use self::terms::{Edits, Terms};
use super::fields::{Field, folded, is_folded, tokens};
use super::rates::{Limit, Limits as Rates};
use crate::config::{self, FieldMatch, Limits, Maintenance, PathPlace, Pattern, Require, Timeouts};
use crate::domain::{ContractId, Role};

/// What chooses a route.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// Normalised.
    pub(super) path: &'a str,
    pub(super) fields: &'a [Field<'a>],
}

/// Why no route takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unrouted {
    /// Nothing is there.
    Nothing,
    /// Something is, but not for this method.
    Method,
}

/// One route.
pub(super) struct Route {
    is_exact: bool,
    path: Box<str>,
    pattern: Option<Pattern>,
    methods: Vec<Box<str>>,
    /// By their folded names.
    wanted: Vec<(Box<[u8]>, FieldMatch)>,
    hosts: Vec<Box<str>>,
    pub(super) require: Require,
    pub(super) roles: Vec<Role>,
    pub(super) contracts: Vec<ContractId>,
    pub(super) action: Action,
    pub(super) terms: Arc<Terms>,
    /// Rate limits of its own.
    pub(super) rates: Vec<Arc<Limit>>,
    /// What may close it.
    closures: Vec<Arc<Closure>>,
}

impl Route {
    /// The place that it is for: its path.
    pub(super) fn place(&self) -> &str {
        &self.path
    }
}

/// All routes, in the order in which they are tried.
pub(super) struct Routes {
    routes: Vec<Route>,
    places: Places,
    closures: Vec<Arc<Closure>>,
}

/// What the names in routes stand for.
pub(super) struct Found<'a> {
    /// The index of an upstream.
    pub(super) upstream: &'a dyn Fn(&str) -> Option<usize>,
    /// The files of fixed answers.
    pub(super) bodies: &'a HashMap<PathBuf, Bytes>,
    /// The rate limits.
    pub(super) rates: &'a Rates,
}

impl Routes {
    /// Puts the routes in order.
    pub(super) fn new(
        mut routes: Vec<config::Route>,
        found: &Found<'_>,
        maintenance: Option<&Maintenance>,
        (limits, timeouts): (&Limits, &Timeouts),
    ) -> Result<Self, String> {
        routes.sort_by_cached_key(config::Route::precedence);
        // Many routes may be closed by one file, which is looked for once.
        let mut closures: Vec<Arc<Closure>> = Vec::new();
        for wanted in routes.iter().filter_map(|route| route.maintenance.as_ref()).chain(maintenance) {
            if !closures.iter().any(|closure| closure.is_for(wanted)) {
                closures.push(Closure::new(wanted));
            }
        }
        let route = |route: &config::Route| {
            let wanted: Vec<_> = route.maintenance.iter().chain(maintenance).collect();
            let closing = |closure: &&Arc<Closure>| wanted.iter().any(|wanted| closure.is_for(wanted));
            Ok(Route {
                closures: closures.iter().filter(closing).cloned().collect(),
                is_exact: matches!(route.place(), PathPlace::Exact(_)),
                path: route.place().path().into(),
                pattern: route.pattern.clone(),
                methods: route.methods.iter().map(|method| method.as_str().into()).collect(),
                wanted: route
                    .match_headers
                    .iter()
                    .map(|(name, wanted)| (folded(name.as_str()), wanted.clone()))
                    .collect(),
                hosts: route.hosts.iter().map(|host| host.as_str().into()).collect(),
                require: route.require,
                roles: route.roles.iter().map(|role| role.role()).collect(),
                contracts: route.contracts.iter().map(|contract| contract.id().clone()).collect(),
                rates: route
                    .rate
                    .iter()
                    .flat_map(|named| named.as_slice())
                    .filter_map(|name| found.rates.named.get(name.as_str()).cloned())
                    .collect(),
                action: Action::new(route, found)?,
                terms: Arc::new(Terms::new(route, limits, timeouts)),
            })
        };
        let routes = routes.iter().map(route).collect::<Result<Vec<_>, String>>()?;
        Ok(Self { places: Places::of(&routes), routes, closures })
    }

    /// Looks for the files that close routes. Blocks.
    pub(super) fn look_at_closures(&self) {
        self.closures.iter().for_each(|closure| closure.look());
    }

    /// The route that takes a request.
    pub(super) fn find(&self, host: &str, asked: &Asked<'_>) -> Result<&Route, Unrouted> {
        let mut unrouted = Unrouted::Nothing;
        for route in self.place(host, asked.path).filter(|route| route.meets_the_rest(asked)) {
            if route.takes_method(asked.method) {
                return Ok(route);
            }
            unrouted = Unrouted::Method;
        }
        Err(unrouted)
    }

    /// Whether a request would be another route's if its path were this one.
    pub(super) fn is_another_at(&self, host: &str, asked: &Asked<'_>, path: &str) -> bool {
        let found = |path| self.find(host, &Asked { path, ..*asked }).map(std::ptr::from_ref);
        found(asked.path) != found(path)
    }

    /// What is said if the route that takes a request is closed for now. Nearly always nothing is closed, and nothing looked for.
    pub(super) fn closed(&self, host: &str, asked: &Asked<'_>) -> Option<Arc<Notice>> {
        if self.closures.iter().all(|closure| closure.notice().is_none()) {
            return None;
        }
        self.find(host, asked).ok()?.closed()
    }

    /// The methods that would have been taken, as `Allow` lists them.
    pub(super) fn allowed(&self, host: &str, asked: &Asked<'_>) -> String {
        let mut allowed: Vec<&str> = Vec::new();
        for route in self.place(host, asked.path).filter(|route| route.meets_the_rest(asked)) {
            for method in &route.methods {
                let head = (**method == *"GET").then_some("HEAD");
                allowed.extend([&**method].into_iter().chain(head));
            }
        }
        let mut seen = Vec::new();
        allowed.retain(|method| {
            !seen.contains(method) && {
                seen.push(*method);
                true
            }
        });
        allowed.join(", ")
    }

    /// The routes of the one place at which a path is.
    fn place(&self, host: &str, path: &str) -> impl Iterator<Item = &Route> {
        let on_host = move |route: &&Route| route.is_on(host);
        let mut places = self.places.nearest_first(path).map(|place| &self.routes[place]);
        let place = places.find(|place| place.iter().any(|route| on_host(&route)));
        place.unwrap_or_default().iter().filter(on_host)
    }
}

impl Route {
    /// What is said if the route is closed for now.
    fn closed(&self) -> Option<Arc<Notice>> {
        self.closures.iter().find_map(|closure| closure.notice())
    }

    fn is_on(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|name| **name == *host)
    }

    /// Whether all conditions but the method's hold.
    fn meets_the_rest(&self, asked: &Asked<'_>) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(asked.path))
            && self.wanted.iter().all(|(name, wanted)| is_met(name, wanted, asked.fields))
    }

    fn takes_method(&self, method: &str) -> bool {
        let takes = |wanted: &str| self.methods.iter().any(|one| **one == *wanted);
        self.methods.is_empty() || takes(method) || method == "HEAD" && takes("GET")
    }
}

/// Whether a header field is what it must be. One that comes twice, or beside another that some backend would read as the same,
/// could be read in two ways; one that `Connection` names doesn't reach the backend.
fn is_met(name: &[u8], wanted: &FieldMatch, fields: &[Field<'_>]) -> bool {
    let mut found = fields.iter().filter(|field| is_folded(field.name, name));
    let (Some(field), None) = (found.next(), found.next()) else { return false };
    // Folded, the name has only letters, digits and hyphens: it was spelt so if it is the same but for case.
    field.name.eq_ignore_ascii_case(name)
        && !tokens(fields, "connection").any(|token| token.eq_ignore_ascii_case(name))
        && std::str::from_utf8(field.value).is_ok_and(|value| match wanted {
            FieldMatch::Value(wanted) => wanted.as_str() == value,
            FieldMatch::Pattern(wanted) => wanted.pattern.matches(value),
        })
}
