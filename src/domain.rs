//! Pure words of the domain. Nothing here does I/O, reads a clock or imports another room.

mod credential;
mod identity;
mod mail;
mod pace;
mod pin;
mod role;
mod session;
mod source;
mod standing;
mod suspension;
mod visitor;

pub use credential::{CredentialState, NoticeKind, RevocationCause, proof_message};
pub use identity::{ContractId, Identity, InvalidId, UserId};
pub use mail::mail_address;
pub use pace::Pace;
pub use pin::{InvalidPin, PIN_LENGTH, Pin, PinRules, WeakPin};
pub use role::{Language, Role};
pub use session::{
    AuthMethod, OUR_COOKIES, PORTAL, Purpose, SESSION_COOKIE, SessionEnd, SessionKey, SessionToken, UserTag,
};
pub use source::Source;
pub use standing::{Reason, Refusal, Standing};
pub use suspension::SuspensionCause;
pub use visitor::Visitor;
