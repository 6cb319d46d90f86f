//! On which terms a route takes a request.

use std::borrow::Cow;
use std::time::Duration;

use super::{Compression, Cors};
use crate::config::{self, FieldEdits, Limits, PathPlace, Timeouts};
use crate::edge::fields::{Field, folded, is_folded};

/// What is changed on the way, how much may pass, and how long it may take.
#[derive(Debug)]
pub(in crate::edge) struct Terms {
    rewrite: Option<Rewrite>,
    /// For pages of other origins.
    pub(in crate::edge) cors: Option<Cors>,
    /// Which answers are compressed.
    pub(in crate::edge) compression: Option<Compression>,
    /// Towards the backend.
    pub(in crate::edge) request: Edits,
    /// Towards the client.
    pub(in crate::edge) response: Edits,
    /// Most bytes of a request's body.
    pub(in crate::edge) request_body: u64,
    /// Most bytes of a response's body.
    pub(in crate::edge) response_body: u64,
    /// From the end of a request to the head of its response.
    pub(in crate::edge) upstream_first_byte: Duration,
    /// Between two parts of a response's body.
    pub(in crate::edge) upstream_body_idle: Duration,
    /// Between two parts of a request's body.
    pub(in crate::edge) body_idle: Duration,
    /// From the end of a request's head to the end of its response.
    pub(in crate::edge) total: Option<Duration>,
}

#[derive(Debug)]
enum Rewrite {
    /// The first so many bytes, by this: without a slash at its end.
    Prefix(usize, Box<str>),
    /// The whole path.
    Path(Box<str>),
}

/// Header fields that are set or removed.
#[derive(Debug, Default)]
pub(in crate::edge) struct Edits {
    /// Folded names of what doesn't pass: what is removed, and what is set anew.
    dropped: Vec<Box<[u8]>>,
    set: Vec<(Box<str>, Box<str>)>,
}

impl Terms {
    pub(super) fn new(route: &config::Route, limits: &Limits, timeouts: &Timeouts) -> Self {
        let own = &route.timeouts;
        Self {
            rewrite: Rewrite::new(route),
            cors: route.cors.as_ref().map(Cors::new),
            compression: route.compression.as_ref().map(Compression::new),
            request: Edits::new(&route.request_headers),
            response: Edits::new(&route.response_headers),
            request_body: route.limits.request_body.unwrap_or(limits.body).bytes(),
            response_body: route.limits.response_body.map_or(u64::MAX, |size| size.bytes()),
            upstream_first_byte: own.upstream_first_byte.unwrap_or(timeouts.upstream_first_byte).get(),
            upstream_body_idle: own.upstream_body_idle.unwrap_or(timeouts.upstream_body_idle).get(),
            body_idle: own.body_idle.unwrap_or(timeouts.body_idle).get(),
            total: own.total.map(|total| total.get()),
        }
    }

    /// The path that a backend gets for a normalised one: normalised again, since both parts are and meet at a slash.
    pub(in crate::edge) fn rewritten<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match &self.rewrite {
            None => Cow::Borrowed(path),
            Some(Rewrite::Path(new)) => Cow::Owned(new.to_string()),
            Some(Rewrite::Prefix(length, new)) => {
                let rest = path.get(*length..).unwrap_or_default();
                match (&**new, rest) {
                    ("", "") => Cow::Borrowed("/"),
                    ("", rest) => Cow::Borrowed(rest),
                    (new, rest) => Cow::Owned(format!("{new}{rest}")),
                }
            }
        }
    }
}

impl Rewrite {
    fn new(route: &config::Route) -> Option<Self> {
        let rewrite = route.rewrite.as_ref()?;
        let without_slash = |path: &str| path.trim_end_matches('/').to_owned();
        match (&rewrite.path, route.place()) {
            (Some(path), _) => Some(Self::Path(path.as_str().into())),
            (None, PathPlace::Exact(_)) => None,
            (None, PathPlace::Below(prefix)) => {
                let new = rewrite.prefix.as_ref().map(|new| without_slash(new.as_str())).unwrap_or_default();
                Some(Self::Prefix(without_slash(prefix).len(), new.into()))
            }
        }
    }
}

impl Edits {
    fn new(edits: &FieldEdits) -> Self {
        let names = edits.remove.iter().chain(edits.set.keys());
        Self {
            dropped: names.map(|name| folded(name.as_str())).collect(),
            set: edits
                .set
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
        }
    }

    /// Whether a field that came, however it is spelt, doesn't pass.
    pub(in crate::edge) fn drop(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| is_folded(name, dropped))
    }

    /// The fields that are set.
    pub(in crate::edge) fn set(&self) -> impl Iterator<Item = Field<'_>> {
        self.set.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
    }
}
