//! Where in the tree of paths there are routes. A request is looked up by its own path and what that is below, so it costs the
//! same however many routes there are.

use std::collections::HashMap;
use std::ops::Range;

use super::Route;

/// The places at which there are routes, which stand together in the list of all.
pub(super) struct Places {
    /// Of just this path.
    exact: Level,
    /// Of this path and all below it.
    below: Level,
}

#[derive(Default)]
struct Level {
    places: HashMap<Box<str>, Range<usize>>,
    /// The length of the longest path: no longer one is ever looked up, however deep a client makes its own.
    longest: usize,
}

impl Places {
    /// The places of these routes, which must be in the order in which they are tried.
    pub(super) fn of(routes: &[Route]) -> Self {
        let (mut exact, mut below) = (Level::default(), Level::default());
        for (at, route) in routes.iter().enumerate() {
            let level = if route.is_exact { &mut exact } else { &mut below };
            level.places.entry(route.path.clone()).or_insert(at..at).end = at + 1;
            level.longest = level.longest.max(route.path.len());
        }
        Self { exact, below }
    }

    /// The places at which a path is: its very own first, then the nearest above it, and so on to the root.
    pub(super) fn nearest_first(&self, path: &str) -> impl Iterator<Item = Range<usize>> {
        let above = path.rmatch_indices('/').map(|(at, _)| &path[..at.max(1)]);
        let below = std::iter::once(path).chain(above).filter_map(|path| self.below.at(path));
        self.exact.at(path).into_iter().chain(below)
    }
}

impl Level {
    fn at(&self, path: &str) -> Option<Range<usize>> {
        (path.len() <= self.longest).then(|| self.places.get(path).cloned()).flatten()
    }
}
