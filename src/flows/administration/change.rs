//! Changing one user: first whether it may be done at all, then the PIN, then the record, then the change.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use zeroize::Zeroizing;

use super::{Administered, Administration, Change, Changed, Conflict, done};
use crate::domain::{
    Identity, Language, RevocationCause, Role, SessionEnd, SuspensionCause, UserTag, mail_address,
};
use crate::flows::sign_in::NotAgain;
use crate::flows::{Asker, PinTrouble, random_pin};
use crate::stores::{AddError, AttemptKey, Member, NewUser, PermitOutcome, RevokeOutcome, Unavailable};

impl Change {
    /// What it is called in the audit log.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Permit => "permitted",
            Self::Reissue => "reissued",
            Self::Revoke => "revoked",
            Self::Lift => "lifted",
            Self::Stop => "suspended",
            Self::Mail(_) => "mail_changed",
            Self::Add { .. } => "user_added",
        }
    }
}

impl Administration {
    /// Changes one of the contract's users, by the ID as typed.
    pub async fn change(
        &self,
        asker: Asker<'_>,
        user: &str,
        change: &Change,
        pin: &Zeroizing<String>,
    ) -> Result<Administered<Changed>, Unavailable> {
        let administrator = done!(self.administrator(asker).await?);
        let visitor = asker.visitor;
        let Some(identity) = Self::colleague(&administrator, user) else {
            return Ok(match change {
                Change::Add { .. } => Administered::Conflict(Conflict::BadId),
                _ => Administered::NotFound,
            });
        };
        let refused = match self.obstacle(&administrator, &identity, change).await? {
            Some(obstacle) => Some(obstacle),
            None => match self.settings.sign_in.pin_again(&administrator, pin, visitor).await? {
                Ok(()) => None,
                Err(not_again) => return Ok(not_again.into()),
            },
        };
        if let Some(refused) = refused {
            let why = refused.code();
            // Never IDs that nobody has: people type their PIN into the wrong field.
            let whom = if matches!(refused, Administered::NotFound) { &administrator } else { &identity };
            self.write_down("administration_refused", &administrator, whom, why, visitor).await?;
            return Ok(refused);
        }
        self.write_down(change.kind(), &administrator, &identity, "", visitor).await?;
        let done = self.carry_out(&administrator, &identity, change).await?;
        let settings = &self.settings.sign_in.settings;
        settings.directory.refresh(&settings.registry, self.now()).await?;
        if !matches!(done, Administered::Done(_)) {
            let why = done.code();
            self.write_down("not_done", &administrator, &identity, why, visitor).await?;
        }
        Ok(done)
    }

    /// Why it can't be done, whatever the PIN.
    async fn obstacle(
        &self,
        administrator: &Identity,
        identity: &Identity,
        change: &Change,
    ) -> Result<Option<Administered<Changed>>, Unavailable> {
        let member = self.directory().member(identity, self.now()).await?;
        if let Change::Mail(Some(mail)) | Change::Add { mail: Some(mail), .. } = change
            && mail_address(mail).is_none()
        {
            return Ok(Some(Administered::Conflict(Conflict::BadMail)));
        }
        let Some(member) = member else {
            return Ok(match change {
                Change::Add { .. } => None,
                _ => Some(Administered::NotFound),
            });
        };
        Ok(match change {
            Change::Add { .. } => Some(Administered::Conflict(Conflict::Exists)),
            _ if identity == administrator => Some(Administered::Oneself),
            _ if member.user.role == Role::Administrator => Some(Administered::BankStaffs),
            Change::Permit | Change::Reissue | Change::Revoke => {
                self.no_credential(&member, change).map(Administered::Conflict)
            }
            Change::Lift => {
                let by_bank = |cause| cause == SuspensionCause::Staff;
                let kept = member.user.suspensions.iter().any(|suspension| by_bank(suspension.cause));
                kept.then_some(Administered::Conflict(Conflict::ByBankStaff))
            }
            Change::Stop | Change::Mail(_) => None,
        })
    }

    fn no_credential(&self, member: &Member, change: &Change) -> Option<Conflict> {
        let lives = member.user.credential_until.is_some();
        let has_any = member.credential.is_some();
        match change {
            _ if !self.settings.issues => Some(Conflict::NoIssuer),
            Change::Permit if lives => Some(Conflict::HoldsCredential),
            Change::Reissue if !has_any => Some(Conflict::NothingToRevoke),
            Change::Revoke if !has_any && member.permit.is_none() => Some(Conflict::NothingToRevoke),
            _ => None,
        }
    }

    async fn carry_out(
        &self,
        administrator: &Identity,
        identity: &Identity,
        change: &Change,
    ) -> Result<Administered<Changed>, Unavailable> {
        let now = self.now();
        let by = administrator.user.as_str();
        match change {
            Change::Permit => {
                match self.directory().permit(identity, by, later(now, self.settings.permit), now).await? {
                    PermitOutcome::Permitted => (self.settings.observer)("permitted"),
                    PermitOutcome::NoUser => return Ok(Administered::NotFound),
                    PermitOutcome::HoldsCredential => {
                        return Ok(Administered::Conflict(Conflict::HoldsCredential));
                    }
                }
            }
            Change::Reissue | Change::Revoke => {
                let reissue = *change == Change::Reissue;
                let cause = if reissue { RevocationCause::Reissued } else { RevocationCause::Withdrawn };
                let until = reissue.then(|| later(now, self.settings.permit));
                let outcome = self.directory().revoke(identity, cause, by, until, now).await?;
                if outcome == RevokeOutcome::NoUser {
                    return Ok(Administered::NotFound);
                }
                (self.settings.observer)(if reissue { "reissued" } else { "revoked" });
                self.end_sessions(identity).await?;
            }
            Change::Lift => self.lift(identity).await?,
            Change::Stop => {
                self.directory().suspend_user(identity, SuspensionCause::Administrator, now).await?;
                self.end_sessions(identity).await?;
            }
            Change::Mail(mail) => {
                let mail = mail.as_deref().and_then(mail_address);
                if !self.directory().set_mail(identity, mail.as_deref(), now).await? {
                    return Ok(Administered::NotFound);
                }
            }
            Change::Add { mail, language } => return self.add(identity, mail.as_deref(), *language).await,
        }
        Ok(Administered::Done(Changed::default()))
    }

    /// The registry of every gateway ends them, too: this is only sooner.
    async fn end_sessions(&self, identity: &Identity) -> Result<(), Unavailable> {
        let state = &self.settings.sign_in.settings.state;
        state.end_user(&UserTag::of(identity), SessionEnd::Withdrawn, self.now()).await
    }

    async fn lift(&self, identity: &Identity) -> Result<(), Unavailable> {
        self.directory().lift_by_administrator(identity).await?;
        for proven in [false, true] {
            let key = AttemptKey { tag: UserTag::of(identity), proven };
            self.settings.sign_in.settings.state.clear_attempts(&key).await?;
        }
        Ok(())
    }

    async fn add(
        &self,
        identity: &Identity,
        mail: Option<&str>,
        language: Language,
    ) -> Result<Administered<Changed>, Unavailable> {
        let now = self.now();
        let sign_in = &self.settings.sign_in;
        let (mut shown, mut kept) = (None, None);
        if sign_in.holds_pins() {
            let pin = random_pin().map_err(|error| Unavailable::new("directory", error))?;
            let hash = match sign_in.settings.pins.hash(&pin).await {
                Ok(hash) => hash,
                Err(PinTrouble::Overloaded { retry_after }) => {
                    return Ok(Administered::Overloaded { retry_after });
                }
                Err(PinTrouble::Unavailable(unavailable)) => return Err(unavailable),
            };
            shown = Some(Zeroizing::new(pin.expose().to_owned()));
            kept = Some((hash, later(now, self.settings.temporary_pin)));
        }
        let user = NewUser {
            identity: identity.clone(),
            role: Role::User,
            mail: mail.and_then(mail_address),
            language,
            pin: kept,
        };
        match self.directory().add_user(&user, now).await {
            Ok(()) => Ok(Administered::Done(Changed { temporary_pin: shown })),
            Err(AddError::Exists) => Ok(Administered::Conflict(Conflict::Exists)),
            Err(AddError::NoContract | AddError::NoUser) => Ok(Administered::NotFound),
            Err(AddError::Unavailable(unavailable)) => Err(unavailable),
        }
    }
}

impl<T> Administered<T> {
    /// For the audit log.
    const fn code(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::NotAdministrator => "role",
            Self::SignInNeeded => "sign_in_needed",
            Self::NotFound => "not_found",
            Self::Oneself => "oneself",
            Self::BankStaffs => "administrator",
            Self::WrongPin => "wrong_pin",
            Self::Suspended => "suspended",
            Self::Conflict(_) => "conflict",
            Self::Throttled { .. } => "throttled",
            Self::Overloaded { .. } => "overloaded",
        }
    }
}

impl<T> From<NotAgain> for Administered<T> {
    fn from(not_again: NotAgain) -> Self {
        match not_again {
            NotAgain::Wrong => Self::WrongPin,
            NotAgain::Suspended => Self::Suspended,
            NotAgain::Throttled(retry_after) => Self::Throttled { retry_after },
            NotAgain::Overloaded(retry_after) => Self::Overloaded { retry_after },
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
