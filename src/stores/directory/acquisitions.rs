//! Acquiring a credential: from the certificate that was just signed to the one that its holder has.
//!
//! At every moment a user has at most one credential that is live and one that is on its way, and nothing but these
//! transactions moves them. Only a renewal has two live ones, until the new one is first used.

use jiff::Timestamp;

use super::{AcquireOutcome, Directory, IssueOutcome, NewCredential};
use crate::stores::Unavailable;

impl Directory {
    /// Registers a certificate that was just signed, before anybody gets it, if its user may still have it: the
    /// right is there (see [`super::Right`]), and neither user nor contract is suspended (T49). Whatever of theirs is issued and not yet acquired is revoked
    /// (`Superseded`), and with `Right::Instead` that one, too. With `NewCredential::acquired` it is live at once, as after [`Self::acquire`].
    pub async fn issue(&self, new: &NewCredential, now: Timestamp) -> Result<IssueOutcome, Unavailable> {
        let _ = (new, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Makes an issued credential live: its holder has proven that they have it. Uses the permit up, and writes the
    /// notice. The same once more is `AlreadyLive` and changes nothing.
    pub async fn acquire(&self, fingerprint: &str, now: Timestamp) -> Result<AcquireOutcome, Unavailable> {
        let _ = (fingerprint, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Remembers that a live credential was used, if it is the first time, and retires every other live one of its
    /// user. Says whether anything changed.
    pub async fn first_use(&self, fingerprint: &str, now: Timestamp) -> Result<bool, Unavailable> {
        let _ = (fingerprint, now);
        Err(Unavailable::new("directory", "not built yet"))
    }
}
