//! Routes' conditions: whether they can be met, and whether every route can ever be reached.

use super::Report;
use super::headers::FRAMING;
use crate::config::{FieldName, PathPlace, Route};

impl Report<'_> {
    pub(super) fn conditions(&mut self, pointer: &str, route: &Route) {
        if route.exact.is_some() && route.path.is_some() {
            self.problem(&format!("{pointer}/exact"), "a route has `path` or `exact`, not both");
        }
        let has_place =
            ["path", "exact", "pattern"].map(|key| self.source.contains(&format!("{pointer}/{key}")));
        if !has_place.contains(&true) {
            self.problem(pointer, "a route needs `path`, `exact` or `pattern`");
        }
        if let (Some(exact), Some(pattern)) = (&route.exact, &route.pattern)
            && !pattern.matches(exact.as_str())
        {
            let message = format!("this route can never match: its pattern doesn't match `{exact}`");
            self.problem(&format!("{pointer}/pattern"), message);
        }
        if self.is_given_empty(&format!("{pointer}/methods")) {
            let message = "no method: leave `methods` out for a route for every method";
            self.problem(&format!("{pointer}/methods"), message);
        }
        for (index, method) in route.methods.iter().enumerate() {
            if route.methods[..index].contains(method) {
                let element = self.element(&format!("{pointer}/methods"), index);
                self.problem(&element, format!("method `{method}` is listed twice"));
            }
        }
        let names: Vec<&FieldName> = route.match_headers.keys().collect();
        for (index, name) in names.iter().enumerate() {
            let place = format!("{pointer}/match_headers/{name}");
            if let Some(why) = self.is_no_condition(name) {
                self.problem(&place, why);
            }
            if names[..index].iter().any(|earlier| earlier.as_str().eq_ignore_ascii_case(name.as_str())) {
                self.problem(&place, format!("`{name}` is there twice"));
            }
        }
    }

    /// Why a header field can't choose a route.
    fn is_no_condition(&self, name: &FieldName) -> Option<String> {
        let lower = name.as_str().to_ascii_lowercase();
        if self.owns(name) {
            return Some(format!("`{name}` is the gate's own: what a client says there is never believed"));
        }
        let is_http = FRAMING.contains(&lower.as_str()) || lower.starts_with("proxy-auth");
        if is_http || lower == "cookie" {
            return Some(format!("`{name}` can't choose a route"));
        }
        None
    }

    /// Whether some request could get to a route, with what is asked before it.
    pub(super) fn is_reached(&mut self, index: usize, pointer: &str, route: &Route) {
        if !self.can_be_compared(pointer, route) {
            return;
        }
        let mut twin = None;
        let mut taker = None;
        for (other, before) in self.config.routes.iter().enumerate().filter(|(other, _)| *other != index) {
            let element = self.element("/routes", other);
            if before.place() != route.place() || !self.can_be_compared(&element, before) {
                continue;
            }
            let asks_less = asks_no_more(before, route);
            if other < index && asks_less && asks_no_more(route, before) && share_a_host(before, route) {
                twin.get_or_insert(element);
            } else if (before.precedence(), other) < (route.precedence(), index)
                && asks_less
                && has_all_hosts_of(before, route)
            {
                taker.get_or_insert(element);
            }
        }
        let key = match route.place() {
            PathPlace::Exact(_) => "exact",
            PathPlace::Below(_) if route.path.is_some() => "path",
            PathPlace::Below(_) => "pattern",
        };
        let (message, first) = match (twin, taker) {
            (Some(twin), _) => (
                format!("`{}` has two routes on the same host", route.place().path()),
                format!("{twin}/{key}"),
            ),
            (None, Some(taker)) => {
                ("this route can never match, another takes all of its requests".into(), taker)
            }
            (None, None) => return,
        };
        let first = self.first(&first);
        self.problem(&format!("{pointer}/{key}"), format!("{message}{first}"));
    }

    /// Whether all that the file says of what a route matches could be read.
    fn can_be_compared(&self, pointer: &str, route: &Route) -> bool {
        let conditions = ["path", "exact", "pattern", "methods", "match_headers"];
        self.has_all_hosts(pointer, route)
            && !conditions.iter().any(|key| self.is_lost(&format!("{pointer}/{key}")))
            && self
                .source
                .node(&format!("{pointer}/methods"))
                .is_none_or(|node| node.len() == route.methods.len())
            && self
                .source
                .node(&format!("{pointer}/match_headers"))
                .is_none_or(|node| node.len() == route.match_headers.len())
    }
}

/// Whether a request that meets the conditions of `other` meets those of `route`.
fn asks_no_more(route: &Route, other: &Route) -> bool {
    let methods = route.methods.is_empty()
        || !other.methods.is_empty() && other.methods.iter().all(|method| route.methods.contains(method));
    let pattern = route.pattern.is_none() || route.pattern == other.pattern;
    let is_asked = |(name, wanted)| other.match_headers.get(name) == Some(wanted);
    methods && pattern && route.match_headers.iter().all(is_asked)
}

fn share_a_host(route: &Route, other: &Route) -> bool {
    let everywhere = route.hosts.is_empty() || other.hosts.is_empty();
    everywhere || route.hosts.iter().any(|host| other.hosts.contains(host))
}

fn has_all_hosts_of(route: &Route, other: &Route) -> bool {
    let named = !other.hosts.is_empty() && other.hosts.iter().all(|host| route.hosts.contains(host));
    route.hosts.is_empty() || named
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, lines_of, mistakes};

    /// The mistakes of a good file with these routes, from line 8 on.
    fn routes(routes: &[&str]) -> Vec<String> {
        let bare = "  - path: /\n    require: nothing\n    upstream: website\n";
        let lines =
            routes.iter().map(|route| format!("  - {{ upstream: website, require: nothing, {route} }}\n"));
        lines_of(mistakes(&BASE.replace(bare, &lines.collect::<String>())))
    }

    #[test]
    fn a_route_has_one_place() {
        assert_eq!(routes(&["path: /a"]), [""; 0]);
        assert_eq!(routes(&["exact: /a/"]), [""; 0]);
        assert_eq!(routes(&["pattern: '/.*'"]), [""; 0]);
        assert_eq!(routes(&["methods: [GET]"]), ["8 a route needs `path`, `exact` or `pattern`"]);
        assert_eq!(routes(&["path: /a, exact: /a"]), ["8 a route has `path` or `exact`, not both"]);
        assert_eq!(
            routes(&["exact: /a, pattern: '/b'"]),
            ["8 this route can never match: its pattern doesn't match `/a`"]
        );
    }

    #[test]
    fn conditions_can_be_met_and_believed() {
        assert_eq!(
            routes(&["path: /, methods: []"]),
            ["8 no method: leave `methods` out for a route for every method"]
        );
        assert_eq!(routes(&["path: /, methods: [GET, GET]"]), ["8 method `GET` is listed twice"]);
        assert_eq!(
            routes(&["path: /, methods: [get]"]),
            ["8 expected a method in capital letters, such as `GET`, found `get`"]
        );
        for (name, why) in [
            (
                "X-Contract-Id",
                "`X-Contract-Id` is the gate's own: what a client says there is never believed",
            ),
            (
                "x-forwarded-for",
                "`x-forwarded-for` is the gate's own: what a client says there is never believed",
            ),
            ("Cookie", "`Cookie` can't choose a route"),
            ("Host", "`Host` can't choose a route"),
            ("Connection", "`Connection` can't choose a route"),
        ] {
            let found = routes(&[&format!("path: /, match_headers: {{ {name}: a }}")]);
            assert_eq!(found, [format!("8 {why}")]);
        }
        assert_eq!(routes(&["path: /, match_headers: { X-A: a, x-a: b }"]), ["8 `x-a` is there twice"]);
        assert_eq!(routes(&["path: /, match_headers: { X-A: a, X-B: { pattern: '.+' } }"]), [""; 0]);
    }

    #[test]
    fn a_route_that_never_matches_is_found() {
        let host = "hosts: [www.mihonbank.example]";
        let never = |line| {
            format!("this route can never match, another takes all of its requests: first on line {line}")
        };
        // One with more conditions goes first, wherever it stands.
        assert_eq!(routes(&["path: /a", "path: /a, methods: [GET]"]), [""; 0]);
        assert_eq!(routes(&["path: /a", "exact: /a", "path: /a/b", "pattern: '/a'"]), [""; 0]);
        assert_eq!(
            routes(&["path: /a, methods: [GET, POST]", "path: /a, methods: [POST]"]),
            [format!("9 {}", never(8))]
        );
        assert_eq!(routes(&["path: /a, methods: [POST]", "path: /a, methods: [GET, POST]"]), [""; 0]);
        // One that names its host goes before one that doesn't.
        assert_eq!(
            routes(&[&format!("path: /a, methods: [GET], {host}"), &format!("path: /a, {host}")]),
            [""; 0]
        );
        assert_eq!(
            routes(&["path: /a, match_headers: { A: b }", "path: /a, match_headers: { A: b }"]),
            ["9 `/a` has two routes on the same host: first on line 8"]
        );
        assert_eq!(
            routes(&["pattern: '/a'", "pattern: '/a'"]),
            ["9 `/` has two routes on the same host: first on line 8"]
        );
    }
}
