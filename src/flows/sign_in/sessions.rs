//! Sessions: opening one, what it is worth now, taking it to another host, ending it.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;
use zeroize::Zeroizing;

use super::{Current, Decision, NewSession, SignIn, SignedIn};
use crate::config::Concurrent;
use crate::domain::{
    AuthMethod, Identity, Purpose, Role, SessionEnd, SessionKey, SessionToken, Standing, UserTag, Visitor,
};
use crate::stores::{
    AttemptKey, FoundSession, LastSignIn, OpenedSession, Registered, SessionRecord, Unavailable,
};

/// How long a code that carries a session to another host may be under way.
const HAND_OVER: Duration = Duration::from_secs(60);

/// A session that is to be opened.
pub(in crate::flows) struct Opening<'a> {
    pub(in crate::flows) identity: &'a Identity,
    pub(in crate::flows) method: AuthMethod,
    pub(in crate::flows) purpose: Purpose,
    pub(in crate::flows) previous: Option<LastSignIn>,
    pub(in crate::flows) chain: Vec<String>,
    /// The old hash and what takes its place.
    pub(in crate::flows) rehash: Option<(&'a str, &'a str)>,
}

/// What is kept under a code that carries a session to another host.
#[derive(Serialize, Deserialize)]
struct HandOver {
    identity: Identity,
    session: String,
    nonce: String,
}

impl SignIn {
    /// Opens a session for somebody who has proven who they are. `None` if they have one that may not be replaced.
    pub(in crate::flows) async fn open(
        &self,
        opening: Opening<'_>,
        visitor: &Visitor,
    ) -> Result<Option<Box<NewSession>>, Unavailable> {
        let Opening { identity, method, purpose, previous, chain, rehash } = opening;
        let now = self.settings.clock.now();
        let record =
            SessionRecord { identity: identity.clone(), method, purpose, created_at: now, previous, chain };
        let token = new_token(identity)?;
        let key = token.key();
        let may_replace = self.settings.concurrent == Concurrent::NewestWins;
        let (state, limits) = (&self.settings.state, self.settings.limits);
        let opened = match state.open_session(&key, &record, limits, may_replace, None, now).await {
            Ok(OpenedSession::Opened) => self.record(&record, rehash, visitor).await.map(Some),
            Ok(OpenedSession::Occupied | OpenedSession::Gone) => Ok(None),
            Err(unavailable) => Err(unavailable),
        };
        if let (Ok(None) | Err(_), Some(proven)) = (&opened, proven(method)) {
            // The PIN was right: it doesn't become a wrong one because no session came of it. Where that fails too, it
            // stays counted.
            let _ = self.uncount(identity, proven).await;
        }
        match opened {
            Ok(Some(())) => Ok(Some(Box::new(self.new_session(token, record, now).await?))),
            Ok(None) => Ok(None),
            Err(unavailable) => {
                // Nobody has its token, and it isn't written down: it was none.
                state.end_session(&key, SessionEnd::Withdrawn, now).await?;
                Err(unavailable)
            }
        }
    }

    /// Writes a sign-in down, and forgets the attempts that led to it.
    async fn record(
        &self,
        record: &SessionRecord,
        rehash: Option<(&str, &str)>,
        visitor: &Visitor,
    ) -> Result<(), Unavailable> {
        let SessionRecord { identity, method, purpose, created_at, .. } = record;
        let how = if *purpose == Purpose::Acquisition { "acquisition" } else { method.code() };
        let decision = Decision { kind: "sign_in", identity: Some(identity), by: "user", detail: Some(how) };
        self.write_down(decision, visitor).await?;
        let proven = proven(*method);
        let sign_in = LastSignIn { at: *created_at, method: *method };
        self.settings.directory.record_sign_in(identity, proven, sign_in, rehash).await?;
        let Some(proven) = proven else { return Ok(()) };
        self.settings.state.clear_attempts(&AttemptKey { tag: UserTag::of(identity), proven }).await
    }

    async fn new_session(
        &self,
        token: SessionToken,
        record: SessionRecord,
        now: Timestamp,
    ) -> Result<NewSession, Unavailable> {
        let role = self.role(&record, now).await?.unwrap_or(Role::User);
        Ok(NewSession { token, signed_in: signed_in(record, role) })
    }

    /// The user's role now; `None` if they may be here no longer.
    async fn role(&self, record: &SessionRecord, now: Timestamp) -> Result<Option<Role>, Unavailable> {
        match self.settings.registry.find(&record.identity, record.method == AuthMethod::Pin) {
            Registered::Known(role) => Ok(Some(role)),
            Registered::Suspended => Ok(None),
            Registered::Stale => Err(Unavailable::new("directory", "it hasn't answered for too long")),
            // Somebody who was added a moment ago.
            Registered::Unknown => {
                let candidate = self.settings.directory.candidate(&record.identity, now).await?;
                Ok(candidate
                    .filter(|candidate| !candidate.contract_suspended && candidate.suspensions.is_empty())
                    .map(|candidate| candidate.role))
            }
        }
    }

    /// What a session is worth now; counts as its use. Where the connection has a certificate, it must be the
    /// session's own.
    pub async fn session(&self, token: &SessionToken, visitor: &Visitor) -> Result<Current, Unavailable> {
        let (key, now) = (token.key(), self.settings.clock.now());
        let found = self.settings.state.use_session(&key, self.settings.limits, now).await?;
        self.current(&key, found, visitor).await
    }

    /// The same without counting as its use: somebody else looks whether it still holds.
    pub async fn glance(&self, token: &SessionToken, visitor: &Visitor) -> Result<Current, Unavailable> {
        self.glance_at(&token.key(), visitor).await
    }

    /// The same for a session that is known by its key: its browser isn't the one that asks.
    pub(in crate::flows) async fn glance_at(
        &self,
        key: &SessionKey,
        visitor: &Visitor,
    ) -> Result<Current, Unavailable> {
        let now = self.settings.clock.now();
        let found = self.settings.state.look_at_session(key, self.settings.limits, now).await?;
        self.current(key, found, visitor).await
    }

    async fn current(
        &self,
        key: &SessionKey,
        found: FoundSession,
        visitor: &Visitor,
    ) -> Result<Current, Unavailable> {
        let now = self.settings.clock.now();
        let record = match found {
            FoundSession::Live(record) => record,
            FoundSession::Over(end) => return Ok(Current::Over(end)),
            FoundSession::Unknown => return Ok(Current::Nobody),
        };
        if visitor.identity.as_ref().is_some_and(|identity| *identity != record.identity)
            || !is_bound(&record, visitor)
        {
            return Ok(Current::Nobody);
        }
        let role = if self.holds(&record, now) { self.role(&record, now).await? } else { None };
        if let Some(role) = role {
            return Ok(Current::SignedIn(Box::new(signed_in(*record, role))));
        }
        self.settings.state.end_session(key, SessionEnd::Withdrawn, now).await?;
        let decision = Decision {
            kind: "session_ended",
            identity: Some(&record.identity),
            by: "gateway",
            detail: Some(SessionEnd::Withdrawn.code()),
        };
        self.write_down(decision, visitor).await?;
        Ok(Current::Over(SessionEnd::Withdrawn))
    }

    /// Whether the certificate that the session was made with still proves its identity (T3). One that was made with the
    /// PIN alone ends when its user gets a credential: whoever opened it couldn't open it now (T40). Not so one for
    /// acquiring it: it has to show what was acquired, and is good for nothing else.
    fn holds(&self, record: &SessionRecord, now: Timestamp) -> bool {
        if record.chain.is_empty() {
            let has_live = || self.settings.registry.has_live_credential(&record.identity, now);
            return record.method == AuthMethod::Pin
                && (record.purpose == Purpose::Acquisition || !has_live());
        }
        let decoded: Option<Vec<_>> = record
            .chain
            .iter()
            .map(|text| BASE64_STANDARD.decode(text).ok().map(CertificateDer::from))
            .collect();
        let (Some(chain), Some(judge)) = (decoded, &self.settings.judge) else { return false };
        let judgement = judge.judge(&chain, now);
        let objection =
            judgement.leaf.as_ref().map(|leaf| self.settings.registry.objection(&leaf.fingerprint));
        matches!(&judgement.standing, Standing::Good(identity) if *identity == record.identity)
            && objection == Some(None)
    }

    /// Makes a code, good once and for a minute, with which the browser that knows `nonce` takes over the session of
    /// `token` on another host. The session gets a new token there.
    pub async fn hand_over(
        &self,
        token: &SessionToken,
        nonce: &str,
    ) -> Result<Zeroizing<String>, Unavailable> {
        let (key, now) = (token.key(), self.settings.clock.now());
        let found = self.settings.state.use_session(&key, self.settings.limits, now).await?;
        let FoundSession::Live(record) = found else {
            return Err(Unavailable::new("state", "a session ended while it was handed over"));
        };
        let value = HandOver { identity: record.identity, session: key.hash.into(), nonce: nonce.to_owned() };
        let value = serde_json::to_string(&value).map_err(|error| Unavailable::new("state", error))?;
        let code = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(random()?));
        self.settings.state.put_code(&code_hash(&code), &value, HAND_OVER, now).await?;
        Ok(code)
    }

    /// Takes a session over. `None` for a code that is used, old, or not this browser's.
    pub async fn take_over(
        &self,
        code: &str,
        nonce: &str,
        visitor: &Visitor,
    ) -> Result<Option<Box<NewSession>>, Unavailable> {
        let now = self.settings.clock.now();
        let Some(value) = self.settings.state.take_code(&code_hash(code), now).await? else {
            return Ok(None);
        };
        let Ok(HandOver { identity, session, nonce: expected }) = serde_json::from_str(&value) else {
            return Ok(None);
        };
        let old = SessionKey { tag: UserTag::of(&identity), hash: session.into() };
        let limits = self.settings.limits;
        if nonce != expected {
            // Somebody else's code was slipped to this browser, or this one's was stolen: it is worth nothing now.
            self.settings.state.end_session(&old, SessionEnd::Withdrawn, now).await?;
            let decision = Decision {
                kind: "session_ended",
                identity: Some(&identity),
                by: "gateway",
                detail: Some("foreign_browser"),
            };
            self.write_down(decision, visitor).await?;
            return Ok(None);
        }
        let FoundSession::Live(record) = self.settings.state.use_session(&old, limits, now).await? else {
            return Ok(None);
        };
        self.renew(&old, *record, now).await
    }

    /// Gives a session a new token; the old one is forgotten.
    pub(super) async fn renew(
        &self,
        old: &SessionKey,
        record: SessionRecord,
        now: Timestamp,
    ) -> Result<Option<Box<NewSession>>, Unavailable> {
        let token = new_token(&record.identity)?;
        let limits = self.settings.limits;
        let state = &self.settings.state;
        match state.open_session(&token.key(), &record, limits, true, Some(old), now).await? {
            OpenedSession::Occupied | OpenedSession::Gone => Ok(None),
            OpenedSession::Opened => Ok(Some(Box::new(self.new_session(token, record, now).await?))),
        }
    }

    /// Ends a session.
    pub async fn sign_out(&self, token: &SessionToken, visitor: &Visitor) -> Result<(), Unavailable> {
        let (key, now) = (token.key(), self.settings.clock.now());
        let found = self.settings.state.use_session(&key, self.settings.limits, now).await?;
        let FoundSession::Live(record) = found else { return Ok(()) };
        self.settings.state.end_session(&key, SessionEnd::SignedOut, now).await?;
        let decision =
            Decision { kind: "sign_out", identity: Some(&record.identity), by: "user", detail: None };
        self.write_down(decision, visitor).await
    }
}

/// Which kind of attempt goes before a sign-in, if any: behind the user's own certificate or not.
const fn proven(method: AuthMethod) -> Option<bool> {
    match method {
        AuthMethod::Certificate => None,
        AuthMethod::Pin => Some(false),
        AuthMethod::CertificateAndPin => Some(true),
    }
}

/// Whether the connection's certificate, if there is one, is the one that the session was made with (RFC 8705's idea).
fn is_bound(record: &SessionRecord, visitor: &Visitor) -> bool {
    match (record.chain.first(), visitor.chain.first()) {
        (Some(made_with), Some(presented)) => *made_with == BASE64_STANDARD.encode(presented),
        _ => true,
    }
}

fn signed_in(record: SessionRecord, role: Role) -> SignedIn {
    let SessionRecord { identity, method, purpose, created_at, previous, chain } = record;
    // One that can't be decoded was refused before (`holds`).
    let leaf = chain.first().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let certificate = leaf.map(|leaf| Sha256::digest(leaf).into());
    SignedIn { identity, role, method, purpose, at: created_at, previous, certificate }
}

fn new_token(identity: &Identity) -> Result<SessionToken, Unavailable> {
    Ok(SessionToken::new(random()?, identity))
}

fn random() -> Result<[u8; 32], Unavailable> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Unavailable::new("state", error))?;
    Ok(random)
}

fn code_hash(code: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(code))
}
