//! The names of header fields that the gate sets or removes.

use super::Report;
use crate::config::{FieldName, TRACE_FIELDS};

/// What frames a message or belongs to one hop. To set or remove one of these is to change the message itself.
pub(super) const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What means something else to a backend. The gate may remove one of these, but not put an identity in it.
const TAKEN: [&str; 19] = [
    "accept",
    "accept-encoding",
    "authorization",
    "client-cert",
    "client-cert-chain",
    "content-encoding",
    "content-type",
    "cookie",
    "date",
    "forwarded",
    "origin",
    "proxy-authorization",
    "range",
    "referer",
    "set-cookie",
    "traceparent",
    "tracestate",
    "via",
    "x-sekisho-assertion",
];

impl Report<'_> {
    /// Whether the gate owns this name.
    pub(super) fn owns(&self, name: &FieldName) -> bool {
        let traces = || TRACE_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name.as_str()));
        self.config.headers.own(name) || (self.config.traces.is_some() && traces())
    }

    pub(super) fn headers(&mut self) {
        let headers = &self.config.headers;
        let own = [
            ("contract", &headers.contract),
            ("user", &headers.user),
            ("role", &headers.role),
            ("auth_method", &headers.auth_method),
            ("request_id", &headers.request_id),
        ];
        let mut named: Vec<(String, &FieldName)> = Vec::new();
        named.extend(own.map(|(key, name)| (format!("/headers/{key}"), name)));
        for (index, name) in headers.remove.iter().enumerate() {
            named.push((self.element("/headers/remove", index), name));
        }
        for (index, (pointer, name)) in named.iter().enumerate() {
            let is = |other: &&str| other.eq_ignore_ascii_case(name.as_str());
            if FRAMING.iter().any(&is) {
                self.problem(pointer, format!("`{name}` belongs to HTTP itself: the gate can't own it"));
            } else if index < own.len() && TAKEN.iter().any(&is) {
                self.problem(pointer, format!("`{name}` has another meaning: choose a name of your own"));
            }
            let earlier = named[..index].iter().find(|(_, earlier)| is(&earlier.as_str()));
            if let Some((earlier, _)) = earlier {
                // One of the two may be a default, which stands nowhere in the file.
                let (here, other) =
                    if self.source.contains(pointer) { (pointer, earlier) } else { (earlier, pointer) };
                let key = other.trim_start_matches('/').replace('/', ".");
                self.problem(here, format!("`{name}` is already the name of `{key}`"));
            }
        }
    }
}
