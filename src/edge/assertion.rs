//! What an upstream is told of who sends a request, signed: a JWT (RFC 7519) for this one request.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;

use crate::domain::{AuthMethod, Identity, Role};
use crate::ops::escape_into;
use crate::pki::AssertionKey;

/// The name of the header field.
const FIELD: &[u8] = b"X-Sekisho-Assertion: ";
/// What no other token is (RFC 8725, section 3.11).
const TYPE: &str = "sekisho-assertion+jwt";

/// What signs assertions.
pub struct Assertions {
    key: AssertionKey,
    /// The header as it stands in each, with the dot behind it.
    header: Box<[u8]>,
    /// The claims that are the same in each: an object that isn't closed.
    claims: Box<[u8]>,
    lifetime: i64,
}

/// The one request that an assertion is for.
pub(super) struct Asserted<'a> {
    /// The upstream's name.
    pub(super) upstream: &'a str,
    pub(super) request_id: &'a str,
    pub(super) method: &'a str,
    /// As the upstream gets it in `Host`.
    pub(super) authority: &'a str,
    /// Normalised, without the query.
    pub(super) path: &'a str,
    /// Who is there, as [`person`] says it.
    pub(super) person: &'a [u8],
    /// The SHA-256 of their certificate, if there is one.
    pub(super) certificate: Option<&'a [u8; 32]>,
}

impl Assertions {
    /// Signs with `key`.
    pub fn new(issuer: &str, lifetime: Duration, key: AssertionKey) -> Self {
        let header = format!(r#"{{"alg":"ES256","typ":"{TYPE}","kid":"{}"}}"#, key.id());
        let header = BASE64_URL_SAFE_NO_PAD.encode(header) + ".";
        let mut claims = b"{".to_vec();
        text(&mut claims, "iss", issuer);
        let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or_default();
        Self { key, header: header.into_bytes().into(), claims: claims.into(), lifetime }
    }

    /// The header line with these claims. `None` if it can't be signed: an upstream that looks for it refuses the request.
    pub(super) fn line(&self, claims: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let issued = now.as_second();
        let times = format!(r#""iat":{issued},"exp":{}}}"#, issued + self.lifetime);
        let claims = [claims, times.as_bytes()].concat();
        let mut line = Vec::with_capacity(FIELD.len() + self.header.len() + claims.len() * 4 / 3 + 96);
        line.extend_from_slice(FIELD);
        line.extend_from_slice(&self.header);
        line.extend_from_slice(BASE64_URL_SAFE_NO_PAD.encode(&claims).as_bytes());
        let Some(signature) = self.key.sign(&line[FIELD.len()..]) else {
            tracing::error!("An assertion can't be signed");
            return None;
        };
        line.push(b'.');
        line.extend_from_slice(BASE64_URL_SAFE_NO_PAD.encode(signature).as_bytes());
        line.extend_from_slice(b"\r\n");
        Some(line)
    }

    /// All claims but the times: an object that isn't closed.
    pub(super) fn claims(&self, asserted: &Asserted<'_>) -> Vec<u8> {
        let Asserted { upstream, request_id, method, authority, path, person, certificate } = asserted;
        let mut out = self.claims.to_vec();
        text(&mut out, "aud", upstream);
        text(&mut out, "jti", request_id);
        out.extend_from_slice(person);
        if let Some(fingerprint) = certificate {
            let fingerprint = BASE64_URL_SAFE_NO_PAD.encode(fingerprint);
            out.extend_from_slice(format!(r#""cnf":{{"x5t#S256":"{fingerprint}"}},"#).as_bytes());
        }
        text(&mut out, "htm", method);
        text(&mut out, "htu", &format!("https://{authority}{path}"));
        out
    }
}

/// The claims that say who is there.
pub(super) fn person(identity: &Identity, role: Option<Role>, method: AuthMethod) -> Box<[u8]> {
    let Identity { contract, user } = identity;
    let mut out = Vec::new();
    // Neither ID can have a slash in it.
    text(&mut out, "sub", &format!("{contract}/{user}"));
    text(&mut out, "contract", contract.as_str());
    text(&mut out, "user", user.as_str());
    if let Some(role) = role {
        text(&mut out, "role", &role.to_string());
    }
    text(&mut out, "auth_method", method.code());
    out.into()
}

/// A member whose value is text, with the comma behind it.
fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(format!("\"{name}\":\"").as_bytes());
    escape_into(out, value.as_bytes());
    out.extend_from_slice(b"\",");
}
