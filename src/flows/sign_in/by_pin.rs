//! Signing in by contract ID, user ID and PIN alone.

use std::time::Duration;

use jiff::Timestamp;

use super::attempt::{Tried, Try};
use super::sessions::Opening;
use super::{Decision, PinOutcome, SignIn, TypedIds};
use crate::domain::{AuthMethod, ContractId, Identity, Pin, Purpose, UserId, Visitor};
use crate::stores::{Candidate, Unavailable};

impl SignIn {
    /// Signs in by contract ID, user ID and PIN alone.
    ///
    /// IDs that nobody has take the same way as others: the same counts, the same queries, a hash of the same cost,
    /// the same record (T44).
    pub async fn by_pin(&self, typed: &TypedIds, visitor: &Visitor) -> Result<PinOutcome, Unavailable> {
        let outcome = self.pin_outcome(typed, visitor).await;
        let code = match &outcome {
            Ok(PinOutcome::SignedIn(_)) => "signed_in",
            Ok(PinOutcome::Refused) => "refused",
            Ok(PinOutcome::Suspended) => "exhausted",
            Ok(PinOutcome::Throttled { .. }) => "throttled",
            Ok(PinOutcome::Occupied) => "occupied",
            Ok(PinOutcome::Overloaded { .. }) => "overloaded",
            Err(_) => "unavailable",
        };
        self.observe(AuthMethod::Pin, code);
        outcome
    }

    async fn pin_outcome(&self, typed: &TypedIds, visitor: &Visitor) -> Result<PinOutcome, Unavailable> {
        if !self.pin_enabled() {
            return Ok(PinOutcome::Refused);
        }
        let right = match self.right_pin(typed, visitor).await? {
            Ok(right) => right,
            Err(NotRight::Refused) => return Ok(PinOutcome::Refused),
            Err(NotRight::Suspended) => return Ok(PinOutcome::Suspended),
            Err(NotRight::Throttled { retry_after }) => return Ok(PinOutcome::Throttled { retry_after }),
            Err(NotRight::Overloaded { retry_after }) => return Ok(PinOutcome::Overloaded { retry_after }),
        };
        let is_temporary = right.candidate.pin_temporary_until.is_some();
        let purpose = if is_temporary && self.holds_pins() { Purpose::PinChange } else { Purpose::Full };
        let opened = self.open(right.opening(purpose), visitor).await?;
        Ok(opened.map_or(PinOutcome::Occupied, PinOutcome::SignedIn))
    }

    /// Whose contract ID, user ID and PIN these are, if they may come in by them: the one way to try a PIN without a
    /// certificate, for signing in and for acquiring one alike. The attempt stays counted until the sign-in is
    /// recorded.
    pub(in crate::flows) async fn right_pin(
        &self,
        typed: &TypedIds,
        visitor: &Visitor,
    ) -> Result<Result<RightPin, NotRight>, Unavailable> {
        if let Some(retry_after) = self.throttled(visitor).await? {
            return Ok(Err(NotRight::Throttled { retry_after }));
        }
        let ids = (ContractId::typed(&typed.contract), UserId::typed(&typed.user));
        let (Ok(contract), Ok(user)) = ids else {
            // Nobody's, and everybody can see that: there is nothing to hide.
            return Ok(Err(NotRight::Refused));
        };
        let identity = Identity { contract, user };
        let pin = Pin::typed(&typed.pin).ok();
        let now = self.settings.clock.now();
        let candidate = self.settings.directory.candidate(&identity, now).await?;
        // On a host that is both, the connection may show a credential that the directory hasn't heard of.
        let shown = (visitor.identity.as_ref() == Some(&identity)).then_some("live_credential");
        let obstacle = obstacle(candidate.as_ref(), now).or(shown);
        let attempt = Try {
            identity: &identity,
            proven: false,
            pin: pin.as_ref(),
            hash: candidate
                .as_ref()
                .filter(|_| obstacle.is_none())
                .and_then(|candidate| candidate.pin_hash.as_deref()),
            is_eligible: obstacle.is_none(),
            is_known: candidate.is_some(),
        };
        let tried = self.try_pin(&attempt, visitor).await?;
        match (tried, candidate) {
            (Tried::Right { rehash }, Some(candidate)) => Ok(Ok(RightPin { identity, candidate, rehash })),
            (Tried::Overloaded(retry_after), _) => Ok(Err(NotRight::Overloaded { retry_after })),
            (Tried::Exhausted, _) => Ok(Err(NotRight::Suspended)),
            (Tried::Wrong | Tried::Right { .. }, candidate) => {
                let decision = Decision {
                    kind: "sign_in_refused",
                    identity: candidate.is_some().then_some(&identity),
                    by: "user",
                    detail: Some(obstacle.unwrap_or("wrong_pin")),
                };
                self.write_down(decision, visitor).await?;
                Ok(Err(NotRight::Refused))
            }
        }
    }
}

/// Somebody whose PIN is right, and who may come in by it.
pub(in crate::flows) struct RightPin {
    pub(in crate::flows) identity: Identity,
    pub(in crate::flows) candidate: Candidate,
    rehash: Option<String>,
}

impl RightPin {
    /// The session that follows from it.
    pub(in crate::flows) fn opening(&self, purpose: Purpose) -> Opening<'_> {
        Opening {
            identity: &self.identity,
            method: AuthMethod::Pin,
            purpose,
            previous: self.candidate.last_sign_in,
            chain: Vec::new(),
            rehash: self.candidate.pin_hash.as_deref().zip(self.rehash.as_deref()),
        }
    }
}

/// Why somebody may not come in by their PIN.
pub(in crate::flows) enum NotRight {
    /// IDs or PIN are wrong, or it isn't to be said what (T40, T44).
    Refused,
    /// Too many wrong PINs were typed for these IDs.
    Suspended,
    /// Too many attempts from there, or in all.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Too many people are signing in just now.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// Why a right PIN alone wouldn't let this user in.
fn obstacle(candidate: Option<&Candidate>, now: Timestamp) -> Option<&'static str> {
    let Some(candidate) = candidate else { return Some("unknown_user") };
    if candidate.contract_suspended {
        Some("contract_suspended")
    } else if !candidate.suspensions.is_empty() {
        Some("suspended")
    } else if candidate.has_live_credential {
        // T40: what was stolen with the IDs and the PIN is worth nothing.
        Some("live_credential")
    } else if candidate.pin_temporary_until.is_some_and(|until| until < now) {
        Some("pin_expired")
    } else {
        None
    }
}
