//! What a contract's administrator does (管理者): looking at its users, and changing them one at a time.
//!
//! Who does it is proven by the administrator's certificate, and with each change by the PIN. Nobody acts on themself,
//! on another administrator (that is bank staff's) or outside their contract (T63); each try is written down.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Asker, SignIn};
use crate::domain::{Identity, Language};
use crate::stores::{Member, Members, Page, Unavailable};

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

impl Administration {
    /// Puts it together.
    pub const fn new(settings: AdministrationSettings) -> Self {
        Self { settings }
    }

    /// Who asks, if they are an administrator.
    pub async fn administrator(&self, asker: Asker<'_>) -> Result<Administered<Identity>, Unavailable> {
        let _ = (asker, &self.settings);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The users of the administrator's contract.
    pub async fn list(
        &self,
        asker: Asker<'_>,
        search: &str,
        page: Page,
    ) -> Result<Administered<Members>, Unavailable> {
        let _ = (asker, search, page);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// One of them, by the ID as typed.
    pub async fn show(&self, asker: Asker<'_>, user: &str) -> Result<Administered<Member>, Unavailable> {
        let _ = (asker, user);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Changes one of them, by the ID as typed.
    pub async fn change(
        &self,
        asker: Asker<'_>,
        user: &str,
        change: &Change,
        pin: &Zeroizing<String>,
    ) -> Result<Administered<Changed>, Unavailable> {
        let _ = (asker, user, change, pin);
        Err(Unavailable::new("directory", "not built yet"))
    }
}
