//! What an upstream is told of who sends a request: each of three kinds if it wants it, and only of somebody whom a good
//! certificate or a session has proven.

use super::assertion::{self, Asserted, Assertions};
use super::place::Place;
use super::policy::Policy;
use super::record::Record;
use super::upstream::Upstream;
use crate::config::{ForwardedCertificate, Headers, IdentityHeaders};
use crate::domain::{AuthMethod, Identity, Role, Standing};

/// Somebody, as all their requests tell of them.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// Header lines.
    lines: Box<[u8]>,
    /// Claims of an assertion; empty if nothing signs.
    claims: Box<[u8]>,
}

/// What one request tells, by kind.
pub(super) struct Told<'a> {
    identity: &'a [u8],
    certificate: [&'a [u8]; 2],
    /// The claims of an assertion, but for its times.
    pub(super) claims: Option<Vec<u8>>,
}

impl Person {
    pub(super) fn new(policy: &Policy, identity: &Identity, role: Option<Role>, method: AuthMethod) -> Self {
        let Headers { contract, user, role: role_name, auth_method, .. } = &policy.headers;
        let Identity { contract: contract_id, user: user_id } = identity;
        let mut lines =
            format!("{contract}: {contract_id}\r\n{user}: {user_id}\r\n{auth_method}: {method}\r\n");
        if let Some(role) = role {
            lines.push_str(&format!("{role_name}: {role}\r\n"));
        }
        let claims = policy.assertions.as_ref().map(|_| assertion::person(identity, role, method));
        Self { lines: lines.into_bytes().into(), claims: claims.unwrap_or_default() }
    }
}

impl Told<'_> {
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let [leaf, chain] = self.certificate;
        [self.identity, leaf, chain]
    }
}

impl Place<'_> {
    /// What `upstream` is told with this request. Whether the session or the certificate says who is there, the record knows.
    pub(super) fn told<'a>(&'a self, record: &'a Record, upstream: &Upstream) -> Told<'a> {
        let wanted = upstream.settings.identity;
        let person = match &record.session {
            Some(session) => Some(&session.person),
            None => self.verdict.person.as_ref(),
        };
        let is_good = matches!(self.verdict.standing(), Standing::Good(_));
        let certificate: [&[u8]; 2] = match (is_good, wanted.client_certificate) {
            (false, _) | (true, ForwardedCertificate::None) => [&[], &[]],
            (true, ForwardedCertificate::Leaf) => [&self.connection.client_cert(self.verdict).leaf, &[]],
            (true, ForwardedCertificate::Chain) => {
                let both = self.connection.client_cert(self.verdict);
                [&both.leaf, &both.chain]
            }
        };
        let signing = person.zip(self.verdict.rules.policy.assertions.as_ref()).filter(|_| wanted.assertion);
        Told {
            identity: match person {
                Some(person) if wanted.headers == IdentityHeaders::Plain => &person.lines,
                _ => &[],
            },
            certificate,
            claims: signing.map(|(person, assertions)| self.claims(record, upstream, person, assertions)),
        }
    }

    fn claims(
        &self,
        record: &Record,
        upstream: &Upstream,
        person: &Person,
        assertions: &Assertions,
    ) -> Vec<u8> {
        let presented = match self.verdict.standing() {
            Standing::Good(_) => self.verdict.judgement.leaf.as_ref().map(|leaf| &leaf.fingerprint),
            Standing::Absent | Standing::Refused(_) => None,
        };
        let signed_in_with = || record.session.as_ref()?.session.certificate.as_ref();
        assertions.claims(&Asserted {
            upstream: &upstream.name,
            request_id: &record.request_id,
            method: self.request.method,
            authority: self.authority,
            path: &self.target.path,
            person: &person.claims,
            certificate: presented.or_else(signed_in_with),
        })
    }
}
