//! Signing in by contract ID, user ID and PIN alone.

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
        if let Some(retry_after) = self.throttled(visitor).await? {
            return Ok(PinOutcome::Throttled { retry_after });
        }
        let ids = (ContractId::typed(&typed.contract), UserId::typed(&typed.user));
        let (Ok(contract), Ok(user)) = ids else {
            // Nobody's, and everybody can see that: there is nothing to hide.
            return Ok(PinOutcome::Refused);
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
        let rehash = match self.try_pin(&attempt, visitor).await? {
            Tried::Right { rehash } => rehash,
            tried => {
                let decision = Decision {
                    kind: "sign_in_refused",
                    identity: candidate.is_some().then_some(&identity),
                    by: "user",
                    detail: Some(obstacle.unwrap_or("wrong_pin")),
                };
                return match tried {
                    Tried::Overloaded(retry_after) => Ok(PinOutcome::Overloaded { retry_after }),
                    Tried::Exhausted => Ok(PinOutcome::Suspended),
                    Tried::Wrong | Tried::Right { .. } => {
                        self.write_down(decision, visitor).await?;
                        Ok(PinOutcome::Refused)
                    }
                };
            }
        };
        let is_temporary =
            candidate.as_ref().is_some_and(|candidate| candidate.pin_temporary_until.is_some());
        let opening = Opening {
            identity: &identity,
            method: AuthMethod::Pin,
            purpose: if is_temporary && self.holds_pins() { Purpose::PinChange } else { Purpose::Full },
            previous: candidate.as_ref().and_then(|candidate| candidate.last_sign_in),
            chain: Vec::new(),
            rehash: attempt.hash.zip(rehash.as_deref()),
        };
        Ok(self.open(opening, visitor).await?.map_or(PinOutcome::Occupied, PinOutcome::SignedIn))
    }
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
