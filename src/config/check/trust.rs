//! Whose client certificates are believed, and where the revocation lists come from.

use super::Report;
use crate::config::{ClientCertificate, Crl, Host, Period};

/// Lists change a few times a day.
const LEAST_REFRESH: Period = Period::seconds(1);

impl Report<'_> {
    pub(super) fn trust(&mut self) {
        let asking = |(_, host): &(_, &Host)| host.client_certificate != ClientCertificate::None;
        let Some(trust) = &self.config.trust else {
            let asks = self.config.hosts.iter().find(asking).filter(|_| !self.source.contains("/trust"));
            if let Some((name, _)) = asks {
                self.problem(
                    &format!("/hosts/{name}/client_certificate"),
                    "a host asks for client certificates, but there is no `trust` that says whose are believed",
                );
            }
            return;
        };
        if self.is_given_empty("/trust/authorities") {
            self.problem("/trust/authorities", "no authority: no client certificate could ever be good");
        }
        for (index, authorities) in trust.authorities.as_slice().iter().enumerate() {
            self.path(&self.element("/trust/authorities", index), authorities.file());
        }
        if let Some(crl) = &trust.crl {
            self.crl(crl);
        }
    }

    fn crl(&mut self, crl: &Crl) {
        if self.is_given_empty("/trust/crl/sources") {
            self.problem("/trust/crl/sources", "no source: remove `crl` if revocation is not to be checked");
        }
        for (index, source) in crl.sources.iter().enumerate() {
            let pointer = self.element("/trust/crl/sources", index);
            if let Some(path) = source.file() {
                self.path(&pointer, path);
            }
            if crl.sources[..index].contains(source) {
                self.problem(&pointer, format!("`{source}` is listed twice"));
            }
        }
        for (key, path) in [("cache", &crl.cache), ("authorities", &crl.authorities)] {
            if let Some(path) = path {
                self.path(&format!("/trust/crl/{key}"), path);
            }
        }
        if crl.refresh.get() < LEAST_REFRESH.get() {
            let message = format!("expected at least {LEAST_REFRESH}, found {}", crl.refresh);
            self.problem("/trust/crl/refresh", message);
        }
        if crl.urls().next().is_some() {
            if !self.source.contains("/trust/crl/cache") {
                let message = "a URL needs a `cache`: a folder for the last good copy, or a restart without network shuts \
                     everybody out";
                self.problem("/trust/crl/sources", message);
            }
        } else if crl.authorities.is_some() && !self.is_lost("/trust/crl/sources") {
            self.problem("/trust/crl/authorities", "this is only for URLs: leave `authorities` out");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, with};

    fn of(crl: &str) -> Vec<String> {
        mistakes(&with(&format!("trust: {{ authorities: a, crl: {{ {crl} }} }}")))
    }

    #[test]
    fn urls_need_a_cache_and_files_need_nothing() {
        assert_eq!(of("sources: [a.crl]"), [""; 0]);
        assert_eq!(of("sources: [a.crl, 'http://crl.internal/g2.crl'], cache: data/crl"), [""; 0]);
        let message = "a URL needs a `cache`: a folder for the last good copy, or a restart without network shuts \
                       everybody out";
        assert_eq!(of("sources: ['http://crl.internal/g2.crl']"), [format!("14:33 {message}")]);
        assert_eq!(
            of("sources: [a.crl], authorities: b"),
            ["14:64 this is only for URLs: leave `authorities` out"]
        );
    }

    #[test]
    fn what_is_said_of_lists_is_sane() {
        assert_eq!(of("sources: [a.crl, a.crl]"), ["14:50 `a.crl` is listed twice"]);
        assert_eq!(of("sources: [a.crl], refresh: 100ms"), ["14:60 expected at least 1s, found 100ms"]);
        let url = "14:43 expected a file, or an `http` or `https` URL without user, password and fragment";
        assert_eq!(of("sources: ['ldap://x/ca'], cache: b"), [url]);
        assert_eq!(
            of("sources: [a.crl], grace: 0s"),
            ["14:58 expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found `0s`"]
        );
    }

    #[test]
    fn an_authority_may_have_a_form_of_its_own() {
        let of = |authorities: &str| mistakes(&with(&format!("trust: {{ authorities: {authorities} }}")));
        let form = "common_name: '(?<contract>[0-9]{14})-(?<user>[0-9]+)'";
        assert_eq!(of(&format!("[g1.pem, {{ file: g2.pem, {form} }}]")), [""; 0]);
        assert_eq!(of(&format!("{{ file: g2.pem, {form} }}")), [""; 0]);
        assert_eq!(
            of(&format!("[{{ file: '', {form} }}]")),
            ["14:24 expected the path of a file, found an empty text"]
        );
        assert_eq!(of("[{ file: g2.pem }]"), ["14:24 missing key `common_name`"]);
        let unknown = of(&format!("[{{ file: g2.pem, {form}, ocsp: x }}]"));
        assert!(unknown[0].contains("unknown key `ocsp`"), "{unknown:?}");
    }
}
