//! Suspending users, and lifting it.

use jiff::Timestamp;

use super::notices::{About, tell_administrators};
use super::values::suspension;
use super::{Directory, Suspension, pins};
use crate::domain::{Identity, NoticeKind, SuspensionCause};
use crate::stores::Unavailable;

impl Directory {
    /// Suspends a user, together with the notice to the contract's administrators, in one transaction. False if there
    /// is no such user, or they are suspended for that cause already: then nothing happens.
    pub async fn suspend_user(
        &self,
        identity: &Identity,
        cause: SuspensionCause,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let (contract, user) = (identity.contract.as_str(), identity.user.as_str());
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let done = sqlx::query(
                    "INSERT INTO suspensions (contract_id, user_id, cause, suspended_at) \
                     SELECT u.contract_id, u.user_id, $3, $4 FROM users u \
                     WHERE u.contract_id = $1 AND u.user_id = $2 ON CONFLICT DO NOTHING",
                )
                .bind(contract)
                .bind(user)
                .bind(cause.code())
                .bind(now.as_second())
                .execute(&mut *lease)
                .await?;
                if done.rows_affected() == 0 {
                    // Written all the same: it takes as long as for somebody who is there (T44).
                    lease.commit().await?;
                    return Ok(false);
                }
                sqlx::query("UPDATE users SET change = $3 WHERE contract_id = $1 AND user_id = $2")
                    .bind(contract)
                    .bind(user)
                    .bind(change)
                    .execute(&mut *lease)
                    .await?;
                let about = About::change(NoticeKind::Suspension, identity, change);
                tell_administrators(&mut lease, &about, now).await?;
                lease.commit().await?;
                Ok(true)
            })
            .await
    }

    /// Lifts every suspension of a user and forgets their attempts. `None` if there is no such user, else what was
    /// lifted.
    pub async fn lift_user(&self, identity: &Identity) -> Result<Option<Vec<Suspension>>, Unavailable> {
        self.lift(identity, "").await
    }

    /// The same, as far as it is the contract's administrator's to lift: what bank staff have suspended stays so.
    pub async fn lift_by_administrator(
        &self,
        identity: &Identity,
    ) -> Result<Option<Vec<Suspension>>, Unavailable> {
        self.lift(identity, SuspensionCause::Staff.code()).await
    }

    /// Lifts every suspension but those for `kept`.
    async fn lift(&self, identity: &Identity, kept: &str) -> Result<Option<Vec<Suspension>>, Unavailable> {
        let (contract, user) = (identity.contract.as_str(), identity.user.as_str());
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let done =
                    sqlx::query("UPDATE users SET change = $3 WHERE contract_id = $1 AND user_id = $2")
                        .bind(contract)
                        .bind(user)
                        .bind(change)
                        .execute(&mut *lease)
                        .await?;
                if done.rows_affected() == 0 {
                    lease.undo().await?;
                    return Ok(None);
                }
                let rows: Vec<(String, i64)> = sqlx::query_as(
                    "DELETE FROM suspensions WHERE contract_id = $1 AND user_id = $2 AND cause <> $3 \
                     RETURNING cause, suspended_at",
                )
                .bind(contract)
                .bind(user)
                .bind(kept)
                .fetch_all(&mut *lease)
                .await?;
                pins::forget(&mut lease, identity).await?;
                lease.commit().await?;
                let mut lifted = rows
                    .iter()
                    .filter_map(|(cause, at)| suspension(Some(cause), Some(*at)).transpose())
                    .collect::<Result<Vec<_>, _>>()?;
                lifted.sort_by_key(|suspension| (suspension.at, suspension.cause.code()));
                Ok(Some(lifted))
            })
            .await
    }
}
