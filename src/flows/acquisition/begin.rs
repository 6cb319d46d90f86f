//! Signing in on the acquisition page (CIBMU921): under the same lockout as anywhere, and only for who may acquire.

use super::{Acquisition, BeginOutcome};
use crate::domain::{AuthMethod, Purpose, Visitor};
use crate::flows::TypedIds;
use crate::flows::sign_in::NotRight;
use crate::stores::Unavailable;

impl Acquisition {
    /// Signs in on the acquisition page. Its session is good for nothing else.
    pub async fn begin(&self, typed: &TypedIds, visitor: &Visitor) -> Result<BeginOutcome, Unavailable> {
        let outcome = self.begun(typed, visitor).await;
        let code = match &outcome {
            Ok(BeginOutcome::Begun(_)) => "acquisition_begun",
            Ok(BeginOutcome::Refused) => "refused",
            Ok(BeginOutcome::Suspended) => "exhausted",
            Ok(BeginOutcome::NotPermitted) => "not_permitted",
            Ok(BeginOutcome::Occupied) => "occupied",
            Ok(BeginOutcome::Throttled { .. }) => "throttled",
            Ok(BeginOutcome::Overloaded { .. }) => "overloaded",
            Err(_) => "unavailable",
        };
        self.settings.sign_in.observe(AuthMethod::Pin, code);
        outcome
    }

    async fn begun(&self, typed: &TypedIds, visitor: &Visitor) -> Result<BeginOutcome, Unavailable> {
        let sign_in = &self.settings.sign_in;
        let right = match sign_in.right_pin(typed, visitor).await? {
            Ok(right) => right,
            Err(NotRight::Refused) => return Ok(BeginOutcome::Refused),
            Err(NotRight::Suspended) => return Ok(BeginOutcome::Suspended),
            Err(NotRight::Throttled { retry_after }) => return Ok(BeginOutcome::Throttled { retry_after }),
            Err(NotRight::Overloaded { retry_after }) => return Ok(BeginOutcome::Overloaded { retry_after }),
        };
        // Whoever holds a credential has been refused by now, with the words for a wrong PIN (T40).
        let permit = self.directory().permit_of(&right.identity).await?;
        if permit.is_none_or(|permit| permit.lapses_at < self.now()) {
            sign_in.uncount(&right.identity, false).await?;
            self.write_down("acquisition_refused", &right.identity, "not_permitted", visitor).await?;
            return Ok(BeginOutcome::NotPermitted);
        }
        // Whoever has seen a temporary PIN on paper must not be the one who gets the certificate.
        let is_temporary = right.candidate.pin_temporary_until.is_some() && sign_in.holds_pins();
        let purpose = if is_temporary { Purpose::PinChange } else { Purpose::Acquisition };
        let opened = sign_in.open(right.opening(purpose), visitor).await?;
        Ok(opened.map_or(BeginOutcome::Occupied, BeginOutcome::Begun))
    }
}
