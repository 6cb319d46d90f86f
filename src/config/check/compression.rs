//! What routes compress: something, and no secrets unless that is said.

use super::Report;
use crate::config::{Require, Route};

impl Report<'_> {
    pub(super) fn compression(&mut self, pointer: &str, route: &Route) {
        let Some(compression) = &route.compression else { return };
        let place = format!("{pointer}/compression");
        let codings: Vec<_> = compression.codings.iter().map(|coding| coding.name().to_owned()).collect();
        let types: Vec<_> = compression.types.iter().map(ToString::to_string).collect();
        for (key, what, names) in [("codings", "coding", codings), ("types", "media type", types)] {
            let list = format!("{place}/{key}");
            if self.is_given_empty(&list) {
                self.problem(
                    &list,
                    format!("no {what}: leave `compression` out if nothing is to be compressed"),
                );
            }
            for (index, name) in
                names.iter().enumerate().filter(|(index, name)| names[..*index].contains(name))
            {
                let pointer = self.element(&list, index);
                self.problem(&pointer, format!("{what} `{name}` is listed twice"));
            }
        }
        if self.is_lost(&format!("{pointer}/require")) || self.is_lost(&format!("{place}/despite_secrets")) {
            return;
        }
        match (route.require, compression.despite_secrets) {
            (Require::Nothing, true) => {
                let message =
                    "`require: nothing` compresses without this: `despite_secrets` would mean nothing";
                self.problem(&format!("{place}/despite_secrets"), message);
            }
            (Require::SignedIn | Require::Certificate, false) => {
                let message = "the length of a compressed page gives away secrets in it, if it also repeats what others \
                               can have a browser send (BREACH): say `despite_secrets: true` if no page here does both";
                self.problem(&place, message);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes};

    /// The mistakes of a good file whose route, on line 8, is this one, for those who bring a certificate or for everybody.
    fn route(require: &str, compression: &str) -> Vec<String> {
        let bare = "  - path: /\n    require: nothing\n    upstream: website\n";
        let route =
            format!("  - {{ path: /, require: {require}, upstream: website, compression: {compression} }}\n");
        let text = BASE.replace("client_certificate: none", "client_certificate: optional");
        mistakes(&(text.replace(bare, &route) + "trust: { authorities: ca.pem }\n"))
    }

    #[test]
    fn what_is_compressed_makes_sense() {
        for good in ["{}", "{ codings: [gzip], minimum: 4KiB, types: [text/*, image/svg+xml] }"] {
            assert_eq!(route("nothing", good), [""; 0]);
        }
        assert_eq!(
            route("nothing", "{ codings: [], types: [] }"),
            [
                "8:68 no coding: leave `compression` out if nothing is to be compressed",
                "8:81 no media type: leave `compression` out if nothing is to be compressed",
            ]
        );
        assert_eq!(
            route("nothing", "{ codings: [br, gzip, br], types: [text/*, text/*] }"),
            ["8:88 coding `br` is listed twice", "8:109 media type `text/*` is listed twice"]
        );
        assert_eq!(
            route("nothing", "{ codings: [deflate] }"),
            ["8:78 expected `zstd`, `br` or `gzip`, found `deflate`"]
        );
        assert_eq!(
            mistakes(&BASE.replace("upstream: website\nup", "answer: {}\n    compression: {}\nup")),
            ["11:5 `compression` is for a route with an `upstream`"]
        );
    }

    #[test]
    fn secrets_are_compressed_only_by_those_who_say_so() {
        let breach = "8:57 the length of a compressed page gives away secrets in it, if it also repeats what others can have \
                      a browser send (BREACH): say `despite_secrets: true` if no page here does both";
        for compression in ["{}", "{ despite_secrets: false }"] {
            assert_eq!(route("certificate", compression), [breach]);
        }
        assert_eq!(route("certificate", "{ despite_secrets: true }"), [""; 0]);
        assert_eq!(
            route("nothing", "{ despite_secrets: true }"),
            ["8:85 `require: nothing` compresses without this: `despite_secrets` would mean nothing"]
        );
        // Who may pass couldn't be read: nobody knows whether there is a secret.
        assert_eq!(
            route("all", "{}"),
            ["8:25 expected `nothing`, `signed_in` or `certificate`, found `all`"]
        );
    }
}
