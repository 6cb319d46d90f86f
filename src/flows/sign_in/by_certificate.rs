//! Signing in by the connection's certificate, and the PIN after it where the bank wants both.

use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::attempt::{Tried, Try};
use super::sessions::Opening;
use super::{CertificateOutcome, Decision, SignIn};
use crate::domain::{AuthMethod, Identity, Pin, Purpose, Standing, SuspensionCause, Visitor};
use crate::pki::Leaf;
use crate::stores::{AddError, Candidate, Credential, RegisteredCredential, Unavailable};

impl SignIn {
    /// Signs in by the connection's certificate, with the PIN if one is typed.
    pub async fn by_certificate(
        &self,
        pin: Option<&Zeroizing<String>>,
        visitor: &Visitor,
    ) -> Result<CertificateOutcome, Unavailable> {
        let outcome = self.certificate_outcome(pin, visitor).await;
        let code = match &outcome {
            Ok(CertificateOutcome::SignedIn(_)) => "signed_in",
            Ok(CertificateOutcome::PinNeeded) => "pin_needed",
            Ok(CertificateOutcome::NoCertificate) => "no_certificate",
            Ok(CertificateOutcome::UnknownUser) => "unknown_user",
            Ok(CertificateOutcome::Suspended) => "suspended_user",
            Ok(CertificateOutcome::Refused) => "refused",
            Ok(CertificateOutcome::Throttled { .. }) => "throttled",
            Ok(CertificateOutcome::Occupied) => "occupied",
            Ok(CertificateOutcome::Overloaded { .. }) => "overloaded",
            Err(_) => "unavailable",
        };
        self.observe(self.certificate_method(), code);
        outcome
    }

    const fn certificate_method(&self) -> AuthMethod {
        if self.settings.certificate_needs_pin {
            AuthMethod::CertificateAndPin
        } else {
            AuthMethod::Certificate
        }
    }

    async fn certificate_outcome(
        &self,
        pin: Option<&Zeroizing<String>>,
        visitor: &Visitor,
    ) -> Result<CertificateOutcome, Unavailable> {
        let now = self.settings.clock.now();
        let Some((identity, leaf, signer)) = self.proven(visitor, now) else {
            return Ok(CertificateOutcome::NoCertificate);
        };
        let Some(candidate) = self.settings.directory.candidate(&identity, now).await? else {
            self.refused(&identity, "unknown_user", visitor).await?;
            return Ok(CertificateOutcome::UnknownUser);
        };
        if self.is_stopped(&candidate) {
            self.refused(&identity, "suspended", visitor).await?;
            return Ok(CertificateOutcome::Suspended);
        }
        // From here on no PIN alone lets this user in (T40).
        let by = (visitor.source, Some(&*visitor.request_id));
        self.register(&identity, (&leaf, signer.as_deref()), by, now).await?;
        let mut rehash = None;
        if self.settings.certificate_needs_pin {
            let Some(typed) = pin else { return Ok(CertificateOutcome::PinNeeded) };
            if let Some(retry_after) = self.throttled(visitor).await? {
                return Ok(CertificateOutcome::Throttled { retry_after });
            }
            match self.second_factor(&identity, &candidate, typed, visitor).await? {
                Ok(new_hash) => rehash = new_hash,
                Err(outcome) => return Ok(outcome),
            }
        }
        let is_temporary = self.settings.certificate_needs_pin && candidate.pin_temporary_until.is_some();
        let opening = Opening {
            identity: &identity,
            method: self.certificate_method(),
            purpose: if is_temporary && self.holds_pins() { Purpose::PinChange } else { Purpose::Full },
            previous: candidate.last_sign_in,
            chain: visitor.chain.iter().map(|certificate| BASE64_STANDARD.encode(certificate)).collect(),
            rehash: candidate.pin_hash.as_deref().zip(rehash.as_deref()),
        };
        let opened = self.open(opening, visitor).await?;
        Ok(opened.map_or(CertificateOutcome::Occupied, CertificateOutcome::SignedIn))
    }

    /// A good certificate was shown, wherever: from now on its user can't sign in by PIN alone (T40). Nobody's is left
    /// alone.
    pub async fn seen(&self, chain: &[Vec<u8>], source: IpAddr) -> Result<(), Unavailable> {
        let now = self.settings.clock.now();
        let Some((identity, leaf, signer)) = self.judge(chain, now) else { return Ok(()) };
        if self.settings.directory.candidate(&identity, now).await?.is_none() {
            return Ok(());
        }
        self.register(&identity, (&leaf, signer.as_deref()), (source, None), now).await
    }

    /// Whose certificate the connection has, as the judge says now.
    fn proven(&self, visitor: &Visitor, now: Timestamp) -> Option<(Identity, Leaf, Option<String>)> {
        self.judge(&visitor.chain, now)
    }

    fn judge(&self, chain: &[Vec<u8>], now: Timestamp) -> Option<(Identity, Leaf, Option<String>)> {
        let chain: Vec<_> =
            chain.iter().map(|certificate| CertificateDer::from(certificate.as_slice())).collect();
        let judgement = self.settings.judge.as_ref()?.judge(&chain, now);
        match (&judgement.standing, &judgement.leaf) {
            (Standing::Good(identity), Some(leaf))
                if self.settings.registry.objection(&leaf.fingerprint).is_none() =>
            {
                Some((identity.clone(), leaf.clone(), judgement.signer.clone()))
            }
            _ => None,
        }
    }

    /// Whether a suspension stops the holder of the user's certificate too (T42).
    pub(super) fn is_stopped(&self, candidate: &Candidate) -> bool {
        candidate.contract_suspended
            || candidate.suspensions.iter().any(|suspension| {
                suspension.cause != SuspensionCause::WrongPins || self.settings.lockout.stops_certificates
            })
    }

    /// Registers a certificate that was shown for the first time, and its use.
    async fn register(
        &self,
        identity: &Identity,
        (leaf, signer): (&Leaf, Option<&str>),
        (source, request_id): (IpAddr, Option<&str>),
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        match self.settings.registry.credential(&leaf.fingerprint) {
            RegisteredCredential::Unknown => {}
            RegisteredCredential::Live { is_used: false } => {
                let fingerprint = leaf.fingerprint_hex();
                return self.settings.directory.first_use(&fingerprint, now).await.map(drop);
            }
            _ => return Ok(()),
        }
        let credential = Credential {
            identity: identity.clone(),
            fingerprint: leaf.fingerprint_hex(),
            serial: leaf.serial.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
        };
        let decision = Decision {
            kind: "credential_registered",
            identity: Some(identity),
            by: "gateway",
            detail: Some(&credential.serial),
        };
        self.write_down_of(decision, source, request_id).await?;
        match self.settings.directory.add_credential(&credential, signer, now).await {
            Ok(()) | Err(AddError::Exists) => Ok(()),
            Err(AddError::NoContract | AddError::NoUser) => {
                Err(Unavailable::new("directory", "the user is gone"))
            }
            Err(AddError::Unavailable(unavailable)) => Err(unavailable),
        }
    }

    /// The PIN after the certificate: the hash that takes the old one's place, or what became of it instead.
    async fn second_factor(
        &self,
        identity: &Identity,
        candidate: &Candidate,
        typed: &Zeroizing<String>,
        visitor: &Visitor,
    ) -> Result<Result<Option<String>, CertificateOutcome>, Unavailable> {
        let pin = Pin::typed(typed).ok();
        let now = self.settings.clock.now();
        let has_expired = candidate.pin_temporary_until.is_some_and(|until| until < now);
        let attempt = Try {
            identity,
            proven: true,
            pin: pin.as_ref(),
            hash: candidate.pin_hash.as_deref().filter(|_| !has_expired),
            is_eligible: !has_expired,
            is_known: true,
        };
        Ok(match self.try_pin(&attempt, visitor).await? {
            Tried::Right { rehash } => Ok(rehash),
            Tried::Wrong => {
                self.refused(identity, if has_expired { "pin_expired" } else { "wrong_pin" }, visitor)
                    .await?;
                Err(CertificateOutcome::Refused)
            }
            Tried::Exhausted => Err(CertificateOutcome::Suspended),
            Tried::Overloaded(retry_after) => Err(CertificateOutcome::Overloaded { retry_after }),
        })
    }

    async fn refused(
        &self,
        identity: &Identity,
        why: &'static str,
        visitor: &Visitor,
    ) -> Result<(), Unavailable> {
        let decision =
            Decision { kind: "sign_in_refused", identity: Some(identity), by: "user", detail: Some(why) };
        self.write_down(decision, visitor).await
    }
}
