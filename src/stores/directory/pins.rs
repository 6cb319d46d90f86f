//! What signing in by PIN needs: who it would be, attempts, hashes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::lease::Lease;
use super::values::{language, last_sign_in, optional_time, role, suspension, time};
use super::{Attempts, Candidate, Directory, LastSignIn};
use crate::domain::{Identity, UserTag};
use crate::stores::Unavailable;

/// A user with one of their suspensions, if any.
#[derive(sqlx::FromRow)]
struct Row {
    role: String,
    language: String,
    pin_hash: Option<String>,
    pin_temporary_until: Option<i64>,
    last_sign_in_at: Option<i64>,
    last_sign_in_method: Option<String>,
    contract_suspended_at: Option<i64>,
    live_credentials: i64,
    cause: Option<String>,
    suspended_at: Option<i64>,
}

const CANDIDATE: &str = "SELECT u.role, u.language, u.pin_hash, u.pin_temporary_until, u.last_sign_in_at, \
     u.last_sign_in_method, c.suspended_at AS contract_suspended_at, \
     (SELECT COUNT(*) FROM credentials k WHERE k.contract_id = u.contract_id AND k.user_id = u.user_id \
      AND k.acquired_at IS NOT NULL AND k.revoked_at IS NULL AND k.retired_at IS NULL \
      AND k.not_after >= $3) AS live_credentials, s.cause, s.suspended_at \
     FROM users u JOIN contracts c ON c.id = u.contract_id \
     LEFT JOIN suspensions s ON s.contract_id = u.contract_id AND s.user_id = u.user_id \
     WHERE u.contract_id = $1 AND u.user_id = $2 ORDER BY s.suspended_at, s.cause";

/// One statement, which counts only if fewer than the most were made: of many at once, each sees what those before
/// it did. SQLite has one writer; PostgreSQL locks the row and looks at its newest version, which only READ COMMITTED
/// lets it do.
const COUNT: &str = "INSERT INTO attempts (tag, proven, made, forgotten_at) \
     VALUES ($1, $2, 1, $5) ON CONFLICT (tag, proven) DO UPDATE SET \
     made = CASE WHEN attempts.forgotten_at <= $4 THEN 1 ELSE attempts.made + 1 END, forgotten_at = $5 \
     WHERE attempts.made < $3 OR attempts.forgotten_at <= $4 RETURNING made";

/// Forgets the attempts of one kind.
async fn forget_of_kind(lease: &mut Lease, identity: &Identity, proven: bool) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM attempts WHERE tag = $1 AND proven = $2")
        .bind(UserTag::of(identity).as_str())
        .bind(i64::from(proven))
        .execute(&mut **lease)
        .await
        .map(drop)
}

/// Forgets the attempts of both kinds.
pub(super) async fn forget(lease: &mut Lease, identity: &Identity) -> Result<(), sqlx::Error> {
    forget_of_kind(lease, identity, false).await?;
    forget_of_kind(lease, identity, true).await
}

impl Directory {
    /// What a sign-in at `now` needs to know. `None` for IDs that nobody has. One query, for whomever.
    ///
    /// A credential is live until its notAfter, unless it was revoked; also before its notBefore, so that nobody has to
    /// wait for T40.
    pub async fn candidate(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Option<Candidate>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<Row> = sqlx::query_as(CANDIDATE)
                    .bind(identity.contract.as_str())
                    .bind(identity.user.as_str())
                    .bind(now.as_second())
                    .fetch_all(&mut *lease)
                    .await?;
                lease.done();
                candidate(rows)
            })
            .await
    }

    /// Counts an attempt for the IDs that somebody typed, whether anybody has them or not, before the PIN is looked at.
    /// Atomic. Returns which one it is in a row, or `None` if `attempts.limit` had been made before: then it is not
    /// counted. `proven` tells attempts behind the user's own certificate, which are counted for themselves.
    pub async fn count_attempt(
        &self,
        identity: &Identity,
        proven: bool,
        attempts: Attempts,
        now: Timestamp,
    ) -> Result<Option<u32>, Unavailable> {
        let quiet = SignedDuration::try_from(attempts.quiet).unwrap_or(SignedDuration::MAX);
        // Beyond the end of time, it is never forgotten.
        let forgotten_at = now.checked_add(quiet).unwrap_or(Timestamp::MAX);
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                let rows: Vec<(i64,)> = sqlx::query_as(COUNT)
                    .bind(UserTag::of(identity).as_str())
                    .bind(i64::from(proven))
                    .bind(i64::from(attempts.limit))
                    .bind(now.as_second())
                    .bind(forgotten_at.as_second())
                    .fetch_all(&mut *lease)
                    .await?;
                lease.done();
                Ok(rows.first().map(|(made,)| u32::try_from(*made).unwrap_or(u32::MAX)))
            })
            .await
    }

    /// Takes back one attempt: no PIN was looked at after all.
    pub async fn uncount_attempt(&self, identity: &Identity, proven: bool) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                sqlx::query(
                    "UPDATE attempts SET made = made - 1 WHERE tag = $1 AND proven = $2 AND made > 0",
                )
                .bind(UserTag::of(identity).as_str())
                .bind(i64::from(proven))
                .execute(&mut *lease)
                .await?;
                lease.done();
                Ok(())
            })
            .await
    }

    /// How many attempts are counted and when the last one was made, unless that is forgotten by `now`.
    pub async fn attempts(
        &self,
        identity: &Identity,
        proven: bool,
        quiet: Duration,
        now: Timestamp,
    ) -> Result<Option<(u32, Timestamp)>, Unavailable> {
        let quiet = SignedDuration::try_from(quiet).unwrap_or(SignedDuration::MAX);
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(i64, i64)> = sqlx::query_as(
                    "SELECT made, forgotten_at FROM attempts \
                     WHERE tag = $1 AND proven = $2 AND forgotten_at > $3",
                )
                .bind(UserTag::of(identity).as_str())
                .bind(i64::from(proven))
                .bind(now.as_second())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                let Some((made, forgotten_at)) = rows.first() else { return Ok(None) };
                let last = time(*forgotten_at)?.checked_sub(quiet).unwrap_or(Timestamp::MIN);
                Ok(Some((u32::try_from(*made).unwrap_or(u32::MAX), last)))
            })
            .await
    }

    /// Forgets the attempts of one kind: the PIN was right.
    pub async fn forget_attempts(&self, identity: &Identity, proven: bool) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                forget_of_kind(&mut lease, identity, proven).await?;
                lease.done();
                Ok(())
            })
            .await
    }

    /// In one transaction: the attempts of that kind, if of any, are forgotten, the sign-in is remembered, and the new hash of
    /// `rehash` (old, new), if any, takes the place of the old one (nothing happens to another one).
    pub async fn record_sign_in(
        &self,
        identity: &Identity,
        proven: Option<bool>,
        sign_in: LastSignIn,
        rehash: Option<(&str, &str)>,
    ) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                if let Some(proven) = proven {
                    forget_of_kind(&mut lease, identity, proven).await?;
                }
                sqlx::query(
                    "UPDATE users SET last_sign_in_at = $3, last_sign_in_method = $4, \
                     pin_hash = CASE WHEN pin_hash = $5 THEN $6 ELSE pin_hash END \
                     WHERE contract_id = $1 AND user_id = $2",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .bind(sign_in.at.as_second())
                .bind(sign_in.method.code())
                .bind(rehash.map(|(old, _)| old))
                .bind(rehash.map(|(_, new)| new))
                .execute(&mut *lease)
                .await?;
                Ok(lease.commit().await?)
            })
            .await
    }

    /// Replaces a PIN's hash by that of the PIN that its user has chosen. Attempts at the old one are forgotten. False if
    /// the hash isn't `old` any more: somebody else has set another PIN in the meantime.
    pub async fn change_pin(
        &self,
        identity: &Identity,
        (old, new): (&str, &str),
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                let done = sqlx::query(
                    "UPDATE users SET pin_hash = $4, pin_temporary_until = NULL, pin_set_at = $5 \
                     WHERE contract_id = $1 AND user_id = $2 AND pin_hash = $3",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .bind(old)
                .bind(new)
                .bind(now.as_second())
                .execute(&mut *lease)
                .await?;
                if done.rows_affected() == 0 {
                    lease.undo().await?;
                    return Ok(false);
                }
                forget(&mut lease, identity).await?;
                lease.commit().await?;
                Ok(true)
            })
            .await
    }

    /// Sets a PIN's hash; a temporary one until `temporary_until`. Attempts at the old one are forgotten; a suspension
    /// stays. False if there is no such user.
    pub async fn set_pin(
        &self,
        identity: &Identity,
        hash: &str,
        temporary_until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                let done = sqlx::query(
                    "UPDATE users SET pin_hash = $3, pin_temporary_until = $4, pin_set_at = $5 \
                     WHERE contract_id = $1 AND user_id = $2",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .bind(hash)
                .bind(temporary_until.map(Timestamp::as_second))
                .bind(now.as_second())
                .execute(&mut *lease)
                .await?;
                forget(&mut lease, identity).await?;
                lease.commit().await?;
                Ok(done.rows_affected() == 1)
            })
            .await
    }
}

fn candidate(rows: Vec<Row>) -> Result<Option<Candidate>, Unavailable> {
    let suspensions = rows
        .iter()
        .filter_map(|row| suspension(row.cause.as_deref(), row.suspended_at).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some(Candidate {
        role: role(&row.role)?,
        language: language(&row.language)?,
        pin_hash: row.pin_hash,
        pin_temporary_until: optional_time(row.pin_temporary_until)?,
        contract_suspended: row.contract_suspended_at.is_some(),
        suspensions,
        has_live_credential: row.live_credentials > 0,
        last_sign_in: last_sign_in(row.last_sign_in_at, row.last_sign_in_method.as_deref())?,
    }))
}
