//! A new PIN for somebody who is signed in.

use zeroize::Zeroizing;

use super::attempt::{Tried, Try};
use super::{Decision, PinChange, SignIn};
use crate::domain::{
    AuthMethod, Identity, Pin, Purpose, SessionEnd, SessionToken, UserTag, Visitor, WeakPin,
};
use crate::flows::PinTrouble;
use crate::stores::{AttemptKey, FoundSession, SessionRecord, Unavailable};

impl SignIn {
    /// Changes the PIN. The present one is an attempt like any other; afterwards the session has a new token.
    pub async fn change_pin(
        &self,
        token: &SessionToken,
        present: &Zeroizing<String>,
        new: &Zeroizing<String>,
        visitor: &Visitor,
    ) -> Result<PinChange, Unavailable> {
        let Some(rules) = &self.settings.rules else { return Ok(PinChange::NotHere) };
        let super::Current::SignedIn(signed_in) = self.session(token, visitor).await? else {
            return Ok(PinChange::Nobody);
        };
        if signed_in.purpose == Purpose::Acquisition {
            return Ok(PinChange::Nobody);
        }
        let identity = &signed_in.identity;
        let (present, new) = (Pin::typed(present).ok(), Pin::typed(new).ok());
        let Some(new) = new else { return Ok(PinChange::Weak(WeakPin::Length)) };
        if let Err(weak) = rules.check(&new, identity) {
            return Ok(PinChange::Weak(weak));
        }
        if present.as_ref() == Some(&new) {
            return Ok(PinChange::Weak(WeakPin::Unchanged));
        }
        if let Some(retry_after) = self.throttled(visitor).await? {
            return Ok(PinChange::Throttled { retry_after });
        }
        let proven = signed_in.method != AuthMethod::Pin;
        let old = match self.check_present(identity, proven, present.as_ref(), token, visitor).await? {
            Ok(old) => old,
            Err(ended) => return Ok(ended),
        };
        let replaced = self.replace(token, identity, proven, (&old, &new), visitor).await;
        if !matches!(replaced, Ok(PinChange::Changed(_))) {
            // The present one was right. Where this fails too, it stays counted.
            let _ = self.uncount(identity, proven).await;
        }
        replaced
    }

    /// The hash of the present PIN, which is right; else what ends the change.
    async fn check_present(
        &self,
        identity: &Identity,
        proven: bool,
        present: Option<&Pin>,
        token: &SessionToken,
        visitor: &Visitor,
    ) -> Result<Result<String, PinChange>, Unavailable> {
        let now = self.settings.clock.now();
        let candidate = self.settings.directory.candidate(identity, now).await?;
        let has_expired = candidate
            .as_ref()
            .is_none_or(|candidate| candidate.pin_temporary_until.is_some_and(|until| until < now));
        // The session was looked at by the registry, which may not have heard of it yet (T49).
        let is_suspended = candidate.as_ref().is_some_and(|candidate| {
            self.is_stopped(candidate) || (!proven && !candidate.suspensions.is_empty())
        });
        let is_eligible = !has_expired && !is_suspended;
        let hash = candidate.as_ref().and_then(|candidate| candidate.pin_hash.as_deref());
        let attempt = Try {
            identity,
            proven,
            pin: present,
            hash: hash.filter(|_| is_eligible),
            is_eligible,
            is_known: candidate.is_some(),
        };
        Ok(match self.try_pin(&attempt, visitor).await? {
            Tried::Right { .. } => Ok(hash.unwrap_or_default().to_owned()),
            Tried::Wrong => {
                let decision = Decision {
                    kind: "pin_change_refused",
                    identity: Some(identity),
                    by: "user",
                    detail: Some("wrong_pin"),
                };
                self.write_down(decision, visitor).await?;
                Err(PinChange::Wrong)
            }
            Tried::Exhausted => {
                self.settings.state.end_session(&token.key(), SessionEnd::Withdrawn, now).await?;
                Err(PinChange::Suspended)
            }
            Tried::Overloaded(retry_after) => Err(PinChange::Overloaded { retry_after }),
        })
    }

    async fn replace(
        &self,
        token: &SessionToken,
        identity: &Identity,
        proven: bool,
        (old, new): (&str, &Pin),
        visitor: &Visitor,
    ) -> Result<PinChange, Unavailable> {
        let hash = match self.settings.pins.hash(new).await {
            Ok(hash) => hash,
            Err(PinTrouble::Overloaded { retry_after }) => return Ok(PinChange::Overloaded { retry_after }),
            Err(PinTrouble::Unavailable(unavailable)) => return Err(unavailable),
        };
        let now = self.settings.clock.now();
        let decision = Decision { kind: "pin_changed", identity: Some(identity), by: "user", detail: None };
        self.write_down(decision, visitor).await?;
        // With the PIN, its attempts are forgotten in the same transaction. What staff have set in the meantime stays.
        if !self.settings.directory.change_pin(identity, (old, &hash), now).await? {
            return Ok(PinChange::Nobody);
        }
        self.settings.state.clear_attempts(&AttemptKey { tag: UserTag::of(identity), proven }).await?;
        let old = token.key();
        let found = self.settings.state.use_session(&old, self.settings.limits, now).await?;
        let FoundSession::Live(record) = found else { return Ok(PinChange::Nobody) };
        let record = SessionRecord { purpose: Purpose::Full, ..*record };
        Ok(self.renew(&old, record, now).await?.map_or(PinChange::Nobody, PinChange::Changed))
    }
}
