//! Permits: who may acquire a credential (許可), and giving one up for another (再発行, 失効).

use jiff::Timestamp;

use super::{Directory, Permit, PermitOutcome, RevokeOutcome};
use crate::domain::{Identity, RevocationCause};
use crate::stores::Unavailable;

impl Directory {
    /// Permits a user to acquire a credential until `lapses_at`; a permit that is there already lasts until then, too.
    /// Refused for the holder of a live credential: that would be a reissue.
    pub async fn permit(
        &self,
        identity: &Identity,
        by: &str,
        lapses_at: Timestamp,
        now: Timestamp,
    ) -> Result<PermitOutcome, Unavailable> {
        let _ = (identity, by, lapses_at, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The permit of a user, lapsed or not.
    pub async fn permit_of(&self, identity: &Identity) -> Result<Option<Permit>, Unavailable> {
        let _ = identity;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// In one transaction: revokes every credential of a user that is issued or live, drops their permit, or (for a
    /// reissue) puts a new one in its place that lapses at `permit_until`, and writes the notice if a live one was among
    /// them.
    pub async fn revoke(
        &self,
        identity: &Identity,
        cause: RevocationCause,
        by: &str,
        permit_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<RevokeOutcome, Unavailable> {
        let _ = (identity, cause, by, permit_until, now);
        Err(Unavailable::new("directory", "not built yet"))
    }
}
