//! Sessions: how somebody signed in, and the token that their browser holds.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Identity;

/// Where everything of the portal is: no route may lie at or below it.
pub const PORTAL: &str = "/sekisho";

/// How the names of the portal's own cookies begin: no backend gets to see or set one.
pub const OUR_COOKIES: &str = "__Host-sekisho-";

/// The name of the cookie with the session's token.
pub const SESSION_COOKIE: &str = "__Host-sekisho-session";

/// How an identity was proven. The code is the word in headers, the directory and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthMethod {
    /// By a client certificate alone.
    #[serde(rename = "certificate")]
    Certificate,
    /// By contract ID, user ID and PIN.
    #[serde(rename = "pin")]
    Pin,
    /// By a client certificate, then the PIN.
    #[serde(rename = "certificate+pin")]
    CertificateAndPin,
}

impl AuthMethod {
    /// The code of the method.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Pin => "pin",
            Self::CertificateAndPin => "certificate+pin",
        }
    }

    /// The method of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Certificate, Self::Pin, Self::CertificateAndPin]
            .into_iter()
            .find(|method| method.code() == code)
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a session is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Everything that its user may do.
    Full,
    /// Nothing but replacing a temporary PIN.
    PinChange,
    /// Nothing but acquiring a credential.
    Acquisition,
}

/// Where everything about one user lies in the state: the first 128 bits of a hash of contract and user, in
/// hexadecimal. All keys of one user share it, so that a Redis Cluster keeps them in one slot and a script can change
/// them together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserTag(Box<str>);

impl UserTag {
    /// The tag of a user, known to the directory or not.
    pub fn of(identity: &Identity) -> Self {
        let mut hash = Sha256::new();
        hash.update(identity.contract.as_str());
        hash.update([b' ']);
        hash.update(identity.user.as_str());
        Self(hex(&hash.finalize()[..16]).into())
    }

    /// The tag in text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.into()))
    }
}

/// What a browser holds of its session: 256 random bits and the user's tag. Can't be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken {
    secret: Zeroizing<[u8; 32]>,
    tag: UserTag,
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl SessionToken {
    /// A token of 256 bits that nobody can guess: `random` comes from the system's generator.
    pub fn new(random: [u8; 32], identity: &Identity) -> Self {
        Self { secret: Zeroizing::new(random), tag: UserTag::of(identity) }
    }

    /// Reads a cookie's value.
    pub fn parse(text: &str) -> Option<Self> {
        let (secret, tag) = text.split_once('.')?;
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Self { secret: Zeroizing::new(secret.try_into().ok()?), tag: UserTag::parse(tag)? })
    }

    /// The cookie's value.
    pub fn to_cookie(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(*self.secret), self.tag.as_str()))
    }

    /// What the state knows of it: never the token itself.
    pub fn key(&self) -> SessionKey {
        SessionKey { tag: self.tag.clone(), hash: hex(&Sha256::digest(*self.secret)).into() }
    }
}

/// Under what a session is stored: the user's tag and the SHA-256 of the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The user's tag.
    pub tag: UserTag,
    /// SHA-256 of the token's random bits, in hexadecimal.
    pub hash: Box<str>,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// The person signed out.
    SignedOut,
    /// Nothing was asked for longer than `sign_in.session.idle`.
    Idle,
    /// It lasted as long as `sign_in.session.absolute` allows.
    TooOld,
    /// The same user signed in elsewhere.
    Replaced,
    /// The user or the contract was suspended, or the certificate that it was made with lost its standing.
    Withdrawn,
}

impl SessionEnd {
    /// The code of the end, for pages, the state and logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Idle => "idle",
            Self::TooOld => "too_old",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The end of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::SignedOut, Self::Idle, Self::TooOld, Self::Replaced, Self::Withdrawn]
            .into_iter()
            .find(|end| end.code() == code)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContractId, UserId};

    fn identity(user: &str) -> Identity {
        Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new(user).unwrap() }
    }

    #[test]
    fn a_token_survives_its_cookie_and_shows_itself_nowhere() {
        let token = SessionToken::new([7; 32], &identity("tanaka"));
        let cookie = token.to_cookie();
        assert_eq!(SessionToken::parse(&cookie), Some(token.clone()));
        assert_eq!(token.key().tag, UserTag::of(&identity("tanaka")));
        assert_ne!(token.key().tag, UserTag::of(&identity("suzuki")));
        assert_eq!(token.key().hash.len(), 64);
        assert_eq!(format!("{token:?}"), "SessionToken(…)");
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = SessionToken::new([7; 32], &identity("tanaka")).to_cookie();
        for bad in [
            "",
            ".",
            "a.b",
            &good[1..],
            &good[..good.len() - 1],
            &good.replace('.', ""),
            &good.to_uppercase(),
        ] {
            assert_eq!(SessionToken::parse(bad), None, "{bad}");
        }
    }
}
