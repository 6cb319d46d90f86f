//! Rate limits against the routes that name them and the state that shares them.

use super::Report;
use crate::config::suggest::did_you_mean;
use crate::config::{RateLimit, Route, StateUrl};

/// The limits that have a key of their own.
const FIXED: [&str; 4] = ["handshakes", "per_source", "per_contract", "per_user"];

impl Report<'_> {
    pub(super) fn rate_limits(&mut self) {
        let limits = &self.config.rate_limits;
        let fixed = [limits.handshakes, limits.per_source, limits.per_contract, limits.per_user];
        for (name, rate) in FIXED.into_iter().zip(fixed) {
            if let Some(rate) = rate {
                self.rate_limit(&format!("/rate_limits/{name}"), rate);
            }
        }
        for (name, named) in &limits.named {
            let pointer = format!("/rate_limits/named/{name}");
            if FIXED.contains(&name.as_str()) {
                self.problem(&pointer, format!("`{name}` is the name of a limit of its own"));
            }
            self.rate_limit(&pointer, named.rate());
        }
        for (index, route) in self.config.routes.iter().enumerate() {
            let pointer = format!("{}/rate", self.element("/routes", index));
            self.rate_of(&pointer, route);
        }
    }

    fn rate_limit(&mut self, pointer: &str, rate: RateLimit) {
        if rate.shared && matches!(self.config.state.url, StateUrl::Embedded(_)) {
            let message =
                "only a state in Redis can share this: a state of one machine has nobody to share it with";
            self.problem(&format!("{pointer}/shared"), message);
        }
    }

    fn rate_of(&mut self, pointer: &str, route: &Route) {
        let known = self.source.keys("/rate_limits/named");
        let names: Vec<_> = route.rate.iter().flat_map(|rate| rate.as_slice()).collect();
        for (index, name) in names.iter().enumerate() {
            let element = format!("{pointer}/{index}");
            let place = if self.source.contains(&element) { &element } else { pointer };
            if names[..index].contains(name) {
                self.problem(place, format!("`{name}` is listed twice: it would count everything twice"));
            }
            if !known.contains(&name.as_str()) {
                let guess = did_you_mean(name.as_str(), known.iter().copied());
                self.problem(place, format!("`rate_limits.named` has no `{name}`{guess}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes, with};

    #[test]
    fn a_route_names_limits_that_exist() {
        let text = with("rate_limits: { named: { exports: { by: user, requests: 1, per: 1s } } }");
        let route = |rate: &str| {
            mistakes(&text.replace("require: nothing", &format!("require: nothing\n    rate: {rate}")))
        };
        assert_eq!(route("exports"), [""; 0]);
        assert_eq!(route("[exports]"), [""; 0]);
        let unknown = "`rate_limits.named` has no `export`: did you mean `exports`?";
        assert_eq!(route("export"), [format!("10:11 {unknown}")]);
        assert_eq!(route("[exports, export]"), [format!("10:21 {unknown}")]);
        assert_eq!(
            route("[exports, exports]"),
            ["10:21 `exports` is listed twice: it would count everything twice"]
        );
        assert_eq!(
            mistakes(&BASE.replace("require: nothing", "require: nothing\n    rate: a")),
            ["10:11 `rate_limits.named` has no `a`"]
        );
    }

    #[test]
    fn only_redis_shares_and_names_are_not_taken_twice() {
        let shared = "rate_limits: { per_user: { requests: 1, per: 1s, shared: true } }";
        assert_eq!(
            mistakes(&with(shared)),
            [
                "14:58 only a state in Redis can share this: a state of one machine has nobody to share it with"
            ]
        );
        let redis = format!("{}state: {{ url: 'redis://localhost' }}\n", with(shared));
        assert_eq!(mistakes(&redis), [""; 0]);
        assert_eq!(
            mistakes(&with("rate_limits: { named: { per_user: { by: user, requests: 1, per: 1s } } }")),
            ["14:25 `per_user` is the name of a limit of its own"]
        );
    }
}
