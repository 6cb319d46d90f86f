//! One PIN try: counted before the PIN is looked at (invariant 4), in the state, which is fast and stops a crowd, and in
//! the directory, which no flush and no failover makes forget.

use std::time::Duration;

use super::{Decision, SignIn};
use crate::config::Throttle;
use crate::domain::{AuthMethod, Identity, Pin, Source, SuspensionCause, UserTag, Visitor};
use crate::flows::{PinTrouble, Verified};
use crate::stores::{AttemptKey, Attempts, Reservation, Throttled, Unavailable};

/// What became of a try.
pub(in crate::flows) enum Tried {
    /// The PIN is right. The attempt stays counted until the sign-in is recorded.
    Right {
        /// The hash that takes the old one's place.
        rehash: Option<String>,
    },
    /// It is wrong, and more may follow.
    Wrong,
    /// It is wrong, and it was the last one; or no more were left, and nobody looked at it.
    Exhausted,
    /// Nobody looked at it: too many are waiting.
    Overloaded(Duration),
}

/// A PIN that is to be tried.
pub(in crate::flows) struct Try<'a> {
    /// The IDs as typed, known or not; or the certificate's.
    pub(in crate::flows) identity: &'a Identity,
    /// Whether the user's own certificate, or a session, proves the identity already.
    pub(in crate::flows) proven: bool,
    /// `None` for a text that can be nobody's PIN.
    pub(in crate::flows) pin: Option<&'a Pin>,
    /// The hash to hold it against; `None` if it can't be right whatever it is.
    pub(in crate::flows) hash: Option<&'a str>,
    /// Whether a right PIN lets this user in at all.
    pub(in crate::flows) is_eligible: bool,
    /// Whether the directory knows the user.
    pub(in crate::flows) is_known: bool,
}

impl SignIn {
    /// Whether the source, and everybody together, may try again. Counts first (T42, T43).
    pub(in crate::flows) async fn throttled(
        &self,
        visitor: &Visitor,
    ) -> Result<Option<Duration>, Unavailable> {
        let lockout = &self.settings.lockout;
        let source = format!("source:{}", Source::of(visitor.source));
        let keys = [(source, lockout.per_source), ("all".to_owned(), lockout.in_all)];
        for (key, Throttle { attempts, per }) in keys {
            let now = self.settings.clock.now();
            match self.settings.state.throttle(&key, attempts.get(), per.get(), now).await? {
                Throttled::Allowed => {}
                Throttled::Denied(retry_after) => return Ok(Some(retry_after)),
            }
        }
        Ok(None)
    }

    /// Tries a PIN.
    pub(in crate::flows) async fn try_pin(
        &self,
        attempt: &Try<'_>,
        visitor: &Visitor,
    ) -> Result<Tried, Unavailable> {
        let Some(nth) = self.count(attempt).await? else {
            self.catch_up(attempt, visitor).await?;
            return Ok(Tried::Exhausted);
        };
        let pins = &self.settings.pins;
        let verified = match (attempt.pin, Pin::typed("0000")) {
            (Some(pin), _) => pins.verify(attempt.identity, pin, attempt.hash).await,
            // As long as for any other.
            (None, Ok(placeholder)) => pins.verify(attempt.identity, &placeholder, None).await,
            (None, Err(_)) => Ok(Verified::Wrong),
        };
        match verified {
            Ok(Verified::Right { rehash }) if attempt.is_eligible && attempt.pin.is_some() => {
                Ok(Tried::Right { rehash })
            }
            Ok(_) if nth >= self.attempts() => {
                self.suspend(attempt, visitor).await?;
                Ok(Tried::Exhausted)
            }
            Ok(_) => Ok(Tried::Wrong),
            Err(PinTrouble::Overloaded { retry_after }) => {
                self.uncount(attempt.identity, attempt.proven).await?;
                Ok(Tried::Overloaded(retry_after))
            }
            Err(PinTrouble::Unavailable(unavailable)) => {
                self.uncount(attempt.identity, attempt.proven).await?;
                Err(unavailable)
            }
        }
    }

    /// Which attempt in a row it is; `None` if no more may be made.
    async fn count(&self, attempt: &Try<'_>) -> Result<Option<u32>, Unavailable> {
        let lockout = &self.settings.lockout;
        let (limit, quiet) = (lockout.attempts.get(), lockout.quiet.get());
        let now = self.settings.clock.now();
        let key = attempt.key();
        let (state, directory) = (&self.settings.state, &self.settings.directory);
        if state.reserve_attempt(&key, limit, quiet, now).await? == Reservation::Exhausted {
            // The state also holds attempts that came to nothing, because a store failed in between: nobody is locked out
            // by an outage. What the directory has counted decides, for IDs that nobody has as well (T44).
            let counted = directory.attempts(attempt.identity, attempt.proven, quiet, now).await?;
            if counted.is_some_and(|(count, _)| count >= limit) {
                return Ok(None);
            }
        }
        let attempts = Attempts { limit, quiet };
        // Of two at once, the state may see one first and the directory the other: the directory's number counts, so that
        // exactly one of them is the last.
        let counted = directory.count_attempt(attempt.identity, attempt.proven, attempts, now).await;
        if counted.is_err() {
            // Nobody will look at this PIN. Where giving it back fails too, the directory's count makes up for it later.
            let _ = state.release_attempt(&key, now).await;
        }
        counted
    }

    /// Takes an attempt back: no PIN was looked at, or it was right and led to nothing for another reason. Right ones
    /// must not add up to a suspension.
    pub(in crate::flows) async fn uncount(
        &self,
        identity: &Identity,
        proven: bool,
    ) -> Result<(), Unavailable> {
        self.settings.directory.uncount_attempt(identity, proven).await?;
        let key = AttemptKey { tag: UserTag::of(identity), proven };
        self.settings.state.release_attempt(&key, self.settings.clock.now()).await
    }

    /// Suspends the user after the last wrong PIN. For IDs that nobody has, the same work without effect (T44).
    async fn suspend(&self, attempt: &Try<'_>, visitor: &Visitor) -> Result<(), Unavailable> {
        let cause = attempt.cause();
        let decision = Decision {
            kind: if attempt.is_known { "suspended" } else { "sign_in_refused" },
            identity: attempt.is_known.then_some(attempt.identity),
            by: "gateway",
            detail: Some(cause.code()),
        };
        self.write_down(decision, visitor).await?;
        let now = self.settings.clock.now();
        if self.settings.directory.suspend_user(attempt.identity, cause, now).await? {
            self.observe(attempt.method(), "suspended");
            tracing::warn!(source = %visitor.source, request_id = visitor.request_id, cause = cause.code(), "A user was suspended");
        }
        Ok(())
    }

    /// Suspends a user whose last wrong PIN was counted by a gateway that died before it could do so.
    async fn catch_up(&self, attempt: &Try<'_>, visitor: &Visitor) -> Result<(), Unavailable> {
        let Attempts { limit, quiet } =
            Attempts { limit: self.attempts(), quiet: self.settings.lockout.quiet.get() };
        let now = self.settings.clock.now();
        let counted = self.settings.directory.attempts(attempt.identity, attempt.proven, quiet, now).await?;
        let is_left_behind = counted.is_some_and(|(count, last)| {
            // Whoever counted it has long had its answer by then.
            count >= limit && now.duration_since(last) >= jiff::SignedDuration::from_mins(1)
        });
        // In this order, the same queries for IDs that nobody has (T44).
        if is_left_behind && !attempt.is_suspended_for(self, now).await? && attempt.is_known {
            self.suspend(attempt, visitor).await?;
        }
        Ok(())
    }
}

impl Try<'_> {
    fn key(&self) -> AttemptKey {
        AttemptKey { tag: UserTag::of(self.identity), proven: self.proven }
    }

    const fn cause(&self) -> SuspensionCause {
        if self.proven { SuspensionCause::WrongPinsWithCertificate } else { SuspensionCause::WrongPins }
    }

    const fn method(&self) -> AuthMethod {
        if self.proven { AuthMethod::CertificateAndPin } else { AuthMethod::Pin }
    }

    async fn is_suspended_for(&self, sign_in: &SignIn, now: jiff::Timestamp) -> Result<bool, Unavailable> {
        let candidate = sign_in.settings.directory.candidate(self.identity, now).await?;
        Ok(candidate.is_some_and(|candidate| {
            candidate.suspensions.iter().any(|suspension| suspension.cause == self.cause())
        }))
    }
}
