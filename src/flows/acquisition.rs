//! Getting a credential (取得), and renewing one (更新): by the helper program with a one-time code, or as a PKCS#12 file.
//!
//! Nothing that a person does burns their permit: every step can be taken again, and takes the place of what came
//! before. The directory's transactions see to it that no second credential lives on.

mod begin;
mod codes;
mod file;
mod helper;
mod standpoint;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::sign_in::Decision;
use super::{NewSession, SignIn};
use crate::domain::{Identity, SessionEnd, SessionToken, Visitor};
use crate::pki::{IssueError, Issuer, Signed};
use crate::stores::{
    Credential, CredentialRecord, Directory, IssueOutcome, NewCredential, Right, Throttled, Unavailable,
};

/// How long an acquisition may take, from signing in on its page.
const TIME: SignedDuration = SignedDuration::from_mins(30);
/// How long a code for the helper is good, how long the helper may take from the certificate to the proof, and how long
/// a file that was fetched can be given up for another.
const STEP: SignedDuration = SignedDuration::from_mins(10);

/// What acquisition is built from.
pub struct AcquisitionSettings {
    /// Who signs people in.
    pub sign_in: Arc<SignIn>,
    /// What signs.
    pub issuer: Arc<Issuer>,
    /// From so long before its end a credential can be renewed.
    pub renew_from: Duration,
    /// Whether PKCS#12 files are made for old systems.
    pub legacy_files: bool,
    /// The most certificates, in so long.
    pub rate: (u32, Duration),
    /// Told of `issued`, `renewed` and so on, for the metrics.
    pub observer: Box<dyn Fn(&'static str) + Send + Sync>,
}

/// Getting a credential, and renewing one.
pub struct Acquisition {
    settings: AcquisitionSettings,
}

/// Who asks: what their browser brings. On the certificate host the connection's certificate says who they are, and with
/// `certificate_and_pin` the session beside it.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The session's token, if the browser has one.
    pub token: Option<&'a SessionToken>,
    /// A secret that this browser keeps for the gateway.
    pub browser: &'a str,
    /// The rest.
    pub visitor: &'a Visitor,
}

/// What became of signing in on the acquisition page (CIBMU921).
#[derive(Debug)]
pub enum BeginOutcome {
    /// They may go on: the session is good for nothing else. With a temporary PIN, it is good for changing that first.
    Begun(Box<NewSession>),
    /// IDs or PIN are wrong, or it isn't to be said what: also for whoever holds a credential (T40, T44).
    Refused,
    /// For these IDs, existing or not, too many wrong PINs were typed lately.
    Suspended,
    /// IDs and PIN are right, but nobody has permitted a certificate, or the permit has lapsed.
    NotPermitted,
    /// Signed in elsewhere, and the bank wants that to end first.
    Occupied,
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

/// Where somebody stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standpoint {
    /// They acquire, or renew.
    At(Box<Acquiring>),
    /// Renewing: their credential has longer to go than that.
    TooEarly {
        /// From when on it can be renewed.
        from: Timestamp,
    },
    /// There is no permit (any more).
    NotPermitted,
    /// The session is over.
    Over(SessionEnd),
    /// There is no session; on the certificate host with `certificate_and_pin`: the PIN is needed.
    Nobody,
}

/// Somebody who is getting a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquiring {
    /// Who.
    pub identity: Identity,
    /// Whether they renew one that they have; else they acquire their first, or one after a reissue.
    pub renews: bool,
    /// How far they are.
    pub stage: Stage,
}

/// How far somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is issued yet, or what was is of an earlier try.
    Ready,
    /// The helper has got a certificate, and has not proven yet that it is installed.
    Issued(CredentialDetails),
    /// They have it.
    Held {
        /// What it is.
        details: CredentialDetails,
        /// Whether it was fetched as a file by this browser: then its password can be shown here, and while it is unused a new
        /// file be made in its place.
        as_file: bool,
    },
}

/// What the completion page shows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialDetails {
    /// `O=`
    pub organization: String,
    /// `OU=`
    pub unit: String,
    /// `CN=`
    pub common_name: String,
    /// In lower-case hexadecimal.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// What became of asking for a code for the helper.
#[derive(Debug)]
pub enum CodeOutcome {
    /// The code, good once.
    Code {
        /// Twelve characters in groups of four, such as `K7QM-2XWD-9RTF`: for people to type.
        code: Zeroizing<String>,
        /// Until when it can be used.
        until: Timestamp,
    },
    /// Not here, not now.
    Not(Standpoint),
}

/// What became of asking for the PKCS#12 file.
pub enum FileOutcome {
    /// The file. It is nowhere else.
    File(Zeroizing<Vec<u8>>),
    /// Not here, not now.
    Not(Standpoint),
    /// The user is suspended.
    Suspended,
    /// Too many certificates are issued just now.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// What became of the helper's request.
#[derive(Debug)]
pub enum RedeemOutcome {
    /// The certificate and those above it, in PEM.
    Certificate(String),
    /// The code is wrong, used, old, or its permit is gone.
    Refused,
    /// The request for a certificate can't be used.
    BadRequest(&'static str),
    /// Too many tries, or too many certificates.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// What became of the helper's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofOutcome {
    /// The credential is live.
    Proven(CredentialDetails),
    /// It isn't, and won't be: another one took its place, or the signature is wrong.
    Refused,
    /// Too many tries.
    Throttled {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

impl Acquisition {
    /// Puts it together.
    pub const fn new(settings: AcquisitionSettings) -> Self {
        Self { settings }
    }

    fn now(&self) -> Timestamp {
        self.settings.sign_in.settings.clock.now()
    }

    fn directory(&self) -> &Directory {
        &self.settings.sign_in.settings.directory
    }

    /// Whether one more certificate may be signed now (T65).
    async fn throttled(&self) -> Result<Option<Duration>, Unavailable> {
        let (certificates, per) = self.settings.rate;
        let state = &self.settings.sign_in.settings.state;
        Ok(match state.throttle("issuer", certificates, per, self.now()).await? {
            Throttled::Allowed => None,
            Throttled::Denied(retry_after) => Some(retry_after),
        })
    }

    /// Registers what was just signed, before anybody gets it.
    async fn register(
        &self,
        identity: &Identity,
        signed: &Signed,
        right: Right,
        acquired: Option<String>,
        visitor: &Visitor,
    ) -> Result<IssueOutcome, Unavailable> {
        let renews = matches!(right, Right::Renewal { .. });
        let new = NewCredential {
            credential: Credential {
                identity: identity.clone(),
                fingerprint: signed.fingerprint.clone(),
                serial: signed.serial.clone(),
                not_before: signed.not_before,
                not_after: signed.not_after,
            },
            issuer: self.settings.issuer.id().to_owned(),
            right,
            acquired,
        };
        // Written down first: what was signed can be held against what is registered.
        self.write_down("credential_issued", identity, &signed.serial, visitor).await?;
        if new.acquired.is_some() {
            self.write_down("credential_acquired", identity, &signed.serial, visitor).await?;
        }
        let outcome = self.directory().issue(&new, self.now()).await?;
        match outcome {
            IssueOutcome::Issued => (self.settings.observer)(if renews { "renewed" } else { "issued" }),
            IssueOutcome::NoRight | IssueOutcome::Suspended => {
                self.write_down("credential_not_registered", identity, &signed.serial, visitor).await?;
            }
        }
        Ok(outcome)
    }

    async fn write_down(
        &self,
        kind: &'static str,
        identity: &Identity,
        detail: &str,
        visitor: &Visitor,
    ) -> Result<(), Unavailable> {
        let decision = Decision { kind, identity: Some(identity), by: "user", detail: Some(detail) };
        self.settings.sign_in.write_down(decision, visitor).await
    }

    /// Has this gateway know at once: the holder comes next. The others hear of it as of any change.
    async fn refresh(&self) -> Result<(), Unavailable> {
        self.directory().refresh(&self.settings.sign_in.settings.registry, self.now()).await
    }

    fn details(&self, identity: &Identity, record: &CredentialRecord) -> CredentialDetails {
        CredentialDetails {
            organization: self.settings.issuer.organization().to_owned(),
            unit: self.settings.issuer.unit().to_owned(),
            common_name: format!("{} {}", identity.contract, identity.user),
            serial: record.credential.serial.clone(),
            not_before: record.credential.not_before,
            not_after: record.credential.not_after,
        }
    }
}

pub(super) fn issuer_trouble(error: &IssueError) -> Unavailable {
    let problem = match error {
        IssueError::BadRequest(problem) => (*problem).to_owned(),
        IssueError::BadIdentity => "the contract's ID has not the 14 digits of a certificate's".to_owned(),
        IssueError::Ended => "the CA's certificate is at its end".to_owned(),
        IssueError::Key(problem) => problem.clone(),
    };
    Unavailable::new("issuer", problem)
}
