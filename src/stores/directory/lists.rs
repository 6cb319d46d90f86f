//! Revocation lists of our own issuers: what the next one must hold, and the newest one for all gateways.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{SignedDuration, Timestamp};

use super::lease::Lease;
use super::members::{RECORD, RecordRow};
use super::values::{impossible, revocation_cause, time};
use super::{CredentialRecord, Directory, PublishedList, RevokedCredential};
use crate::stores::Unavailable;

/// A certificate stays on the list for so long after its end: clocks differ.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How many lists are kept.
const KEPT: i64 = 10;

impl Directory {
    /// The newest list of an issuer (by its key's ID), if there is one.
    pub async fn newest_list(&self, issuer: &str) -> Result<Option<PublishedList>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(i64, i64, i64, i64, String)> = sqlx::query_as(
                    "SELECT number, change, this_update, next_update, der FROM lists \
                     WHERE issuer = $1 ORDER BY number DESC LIMIT 1",
                )
                .bind(issuer)
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                let Some((number, change, this_update, next_update, der)) = rows.into_iter().next() else {
                    return Ok(None);
                };
                Ok(Some(PublishedList {
                    number: u64::try_from(number).map_err(|_| impossible("list's number"))?,
                    change,
                    this_update: time(this_update)?,
                    next_update: time(next_update)?,
                    der: BASE64_STANDARD.decode(der).map_err(|_| impossible("revocation list"))?,
                }))
            })
            .await
    }

    /// What a list made now must hold: every credential of the issuer that was revoked and has not been expired for a
    /// day, and the number of the last change among them.
    pub async fn revoked_of(
        &self,
        issuer: &str,
        now: Timestamp,
    ) -> Result<(i64, Vec<RevokedCredential>), Unavailable> {
        let since = now.checked_sub(GRACE).unwrap_or(Timestamp::MIN);
        let (change, rows) = self
            .0
            .bounded(async {
                let mut lease = self.0.read().await?;
                let rows: Vec<(String, i64, Option<String>)> = sqlx::query_as(
                    "SELECT serial, revoked_at, revoked_because FROM credentials \
                     WHERE issuer = $1 AND revoked_at IS NOT NULL AND not_after >= $2 ORDER BY revoked_at, serial",
                )
                .bind(issuer)
                .bind(since.as_second())
                .fetch_all(&mut *lease)
                .await?;
                // Also of those that have expired: it is held against all of them.
                let change = last_revocation(&mut lease, issuer).await?;
                lease.commit().await?;
                Ok::<_, Unavailable>((change, rows))
            })
            .await?;
        let revoked = rows
            .into_iter()
            .map(|(serial, at, cause)| {
                Ok(RevokedCredential { serial, at: time(at)?, cause: revocation_cause(cause.as_deref())? })
            })
            .collect::<Result<_, Unavailable>>()?;
        Ok((change, revoked))
    }

    /// Every credential that we have signed, with this issuer's key or an earlier one: those that we have published a list of.
    /// The others were signed by the bank's own CAs.
    pub async fn issued(&self, issuer: &str, now: Timestamp) -> Result<Vec<CredentialRecord>, Unavailable> {
        self.0
            .bounded_by(200_000, async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<RecordRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "{RECORD} WHERE issuer = $1 OR issuer IN (SELECT issuer FROM lists) ORDER BY registered_at"
                )))
                .bind(issuer)
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.into_iter().map(|row| row.record(now)).collect()
            })
            .await
    }

    /// The number of the last change to the revocations of an issuer. A list with a smaller one is out of date.
    pub async fn last_revocation(&self, issuer: &str) -> Result<i64, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let change = last_revocation(&mut lease, issuer).await?;
                lease.done();
                Ok(change)
            })
            .await
    }

    /// Publishes a list. False if another gateway has published that number: then that one counts.
    pub async fn publish_list(&self, issuer: &str, list: &PublishedList) -> Result<bool, Unavailable> {
        let number = i64::try_from(list.number).map_err(|_| impossible("list's number"))?;
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                let done = sqlx::query(
                    "INSERT INTO lists (issuer, number, change, this_update, next_update, der) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                )
                .bind(issuer)
                .bind(number)
                .bind(list.change)
                .bind(list.this_update.as_second())
                .bind(list.next_update.as_second())
                .bind(BASE64_STANDARD.encode(&list.der))
                .execute(&mut *lease)
                .await?;
                sqlx::query("DELETE FROM lists WHERE issuer = $1 AND number <= $2")
                    .bind(issuer)
                    .bind(number - KEPT)
                    .execute(&mut *lease)
                    .await?;
                lease.commit().await?;
                Ok(done.rows_affected() == 1)
            })
            .await
    }
}

async fn last_revocation(lease: &mut Lease, issuer: &str) -> Result<i64, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as(
        "SELECT COALESCE(MAX(change), 0) FROM credentials WHERE issuer = $1 AND revoked_at IS NOT NULL",
    )
    .bind(issuer)
    .fetch_all(&mut **lease)
    .await?;
    Ok(rows.first().map_or(0, |(change,)| *change))
}
