//! Temporary PINs, and what follows for the state when a user gets one, is lifted or suspended.

use jiff::{SignedDuration, Timestamp};

use super::{Desk, Failure, failed};
use crate::cli::failure::{CONFIG, SOFTWARE, UNAVAILABLE};
use crate::config::{PinVerifier, SignIn};
use crate::domain::{Identity, Pin, SessionEnd, UserTag};
use crate::flows::{PinTrouble, Pins, random_pin};
use crate::stores::{AttemptKey, Unavailable};

/// A PIN that is good for a first sign-in.
pub(super) struct TemporaryPin {
    pub(super) pin: Pin,
    pub(super) hash: String,
    pub(super) until: Timestamp,
}

/// What makes temporary PINs.
pub(super) struct Maker<'a> {
    pins: &'a Pins,
    until: Timestamp,
    /// How many are hashed at once.
    pub(super) concurrency: usize,
}

impl<'a> Maker<'a> {
    /// Refuses where PINs aren't held in the directory.
    pub(super) fn new(desk: &'a Desk) -> Result<Self, Failure> {
        let held_here = |sign_in: &&SignIn| sign_in.pin.verifier == PinVerifier::Directory;
        let (Some(sign_in), Some(pins)) =
            (desk.document.config.sign_in.as_ref().filter(held_here), &desk.stores.pins)
        else {
            return Err(Failure::new(CONFIG, "this configuration keeps no PINs in the directory")
                .hint("`--no-pin` adds users without one"));
        };
        let lasts = SignedDuration::try_from(sign_in.pin.temporary.get()).unwrap_or(SignedDuration::MAX);
        let until = desk.now().checked_add(lasts).unwrap_or(Timestamp::MAX);
        // As the directory keeps it.
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        Ok(Self { pins, until, concurrency: sign_in.pin.concurrency.get() as usize })
    }

    /// A random one.
    pub(super) async fn random(&self) -> Result<TemporaryPin, Failure> {
        let pin = random_pin().map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
        self.of(pin).await
    }

    /// One that somebody chose.
    pub(super) async fn of(&self, pin: Pin) -> Result<TemporaryPin, Failure> {
        let hash = self.pins.hash(&pin).await.map_err(|trouble| match trouble {
            PinTrouble::Unavailable(unavailable) => failed(&unavailable),
            PinTrouble::Overloaded { .. } => Failure::new(UNAVAILABLE, "too many PINs are being hashed"),
        })?;
        Ok(TemporaryPin { pin, hash, until: self.until })
    }
}

/// Ends the session of somebody whose PIN is another one now: whoever knew the old one may be in it.
pub(super) async fn end_sessions(desk: &Desk, identity: &Identity) -> Option<Failure> {
    desk.document.config.sign_in.as_ref()?;
    let ended = async {
        let state = desk.stores.state.as_ref().map_err(Clone::clone)?;
        state.end_user(&UserTag::of(identity), SessionEnd::Withdrawn, desk.now()).await
    };
    ended.await.err().map(|error| {
        failed(&error)
            .hint("the directory is changed, but a session of the user may go on: do it again later")
    })
}

/// Forgets in the state, too, what was counted. The directory has been changed by then, so that a failure is told but
/// undoes nothing.
pub(super) async fn forget_attempts(desk: &Desk, identity: &Identity) -> Option<Failure> {
    desk.document.config.sign_in.as_ref()?;
    let cleared = async {
        let state = desk.stores.state.as_ref().map_err(Clone::clone)?;
        for proven in [false, true] {
            state.clear_attempts(&AttemptKey { tag: UserTag::of(identity), proven }).await?;
        }
        Ok::<(), Unavailable>(())
    };
    cleared.await.err().map(|error| {
        failed(&error).hint("the directory is changed, but attempts may still be counted: do it again later")
    })
}
