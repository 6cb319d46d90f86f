//! What routes change and answer: one thing each, and nothing that is the gate's or HTTP's own.

use super::Report;
use super::headers::FRAMING;
use crate::config::{FieldEdits, FieldName, Route};

impl Report<'_> {
    pub(super) fn terms(&mut self, pointer: &str, route: &Route) {
        self.does_one_thing(pointer);
        self.rewrite(pointer, route);
        self.edits(&format!("{pointer}/request_headers"), &route.request_headers, "cookie");
        self.edits(&format!("{pointer}/response_headers"), &route.response_headers, "set-cookie");
        if route.upstream.is_none() {
            for key in ["request_headers", "compression", "limits", "timeouts"] {
                let place = format!("{pointer}/{key}");
                if self.source.contains(&place) {
                    self.problem(&place, format!("`{key}` is for a route with an `upstream`"));
                }
            }
        }
        self.answer(pointer, route);
        if let Some(maintenance) = &route.maintenance {
            self.path(&format!("{pointer}/maintenance/file"), &maintenance.file);
        }
        if self.is_given_empty(&format!("{pointer}/cors/origins")) {
            let message = "no origin: leave `cors` out if no page of another origin may read";
            self.problem(&format!("{pointer}/cors/origins"), message);
        }
        self.compression(pointer, route);
    }

    fn does_one_thing(&mut self, pointer: &str) {
        let keys = ["upstream", "redirect", "answer"];
        let given: Vec<_> =
            keys.into_iter().filter(|key| self.source.contains(&format!("{pointer}/{key}"))).collect();
        match given.as_slice() {
            [] => self.problem(pointer, "a route needs `upstream`, `redirect` or `answer`"),
            [_] => {}
            [first, second, ..] => {
                let message = format!("a route has `{first}` or `{second}`, not both");
                self.problem(&format!("{pointer}/{second}"), message);
            }
        }
    }

    fn rewrite(&mut self, pointer: &str, route: &Route) {
        let Some(rewrite) = &route.rewrite else { return };
        let place = format!("{pointer}/rewrite");
        let given =
            ["strip_prefix", "prefix", "path"].map(|key| self.source.contains(&format!("{place}/{key}")));
        if given.iter().filter(|is_given| **is_given).count() != 1 {
            self.problem(&place, "a rewrite needs one of `strip_prefix`, `prefix` and `path`");
        } else if given[0] && !rewrite.strip_prefix && !self.is_lost(&format!("{place}/strip_prefix")) {
            self.problem(&format!("{place}/strip_prefix"), "leave `rewrite` out if nothing is rewritten");
        }
        if given[2] && route.exact.is_none() {
            let message = "`path` replaces the path of an `exact` route: use `prefix` here";
            self.problem(&format!("{place}/path"), message);
        }
        if given[2] && route.exact.is_some() {
            return;
        }
        let key = if given[0] { "strip_prefix" } else { "prefix" };
        if route.exact.is_some() && (given[0] || given[1]) {
            let message = format!("`{key}` replaces the path of a `path` route: use `path` here");
            self.problem(&format!("{place}/{key}"), message);
        }
        if route.place().path() == "/" && given[0] {
            self.problem(
                &format!("{place}/strip_prefix"),
                "there is no prefix to leave out: the route is for `/`",
            );
        }
    }

    /// `jar` is the field in which cookies travel: the gate takes its own out of it.
    fn edits(&mut self, pointer: &str, edits: &FieldEdits, jar: &str) {
        let set = edits.set.keys().map(|name| (format!("{pointer}/set/{name}"), name, true));
        let removed = edits.remove.iter().enumerate();
        let removed =
            removed.map(|(index, name)| (self.element(&format!("{pointer}/remove"), index), name, false));
        let named: Vec<_> = set.chain(removed).collect();
        for (index, (place, name, is_set)) in named.iter().enumerate() {
            if let Some(why) = self.is_untouchable(name, *is_set, jar) {
                self.problem(place, why);
            }
            if named[..index]
                .iter()
                .any(|(_, earlier, _)| earlier.as_str().eq_ignore_ascii_case(name.as_str()))
            {
                self.problem(place, format!("`{name}` is there twice"));
            }
        }
    }

    /// Why a route can't set or remove a header field.
    fn is_untouchable(&self, name: &FieldName, is_set: bool, jar: &str) -> Option<String> {
        let lower = name.as_str().to_ascii_lowercase();
        let is_http = FRAMING.contains(&lower.as_str())
            || ["proxy-authenticate", "proxy-authorization", "date", "content-encoding", "content-range"]
                .contains(&lower.as_str());
        if lower.starts_with("access-control-") {
            Some(format!("`{name}` is what `cors` is for"))
        } else if self.owns(name) {
            Some(format!("`{name}` is the gate's own: no route can set or remove it"))
        } else if is_http {
            Some(format!("`{name}` belongs to HTTP itself: no route can set or remove it"))
        } else if is_set && lower == jar {
            Some(format!("`{name}` holds more than one cookie: it can be removed, but not set"))
        } else {
            None
        }
    }

    fn answer(&mut self, pointer: &str, route: &Route) {
        let Some(answer) = &route.answer else { return };
        let place = format!("{pointer}/answer");
        if !(200..=599).contains(&answer.status) {
            let message = format!("expected a status from 200 to 599, found {}", answer.status);
            self.problem(&format!("{place}/status"), message);
        }
        if answer.body.is_some() && answer.file.is_some() {
            self.problem(&format!("{place}/file"), "an answer has `body` or `file`, not both");
        }
        let has_body = answer.body.is_some() || answer.file.is_some();
        if matches!(answer.status, 204 | 205 | 304) && has_body {
            let message = format!("an answer with status {} has no body", answer.status);
            self.problem(&format!("{place}/status"), message);
        }
        if let Some(file) = &answer.file {
            self.path(&format!("{place}/file"), file);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, lines_of, mistakes};

    /// The mistakes of a good file with this route, on line 8.
    fn route(route: &str) -> Vec<String> {
        let bare = "  - path: /\n    require: nothing\n    upstream: website\n";
        lines_of(mistakes(&BASE.replace(bare, &format!("  - {{ require: nothing, {route} }}\n"))))
    }

    #[test]
    fn a_route_does_one_thing() {
        assert_eq!(route("path: /"), ["8 a route needs `upstream`, `redirect` or `answer`"]);
        assert_eq!(
            route("path: /, upstream: website, answer: {}"),
            ["8 a route has `upstream` or `answer`, not both"]
        );
        assert_eq!(route("path: /, redirect: { to: 'https://www.mihonbank.example{path}{query}' }"), [""; 0]);
        assert_eq!(route("path: /, answer: { body: ok }"), [""; 0]);
        assert_eq!(
            route("path: /, answer: {}, timeouts: { total: 1s }"),
            ["8 `timeouts` is for a route with an `upstream`"]
        );
    }

    #[test]
    fn a_rewrite_fits_its_route() {
        let with = |rewrite: &str| route(&format!("upstream: website, {rewrite}"));
        for good in [
            "path: /a, rewrite: { strip_prefix: true }",
            "path: /a, rewrite: { prefix: /b }",
            "path: /, rewrite: { prefix: /b }",
            "exact: /a, rewrite: { path: /b/ }",
        ] {
            assert_eq!(with(good), [""; 0]);
        }
        let one = "a rewrite needs one of `strip_prefix`, `prefix` and `path`";
        assert_eq!(with("path: /a, rewrite: {}"), [format!("8 {one}")]);
        assert_eq!(with("path: /a, rewrite: { strip_prefix: true, prefix: /b }"), [format!("8 {one}")]);
        assert_eq!(
            with("path: /a, rewrite: { strip_prefix: false }"),
            ["8 leave `rewrite` out if nothing is rewritten"]
        );
        assert_eq!(
            with("path: /a, rewrite: { path: /b }"),
            ["8 `path` replaces the path of an `exact` route: use `prefix` here"]
        );
        assert_eq!(
            with("exact: /a, rewrite: { prefix: /b }"),
            ["8 `prefix` replaces the path of a `path` route: use `path` here"]
        );
        assert_eq!(
            with("path: /, rewrite: { strip_prefix: true }"),
            ["8 there is no prefix to leave out: the route is for `/`"]
        );
    }

    #[test]
    fn no_route_touches_identity_or_framing() {
        let with = |edits: &str| {
            let found = route(&format!("path: /, upstream: website, {edits}"));
            found.iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>()
        };
        for side in ["request_headers", "response_headers"] {
            for name in
                ["X-Contract-Id", "x-user-id", "X-Forwarded-For", "Client-Cert", "Via", "x-request-id"]
            {
                let own = format!("`{name}` is the gate's own: no route can set or remove it");
                assert_eq!(with(&format!("{side}: {{ set: {{ {name}: a }} }}")), [own.as_str()]);
                assert_eq!(with(&format!("{side}: {{ remove: [{name}] }}")), [own.as_str()]);
            }
            for name in ["Content-Length", "transfer-encoding", "Host", "Connection", "Upgrade", "TE"] {
                let http = format!("`{name}` belongs to HTTP itself: no route can set or remove it");
                assert_eq!(with(&format!("{side}: {{ set: {{ {name}: a }} }}")), [http.as_str()]);
                assert_eq!(with(&format!("{side}: {{ remove: [{name}] }}")), [http.as_str()]);
            }
            assert_eq!(with(&format!("{side}: {{ set: {{ A: b }}, remove: [a] }}")), ["`a` is there twice"]);
            assert_eq!(with(&format!("{side}: {{ set: {{ A: b }}, remove: [B] }}")), [""; 0]);
        }
        let jar = "holds more than one cookie: it can be removed, but not set";
        assert_eq!(with("request_headers: { set: { Cookie: a } }"), [format!("`Cookie` {jar}")]);
        assert_eq!(with("response_headers: { set: { Set-Cookie: a } }"), [format!("`Set-Cookie` {jar}")]);
        assert_eq!(with("request_headers: { remove: [Cookie] }"), [""; 0]);
        let set = "upstream: website\n    request_headers: { set: { Traceparent: a } }";
        let traced = BASE.replace("upstream: website", set);
        assert_eq!(mistakes(&traced), [""; 0]);
        assert_eq!(
            lines_of(mistakes(&(traced + "traces: { url: 'http://127.0.0.1:4318/v1/traces' }\n"))),
            ["11 `Traceparent` is the gate's own: no route can set or remove it"]
        );
        let owned = "headers: { user: X-Who }\n";
        let text = BASE
            .replace("upstream: website", "upstream: website\n    request_headers: { set: { x-who: me } }");
        assert_eq!(
            lines_of(mistakes(&(text + owned))),
            ["11 `x-who` is the gate's own: no route can set or remove it"]
        );
    }

    #[test]
    fn an_answer_is_one_that_can_be_given() {
        let with = |answer: &str| route(&format!("path: /, answer: {{ {answer} }}"));
        assert_eq!(with("status: 99"), ["8 expected a status from 200 to 599, found 99"]);
        assert_eq!(with("status: 204, body: a"), ["8 an answer with status 204 has no body"]);
        assert_eq!(with("body: a, file: b"), ["8 an answer has `body` or `file`, not both"]);
        assert_eq!(with("file: ''"), ["8 expected the path of a file, found an empty text"]);
        assert_eq!(
            route("path: /, redirect: { to: /a, status: 200 }"),
            ["8 expected 301, 302, 303, 307 or 308, found 200"]
        );
    }
}
