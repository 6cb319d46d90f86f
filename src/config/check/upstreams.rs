//! Upstreams: endpoints that are there, numbers that mean something.

use rustls::pki_types::DnsName;

use super::Report;
use crate::config::{Endpoint, Place, Protocol, Upstream};

impl Report<'_> {
    pub(super) fn upstreams(&mut self) {
        for (name, upstream) in &self.config.upstreams {
            let pointer = format!("/upstreams/{name}");
            let endpoints = format!("{pointer}/endpoints");
            if self.is_given_empty(&endpoints) {
                self.problem(&endpoints, format!("upstream `{name}` has no endpoint"));
            }
            self.endpoints_differ(&endpoints, upstream);
            self.health_of(&pointer, upstream);
            self.percentages(&pointer, upstream);
            self.retries_of(&pointer, upstream);
            self.tls_of(&pointer, upstream);
            self.introductions(&pointer, upstream);
        }
    }

    fn endpoints_differ(&mut self, list: &str, upstream: &Upstream) {
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            let is_same = |other: &Endpoint| other.address == endpoint.address;
            if let Some(earlier) = upstream.endpoints[..index].iter().position(is_same) {
                let first = self.first(&self.element(list, earlier));
                let message = format!("`{}` is listed twice{first}: write a `weight`", endpoint.address);
                self.problem(&self.element(list, index), message);
            }
        }
    }

    fn introductions(&mut self, pointer: &str, upstream: &Upstream) {
        if upstream.proxy_protocol.is_some() && upstream.protocol == Protocol::Http2 {
            self.problem(
                &format!("{pointer}/proxy_protocol"),
                "a connection over HTTP/2 carries the requests of many clients: it needs `protocol: http1`",
            );
        }
    }

    fn health_of(&mut self, pointer: &str, upstream: &Upstream) {
        let Some(health) = &upstream.health else { return };
        let at = |key: &str| format!("{pointer}/health/{key}");
        match &health.path {
            Some(path) if !is_target(path) => {
                self.problem(&at("path"), format!("expected a path such as `/health`, found `{path}`"));
            }
            Some(_) => {}
            None => {
                for key in ["host", "statuses"] {
                    if self.source.contains(&at(key)) && !self.is_lost(&at("path")) {
                        self.problem(
                            &at(key),
                            "nothing is asked without a `path`: there is only a connection",
                        );
                    }
                }
            }
        }
        self.statuses(&at("statuses"), &health.statuses, 100..=599);
        if health.timeout.get() > health.every.get() {
            let message =
                format!("{} is longer than from one look to the next ({})", health.timeout, health.every);
            let key = if self.source.contains(&at("timeout")) { "timeout" } else { "every" };
            self.problem(&at(key), message);
        }
    }

    fn percentages(&mut self, pointer: &str, upstream: &Upstream) {
        for (key, percent) in [
            ("ejection/most_percent", upstream.ejection.most_percent),
            ("retries/budget_percent", upstream.retries.budget_percent),
        ] {
            if percent > 100 {
                self.problem(&format!("{pointer}/{key}"), format!("expected at most 100, found {percent}"));
            }
        }
    }

    fn retries_of(&mut self, pointer: &str, upstream: &Upstream) {
        let retries = &upstream.retries;
        let at = |key: &str| format!("{pointer}/retries/{key}");
        self.statuses(&at("statuses"), &retries.statuses, 400..=599);
        if retries.most > 10 {
            self.problem(&at("most"), format!("expected at most 10, found {}", retries.most));
        }
        if retries.most == 0 && !self.is_lost(&at("most")) {
            for (key, is_meant) in
                [("timeouts", retries.timeouts), ("statuses", !retries.statuses.is_empty())]
            {
                if is_meant {
                    self.problem(&at(key), "nothing is sent again without `most`");
                }
            }
        }
    }

    fn tls_of(&mut self, pointer: &str, upstream: &Upstream) {
        let Some(tls) = &upstream.tls else { return };
        let at = |key: &str| format!("{pointer}/tls/{key}");
        for (key, file) in
            [("authorities", &tls.authorities), ("certificate", &tls.certificate), ("key", &tls.key)]
        {
            if let Some(file) = file {
                self.path(&at(key), file);
            }
        }
        for (key, other) in [("certificate", "key"), ("key", "certificate")] {
            if self.source.contains(&at(key)) && !self.source.contains(&at(other)) {
                self.problem(&at(key), format!("this needs `{other}` as well"));
            }
        }
        if let Some(name) = &tls.server_name {
            self.tls_name(&at("server_name"), name.as_str());
        } else if !self.is_lost(&at("server_name")) {
            for (index, endpoint) in upstream.endpoints.iter().enumerate() {
                if let Place::Name(name, _) = endpoint.address.place() {
                    self.tls_name(&self.element(&format!("{pointer}/endpoints"), index), name);
                }
            }
        }
        let is_unix = |endpoint: &Endpoint| matches!(endpoint.address.place(), Place::Unix(_));
        if tls.server_name.is_none()
            && !self.is_lost(&at("server_name"))
            && upstream.endpoints.iter().any(is_unix)
        {
            self.problem(
                &format!("{pointer}/tls"),
                "a Unix socket has no name of its own: `server_name` is needed",
            );
        }
    }

    /// Not every name that DNS may know can stand in a certificate (RFC 5280, section 4.2.1.6).
    fn tls_name(&mut self, pointer: &str, name: &str) {
        if DnsName::try_from(name).is_err() {
            let message = format!("`{name}` can't be asked for in TLS: write a `server_name` that can");
            self.problem(pointer, message);
        }
    }

    fn statuses(&mut self, list: &str, statuses: &[u16], range: std::ops::RangeInclusive<u16>) {
        for (index, status) in statuses.iter().enumerate() {
            if !range.contains(status) {
                let (least, most) = (range.start(), range.end());
                let message = format!("expected a status from {least} to {most}, found {status}");
                self.problem(&self.element(list, index), message);
            }
        }
    }
}

/// Whether it can stand in a request line.
fn is_target(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes, with};

    /// What is wrong with an upstream that has this beside its endpoint.
    fn wrong(more: &str) -> String {
        let found = mistakes(&with(&format!("    {more}"))).concat();
        // Without the place, which `load`'s tests hold.
        found.split_once(' ').map(|(_, message)| message.to_owned()).unwrap_or_default()
    }

    #[test]
    fn numbers_of_an_upstream_mean_something() {
        for (more, expected) in [
            ("balance: user\n    slow_start: 30s", ""),
            ("health: { path: '/health?deep=1', statuses: [200, 204], host: app.internal }", ""),
            ("health: {}", ""),
            ("health: { path: health }", "expected a path such as `/health`, found `health`"),
            ("health: { path: '/a b' }", "expected a path such as `/health`, found `/a b`"),
            ("health: { host: a.internal }", "nothing is asked without a `path`: there is only a connection"),
            ("health: { path: /, statuses: [99] }", "expected a status from 100 to 599, found 99"),
            ("health: { every: 1s }", "2s is longer than from one look to the next (1s)"),
            ("tls: {}", ""),
            ("protocol: http1", ""),
            ("protocol: http2", ""),
            ("protocol: h2", "expected `http1` or `http2`, found `h2`"),
            ("proxy_protocol: v2", ""),
            ("proxy_protocol: v1", "expected `v2`, found `v1`: did you mean `v2`?"),
            (
                "protocol: http2\n    proxy_protocol: v2",
                "a connection over HTTP/2 carries the requests of many clients: it needs `protocol: http1`",
            ),
            ("tls: { certificate: a.pem, key: a.key, authorities: ca.pem, server_name: a.internal }", ""),
            (
                "tls: { server_name: backend.1 }",
                "`backend.1` can't be asked for in TLS: write a `server_name` that can",
            ),
            ("tls: { certificate: a.pem }", "this needs `key` as well"),
            ("tls: { key: a.key }", "this needs `certificate` as well"),
            ("ejection: { most_percent: 101 }", "expected at most 100, found 101"),
            ("retries: { most: 2, timeouts: true, statuses: [502, 503], budget_percent: 10 }", ""),
            ("retries: { most: 11 }", "expected at most 10, found 11"),
            ("retries: { most: 1, statuses: [200] }", "expected a status from 400 to 599, found 200"),
            ("retries: { statuses: [503] }", "nothing is sent again without `most`"),
            ("limits: { requests: 0 }", "expected a whole number from 1 to 4294967295, found the number 0"),
        ] {
            let found = wrong(more);
            assert_eq!(found, expected, "{more}");
        }
    }

    #[test]
    fn an_endpoint_that_tls_can_not_ask_for_needs_a_server_name() {
        let yaml = BASE.replace("[10.0.0.1:80]", "[app.2:80]");
        let beside = |more: &str| mistakes(&format!("{yaml}    {more}\n")).concat();
        let expected = "13:17 `app.2` can't be asked for in TLS: write a `server_name` that can";
        assert_eq!(beside("tls: {}"), expected);
        assert_eq!(beside("tls: { server_name: app.internal }"), "");
        assert_eq!(beside("balance: user"), "", "it is asked for in clear");
    }

    #[test]
    fn an_endpoint_is_listed_once() {
        let yaml = BASE.replace("[10.0.0.1:80]", "[{ address: 10.0.0.1:80, weight: 2 }, 10.0.0.1:80]");
        let expected = "13:54 `10.0.0.1:80` is listed twice: first on line 13: write a `weight`";
        assert_eq!(mistakes(&yaml).concat(), expected);
    }
}
