//! Routes against hosts, upstreams and each other.

use super::Report;
use crate::config::suggest::did_you_mean;
use crate::config::{ClientCertificate, Require, Route};

impl Report<'_> {
    pub(super) fn routes(&mut self) {
        for (index, route) in self.config.routes.iter().enumerate() {
            let pointer = self.element("/routes", index);
            self.upstream_of(&pointer, route);
            self.hosts_of(&pointer, route);
            self.can_be_met(&pointer, route);
            self.restrictions(&pointer, route);
            self.conditions(&pointer, route);
            self.terms(&pointer, route);
            self.is_reached(index, &pointer, route);
        }
    }

    fn upstream_of(&mut self, pointer: &str, route: &Route) {
        let Some(name) = route.upstream.as_ref().map(|name| name.as_str()) else { return };
        let known = self.source.keys("/upstreams");
        if !known.contains(&name) {
            let guess = did_you_mean(name, known);
            self.problem(&format!("{pointer}/upstream"), format!("there is no upstream `{name}`{guess}"));
        }
    }

    fn hosts_of(&mut self, pointer: &str, route: &Route) {
        let known = self.source.keys("/hosts");
        if self.is_given_empty(&format!("{pointer}/hosts")) {
            self.problem(&format!("{pointer}/hosts"), "no host: leave `hosts` out for a route on every host");
        }
        for (index, name) in route.hosts.iter().map(|host| host.as_str()).enumerate() {
            let pointer = self.element(&format!("{pointer}/hosts"), index);
            if !known.contains(&name) {
                let guess = did_you_mean(name, known.iter().copied());
                self.problem(&pointer, format!("there is no host `{name}`{guess}"));
            }
            if route.hosts[..index].iter().any(|earlier| earlier.as_str() == name) {
                self.problem(&pointer, format!("host `{name}` is listed twice"));
            }
        }
    }

    /// Whether all that the file says of a route's hosts could be read: a route that lost its hosts isn't one for all.
    pub(super) fn has_all_hosts(&self, pointer: &str, route: &Route) -> bool {
        self.source.node(&format!("{pointer}/hosts")).is_none_or(|node| node.len() == route.hosts.len())
    }

    /// A certificate can only be presented where it is asked for.
    fn can_be_met(&mut self, pointer: &str, route: &Route) {
        if !self.has_all_hosts(pointer, route) {
            return;
        }
        let names: Vec<_> = match route.hosts.as_slice() {
            [] => self.source.keys("/hosts"),
            named => named.iter().map(|host| host.as_str()).collect(),
        };
        // A host that couldn't be read might ask.
        let never_asks = |name: &str| {
            let host = self.config.hosts.iter().find(|(host, _)| host.as_str() == name);
            host.is_some_and(|(_, host)| host.client_certificate == ClientCertificate::None)
        };
        if route.require == Require::Certificate
            && !names.is_empty()
            && names.iter().all(|name| never_asks(name))
        {
            let whose = if route.hosts.is_empty() { "no host" } else { "none of this route's hosts" };
            let message = format!("this can never be met: {whose} asks for a client certificate");
            self.problem(&format!("{pointer}/require"), message);
        }
    }
}
