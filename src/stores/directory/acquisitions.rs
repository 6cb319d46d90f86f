//! Acquiring a credential: from the certificate that was just signed to the one that its holder has.
//!
//! At every moment a user has at most one credential that is live and one that is on its way, and nothing but these
//! transactions moves them. Only a renewal has two live ones, until the new one is first used. All of them take the
//! next change's number first, and with it their turn.

use jiff::Timestamp;

use super::lease::Lease;
use super::notices::{About, tell_administrators, tell_user};
use super::permits::{drop_permit, is_permitted, lives, touch_user};
use super::values::identity;
use super::{AcquireOutcome, Directory, IssueOutcome, NewCredential, Right};
use crate::domain::{Identity, NoticeKind};
use crate::stores::Unavailable;

/// Of a credential: whose, its serial, notAfter, acquired, what it renews.
type Row = (String, String, String, i64, Option<i64>, Option<String>);

impl Directory {
    /// Registers a certificate that was just signed, before anybody gets it, if its user may still have it: the
    /// right is there (see [`Right`]), and neither user nor contract is suspended (T49). Whatever of theirs is issued
    /// and not yet acquired is revoked (`Superseded`), and with `Right::Instead` that one, too. With
    /// `NewCredential::acquired` it is live at once, as after [`Self::acquire`].
    pub async fn issue(&self, new: &NewCredential, now: Timestamp) -> Result<IssueOutcome, Unavailable> {
        let identity = &new.credential.identity;
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let is_renewal = matches!(new.right, Right::Renewal { .. });
                let outcome = if !touch_user(&mut lease, identity, change).await? {
                    IssueOutcome::NoRight
                } else if is_suspended(&mut lease, identity, is_renewal).await? {
                    IssueOutcome::Suspended
                } else if !take_right(&mut lease, new, change, now).await? {
                    IssueOutcome::NoRight
                } else {
                    supersede_issued(&mut lease, identity, change, now).await?;
                    insert(&mut lease, new, change, now).await?;
                    if new.acquired.is_some() {
                        let credential = &new.credential;
                        let (fingerprint, until) =
                            (&credential.fingerprint, credential.not_after.as_second());
                        tell_acquired(&mut lease, identity, fingerprint, &credential.serial, until, now)
                            .await?;
                    }
                    IssueOutcome::Issued
                };
                match outcome {
                    IssueOutcome::Issued => lease.commit().await?,
                    IssueOutcome::NoRight | IssueOutcome::Suspended => lease.undo().await?,
                }
                Ok(outcome)
            })
            .await
    }

    /// Makes an issued credential live: its holder has proven that they have it. Uses the permit up, and writes the
    /// notice. The same once more is `AlreadyLive` and changes nothing.
    pub async fn acquire(&self, fingerprint: &str, now: Timestamp) -> Result<AcquireOutcome, Unavailable> {
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let rows: Vec<Row> = sqlx::query_as(
                    "SELECT contract_id, user_id, serial, not_after, acquired_at, renews FROM credentials \
                     WHERE fingerprint = $1 AND revoked_at IS NULL AND retired_at IS NULL AND not_after >= $2",
                )
                .bind(fingerprint)
                .bind(now.as_second())
                .fetch_all(&mut *lease)
                .await?;
                let Some((contract, user, serial, not_after, acquired_at, renews)) = rows.into_iter().next()
                else {
                    lease.undo().await?;
                    return Ok(AcquireOutcome::Gone);
                };
                let identity = identity(&contract, &user)?;
                if acquired_at.is_some() {
                    lease.undo().await?;
                    return Ok(AcquireOutcome::AlreadyLive(identity));
                }
                if is_suspended(&mut lease, &identity, renews.is_some()).await? {
                    lease.undo().await?;
                    return Ok(AcquireOutcome::Suspended);
                }
                let may = match &renews {
                    Some(old) => is_live(&mut lease, &identity, old, now).await?,
                    None => {
                        is_permitted(&mut lease, &identity, now).await?
                            && !lives(&mut lease, &identity, now).await?
                    }
                };
                if !may {
                    lease.undo().await?;
                    return Ok(AcquireOutcome::Gone);
                }
                sqlx::query("UPDATE credentials SET acquired_at = $2, change = $3 WHERE fingerprint = $1")
                    .bind(fingerprint)
                    .bind(now.as_second())
                    .bind(change)
                    .execute(&mut *lease)
                    .await?;
                touch_user(&mut lease, &identity, change).await?;
                drop_permit(&mut lease, &identity).await?;
                tell_acquired(&mut lease, &identity, fingerprint, &serial, not_after, now).await?;
                lease.commit().await?;
                Ok(AcquireOutcome::Acquired(identity))
            })
            .await
    }

    /// Remembers that a live credential was used, if it is the first time, and retires every other live one of its
    /// user. Says whether anything changed.
    pub async fn first_use(&self, fingerprint: &str, now: Timestamp) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let rows: Vec<(String, String)> = sqlx::query_as(
                    "UPDATE credentials SET used_at = $2, change = $3 WHERE fingerprint = $1 AND used_at IS NULL \
                     AND acquired_at IS NOT NULL AND revoked_at IS NULL AND retired_at IS NULL \
                     AND not_after >= $2 RETURNING contract_id, user_id",
                )
                .bind(fingerprint)
                .bind(now.as_second())
                .bind(change)
                .fetch_all(&mut *lease)
                .await?;
                let Some((contract, user)) = rows.into_iter().next() else {
                    lease.undo().await?;
                    return Ok(false);
                };
                sqlx::query(
                    "UPDATE credentials SET retired_at = $4, change = $5 WHERE contract_id = $1 AND user_id = $2 \
                     AND fingerprint <> $3 AND acquired_at IS NOT NULL AND revoked_at IS NULL \
                     AND retired_at IS NULL AND not_after >= $4",
                )
                .bind(&contract)
                .bind(&user)
                .bind(fingerprint)
                .bind(now.as_second())
                .bind(change)
                .execute(&mut *lease)
                .await?;
                touch_user(&mut lease, &identity(&contract, &user)?, change).await?;
                lease.commit().await?;
                Ok(true)
            })
            .await
    }
}

/// Whether the user or the contract is suspended. Wrong PINs typed without the certificate don't stop who holds it
/// (T42), and so not who renews it.
async fn is_suspended(
    lease: &mut Lease,
    identity: &Identity,
    holds_certificate: bool,
) -> Result<bool, sqlx::Error> {
    let rows: Vec<(Option<i64>, i64)> = sqlx::query_as(
        "SELECT c.suspended_at, (SELECT COUNT(*) FROM suspensions s WHERE s.contract_id = c.id \
         AND s.user_id = $2 AND s.cause <> $3) FROM contracts c WHERE c.id = $1",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(if holds_certificate { "wrong_pins" } else { "" })
    .fetch_all(&mut **lease)
    .await?;
    Ok(rows.first().is_none_or(|(contract, user)| contract.is_some() || *user > 0))
}

/// Whether the right is there. One that is used up by what is issued is gone afterwards.
async fn take_right(
    lease: &mut Lease,
    new: &NewCredential,
    change: i64,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let identity = &new.credential.identity;
    match &new.right {
        Right::Permit => {
            let may = is_permitted(lease, identity, now).await? && !lives(lease, identity, now).await?;
            if may && new.acquired.is_some() {
                drop_permit(lease, identity).await?;
            }
            Ok(may)
        }
        Right::Renewal { of } => {
            if !is_live(lease, identity, of, now).await? {
                return Ok(false);
            }
            // What an earlier try has left: nobody has ever used it.
            sqlx::query(
                "UPDATE credentials SET revoked_at = $4, revoked_because = 'superseded', change = $5 \
                 WHERE contract_id = $1 AND user_id = $2 AND renews = $3 AND used_at IS NULL \
                 AND revoked_at IS NULL AND retired_at IS NULL",
            )
            .bind(identity.contract.as_str())
            .bind(identity.user.as_str())
            .bind(of)
            .bind(now.as_second())
            .bind(change)
            .execute(&mut **lease)
            .await?;
            Ok(true)
        }
        Right::Instead { of, not_before } => {
            let done = sqlx::query(
                "UPDATE credentials SET revoked_at = $4, revoked_because = 'superseded', change = $5 \
                 WHERE contract_id = $1 AND user_id = $2 AND fingerprint = $3 AND used_at IS NULL \
                 AND acquired_at >= $6 AND revoked_at IS NULL AND retired_at IS NULL AND not_after >= $4",
            )
            .bind(identity.contract.as_str())
            .bind(identity.user.as_str())
            .bind(of)
            .bind(now.as_second())
            .bind(change)
            .bind(not_before.as_second())
            .execute(&mut **lease)
            .await?;
            Ok(done.rows_affected() == 1)
        }
    }
}

async fn is_live(
    lease: &mut Lease,
    identity: &Identity,
    fingerprint: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT fingerprint FROM credentials WHERE contract_id = $1 AND user_id = $2 AND fingerprint = $3 \
         AND acquired_at IS NOT NULL AND revoked_at IS NULL AND retired_at IS NULL AND not_after >= $4",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(fingerprint)
    .bind(now.as_second())
    .fetch_all(&mut **lease)
    .await?;
    Ok(!rows.is_empty())
}

/// Revokes what is on its way to its user and may have reached nobody.
async fn supersede_issued(
    lease: &mut Lease,
    identity: &Identity,
    change: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE credentials SET revoked_at = $3, revoked_because = 'superseded', change = $4 \
         WHERE contract_id = $1 AND user_id = $2 AND acquired_at IS NULL AND revoked_at IS NULL",
    )
    .bind(identity.contract.as_str())
    .bind(identity.user.as_str())
    .bind(now.as_second())
    .bind(change)
    .execute(&mut **lease)
    .await
    .map(drop)
}

async fn insert(
    lease: &mut Lease,
    new: &NewCredential,
    change: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let renews = match &new.right {
        Right::Renewal { of } => Some(of.as_str()),
        Right::Permit | Right::Instead { .. } => None,
    };
    let credential = &new.credential;
    sqlx::query(
        "INSERT INTO credentials (fingerprint, contract_id, user_id, serial, not_before, not_after, \
         registered_at, acquired_at, issuer, renews, browser, registered_by, change) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
    )
    .bind(credential.fingerprint.as_str())
    .bind(credential.identity.contract.as_str())
    .bind(credential.identity.user.as_str())
    .bind(credential.serial.as_str())
    .bind(credential.not_before.as_second())
    .bind(credential.not_after.as_second())
    .bind(now.as_second())
    .bind(new.acquired.is_some().then(|| now.as_second()))
    .bind(new.issuer.as_str())
    .bind(renews)
    .bind(new.acquired.as_deref())
    .bind(change)
    .execute(&mut **lease)
    .await
    .map(drop)
}

async fn tell_acquired(
    lease: &mut Lease,
    identity: &Identity,
    fingerprint: &str,
    serial: &str,
    not_after: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let about = About::credential(NoticeKind::Acquired, identity, fingerprint, serial, not_after);
    tell_user(lease, &about, now).await?;
    tell_administrators(lease, &about, now).await
}
