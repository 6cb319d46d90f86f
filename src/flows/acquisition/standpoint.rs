//! Who acquires or renews, and how far they are: read anew from session, certificate and directory with every step, so
//! that each step can be taken up again.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::codes::{Browser, hex};
use super::{Acquiring, Acquisition, Asker, STEP, Stage, Standpoint, TIME};
use crate::domain::{
    AuthMethod, CredentialState, Identity, Purpose, SessionEnd, SessionKey, SessionToken, Visitor,
};
use crate::flows::{Current, SignedIn};
use crate::stores::{CredentialRecord, Right, Unavailable};

/// Somebody who acquires or renews, with what their next step stands on.
pub(super) struct Found {
    pub(super) acquiring: Acquiring,
    /// The right to the next certificate, if there is one (still).
    pub(super) right: Option<Right>,
    /// The session of an acquisition; a renewal stands on the certificate.
    pub(super) session: Option<SessionKey>,
    /// The file that this browser fetched: what its password is made from.
    pub(super) browser: Option<Browser>,
}

/// Who asks, and how that is proven.
enum Who {
    /// By a session for acquiring, opened at this time.
    Session(Identity, SessionKey, Timestamp),
    /// By the credential with this fingerprint.
    Certificate(Identity, String),
}

impl Acquisition {
    /// Where somebody stands now.
    pub async fn standpoint(&self, asker: Asker<'_>) -> Result<Standpoint, Unavailable> {
        Ok(match self.find(asker).await? {
            Ok(found) => Standpoint::At(Box::new(found.acquiring)),
            Err(standpoint) => standpoint,
        })
    }

    pub(super) async fn find(&self, asker: Asker<'_>) -> Result<Result<Found, Standpoint>, Unavailable> {
        match self.who(asker).await? {
            Ok(Who::Session(identity, session, since)) => {
                self.acquiring(identity, session, since, asker.browser).await
            }
            Ok(Who::Certificate(identity, fingerprint)) => {
                self.renewing(identity, &fingerprint, asker.browser).await
            }
            Err(standpoint) => Ok(Err(standpoint)),
        }
    }

    async fn who(&self, asker: Asker<'_>) -> Result<Result<Who, Standpoint>, Unavailable> {
        let Asker { token, visitor, .. } = asker;
        let session = match token {
            Some(token) => self.settings.sign_in.session(token, visitor).await?,
            None => Current::Nobody,
        };
        if let (Some(identity), Some(leaf)) = (&visitor.identity, visitor.chain.first()) {
            let has_signed_in = matches!(&session, Current::SignedIn(signed_in)
                if signed_in.method == AuthMethod::CertificateAndPin && signed_in.purpose == Purpose::Full);
            if self.settings.sign_in.settings.certificate_needs_pin && !has_signed_in {
                return Ok(Err(Standpoint::Nobody));
            }
            return Ok(Ok(Who::Certificate(identity.clone(), hex(&Sha256::digest(leaf)))));
        }
        Ok(match (session, token) {
            (Current::SignedIn(signed_in), Some(token)) if signed_in.purpose == Purpose::Acquisition => {
                self.in_time(*signed_in, token)
            }
            (Current::Over(end), _) => Err(Standpoint::Over(end)),
            (Current::SignedIn(_) | Current::Nobody, _) => Err(Standpoint::Nobody),
        })
    }

    fn in_time(&self, signed_in: SignedIn, token: &SessionToken) -> Result<Who, Standpoint> {
        if self.now().duration_since(signed_in.at) > TIME {
            return Err(Standpoint::Over(SessionEnd::TooOld));
        }
        Ok(Who::Session(signed_in.identity, token.key(), signed_in.at))
    }

    /// Somebody with a permit, or who has just used it up.
    async fn acquiring(
        &self,
        identity: Identity,
        session: SessionKey,
        since: Timestamp,
        browser: &str,
    ) -> Result<Result<Found, Standpoint>, Unavailable> {
        let now = self.now();
        let permit = self.directory().permit_of(&identity).await?;
        let records = self.directory().credential_history(&identity, now).await?;
        let newest = |state| newest(&records, state, since);
        let (stage, right, browser) = if let Some(live) = newest(CredentialState::Live) {
            let browser = Browser::of(live, browser);
            let can_again = browser.is_some() && live.used_at.is_none();
            let of = live.credential.fingerprint.clone();
            let again = Right::Instead { of, not_before: earlier(now, TIME) };
            let details = self.details(&identity, live);
            (Stage::Held { details, as_file: browser.is_some() }, can_again.then_some(again), browser)
        } else if permit.is_none_or(|permit| permit.lapses_at < now) {
            return Ok(Err(Standpoint::NotPermitted));
        } else {
            let stage = match newest(CredentialState::Issued) {
                Some(issued) => Stage::Issued(self.details(&identity, issued)),
                None => Stage::Ready,
            };
            (stage, Some(Right::Permit), None)
        };
        let acquiring = Acquiring { identity, renews: false, stage };
        Ok(Ok(Found { acquiring, right, session: Some(session), browser }))
    }

    /// Somebody who renews the credential with this fingerprint.
    async fn renewing(
        &self,
        identity: Identity,
        fingerprint: &str,
        browser: &str,
    ) -> Result<Result<Found, Standpoint>, Unavailable> {
        let now = self.now();
        let records = self.directory().credential_history(&identity, now).await?;
        let own = records.iter().find(|record| {
            record.credential.fingerprint == fingerprint && record.state == CredentialState::Live
        });
        let Some(own) = own else { return Ok(Err(Standpoint::NotPermitted)) };
        let renew_from = SignedDuration::try_from(self.settings.renew_from).unwrap_or(SignedDuration::MAX);
        let from = earlier(own.credential.not_after, renew_from);
        if now < from {
            return Ok(Err(Standpoint::TooEarly { from }));
        }
        let others: Vec<_> =
            records.iter().filter(|record| record.credential.fingerprint != fingerprint).cloned().collect();
        let (stage, browser) = if let Some(live) = newest(&others, CredentialState::Live, own.registered_at) {
            let browser = Browser::of(live, browser);
            (Stage::Held { details: self.details(&identity, live), as_file: browser.is_some() }, browser)
        } else if let Some(issued) = newest(&others, CredentialState::Issued, earlier(now, STEP)) {
            (Stage::Issued(self.details(&identity, issued)), None)
        } else {
            (Stage::Ready, None)
        };
        // Until the new one is used, another can take its place.
        let right = Some(Right::Renewal { of: fingerprint.to_owned() });
        let acquiring = Acquiring { identity, renews: true, stage };
        Ok(Ok(Found { acquiring, right, session: None, browser }))
    }

    /// Whether the session that a code was made in still holds.
    pub(super) async fn still_holds(
        &self,
        session: &SessionKey,
        visitor: &Visitor,
    ) -> Result<bool, Unavailable> {
        let sign_in = &self.settings.sign_in;
        let found = sign_in.glance_at(session, visitor).await?;
        Ok(matches!(found, Current::SignedIn(signed_in) if signed_in.purpose == Purpose::Acquisition))
    }
}

/// The newest record in this state that is no older than `since`.
fn newest(
    records: &[CredentialRecord],
    state: CredentialState,
    since: Timestamp,
) -> Option<&CredentialRecord> {
    // The directory knows whole seconds.
    let since = since.as_second();
    records
        .iter()
        .filter(|record| record.state == state && record.registered_at.as_second() >= since)
        .max_by_key(|record| record.registered_at)
}

fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}
