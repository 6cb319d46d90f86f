//! What upstreams are told of who sends a request, against what there is to tell it with.

use std::time::Duration;

use super::Report;
use crate::config::{ClientCertificate, ForwardedCertificate};

/// An upstream may be connected to anew first (`timeouts.upstream_connect`), and no clock is exact.
const SHORTEST: Duration = Duration::from_secs(5);
/// Whoever steals one has so long.
const LONGEST: Duration = Duration::from_secs(60);

impl Report<'_> {
    pub(super) fn assertion(&mut self) {
        if let Some(assertion) = &self.config.assertion {
            let keys = "/assertion/keys";
            if self.is_given_empty(keys) {
                self.problem(keys, "no key: one must sign");
            }
            for (index, path) in assertion.keys.iter().enumerate() {
                let pointer = self.element(keys, index);
                self.path(&pointer, path);
                if assertion.keys[..index].contains(path) {
                    self.problem(&pointer, "this key is listed twice");
                }
            }
            let lifetime = assertion.lifetime;
            if !(SHORTEST..=LONGEST).contains(&lifetime.get()) {
                self.problem(
                    "/assertion/lifetime",
                    format!("expected from 5s to 60s, found {lifetime}: an assertion is for one request"),
                );
            }
        }
        let has_assertion = self.source.contains("/assertion");
        // A host that couldn't be read might ask.
        let asks = self.config.hosts.len() < self.source.keys("/hosts").len()
            || self.config.hosts.values().any(|host| host.client_certificate != ClientCertificate::None);
        for (name, upstream) in &self.config.upstreams {
            let at = |member: &str| format!("/upstreams/{name}/identity/{member}");
            if upstream.identity.assertion && !has_assertion {
                self.problem(&at("assertion"), "there is no `assertion` that says what signs");
            }
            if upstream.identity.client_certificate != ForwardedCertificate::None && !asks {
                let never = "there will never be one: no host asks for a client certificate";
                self.problem(&at("client_certificate"), never);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes, with};

    const ISSUER: &str = "issuer: 'https://gate.example'";

    #[test]
    fn assertions_are_signed_by_some_key_and_soon_worthless() {
        for (members, expected) in [
            ("keys: [a, b]", ""),
            ("keys: [a], lifetime: 1m", ""),
            ("keys: [a], lifetime: 5s", ""),
            ("keys: []", "14:46 no key: one must sign"),
            ("keys: ['']", "14:53 expected the path of a file, found an empty text"),
            ("keys: [a, b, a]", "14:59 this key is listed twice"),
            (
                "keys: [a], lifetime: 61s",
                "14:67 expected from 5s to 60s, found 61s: an assertion is for one request",
            ),
            (
                "keys: [a], lifetime: 4s",
                "14:67 expected from 5s to 60s, found 4s: an assertion is for one request",
            ),
        ] {
            let line = format!("assertion: {{ {ISSUER}, {members} }}");
            assert_eq!(mistakes(&with(&line)).concat(), expected, "{line}");
        }
    }

    #[test]
    fn an_upstream_is_told_only_what_there_is_to_tell() {
        let asks =
            |more: &str| BASE.replace("[10.0.0.1:80]", &format!("[10.0.0.1:80]\n    identity: {{ {more} }}"));
        assert_eq!(
            mistakes(&asks("assertion: true")),
            ["14:28 there is no `assertion` that says what signs"]
        );
        assert_eq!(
            mistakes(&(asks("assertion: true") + &format!("assertion: {{ {ISSUER}, keys: [a] }}\n"))),
            [""; 0]
        );
        assert_eq!(
            mistakes(&asks("client_certificate: leaf")),
            ["14:37 there will never be one: no host asks for a client certificate"]
        );
        assert_eq!(
            mistakes(&format!("{}headers: {{ user: Client-Cert }}\n", BASE)),
            ["14:18 `Client-Cert` has another meaning: choose a name of your own"]
        );
    }
}
