//! Permits: who may acquire a credential (許可), and giving one up for another (再発行, 失効).

use jiff::Timestamp;

use super::lease::Lease;
use super::notices::{About, tell_administrators};
use super::values::{identity, time};
use super::{Credential, Directory, Permission, PermitOutcome, RevokeOutcome};
use crate::domain::{Identity, NoticeKind, RevocationCause};
use crate::stores::Unavailable;

/// A credential that can be revoked, with whether its holder has it.
type Row = (String, String, i64, i64, Option<i64>);

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
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                if !touch_user(&mut lease, identity, change).await? {
                    lease.undo().await?;
                    return Ok(PermitOutcome::NoUser);
                }
                if lives(&mut lease, identity, now).await? {
                    lease.undo().await?;
                    return Ok(PermitOutcome::HoldsCredential);
                }
                put_permit(&mut lease, identity, by, lapses_at, now).await?;
                lease.commit().await?;
                Ok(PermitOutcome::Permitted)
            })
            .await
    }

    /// The permit of a user, lapsed or not.
    pub async fn permit_of(&self, identity: &Identity) -> Result<Option<Permission>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(i64, String, i64)> = sqlx::query_as(
                    "SELECT permitted_at, permitted_by, lapses_at FROM permits \
                     WHERE contract_id = $1 AND user_id = $2",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                let Some((permitted_at, permitted_by, lapses_at)) = rows.into_iter().next() else {
                    return Ok(None);
                };
                let (permitted_at, lapses_at) = (time(permitted_at)?, time(lapses_at)?);
                Ok(Some(Permission { permitted_at, permitted_by, lapses_at }))
            })
            .await
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
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                if !touch_user(&mut lease, identity, change).await? {
                    lease.undo().await?;
                    return Ok(RevokeOutcome::NoUser);
                }
                let rows: Vec<Row> = sqlx::query_as(
                    "UPDATE credentials SET revoked_at = $3, revoked_because = $4, change = $5 \
                     WHERE contract_id = $1 AND user_id = $2 AND revoked_at IS NULL AND retired_at IS NULL \
                     AND not_after >= $3 RETURNING fingerprint, serial, not_before, not_after, acquired_at",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .bind(now.as_second())
                .bind(cause.code())
                .bind(change)
                .fetch_all(&mut *lease)
                .await?;
                match permit_until {
                    Some(lapses_at) => put_permit(&mut lease, identity, by, lapses_at, now).await?,
                    None => drop_permit(&mut lease, identity).await?,
                }
                for (fingerprint, serial, _, not_after, acquired_at) in &rows {
                    if acquired_at.is_some() {
                        let about =
                            About::credential(NoticeKind::Revoked, identity, fingerprint, serial, *not_after);
                        tell_administrators(&mut lease, &about, now).await?;
                    }
                }
                lease.commit().await?;
                let revoked =
                    rows.into_iter().map(|row| credential(identity, row)).collect::<Result<_, _>>()?;
                Ok(RevokeOutcome::Revoked(revoked))
            })
            .await
    }
}

fn credential(whose: &Identity, row: Row) -> Result<Credential, Unavailable> {
    let (fingerprint, serial, not_before, not_after, _) = row;
    Ok(Credential {
        identity: identity(whose.contract.as_str(), whose.user.as_str())?,
        fingerprint,
        serial,
        not_before: time(not_before)?,
        not_after: time(not_after)?,
    })
}

/// Has the registry look at a user again. False if there is no such user.
pub(super) async fn touch_user(
    lease: &mut Lease,
    identity: &Identity,
    change: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE users SET change = $3 WHERE contract_id = $1 AND user_id = $2")
        .bind(identity.contract.as_str())
        .bind(identity.user.as_str())
        .bind(change)
        .execute(&mut **lease)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a user holds a live credential.
pub(super) async fn lives(
    lease: &mut Lease,
    identity: &Identity,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT fingerprint FROM credentials WHERE contract_id = $1 AND user_id = $2 \
         AND acquired_at IS NOT NULL AND revoked_at IS NULL AND retired_at IS NULL AND not_after >= $3",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(now.as_second())
    .fetch_all(&mut **lease)
    .await?;
    Ok(!rows.is_empty())
}

async fn put_permit(
    lease: &mut Lease,
    identity: &Identity,
    by: &str,
    lapses_at: Timestamp,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO permits (contract_id, user_id, permitted_at, permitted_by, lapses_at) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (contract_id, user_id) DO UPDATE SET \
         permitted_at = $3, permitted_by = $4, lapses_at = $5",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(now.as_second())
    .bind(by)
    .bind(lapses_at.as_second())
    .execute(&mut **lease)
    .await
    .map(drop)
}

/// Drops a permit, used up or taken back.
pub(super) async fn drop_permit(lease: &mut Lease, identity: &Identity) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM permits WHERE contract_id = $1 AND user_id = $2")
        .bind(identity.contract.as_str())
        .bind(identity.user.as_str())
        .execute(&mut **lease)
        .await
        .map(drop)
}

/// Whether a user has a permit that has not lapsed.
pub(super) async fn is_permitted(
    lease: &mut Lease,
    identity: &Identity,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as(
        "SELECT lapses_at FROM permits WHERE contract_id = $1 AND user_id = $2 AND lapses_at >= $3",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(now.as_second())
    .fetch_all(&mut **lease)
    .await?;
    Ok(!rows.is_empty())
}
