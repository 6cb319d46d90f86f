//! The CORS protocol (the Fetch standard, section 3.3): which other origins' pages may read an answer.

use super::{Asked, Routes};
use crate::config;
use crate::edge::fields::Field;

/// What a browser is told of other origins, and by nobody but us.
const OURS: &[u8] = b"access-control-";

/// A route's leave for other origins.
#[derive(Debug)]
pub(in crate::edge) struct Cors {
    origins: Vec<Box<str>>,
    methods: String,
    headers: String,
    expose: String,
    credentials: bool,
    max_age: String,
}

/// Fields that say what a page of another origin may do with an answer.
pub(in crate::edge) type Leave = Vec<(&'static str, String)>;

impl Cors {
    pub(super) fn new(cors: &config::Cors) -> Self {
        let names = |names: &[config::FieldName]| {
            names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        Self {
            origins: cors.origins.iter().map(|origin| origin.as_str().into()).collect(),
            methods: cors.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", "),
            headers: names(&cors.headers),
            expose: names(&cors.expose),
            credentials: cors.credentials,
            max_age: cors.max_age.get().as_secs().to_string(),
        }
    }

    /// Whether a field of a backend's answer gives leave where only the gate does.
    pub(in crate::edge) fn owns(name: &[u8]) -> bool {
        name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS))
    }

    /// What the answer to a request says. That it depends on the origin is said to those, too, who get no leave.
    pub(in crate::edge) fn leave(&self, fields: &[Field<'_>]) -> Leave {
        let mut leave = vec![("Vary", "Origin".to_owned())];
        leave.extend(self.to_origin(fields));
        if leave.len() > 1 && !self.expose.is_empty() {
            leave.push(("Access-Control-Expose-Headers", self.expose.clone()));
        }
        leave
    }

    fn to_origin(&self, fields: &[Field<'_>]) -> Leave {
        let origin = only(fields, "origin");
        let Some(origin) = self.origins.iter().find(|known| origin == Some(known.as_bytes())) else {
            return Vec::new();
        };
        // The operator's own text: nothing of the request's is reflected.
        let mut leave = vec![("Access-Control-Allow-Origin", origin.to_string())];
        if self.credentials {
            leave.push(("Access-Control-Allow-Credentials", "true".to_owned()));
        }
        leave
    }

    fn preflight(&self, fields: &[Field<'_>]) -> Leave {
        let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        let mut leave = vec![("Vary", vary.to_owned())];
        let to_origin = self.to_origin(fields);
        if to_origin.is_empty() {
            return leave;
        }
        leave.extend(to_origin);
        for (name, value) in [
            ("Access-Control-Allow-Methods", &self.methods),
            ("Access-Control-Allow-Headers", &self.headers),
            ("Access-Control-Max-Age", &self.max_age),
        ] {
            if !value.is_empty() {
                leave.push((name, value.clone()));
            }
        }
        leave
    }
}

impl Routes {
    /// The answer to a preflight, if it is one, for a route with a leave. It says nothing but what the operator wrote, and
    /// comes without a certificate or cookie by its nature: so nothing is demanded of it.
    pub(in crate::edge) fn preflight(&self, host: &str, asked: &Asked<'_>) -> Option<Leave> {
        if asked.method != "OPTIONS" {
            return None;
        }
        only(asked.fields, "origin")?;
        let method = std::str::from_utf8(only(asked.fields, "access-control-request-method")?).ok()?;
        let route = self.find(host, &Asked { method, ..*asked }).ok()?;
        Some(route.terms.cors.as_ref()?.preflight(asked.fields))
    }
}

/// The value of a field that is there once.
fn only<'a>(fields: &'a [Field<'a>], name: &str) -> Option<&'a [u8]> {
    let mut found = fields.iter().filter(|field| field.is(name));
    match (found.next(), found.next()) {
        (Some(field), None) => Some(field.value),
        _ => None,
    }
}
