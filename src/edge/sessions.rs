//! Sessions as the data path sees them: the token in a cookie, and what was found of it a moment ago.
//!
//! A look-up is kept for a fraction of a second, so a busy page asks the state a few times and a sign-out holds
//! everywhere within a second. Suspensions are asked of the registry at every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::backstage::{FoundSession, Session};
use super::fields::{Field, can_have_our_cookies};
use super::policy::Policy;
use super::told::Person;
use crate::clock;
use crate::domain::{SESSION_COOKIE, SessionKey, SessionToken, Visitor};
use crate::ops::escape_into;

/// How long a look-up is kept.
const FRESH: Duration = Duration::from_millis(400);
/// How many are kept. Whoever makes tokens up can fill this, and then everybody's session is asked for once more.
const MOST: usize = 16_384;

/// A token whose session must be looked up before a request can be decided on.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) token: SessionToken,
    pub(super) visitor: Visitor,
}

/// What was found of a session, with what follows from it for each request.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// It holds.
    Holds(Arc<Standing>),
    /// Anything else.
    Not(FoundSession),
}

/// A session that holds, with what follows from it for each request.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) session: Session,
    /// What backends are told.
    pub(super) person: Person,
    /// Members of a log line.
    pub(super) log: Box<[u8]>,
}

impl Known {
    /// Prepares what was found for requests.
    pub(super) fn new(found: FoundSession, policy: &Policy) -> Self {
        match found {
            FoundSession::Holds(session) => {
                let person = Person::new(policy, &session.identity, Some(session.role), session.method);
                let log = log_members(&session);
                Self::Holds(Arc::new(Standing { session, person, log }))
            }
            other => Self::Not(other),
        }
    }
}

fn log_members(session: &Session) -> Box<[u8]> {
    let mut out = Vec::new();
    let members = [
        (&b",\"contract\":\""[..], session.identity.contract.as_str()),
        (b",\"user\":\"", session.identity.user.as_str()),
        (b",\"auth_method\":\"", session.method.code()),
    ];
    for (key, value) in members {
        out.extend_from_slice(key);
        escape_into(&mut out, value.as_bytes());
        out.push(b'"');
    }
    out.into()
}

/// A session on connections with one certificate, or with none.
type Key = (SessionKey, Option<Box<[u8]>>);

/// What was found lately on one worker. A token is found again only on a connection with the same certificate.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, (Instant, Known)>>);

impl Sessions {
    /// What was found of the token a moment ago.
    pub(super) fn find(&self, token: &SessionToken, visitor: &Visitor) -> Option<Known> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = found.get(&key(token, visitor))?;
        (clock::instant().saturating_duration_since(*at) < FRESH).then(|| known.clone())
    }

    /// Keeps what was found.
    pub(super) fn keep(&self, question: &Question, known: Known) {
        let now = clock::instant();
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST {
            found.retain(|_, (at, _)| now.saturating_duration_since(*at) < FRESH);
        }
        if found.len() < MOST {
            found.insert(key(&question.token, &question.visitor), (now, known));
        }
    }
}

fn key(token: &SessionToken, visitor: &Visitor) -> Key {
    (token.key(), visitor.chain.first().map(|leaf| leaf.as_slice().into()))
}

/// The session's token, if the request has one.
pub(super) fn token(fields: &[Field<'_>]) -> Option<SessionToken> {
    let cookies = fields.iter().filter(|field| field.is("cookie") && can_have_our_cookies(field.value));
    let mut pairs = cookies.flat_map(|field| field.value.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| pair.strip_prefix(SESSION_COOKIE.as_bytes())?.strip_prefix(b"="))?;
    SessionToken::parse(std::str::from_utf8(value).ok()?)
}
