//! The PIN once more, of somebody whose certificate proves already who they are: before what must not be done by
//! whoever merely sits at their PC.

use std::time::Duration;

use zeroize::Zeroizing;

use super::attempt::{Tried, Try};
use super::{Decision, SignIn};
use crate::domain::{Identity, Pin, UserTag, Visitor};
use crate::stores::{AttemptKey, Unavailable};

/// Why it isn't enough.
pub(in crate::flows) enum NotAgain {
    /// It is wrong, and counted.
    Wrong,
    /// It was the last wrong one, or none are left.
    Suspended,
    /// Too many attempts from there, or in all.
    Throttled(Duration),
    /// Too many PINs are being hashed.
    Overloaded(Duration),
}

impl SignIn {
    /// Tries the PIN. A right one ends the row of wrong ones.
    pub(in crate::flows) async fn pin_again(
        &self,
        identity: &Identity,
        typed: &Zeroizing<String>,
        visitor: &Visitor,
    ) -> Result<Result<(), NotAgain>, Unavailable> {
        if let Some(retry_after) = self.throttled(visitor).await? {
            return Ok(Err(NotAgain::Throttled(retry_after)));
        }
        let now = self.settings.clock.now();
        let candidate = self.settings.directory.candidate(identity, now).await?;
        let may = candidate.as_ref().is_some_and(|candidate| {
            !self.is_stopped(candidate) && candidate.pin_temporary_until.is_none_or(|until| now <= until)
        });
        let pin = Pin::typed(typed).ok();
        let hash = candidate.as_ref().and_then(|candidate| candidate.pin_hash.as_deref());
        let attempt = Try {
            identity,
            proven: true,
            pin: pin.as_ref(),
            hash: hash.filter(|_| may),
            is_eligible: may,
            is_known: candidate.is_some(),
        };
        Ok(match self.try_pin(&attempt, visitor).await? {
            Tried::Right { .. } => {
                self.settings.directory.forget_attempts(identity, true).await?;
                let key = AttemptKey { tag: UserTag::of(identity), proven: true };
                self.settings.state.clear_attempts(&key).await?;
                Ok(())
            }
            Tried::Wrong => {
                let decision = Decision {
                    kind: "administration_refused",
                    identity: Some(identity),
                    by: "user",
                    detail: Some("wrong_pin"),
                };
                self.write_down(decision, visitor).await?;
                Err(NotAgain::Wrong)
            }
            Tried::Exhausted => Err(NotAgain::Suspended),
            Tried::Overloaded(retry_after) => Err(NotAgain::Overloaded(retry_after)),
        })
    }
}
