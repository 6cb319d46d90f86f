//! Routes against signing in: who may pass, and where that can be known.

use super::Report;
use crate::config::suggest::any_of;
use crate::config::{Require, Route, RouteRole};
use crate::domain::PORTAL;

impl Report<'_> {
    pub(super) fn restrictions(&mut self, pointer: &str, route: &Route) {
        self.is_not_reserved(pointer, route);
        if route.require == Require::SignedIn {
            self.can_sign_in(pointer, route);
        }
        let roles = route.roles.iter().map(|role| match role {
            RouteRole::Administrator => "administrator",
            RouteRole::User => "user",
        });
        let contracts = route.contracts.iter().map(|contract| contract.id().as_str());
        self.restriction(pointer, "role", route.require, &roles.collect::<Vec<_>>());
        self.restriction(pointer, "contract", route.require, &contracts.collect::<Vec<_>>());
        if !route.roles.is_empty() && !self.source.contains("/directory") {
            let message = "`roles` need a `directory`, which knows everybody's role";
            self.problem(&format!("{pointer}/roles"), message);
        }
    }

    fn is_not_reserved(&mut self, pointer: &str, route: &Route) {
        let below = route.place().path().strip_prefix(PORTAL);
        let is_reserved = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_reserved {
            let message = format!("`{PORTAL}` and everything below it belongs to the sign-in pages");
            let key = if route.exact.is_some() { "exact" } else { "path" };
            self.problem(&format!("{pointer}/{key}"), message);
        }
    }

    /// A session is one host's: its cookie goes nowhere else.
    fn can_sign_in(&mut self, pointer: &str, route: &Route) {
        let pointer = format!("{pointer}/require");
        if !self.source.contains("/sign_in") {
            self.problem(&pointer, "this needs `sign_in`: without it nobody can sign in");
        }
        let Some(sign_in) = &self.config.sign_in else { return };
        let hosts: Vec<_> =
            [Some(&sign_in.host), sign_in.certificate_host.as_ref()].into_iter().flatten().collect();
        let unread = ["/sign_in/host", "/sign_in/certificate_host"].iter().any(|host| self.is_lost(host));
        if !unread && !route.hosts.is_empty() && !route.hosts.iter().any(|host| hosts.contains(&host)) {
            let names: Vec<_> = hosts.iter().map(|host| host.as_str()).collect();
            let message = format!("this can never be met: people sign in only on {}", any_of(&names));
            self.problem(&pointer, message);
        }
    }

    /// One of the lists of those who may pass.
    fn restriction(&mut self, pointer: &str, what: &str, require: Require, names: &[&str]) {
        let list = format!("{pointer}/{what}s");
        if self.is_given_empty(&list) {
            let message = format!("no {what}: leave `{what}s` out for a route for every {what}");
            self.problem(&list, message);
        }
        if require == Require::Nothing && !names.is_empty() && !self.is_lost(&format!("{pointer}/require")) {
            let message = format!("`require: nothing` lets everybody pass: `{what}s` would mean nothing");
            self.problem(&list, message);
        }
        for (index, name) in names.iter().enumerate().filter(|(index, name)| names[..*index].contains(name)) {
            let pointer = self.element(&list, index);
            self.problem(&pointer, format!("{what} `{name}` is listed twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes};

    /// The mistakes of a good file with sign-in whose route, on line 8, is this one.
    fn route(route: &str) -> Vec<String> {
        mistakes(&(text(route) + "directory: {}\naudit: { file: audit.log }\n"))
    }

    fn text(route: &str) -> String {
        let bare = "  - path: /\n    require: nothing\n    upstream: website\n";
        assert!(BASE.contains(bare));
        let route = format!("  - {{ upstream: website, {route} }}\n");
        let sign_in = "sign_in: { host: www.mihonbank.example, pin: { pepper_file: pepper } }\n";
        BASE.replace(bare, &route) + sign_in
    }

    #[test]
    fn the_sign_in_pages_keep_their_paths() {
        let message = "8:32 `/sekisho` and everything below it belongs to the sign-in pages";
        assert_eq!(route("path: /sekisho, require: nothing"), [message]);
        assert_eq!(route("path: /sekisho/a, require: nothing"), [message]);
        assert_eq!(route("path: /sekisho-a, require: nothing"), [""; 0]);
        let without_sign_in = mistakes(&BASE.replace("path: /", "path: /sekisho"));
        assert_eq!(without_sign_in, [message.replace("8:32", "8:11")]);
    }

    #[test]
    fn who_has_to_sign_in_can() {
        assert_eq!(route("path: /, require: signed_in"), [""; 0]);
        assert_eq!(
            mistakes(&BASE.replace("require: nothing", "require: signed_in")),
            ["9:14 this needs `sign_in`: without it nobody can sign in"]
        );
        let elsewhere = text("path: /, require: signed_in, hosts: [api.mihonbank.example]").replace(
            "hosts:\n",
            "hosts:\n  api.mihonbank.example: { tls: { certificate: a, key: a }, client_certificate: none }\n",
        ) + "directory: {}\naudit: { file: audit.log }\n";
        assert_eq!(
            mistakes(&elsewhere),
            ["9:44 this can never be met: people sign in only on `www.mihonbank.example`"]
        );
    }

    #[test]
    fn restrictions_restrict() {
        assert_eq!(
            route("path: /, require: signed_in, roles: [], contracts: []"),
            [
                "8:55 no role: leave `roles` out for a route for every role",
                "8:66 no contract: leave `contracts` out for a route for every contract",
            ]
        );
        assert_eq!(
            route("path: /, require: nothing, roles: [user], contracts: ['10000000000001']"),
            [
                "8:53 `require: nothing` lets everybody pass: `roles` would mean nothing",
                "8:68 `require: nothing` lets everybody pass: `contracts` would mean nothing",
            ]
        );
        let twice = "path: /, require: signed_in, roles: [user, user], contracts: ['10000000000001', '10000000000001']";
        assert_eq!(
            route(twice),
            ["8:69 role `user` is listed twice", "8:106 contract `10000000000001` is listed twice"]
        );
    }

    #[test]
    fn roles_come_from_the_directory() {
        let text = BASE
            .replace("client_certificate: none", "client_certificate: optional")
            .replace("require: nothing", "require: certificate\n    roles: [user]")
            + "trust: { authorities: ca.pem }\n";
        assert_eq!(mistakes(&text), ["10:5 `roles` need a `directory`, which knows everybody's role"]);
    }
}
