//! Bringing a registry up to date, and dropping what is forgotten.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::Directory;
use super::lease::{Lease, within};
use super::values::{cause, contract_id, identity, impossible, optional_time, role};
use crate::stores::Unavailable;
use crate::stores::registry::{Changes, CredentialEntry, Entry, Registry, Stage};

/// How many operations' time reading the picture may take: at first, or after an import, that is everybody.
const READING_PATIENCE: u32 = 12;
/// How many forgotten attempts go at once, so that nobody waits for it long.
const PRUNED_AT_ONCE: u64 = 1000;

/// A user with one of their suspensions, if any.
#[derive(sqlx::FromRow)]
struct Row {
    contract_id: String,
    user_id: String,
    role: String,
    credential_until: Option<i64>,
    cause: Option<String>,
}

/// A credential, as far as the data path has to know of it.
#[derive(sqlx::FromRow)]
struct CredentialRow {
    fingerprint: String,
    not_after: i64,
    acquired_at: Option<i64>,
    used_at: Option<i64>,
    retired_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl CredentialRow {
    fn entry(self) -> Result<([u8; 32], CredentialEntry), Unavailable> {
        let fingerprint = fingerprint(&self.fingerprint).ok_or_else(|| impossible("fingerprint"))?;
        let stage = match (self.revoked_at, self.retired_at, self.acquired_at) {
            (Some(_), ..) => Stage::Revoked,
            (None, Some(_), _) => Stage::Retired,
            (None, None, None) => Stage::Issued,
            (None, None, Some(_)) if self.used_at.is_none() => Stage::Unused,
            (None, None, Some(_)) => Stage::Used,
        };
        Ok((fingerprint, CredentialEntry { stage, until: self.not_after }))
    }
}

/// 32 bytes from 64 hexadecimal digits.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl Directory {
    /// Brings a registry up to date: everything on its first call, afterwards what changed since. Cheap if nothing did.
    pub async fn refresh(&self, registry: &Registry, now: Timestamp) -> Result<(), Unavailable> {
        let known = registry.change();
        let number = self.0.bounded(self.last_change()).await?;
        let changes = if number == known && known > 0 {
            Changes { change: number, ..Changes::default() }
        } else {
            within(self.0.timeout.saturating_mul(READING_PATIENCE), self.changes_since(known)).await?
        };
        registry.apply(changes, now);
        Ok(())
    }

    async fn last_change(&self) -> Result<i64, Unavailable> {
        let mut lease = self.0.lease().await?;
        let number = number(&mut lease).await?;
        lease.done();
        Ok(number)
    }

    async fn changes_since(&self, known: i64) -> Result<Changes, Unavailable> {
        let mut lease = self.0.read().await?;
        let number = number(&mut lease).await?;
        // A directory that was restored from a backup goes back in its numbers: then nothing of the picture holds.
        let is_whole = known == 0 || number < known;
        let since = if is_whole { -1 } else { known };
        let contracts: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT id, suspended_at FROM contracts WHERE change > $1")
                .bind(since)
                .fetch_all(&mut *lease)
                .await?;
        let users: Vec<Row> = sqlx::query_as(
            "SELECT u.contract_id, u.user_id, u.role, \
             (SELECT MAX(k.not_after) FROM credentials k WHERE k.contract_id = u.contract_id \
              AND k.user_id = u.user_id AND k.acquired_at IS NOT NULL AND k.revoked_at IS NULL \
              AND k.retired_at IS NULL) AS credential_until, s.cause FROM users u \
             LEFT JOIN suspensions s ON s.contract_id = u.contract_id AND s.user_id = u.user_id \
             WHERE u.change > $1",
        )
        .bind(since)
        .fetch_all(&mut *lease)
        .await?;
        let mut credentials = Vec::new();
        {
            let mut rows = sqlx::query_as::<_, CredentialRow>(
                "SELECT fingerprint, not_after, acquired_at, used_at, retired_at, revoked_at FROM credentials \
                 WHERE change > $1",
            )
            .bind(since)
            .fetch(&mut *lease);
            while let Some(row) = rows.try_next().await? {
                credentials.push(row.entry()?);
            }
        }
        lease.commit().await?;

        let mut entries: HashMap<_, Entry> = HashMap::new();
        for row in users {
            let (role, credential_until) = (role(&row.role)?, optional_time(row.credential_until)?);
            let entry = entries.entry(identity(&row.contract_id, &row.user_id)?).or_insert_with(|| Entry {
                role,
                suspensions: Vec::new(),
                credential_until,
            });
            if let Some(code) = row.cause {
                entry.suspensions.push(cause(&code)?);
            }
        }
        let contracts = contracts
            .into_iter()
            .map(|(id, suspended_at)| Ok((contract_id(&id)?, suspended_at.is_some())))
            .collect::<Result<_, Unavailable>>()?;
        Ok(Changes { is_whole, change: number, users: entries.into_iter().collect(), contracts, credentials })
    }

    /// Drops attempts that are forgotten anyway.
    pub async fn prune(&self, now: Timestamp) -> Result<(), Unavailable> {
        while self.0.bounded(self.prune_some(now)).await? >= PRUNED_AT_ONCE {}
        Ok(())
    }

    async fn prune_some(&self, now: Timestamp) -> Result<u64, Unavailable> {
        let mut lease = self.0.lease_to_write().await?;
        // The time is asked for twice: between the two looks somebody may have counted another attempt.
        let done = sqlx::query(
            "DELETE FROM attempts WHERE forgotten_at <= $1 AND (tag, proven) IN \
             (SELECT tag, proven FROM attempts WHERE forgotten_at <= $1 LIMIT $2)",
        )
        .bind(now.as_second())
        .bind(PRUNED_AT_ONCE.cast_signed())
        .execute(&mut *lease)
        .await?;
        lease.done();
        Ok(done.rows_affected())
    }
}

/// The number of the last change.
async fn number(lease: &mut Lease) -> Result<i64, sqlx::Error> {
    let rows: Vec<(i64,)> = sqlx::query_as("SELECT number FROM changes").fetch_all(&mut **lease).await?;
    rows.first().map(|(number,)| *number).ok_or(sqlx::Error::RowNotFound)
}
