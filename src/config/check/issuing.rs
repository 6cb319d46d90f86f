//! Issuing, registration and mail: what belongs together, and the numbers against each other.

use super::Report;
use crate::config::{Issuer, Mail, Period, Registration};

/// The longest that a client certificate is valid.
const LONGEST_VALIDITY: Period = Period::seconds(5 * 366 * 86_400);
/// The shortest.
const SHORTEST_VALIDITY: Period = Period::seconds(86_400);

impl Report<'_> {
    pub(super) fn issuing(&mut self) {
        if let Some(trust) = &self.config.trust
            && trust.registration == Registration::Required
            && !self.source.contains("/directory")
        {
            let message = "this needs a `directory`, which knows the registered certificates";
            self.problem("/trust/registration", message);
        }
        if let Some(issuer) = &self.config.issuer {
            self.issuer(issuer);
        }
        if let Some(helpers) = &self.config.acquisition.helpers {
            self.path("/acquisition/helpers", helpers);
        }
        if let Some(mail) = &self.config.mail {
            self.mail(mail);
        }
    }

    fn issuer(&mut self, issuer: &Issuer) {
        for key in ["sign_in", "trust"] {
            if !self.source.contains(&format!("/{key}")) {
                self.problem("/issuer", format!("issuing certificates needs a `{key}`"));
            }
        }
        self.path("/issuer/certificate", &issuer.certificate);
        match (&issuer.key, &issuer.pkcs11) {
            (None, None) if !self.is_lost("/issuer/key") && !self.is_lost("/issuer/pkcs11") => {
                self.problem("/issuer", "the CA's key is missing: give `key` (a file) or `pkcs11` (an HSM)");
            }
            (Some(_), Some(_)) => {
                self.problem("/issuer/pkcs11", "the CA's key is in a file (`key`) or in an HSM, not in both");
            }
            (Some(key), None) => self.path("/issuer/key", key),
            (None, Some(_)) if issuer.passphrase_file.is_some() => {
                self.problem("/issuer/passphrase_file", "this is only for a key in a file: leave it out");
            }
            (None, _) => {}
        }
        for (key, text) in [("organization", &issuer.organization), ("unit", &issuer.unit)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > 64) {
                self.problem(&format!("/issuer/{key}"), "expected 1 to 64 characters (RFC 5280, appendix A)");
            }
        }
        let validity = issuer.validity.get();
        if validity < SHORTEST_VALIDITY.get() || validity > LONGEST_VALIDITY.get() {
            self.problem("/issuer/validity", "expected one day to five years");
        }
        let crl = &issuer.crl;
        if !(crl.url.starts_with("http://") || crl.url.starts_with("https://")) || crl.url.contains('@') {
            self.problem("/issuer/crl/url", "expected the `http` or `https` URL of the revocation list");
        }
        if crl.validity.get() <= crl.every.get() {
            let message =
                "a revocation list must be valid for longer than until the next one is made (`every`)";
            let pointer = if self.source.contains("/issuer/crl/validity") { "validity" } else { "every" };
            self.problem(&format!("/issuer/crl/{pointer}"), message);
        }
    }

    fn mail(&mut self, mail: &Mail) {
        if !self.source.contains("/directory") {
            self.problem("/mail", "notices need a `directory`, which keeps them");
        }
        match (&mail.user, &mail.password_file) {
            (Some(_), None) => self.problem("/mail/user", "`password_file` is missing"),
            (None, Some(_)) => self.problem("/mail/password_file", "`user` is missing"),
            (Some(_), Some(_)) if mail.insecure => {
                self.problem("/mail/insecure", "a password is not sent without TLS: leave this out");
            }
            _ => {}
        }
        if mail.insecure && mail.smtp.starts_with("smtps://") {
            self.problem("/mail/insecure", "`smtps` is TLS: leave this out");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{mistakes, with};

    #[test]
    fn registration_needs_a_directory() {
        assert_eq!(
            mistakes(&with("trust: { authorities: ca.pem, registration: required }")),
            ["14:45 this needs a `directory`, which knows the registered certificates"]
        );
    }

    #[test]
    fn an_issuer_has_one_key_and_all_that_goes_with_it() {
        let of = |issuer: &str| {
            let found = mistakes(&with(&format!("issuer: {{ certificate: c, {issuer} }}")));
            let told = |line: &String| !line.contains("issuing certificates needs");
            found.into_iter().filter(told).collect::<Vec<_>>()
        };
        let crl = "crl: { url: 'http://crl.mihonbank.example/ca.crl' }";
        assert_eq!(of(&format!("key: k, {crl}")), [""; 0]);
        assert_eq!(of(crl), ["14:1 the CA's key is missing: give `key` (a file) or `pkcs11` (an HSM)"]);
        let hsm = "pkcs11: { module: m, token: t, label: l, pin_file: p }";
        assert_eq!(of(&format!("{hsm}, {crl}")), [""; 0]);
        let both = of(&format!("key: k, {hsm}, {crl}"));
        assert_eq!(both.len(), 1, "{both:#?}");
        assert!(both[0].ends_with("the CA's key is in a file (`key`) or in an HSM, not in both"));
        let passphrase = of(&format!("{hsm}, passphrase_file: f, {crl}"));
        assert!(passphrase[0].ends_with("this is only for a key in a file: leave it out"), "{passphrase:#?}");
        let numbers = of("key: k, validity: 3600d, unit: ' ', crl: { url: 'ldap://x', validity: 1h }");
        let ends = [
            "expected 1 to 64 characters (RFC 5280, appendix A)",
            "expected one day to five years",
            "expected the `http` or `https` URL of the revocation list",
            "a revocation list must be valid for longer than until the next one is made (`every`)",
        ];
        assert_eq!(numbers.len(), 4, "{numbers:#?}");
        for end in ends {
            assert!(numbers.iter().any(|line| line.ends_with(end)), "{end} in {numbers:#?}");
        }
    }

    #[test]
    fn mail_has_whole_credentials_or_none() {
        let of = |mail: &str| {
            let found =
                mistakes(&with(&format!("mail: {{ smtp: 'smtp://m', from: 'a@b.example', {mail} }}")));
            found.into_iter().filter(|line| !line.contains("notices need")).collect::<Vec<_>>()
        };
        let end = |mail: &str| of(mail).pop().unwrap().split_once(' ').unwrap().1.to_owned();
        assert_eq!(of("insecure: true"), [""; 0]);
        assert_eq!(end("user: u"), "`password_file` is missing");
        assert_eq!(end("password_file: p"), "`user` is missing");
        assert_eq!(
            end("user: u, password_file: p, insecure: true"),
            "a password is not sent without TLS: leave this out"
        );
    }
}
