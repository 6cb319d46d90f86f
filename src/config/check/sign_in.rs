//! Signing in against hosts and stores, and its numbers against each other.

use super::Report;
use crate::config::suggest::did_you_mean;
use crate::config::{
    CertificateSignIn, ClientCertificate, HostName, HttpVerifier, Period, PinSignIn, PinVerifier, SignIn,
    Size,
};

/// Most attempts before a suspension (PCI DSS 8.3.4).
const MOST_ATTEMPTS: u32 = 10;
/// Wrong PINs aren't forgotten sooner (PCI DSS 8.3.4).
const LEAST_QUIET: Period = Period::seconds(30 * 60);
/// No sign-in lasts longer (NIST SP 800-63B, AAL2).
const LONGEST_SESSION: Period = Period::seconds(24 * 3600);
/// Memory that Argon2id needs for each lane (RFC 9106, section 3.1).
const LEAST_MEMORY: Size = Size::kib(8);
/// All hashes at once: more is a mistake of some digits.
const MOST_MEMORY: Size = Size::kib(4 << 20);

impl Report<'_> {
    pub(super) fn sign_in(&mut self) {
        let Some(sign_in) = &self.config.sign_in else { return };
        if !self.source.contains("/directory") {
            self.problem("/sign_in", "signing in needs a `directory`, which knows the users");
        }
        self.sign_in_hosts(sign_in);
        self.lockout(sign_in);
        self.session(sign_in);
        self.pin(&sign_in.pin);
    }

    fn sign_in_hosts(&mut self, sign_in: &SignIn) {
        self.sign_in_host("/sign_in/host", &sign_in.host, |asks, name| {
            (asks == ClientCertificate::Required).then(|| {
                format!(
                    "`{name}` demands a client certificate: nobody without one could reach the sign-in page"
                )
            })
        });
        if let Some(host) = &sign_in.certificate_host {
            self.sign_in_host("/sign_in/certificate_host", host, |asks, name| {
                (asks == ClientCertificate::None)
                    .then(|| format!("`{name}` never asks for a client certificate"))
            });
        } else if !self.source.contains("/sign_in/certificate_host") {
            if sign_in.certificate == CertificateSignIn::CertificateAndPin {
                self.problem(
                    "/sign_in/certificate",
                    "this needs a `certificate_host`, which asks for the certificate",
                );
            }
            if !sign_in.pin.enabled {
                self.problem(
                    "/sign_in/pin/enabled",
                    "nobody could sign in: there is neither a PIN nor a `certificate_host`",
                );
            }
        }
    }

    /// A host must exist, and suit what it is for. Of one that couldn't be read nobody knows.
    fn sign_in_host(
        &mut self,
        pointer: &str,
        name: &HostName,
        fault: impl FnOnce(ClientCertificate, &str) -> Option<String>,
    ) {
        let known = self.source.keys("/hosts");
        if !known.contains(&name.as_str()) {
            let guess = did_you_mean(name.as_str(), known);
            self.problem(pointer, format!("there is no host `{name}`{guess}"));
        }
        let host = self.config.hosts.get(name);
        if let Some(fault) = host.and_then(|host| fault(host.client_certificate, name.as_str())) {
            self.problem(pointer, fault);
        }
    }

    fn lockout(&mut self, sign_in: &SignIn) {
        let lockout = &sign_in.lockout;
        if lockout.attempts.get() > MOST_ATTEMPTS {
            let message = format!("expected at most {MOST_ATTEMPTS}, found {}", lockout.attempts);
            self.problem("/sign_in/lockout/attempts", message);
        }
        if lockout.quiet.get() < LEAST_QUIET.get() {
            let message = format!("expected at least {LEAST_QUIET}, found {}", lockout.quiet);
            self.problem("/sign_in/lockout/quiet", message);
        }
    }

    fn session(&mut self, sign_in: &SignIn) {
        let session = &sign_in.session;
        if session.absolute.get() > LONGEST_SESSION.get() {
            let message = format!("expected at most {LONGEST_SESSION}, found {}", session.absolute);
            self.problem("/sign_in/session/absolute", message);
        }
        if session.idle.get() > session.absolute.get() {
            let message =
                format!("`idle` ({}) can't be more than `absolute` ({})", session.idle, session.absolute);
            self.problem(self.given("/sign_in/session/idle", "/sign_in/session/absolute"), message);
        }
    }

    fn pin(&mut self, pin: &PinSignIn) {
        for (key, path) in [("pepper_file", &pin.pepper_file), ("deny_list", &pin.deny_list)] {
            if let Some(path) = path {
                self.path(&format!("/sign_in/pin/{key}"), path);
            }
        }
        if pin.min_length < 4 {
            self.problem("/sign_in/pin/min_length", format!("expected at least 4, found {}", pin.min_length));
        }
        if pin.max_length > 12 {
            self.problem("/sign_in/pin/max_length", format!("expected at most 12, found {}", pin.max_length));
        }
        if pin.min_length > pin.max_length {
            let message = format!(
                "`min_length` ({}) can't be more than `max_length` ({})",
                pin.min_length, pin.max_length
            );
            self.problem(self.given("/sign_in/pin/min_length", "/sign_in/pin/max_length"), message);
        }
        match (pin.verifier, &pin.http) {
            (PinVerifier::Http, None) if !self.source.contains("/sign_in/pin/http") => {
                self.problem("/sign_in/pin/verifier", "this needs `http`, which says whom to ask");
            }
            (PinVerifier::Directory, Some(_)) if !self.is_lost("/sign_in/pin/verifier") => {
                self.problem("/sign_in/pin/http", "this is only asked with `verifier: http`");
            }
            (_, Some(http)) => self.http_verifier(http),
            (_, None) => {}
        }
        if pin.verifier == PinVerifier::Directory && !self.is_lost("/sign_in/pin/verifier") {
            if !self.source.contains("/sign_in/pin/pepper_file") {
                let message =
                    "the directory's hashes of PINs need a `pepper_file`; `sekisho pepper` makes one";
                self.problem("/sign_in/pin", message);
            }
            self.argon2id(pin);
        }
    }

    fn http_verifier(&mut self, http: &HttpVerifier) {
        self.path("/sign_in/pin/http/authorities", &http.authorities);
        self.path("/sign_in/pin/http/certificate", &http.certificate);
        self.path("/sign_in/pin/http/key", &http.key);
    }

    fn argon2id(&mut self, pin: &PinSignIn) {
        let cost = &pin.argon2id;
        let lanes = u64::from(cost.parallelism.get());
        if cost.memory.bytes() / lanes < LEAST_MEMORY.bytes() {
            let message = format!(
                "expected at least {LEAST_MEMORY} for each of `parallelism` ({lanes}), found {}",
                cost.memory
            );
            let pointer = self.given("/sign_in/pin/argon2id/memory", "/sign_in/pin/argon2id/parallelism");
            self.problem(pointer, message);
        }
        let at_once = u64::from(pin.concurrency.get());
        if cost.memory.bytes().saturating_mul(at_once) > MOST_MEMORY.bytes() {
            let message = format!(
                "`concurrency` ({at_once}) hashes at once, of {} each, need more than {MOST_MEMORY} of memory",
                cost.memory
            );
            let pointer = self.given("/sign_in/pin/concurrency", "/sign_in/pin/argon2id/memory");
            self.problem(pointer, message);
        }
    }

    /// Which of two values to mark: one of them may be a default, which stands nowhere in the file.
    fn given<'p>(&self, first: &'p str, second: &'p str) -> &'p str {
        if self.source.contains(first) { first } else { second }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes};

    const HOST: &str = "host: www.mihonbank.example";

    /// A small good file with sign-in, 23 lines long.
    fn good() -> String {
        let hosts = "hosts:\n  cert.mihonbank.example:\n    tls: { certificate: c.pem, key: c.key }\n    \
                     client_certificate: optional";
        let more = "sign_in:\n  host: www.mihonbank.example\n  \
                    pin: { pepper_file: pepper }\ntrust: { authorities: ca.pem }\ndirectory: {}\naudit: { file: audit.log }\n";
        BASE.replace("hosts:", hosts) + more
    }

    fn replaced(from: &str, to: &str) -> Vec<String> {
        let text = good();
        assert!(text.contains(from), "{from}");
        mistakes(&text.replace(from, to))
    }

    /// The only mistake of the file with `line` added to `sign_in`, as its line 19.
    fn mistake(line: &str) -> String {
        let found = replaced(HOST, &format!("{HOST}\n  {line}"));
        assert_eq!(found.len(), 1, "{line}: {found:#?}");
        found.concat()
    }

    /// The only mistake of the file with more said of the PIN.
    fn pin_mistake(more: &str) -> String {
        let found = replaced("pepper_file: pepper", &format!("pepper_file: pepper, {more}"));
        assert_eq!(found.len(), 1, "{more}: {found:#?}");
        found.concat()
    }

    #[test]
    fn signing_in_needs_users_and_a_log() {
        assert_eq!(replaced("", ""), [""; 0]);
        assert_eq!(
            replaced("directory: {}\n", ""),
            ["17:1 signing in needs a `directory`, which knows the users"]
        );
        assert_eq!(
            replaced("audit: { file: audit.log }\n", ""),
            ["21:1 a directory needs an `audit` log, where every decision is written down"]
        );
    }

    #[test]
    fn the_hosts_of_signing_in_suit_it() {
        assert_eq!(
            replaced(HOST, "host: ww.mihonbank.example"),
            ["18:9 there is no host `ww.mihonbank.example`: did you mean `www.mihonbank.example`?"]
        );
        assert_eq!(
            mistake("certificate_host: cer.mihonbank.example"),
            "19:21 there is no host `cer.mihonbank.example`: did you mean `cert.mihonbank.example`?"
        );
        assert_eq!(
            mistake("certificate_host: www.mihonbank.example"),
            "19:21 `www.mihonbank.example` never asks for a client certificate"
        );
        let demands = "18:9 `cert.mihonbank.example` demands a client certificate: nobody without one could \
                       reach the sign-in page";
        let both = "host: cert.mihonbank.example\n  certificate_host: cert.mihonbank.example";
        assert_eq!(replaced(HOST, both), [""; 0]);
        let text = good().replace(HOST, both).replace("optional", "required");
        assert_eq!(mistakes(&text), [demands]);
        // Of a host that couldn't be read nobody knows.
        let text = good().replace(HOST, both).replace("optional", "no");
        assert_eq!(mistakes(&text), ["6:25 expected `none`, `optional` or `required`, found `no`"]);
    }

    #[test]
    fn there_is_a_way_to_sign_in() {
        assert_eq!(
            mistake("certificate: certificate_and_pin"),
            "19:16 this needs a `certificate_host`, which asks for the certificate"
        );
        assert_eq!(
            pin_mistake("enabled: false"),
            "19:40 nobody could sign in: there is neither a PIN nor a `certificate_host`"
        );
    }

    #[test]
    fn a_lockout_is_one() {
        assert_eq!(mistake("lockout: { attempts: 11 }"), "19:24 expected at most 10, found 11");
        assert_eq!(mistake("lockout: { quiet: 5m }"), "19:21 expected at least 30m, found 5m");
    }

    #[test]
    fn a_session_ends() {
        assert_eq!(mistake("session: { absolute: 25h }"), "19:24 expected at most 1d, found 25h");
        let more = "`idle` (9h) can't be more than `absolute` (8h)";
        assert_eq!(mistake("session: { idle: 9h }"), format!("19:20 {more}"));
        let more = "`idle` (15m) can't be more than `absolute` (10m)";
        assert_eq!(mistake("session: { absolute: 10m }"), format!("19:24 {more}"));
    }

    #[test]
    fn pins_have_a_length() {
        assert_eq!(pin_mistake("min_length: 3"), "19:43 expected at least 4, found 3");
        assert_eq!(pin_mistake("max_length: 13"), "19:43 expected at most 12, found 13");
        let more = "`min_length` (8) can't be more than `max_length` (6)";
        assert_eq!(pin_mistake("min_length: 8, max_length: 6"), format!("19:43 {more}"));
        assert_eq!(pin_mistake("deny_list: ''"), "19:42 expected the path of a file, found an empty text");
    }

    #[test]
    fn hashing_is_possible() {
        assert_eq!(
            pin_mistake("argon2id: { memory: 16KiB, parallelism: 4 }"),
            "19:51 expected at least 8KiB for each of `parallelism` (4), found 16KiB"
        );
        assert_eq!(
            pin_mistake("concurrency: 1000"),
            "19:44 `concurrency` (1000) hashes at once, of 19MiB each, need more than 4GiB of memory"
        );
        assert_eq!(
            pin_mistake("argon2id: { memory: 4GiB }"),
            "19:51 `concurrency` (2) hashes at once, of 4GiB each, need more than 4GiB of memory"
        );
    }

    #[test]
    fn who_decides_about_pins_is_said_once() {
        let http = "http: { url: 'https://a/b', authorities: a, certificate: c, key: k }";
        assert_eq!(pin_mistake("verifier: http"), "19:41 this needs `http`, which says whom to ask");
        assert_eq!(pin_mistake(http), "19:31 this is only asked with `verifier: http`");
        assert_eq!(
            replaced("pepper_file: pepper", &format!("pepper_file: pepper, verifier: http, {http}")),
            [""; 0]
        );
        assert_eq!(
            pin_mistake(&format!("verifier: http, {}", http.replace("key: k", "key: ''"))),
            "19:112 expected the path of a file, found an empty text"
        );
        // A system of the bank's needs no pepper.
        assert_eq!(replaced("pepper_file: pepper", &format!("verifier: http, {http}")), [""; 0]);
        assert_eq!(
            replaced("pepper_file: pepper", "waiting: 1"),
            ["19:3 the directory's hashes of PINs need a `pepper_file`; `sekisho pepper` makes one"]
        );
        assert_eq!(
            replaced("pepper_file: pepper", "verifier: htp"),
            ["19:20 expected `directory` or `http`, found `htp`: did you mean `http`?"]
        );
        // Who can't be read isn't `directory`.
        assert_eq!(
            pin_mistake(&format!("verifier: htp, {http}")),
            "19:41 expected `directory` or `http`, found `htp`: did you mean `http`?"
        );
    }
}
