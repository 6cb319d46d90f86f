//! What a contract's administrator does (管理者): looking at its users, and changing them one at a time.
//!
//! Who does it is proven by the administrator's certificate, and with each change by the PIN. Nobody acts on themself,
//! on another administrator (that is bank staff's) or outside their contract (T63); each try is written down.

mod change;
mod look;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::sign_in::Decision;
use super::{Asker, Current, SignIn};
use crate::domain::{AuthMethod, Identity, Language, Purpose, Role, UserId, Visitor};
use crate::stores::{Directory, Registered, Unavailable};

/// What administration is built from.
pub struct AdministrationSettings {
    /// Who signs people in.
    pub sign_in: Arc<SignIn>,
    /// After so long an unused permit lapses.
    pub permit: Duration,
    /// How long a temporary PIN can be used.
    pub temporary_pin: Duration,
    /// Whether certificates are issued here at all.
    pub issues: bool,
    /// Told of `permitted`, `reissued`, `revoked`, for the metrics.
    pub observer: Box<dyn Fn(&'static str) + Send + Sync>,
}

/// What a contract's administrator does.
pub struct Administration {
    settings: AdministrationSettings,
}

/// A change to one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// 取得の許可: they may acquire a certificate.
    Permit,
    /// 再発行: the present one is revoked, and they may acquire another.
    Reissue,
    /// 失効: the present one is revoked, or the permit is taken back.
    Revoke,
    /// 利用中止の解除: suspensions are lifted and wrong PINs forgotten. Those by bank staff stay.
    Lift,
    /// 利用停止: they are suspended until that is lifted.
    Stop,
    /// Where their mails go.
    Mail(Option<String>),
    /// 利用者の追加: a new user, with a temporary PIN.
    Add {
        /// Where their mails go.
        mail: Option<String>,
        /// What they read.
        language: Language,
    },
}

/// What an administrator gets.
#[derive(Debug)]
pub enum Administered<T> {
    /// It is done.
    Done(T),
    /// The certificate isn't an administrator's, or there is none: 403.
    NotAdministrator,
    /// With `certificate_and_pin`: there is no session.
    SignInNeeded,
    /// The contract has no such user: 404.
    NotFound,
    /// Nobody acts on themself.
    Oneself,
    /// Administrators are bank staff's.
    BankStaffs,
    /// The PIN is wrong. It counted as an attempt.
    WrongPin,
    /// Too many wrong ones: the administrator is suspended now.
    Suspended,
    /// What it takes isn't there, such as a live credential for a reissue, or is there already.
    Conflict(Conflict),
    /// Too many attempts.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// Too many people at once.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// Why a change can't be made as things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// To permit: they hold a live credential. It takes a reissue.
    HoldsCredential,
    /// To revoke or reissue: there is neither credential nor permit.
    NothingToRevoke,
    /// To add: the ID is taken.
    Exists,
    /// To add: not an ID.
    BadId,
    /// Not a mail address.
    BadMail,
    /// To lift: bank staff suspended them, and only bank staff lift that.
    ByBankStaff,
    /// Certificates are not issued here.
    NoIssuer,
}

/// What a change brought.
#[derive(Debug, Default)]
pub struct Changed {
    /// The temporary PIN of a new user: to be shown once.
    pub temporary_pin: Option<Zeroizing<String>>,
}

/// Ends a verb early with what isn't `Done`.
macro_rules! done {
    ($administered:expr) => {
        match $administered {
            Administered::Done(it) => it,
            other => return Ok(other.anything()),
        }
    };
}
use done;

impl<T> Administered<T> {
    /// The same of another verb, for what isn't `Done`; a `Done` has nothing to say there.
    fn anything<U>(self) -> Administered<U> {
        match self {
            Self::Done(_) | Self::NotFound => Administered::NotFound,
            Self::NotAdministrator => Administered::NotAdministrator,
            Self::SignInNeeded => Administered::SignInNeeded,
            Self::Oneself => Administered::Oneself,
            Self::BankStaffs => Administered::BankStaffs,
            Self::WrongPin => Administered::WrongPin,
            Self::Suspended => Administered::Suspended,
            Self::Conflict(conflict) => Administered::Conflict(conflict),
            Self::Throttled { retry_after } => Administered::Throttled { retry_after },
            Self::Overloaded { retry_after } => Administered::Overloaded { retry_after },
        }
    }
}

impl Administration {
    /// Puts it together.
    pub const fn new(settings: AdministrationSettings) -> Self {
        Self { settings }
    }

    /// Who asks, if they are an administrator. Only a certificate proves that.
    pub async fn administrator(&self, asker: Asker<'_>) -> Result<Administered<Identity>, Unavailable> {
        let Some(identity) = asker.visitor.identity.clone() else {
            return Ok(Administered::NotAdministrator);
        };
        let sign_in = &self.settings.sign_in;
        match sign_in.settings.registry.find(&identity, false) {
            Registered::Known(Role::Administrator) => {}
            Registered::Stale => {
                return Err(Unavailable::new("directory", "it hasn't answered for too long"));
            }
            Registered::Known(Role::User) | Registered::Unknown | Registered::Suspended => {
                self.write_down("administration_refused", &identity, &identity, "role", asker.visitor)
                    .await?;
                return Ok(Administered::NotAdministrator);
            }
        }
        if sign_in.settings.certificate_needs_pin {
            let session = match asker.token {
                Some(token) => sign_in.session(token, asker.visitor).await?,
                None => Current::Nobody,
            };
            let has_signed_in = matches!(session, Current::SignedIn(signed_in)
                if signed_in.method == AuthMethod::CertificateAndPin && signed_in.purpose == Purpose::Full);
            if !has_signed_in {
                return Ok(Administered::SignInNeeded);
            }
        }
        Ok(Administered::Done(identity))
    }

    fn now(&self) -> Timestamp {
        self.settings.sign_in.settings.clock.now()
    }

    fn directory(&self) -> &Directory {
        &self.settings.sign_in.settings.directory
    }

    /// Somebody of the administrator's own contract, by the ID as typed (T63).
    fn colleague(administrator: &Identity, user: &str) -> Option<Identity> {
        let user = UserId::typed(user).ok()?;
        Some(Identity { contract: administrator.contract.clone(), user })
    }

    /// Writes down what an administrator does, or was refused.
    async fn write_down(
        &self,
        kind: &'static str,
        administrator: &Identity,
        whom: &Identity,
        detail: &str,
        visitor: &Visitor,
    ) -> Result<(), Unavailable> {
        let by = format!("administrator:{}", administrator.user);
        let decision = Decision { kind, identity: Some(whom), by: &by, detail: Some(detail) };
        self.settings.sign_in.write_down(decision, visitor).await
    }
}
