//! What the nouns can't say alone: one part of the file against another. Needs nothing but the file.
//!
//! The configuration may have holes where other mistakes were found, so what is *missing* is asked of the source: an
//! upstream with a bad endpoint still exists.

mod assertion;
mod compression;
mod headers;
mod issuing;
mod matching;
mod rate_limits;
mod restrictions;
mod resumption;
mod routes;
mod sign_in;
mod stores;
mod terms;
mod traces;
mod trust;
mod upstreams;

use std::path::Path;

use super::typed::Survivors;
use super::{Config, Problem, SignedSource, Size, Source};

/// The file's parts against each other.
pub(super) fn check(config: &Config, source: &Source, survivors: &Survivors) -> Vec<Problem> {
    let mut report = Report { config, source, survivors, found: Vec::new() };
    report.listeners();
    report.hosts();
    report.resumption();
    report.trust();
    report.sign_in();
    report.stores();
    report.issuing();
    report.routes();
    if let Some(maintenance) = &config.maintenance {
        report.path("/maintenance/file", &maintenance.file);
    }
    report.upstreams();
    report.headers();
    report.assertion();
    report.limits();
    report.rate_limits();
    report.traces();
    report.found
}

/// Where the checks put what they find.
struct Report<'c> {
    config: &'c Config,
    source: &'c Source,
    survivors: &'c Survivors,
    found: Vec<Problem>,
}

impl Report<'_> {
    fn problem(&mut self, pointer: &str, message: impl AsRef<str>) {
        self.found.push(self.source.problem(pointer, message));
    }

    fn element(&self, list: &str, index: usize) -> String {
        self.survivors.element(self.source, list, index)
    }

    /// "…: first on line 3", if the file says where.
    fn first(&self, pointer: &str) -> String {
        self.source.line(pointer).map(|line| format!(": first on line {line}")).unwrap_or_default()
    }

    fn is_given_empty(&self, pointer: &str) -> bool {
        self.survivors.contain(self.source, pointer)
            && self.source.node(pointer).is_some_and(|node| node.len() == 0)
    }

    /// Whether the file says something there that couldn't be read.
    fn is_lost(&self, pointer: &str) -> bool {
        self.source.contains(pointer) && !self.survivors.contain(self.source, pointer)
    }

    fn path(&mut self, pointer: &str, path: &Path) {
        if path.as_os_str().is_empty() {
            self.problem(pointer, "expected the path of a file, found an empty text");
        }
    }

    fn listeners(&mut self) {
        if self.is_given_empty("/listeners") {
            self.problem("/listeners", "no listener: the gate needs at least one");
        }
        let binds: Vec<_> = self.config.listeners.iter().map(|listener| listener.bind).collect();
        for index in 0..binds.len() {
            let from = format!("{}/proxy_protocol/from", self.element("/listeners", index));
            if self.is_given_empty(&from) {
                self.problem(&from, "no network: every connection would be refused");
            }
        }
        for (index, bind) in binds.iter().enumerate().filter(|(_, bind)| bind.port() != 0) {
            let pointer = format!("{}/bind", self.element("/listeners", index));
            if let Some(earlier) = binds[..index].iter().position(|other| other == bind) {
                let first = self.first(&format!("{}/bind", self.element("/listeners", earlier)));
                self.problem(&pointer, format!("`{bind}` is bound twice{first}"));
            }
            if *bind == self.config.ops.bind {
                let pointer = if self.source.contains("/ops/bind") { "/ops/bind" } else { &pointer };
                self.problem(pointer, format!("`{bind}` is bound both by `listeners` and by `ops`"));
            }
        }
    }

    fn hosts(&mut self) {
        if self.is_given_empty("/hosts") {
            self.problem("/hosts", "no host: the gate needs at least one");
        }
        for (name, host) in &self.config.hosts {
            let list = format!("/hosts/{name}/tls");
            if self.is_given_empty(&list) {
                self.problem(&list, "no certificate: a host needs at least one");
            }
            for (index, tls) in host.tls.as_slice().iter().enumerate() {
                let pointer = self.element(&list, index);
                self.path(&format!("{pointer}/certificate"), &tls.certificate);
                self.path(&format!("{pointer}/key"), &tls.key);
                if let Some(path) = tls.ocsp.as_ref().and_then(SignedSource::file) {
                    self.path(&format!("{pointer}/ocsp"), path);
                }
            }
        }
    }

    fn limits(&mut self) {
        let limits = &self.config.limits;
        for (name, size, least) in [
            ("client_hello", limits.client_hello, Size::kib(1)),
            ("handshake", limits.handshake, Size::kib(4)),
            ("header_bytes", limits.header_bytes, Size::kib(1)),
        ] {
            if size.bytes() < least.bytes() {
                self.problem(&format!("/limits/{name}"), format!("expected at least {least}, found {size}"));
            }
        }
        if limits.client_hello.bytes() > limits.handshake.bytes() {
            let given = self.source.contains("/limits/client_hello");
            let pointer = if given { "/limits/client_hello" } else { "/limits/handshake" };
            self.problem(
                pointer,
                format!(
                    "`client_hello` ({}) can't be more than `handshake` ({}), of which it is a part",
                    limits.client_hello, limits.handshake
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes, with};

    /// The only mistake of the base with `line` added.
    fn mistake(line: &str) -> String {
        let found = mistakes(&with(line));
        assert_eq!(found.len(), 1, "{line}: {found:#?}");
        found.concat()
    }

    fn replaced(from: &str, to: &str) -> Vec<String> {
        assert!(BASE.contains(from));
        mistakes(&BASE.replace(from, to))
    }

    #[test]
    fn there_is_something_to_serve() {
        let bare = "listeners: []\nhosts: {}\n";
        let expected =
            ["1:1 no listener: the gate needs at least one", "2:1 no host: the gate needs at least one"];
        assert_eq!(mistakes(bare), expected);
        assert_eq!(
            replaced("endpoints: [10.0.0.1:80]", "endpoints: []"),
            ["13:5 upstream `website` has no endpoint"]
        );
        assert_eq!(
            replaced("0.0.0.0:443", "0.0.0.0:443\n    proxy_protocol: { from: [] }"),
            ["3:23 no network: every connection would be refused"]
        );
    }

    #[test]
    fn an_address_is_bound_once() {
        let twice = "- bind: 0.0.0.0:443\n  - bind: 0.0.0.0:443";
        assert_eq!(
            replaced("- bind: 0.0.0.0:443", twice),
            ["3:11 `0.0.0.0:443` is bound twice: first on line 2"]
        );
        let any = "- bind: 0.0.0.0:0\n  - bind: 0.0.0.0:0";
        assert_eq!(replaced("- bind: 0.0.0.0:443", any), [""; 0]);
        assert_eq!(
            mistake("ops: { bind: 0.0.0.0:443 }"),
            "14:14 `0.0.0.0:443` is bound both by `listeners` and by `ops`"
        );
    }

    #[test]
    fn whoever_asks_for_certificates_says_whose() {
        assert_eq!(
            replaced("client_certificate: none", "client_certificate: optional"),
            [
                "6:25 a host asks for client certificates, but there is no `trust` that says whose are believed"
            ]
        );
        assert_eq!(
            mistake("trust: { authorities: [] }"),
            "14:10 no authority: no client certificate could ever be good"
        );
        assert_eq!(
            mistake("trust: { authorities: a, crl: { sources: [] } }"),
            "14:33 no source: remove `crl` if revocation is not to be checked"
        );
        let empty = "expected the path of a file, found an empty text";
        assert_eq!(mistake("trust: { authorities: [a, ''] }"), format!("14:27 {empty}"));
        assert_eq!(mistake("trust: { authorities: '' }"), format!("14:23 {empty}"));
        assert_eq!(replaced("key: www.key", "key: ''"), [format!("5:39 {empty}")]);
    }

    #[test]
    fn routes_lead_to_what_exists() {
        assert_eq!(
            replaced("upstream: website", "upstream: webside"),
            ["10:15 there is no upstream `webside`: did you mean `website`?"]
        );
        assert_eq!(
            replaced("- path: /", "- hosts: [ww.mihonbank.example]\n    path: /"),
            ["8:13 there is no host `ww.mihonbank.example`: did you mean `www.mihonbank.example`?"]
        );
        assert_eq!(
            replaced("- path: /", "- hosts: [www.mihonbank.example, www.mihonbank.example]\n    path: /"),
            ["8:36 host `www.mihonbank.example` is listed twice"]
        );
        assert_eq!(
            replaced("- path: /", "- hosts: []\n    path: /"),
            ["8:5 no host: leave `hosts` out for a route on every host"]
        );
        // It exists, though it is wrong itself.
        assert_eq!(
            replaced("endpoints: [10.0.0.1:80]", "endpoint: 5"),
            ["13:5 unknown key `endpoint`: did you mean `endpoints`?"]
        );
    }

    #[test]
    fn a_certificate_is_only_required_where_it_is_asked_for() {
        assert_eq!(
            replaced("require: nothing", "require: certificate"),
            ["9:14 this can never be met: no host asks for a client certificate"]
        );
        let restricted = "require: certificate\n    hosts: [www.mihonbank.example]";
        assert_eq!(
            replaced("require: nothing", restricted),
            ["9:14 this can never be met: none of this route's hosts asks for a client certificate"]
        );
        // The host might ask: nobody knows.
        let text = BASE
            .replace("require: nothing", restricted)
            .replace("client_certificate: none", "client_certificate: no");
        assert_eq!(mistakes(&text), ["6:25 expected `none`, `optional` or `required`, found `no`"]);
    }

    #[test]
    fn a_request_has_one_route() {
        let route =
            |hosts: &str| format!("routes:\n  - {{ path: /, {hosts}require: nothing, upstream: website }}");
        let first = route("hosts: [www.mihonbank.example], ");
        assert_eq!(
            replaced("routes:", &first),
            ["9:11 `/` has two routes on the same host: first on line 8"]
        );
        assert_eq!(
            replaced("routes:", &route("")),
            ["9:11 `/` has two routes on the same host: first on line 8"]
        );
        // A route that lost its hosts isn't one for all hosts.
        assert_eq!(replaced("routes:", &route("hosts: 5, ")), ["8:23 expected a list, found the number 5"]);
    }

    #[test]
    fn positions_hold_when_an_earlier_element_fell_out() {
        let text = BASE.replace("routes:", "routes:\n  - 5").replace("upstream: website", "upstream: x");
        assert_eq!(
            mistakes(&text),
            ["8:5 expected a mapping, found the number 5", "11:15 there is no upstream `x`"]
        );
    }

    #[test]
    fn the_gate_owns_only_names_of_its_own() {
        assert_eq!(
            mistake("headers: { user: x-contract-ID }"),
            "14:18 `x-contract-ID` is already the name of `headers.contract`"
        );
        assert_eq!(
            mistake("headers: { contract: X-User-Id }"),
            "14:22 `X-User-Id` is already the name of `headers.user`"
        );
        assert_eq!(
            mistake("headers: { role: Cookie }"),
            "14:18 `Cookie` has another meaning: choose a name of your own"
        );
        assert_eq!(
            mistake("headers: { remove: [Cookie, Transfer-Encoding] }"),
            "14:29 `Transfer-Encoding` belongs to HTTP itself: the gate can't own it"
        );
        assert_eq!(mistakes(&with("headers: { remove: [] }")), [""; 0]);
    }

    #[test]
    fn limits_are_sane() {
        assert_eq!(mistake("limits: { header_bytes: 12 }"), "14:25 expected at least 1KiB, found 12");
        let part = "`client_hello` (128KiB) can't be more than `handshake` (64KiB), of which it is a part";
        assert_eq!(mistake("limits: { client_hello: 128KiB }"), format!("14:25 {part}"));
        let part = "`client_hello` (16KiB) can't be more than `handshake` (8KiB), of which it is a part";
        assert_eq!(mistake("limits: { handshake: 8KiB }"), format!("14:22 {part}"));
    }
}
