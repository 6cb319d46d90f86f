//! Getting a credential (取得), and renewing one (更新): by the helper program with a one-time code, or as a PKCS#12 file.
//!
//! Nothing that a person does burns their permit: every step can be taken again, and takes the place of what came
//! before. The directory's transactions see to it that no second credential lives on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{NewSession, SignIn, TypedIds};
use crate::domain::{Identity, SessionEnd, SessionToken, Visitor};
use crate::pki::Issuer;
use crate::stores::Unavailable;

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
    /// They may go on: the session is good for nothing else.
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
}

impl Acquisition {
    /// Puts it together.
    pub const fn new(settings: AcquisitionSettings) -> Self {
        Self { settings }
    }

    /// Signs in on the acquisition page, under the same lockout as anywhere.
    pub async fn begin(&self, typed: &TypedIds, visitor: &Visitor) -> Result<BeginOutcome, Unavailable> {
        let _ = (typed, visitor, &self.settings);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Where somebody stands now.
    pub async fn standpoint(&self, asker: Asker<'_>) -> Result<Standpoint, Unavailable> {
        let _ = asker;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Makes a code for the helper. A code before it stays good until its time is over.
    pub async fn code(&self, asker: Asker<'_>) -> Result<CodeOutcome, Unavailable> {
        let _ = asker;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Makes key and certificate, and packs them. What was issued before in this acquisition is revoked.
    pub async fn file(&self, asker: Asker<'_>) -> Result<FileOutcome, Unavailable> {
        let _ = asker;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The password of the file that this browser fetched, as long as its acquisition lasts. It is made anew from the
    /// browser's secret each time and kept nowhere.
    pub async fn password(&self, asker: Asker<'_>) -> Result<Option<Zeroizing<String>>, Unavailable> {
        let _ = asker;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The helper's code and its request for a certificate (DER).
    pub async fn redeem(
        &self,
        code: &str,
        request: &[u8],
        visitor: &Visitor,
    ) -> Result<RedeemOutcome, Unavailable> {
        let _ = (code, request, visitor);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The helper's proof that it has the key of a certificate (DER) in place: a signature over [`proof_message`].
    pub async fn prove(
        &self,
        certificate: &[u8],
        signature: &[u8],
        visitor: &Visitor,
    ) -> Result<ProofOutcome, Unavailable> {
        let _ = (certificate, signature, visitor);
        Err(Unavailable::new("directory", "not built yet"))
    }
}

/// What the helper signs: a fixed text, and the SHA-256 of the certificate in lower-case hexadecimal. It can't be taken
/// for anything that TLS has signed.
pub fn proof_message(fingerprint: &str) -> String {
    format!("sekisho proof of possession\n{fingerprint}\n")
}
