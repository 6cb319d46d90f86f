//! The state in an SQLite file of the gateway's own: for gateways and commands on one machine.
//!
//! Each operation is one write transaction, taken at once: two that read first and write then would both have read the
//! same.

mod ticket_secrets;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction};

use super::{
    AttemptKey, FoundSession, KNOWN_FOR, Lasts, OpenedSession, Opening, Reservation, Throttled, read_end,
    read_record,
};
use crate::domain::{Pace, SessionEnd, SessionKey, UserTag};
use crate::stores::Unavailable;
use crate::stores::files::make_database;

/// What the file is made of. `forgotten` is when a row may go, in milliseconds.
const TABLES: &str = include_str!("embedded.sql");

/// Marks the file as ours: "Skst".
const APPLICATION: i64 = 0x536b_7374;
const MARK: &str = "PRAGMA application_id = 1399550836";

/// What expired is swept once in so many operations.
const SWEEP_EVERY: u32 = 256;

/// The state in a file.
#[derive(Clone)]
pub(super) struct Embedded {
    pool: SqlitePool,
    operations: Arc<AtomicU32>,
}

impl Embedded {
    pub(super) async fn open(path: &Path, timeout: Duration) -> Result<Self, Unavailable> {
        let named = |problem: &dyn std::fmt::Display| {
            Unavailable::new("state", format!("{}: {problem}", path.display()))
        };
        let path = &make_database(path).map_err(|error| named(&error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last moment, never the file.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(timeout);
        // One connection: writers take turns in any case, and a queue is fairer than SQLite's polling.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(timeout)
            // Where SQLite itself undid a transaction (the disk is full), sqlx takes it for open ever after.
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_lazy_with(options);
        let store = Self { pool, operations: Arc::default() };
        store.prepare().await.map_err(|error| named(&error.problem))?;
        Ok(store)
    }

    async fn prepare(&self) -> Result<(), Unavailable> {
        let mut write = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let application: i64 =
            sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *write).await.map_err(failed)?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
            .fetch_one(&mut *write)
            .await
            .map_err(failed)?;
        if application == 0 && tables == 0 {
            sqlx::raw_sql(MARK).execute(&mut *write).await.map_err(failed)?;
        } else if application != APPLICATION {
            return Err(Unavailable::new("state", "a database of something else"));
        }
        sqlx::raw_sql(TABLES).execute(&mut *write).await.map_err(failed)?;
        write.commit().await.map_err(failed)
    }

    /// Takes the right to write, and sweeps now and then.
    async fn write(&self, now: i64) -> Result<Transaction<'static, Sqlite>, Unavailable> {
        let mut write = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        if self.operations.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            for sweep in [
                "DELETE FROM attempts WHERE forgotten < ?",
                "DELETE FROM throttles WHERE forgotten < ?",
                "DELETE FROM sessions WHERE forgotten < ?",
                "DELETE FROM codes WHERE forgotten < ?",
                "DELETE FROM ticket_secrets WHERE forgotten < ?",
            ] {
                sqlx::query(sweep).bind(now).execute(&mut *write).await.map_err(failed)?;
            }
        }
        Ok(write)
    }

    pub(super) async fn ping(&self) -> Result<(), Unavailable> {
        sqlx::query("SELECT count(*) FROM codes").execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    pub(super) async fn throttle(&self, key: &str, pace: Pace, now: i64) -> Result<Throttled, Unavailable> {
        let mut write = self.write(now).await?;
        let held: Option<i64> = sqlx::query_scalar("SELECT due FROM throttles WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *write)
            .await
            .map_err(failed)?;
        let micros = now * 1000;
        // With one clock nothing is due later than that: one that was ahead denies nobody for longer than a period.
        let latest = micros + pace.burst();
        let (due, answer) = match pace.take(held.map_or(micros, |due| due.min(latest)), micros) {
            Ok(due) => (due, Throttled::Allowed),
            Err(wait) => (latest, Throttled::Denied(Duration::from_micros(wait.unsigned_abs()))),
        };
        if answer != Throttled::Allowed && held.is_none_or(|held| held <= latest) {
            return Ok(answer);
        }
        sqlx::query("REPLACE INTO throttles (key, due, forgotten) VALUES (?, ?, ?)")
            .bind(key)
            .bind(due)
            .bind(due / 1000 + 1)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        write.commit().await.map_err(failed)?;
        Ok(answer)
    }

    pub(super) async fn reserve_attempt(
        &self,
        key: &AttemptKey,
        limit: u32,
        quiet: i64,
        now: i64,
    ) -> Result<Reservation, Unavailable> {
        let mut write = self.write(now).await?;
        let held: Option<(u32, i64)> =
            sqlx::query_as("SELECT count, last FROM attempts WHERE tag = ? AND proven = ?")
                .bind(key.tag.as_str())
                .bind(key.proven)
                .fetch_optional(&mut *write)
                .await
                .map_err(failed)?;
        let (count, last) = match held {
            Some((count, last)) if now - last <= quiet => (count, last.max(now)),
            _ => (0, now),
        };
        if count >= limit {
            return Ok(Reservation::Exhausted);
        }
        sqlx::query("REPLACE INTO attempts (tag, proven, count, last, forgotten) VALUES (?, ?, ?, ?, ?)")
            .bind(key.tag.as_str())
            .bind(key.proven)
            .bind(count + 1)
            .bind(last)
            .bind(last + quiet + KNOWN_FOR)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        write.commit().await.map_err(failed)?;
        Ok(Reservation::Reserved(count + 1))
    }

    pub(super) async fn release_attempt(&self, key: &AttemptKey, now: i64) -> Result<(), Unavailable> {
        let mut write = self.write(now).await?;
        sqlx::query("UPDATE attempts SET count = count - 1 WHERE tag = ? AND proven = ? AND count > 0")
            .bind(key.tag.as_str())
            .bind(key.proven)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        write.commit().await.map_err(failed)
    }

    pub(super) async fn clear_attempts(&self, key: &AttemptKey) -> Result<(), Unavailable> {
        sqlx::query("DELETE FROM attempts WHERE tag = ? AND proven = ?")
            .bind(key.tag.as_str())
            .bind(key.proven)
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        Ok(())
    }

    pub(super) async fn open_session(
        &self,
        key: &SessionKey,
        opening: &Opening<'_>,
        now: i64,
    ) -> Result<OpenedSession, Unavailable> {
        let mut write = self.write(now).await?;
        let renewed = opening.renews.map_or("", |renewed| &renewed.hash);
        if opening.renews.is_some()
            && !is_live(&mut write, &key.tag, renewed, opening.lasts, now).await?
            && !is_live(&mut write, &key.tag, &key.hash, opening.lasts, now).await?
        {
            return Ok(OpenedSession::Gone);
        }
        let other: Option<(String, i64, i64)> = sqlx::query_as(
            "SELECT hash, created, used FROM sessions
             WHERE tag = ? AND over IS NULL AND forgotten > ? AND hash NOT IN (?, ?)",
        )
        .bind(key.tag.as_str())
        .bind(now)
        .bind(&*key.hash)
        .bind(renewed)
        .fetch_optional(&mut *write)
        .await
        .map_err(failed)?;
        if let Some((hash, created, used)) = other {
            let (at, how) = ending(created, used, opening.lasts);
            if now >= at {
                finish(&mut write, &key.tag, &hash, how, at).await?;
            } else if opening.may_replace {
                finish(&mut write, &key.tag, &hash, SessionEnd::Replaced, now).await?;
            } else {
                return Ok(OpenedSession::Occupied);
            }
        }
        forget(&mut write, &key.tag, renewed).await?;
        sqlx::query(
            "REPLACE INTO sessions (tag, hash, record, created, used, forgotten) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(key.tag.as_str())
        .bind(&*key.hash)
        .bind(opening.record)
        .bind(opening.created)
        .bind(now)
        .bind(ending(opening.created, now, opening.lasts).0 + KNOWN_FOR)
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await.map_err(failed)?;
        Ok(OpenedSession::Opened)
    }

    pub(super) async fn use_session(
        &self,
        key: &SessionKey,
        lasts: Lasts,
        counts: bool,
        now: i64,
    ) -> Result<FoundSession, Unavailable> {
        let mut write = self.write(now).await?;
        let held: Option<(Option<String>, i64, i64, Option<String>)> = sqlx::query_as(
            "SELECT record, created, used, over FROM sessions WHERE tag = ? AND hash = ? AND forgotten > ?",
        )
        .bind(key.tag.as_str())
        .bind(&*key.hash)
        .bind(now)
        .fetch_optional(&mut *write)
        .await
        .map_err(failed)?;
        let Some((record, created, used, over)) = held else { return Ok(FoundSession::Unknown) };
        if let Some(code) = over {
            return read_end(&code);
        }
        let (at, how) = ending(created, used, lasts);
        let found = if now >= at + KNOWN_FOR {
            forget(&mut write, &key.tag, &key.hash).await?;
            FoundSession::Unknown
        } else if now >= at {
            finish(&mut write, &key.tag, &key.hash, how, at).await?;
            FoundSession::Over(how)
        } else {
            let used = if counts { used.max(now) } else { used };
            sqlx::query("UPDATE sessions SET used = ?, forgotten = ? WHERE tag = ? AND hash = ?")
                .bind(used)
                .bind(ending(created, used, lasts).0 + KNOWN_FOR)
                .bind(key.tag.as_str())
                .bind(&*key.hash)
                .execute(&mut *write)
                .await
                .map_err(failed)?;
            read_record(record.as_deref().unwrap_or_default())?
        };
        write.commit().await.map_err(failed)?;
        Ok(found)
    }

    pub(super) async fn end_session(
        &self,
        key: &SessionKey,
        end: SessionEnd,
        now: i64,
    ) -> Result<(), Unavailable> {
        let mut write = self.write(now).await?;
        sqlx::query(
            "UPDATE sessions SET record = NULL, over = ?, forgotten = ?
             WHERE tag = ? AND hash = ? AND over IS NULL AND forgotten > ?",
        )
        .bind(end.code())
        .bind(now + KNOWN_FOR)
        .bind(key.tag.as_str())
        .bind(&*key.hash)
        .bind(now)
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await.map_err(failed)
    }

    pub(super) async fn end_user(&self, tag: &UserTag, end: SessionEnd, now: i64) -> Result<(), Unavailable> {
        let mut write = self.write(now).await?;
        sqlx::query(
            "UPDATE sessions SET record = NULL, over = ?, forgotten = ?
             WHERE tag = ? AND over IS NULL AND forgotten > ?",
        )
        .bind(end.code())
        .bind(now + KNOWN_FOR)
        .bind(tag.as_str())
        .bind(now)
        .execute(&mut *write)
        .await
        .map_err(failed)?;
        write.commit().await.map_err(failed)
    }

    pub(super) async fn put_code(
        &self,
        hash: &str,
        value: &str,
        lasts: i64,
        now: i64,
    ) -> Result<(), Unavailable> {
        let mut write = self.write(now).await?;
        sqlx::query("REPLACE INTO codes (hash, value, forgotten) VALUES (?, ?, ?)")
            .bind(hash)
            .bind(value)
            .bind(now + lasts)
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        write.commit().await.map_err(failed)
    }

    pub(super) async fn take_code(&self, hash: &str, now: i64) -> Result<Option<String>, Unavailable> {
        let mut write = self.write(now).await?;
        let taken: Option<(String, i64)> =
            sqlx::query_as("DELETE FROM codes WHERE hash = ? RETURNING value, forgotten")
                .bind(hash)
                .fetch_optional(&mut *write)
                .await
                .map_err(failed)?;
        write.commit().await.map_err(failed)?;
        Ok(taken.filter(|(_, forgotten)| now < *forgotten).map(|(value, _)| value))
    }
}

/// When and how a session ends that isn't used again.
fn ending(created: i64, used: i64, lasts: Lasts) -> (i64, SessionEnd) {
    let (idle, too_old) = (used + lasts.idle, created + lasts.absolute);
    if idle <= too_old { (idle, SessionEnd::Idle) } else { (too_old, SessionEnd::TooOld) }
}

/// Whether a session is there and hasn't ended.
async fn is_live(
    write: &mut Transaction<'static, Sqlite>,
    tag: &UserTag,
    hash: &str,
    lasts: Lasts,
    now: i64,
) -> Result<bool, Unavailable> {
    let held: Option<(i64, i64)> = sqlx::query_as(
        "SELECT created, used FROM sessions WHERE tag = ? AND hash = ? AND over IS NULL AND forgotten > ?",
    )
    .bind(tag.as_str())
    .bind(hash)
    .bind(now)
    .fetch_optional(&mut **write)
    .await
    .map_err(failed)?;
    Ok(held.is_some_and(|(created, used)| now < ending(created, used, lasts).0))
}

/// Ends a session: how it ended stays known for an hour, and nothing else.
async fn finish(
    write: &mut Transaction<'static, Sqlite>,
    tag: &UserTag,
    hash: &str,
    how: SessionEnd,
    at: i64,
) -> Result<(), Unavailable> {
    sqlx::query("UPDATE sessions SET record = NULL, over = ?, forgotten = ? WHERE tag = ? AND hash = ?")
        .bind(how.code())
        .bind(at + KNOWN_FOR)
        .bind(tag.as_str())
        .bind(hash)
        .execute(&mut **write)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn forget(
    write: &mut Transaction<'static, Sqlite>,
    tag: &UserTag,
    hash: &str,
) -> Result<(), Unavailable> {
    sqlx::query("DELETE FROM sessions WHERE tag = ? AND hash = ?")
        .bind(tag.as_str())
        .bind(hash)
        .execute(&mut **write)
        .await
        .map_err(failed)?;
    Ok(())
}

fn failed(error: sqlx::Error) -> Unavailable {
    Unavailable::new("state", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_full_disk_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("state.db"), Duration::from_secs(20)).await.unwrap();
        // As full as a disk can be made for one connection.
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&store.pool).await.unwrap();
        let large = "x".repeat(1 << 20);
        let refused = store.put_code("a", &large, 1000, 0).await.unwrap_err();
        assert_eq!(refused.problem, "error returned from database: (code: 13) database or disk is full");
        sqlx::raw_sql("PRAGMA max_page_count = 1000000").execute(&store.pool).await.unwrap();
        store.put_code("a", &large, 1000, 0).await.unwrap();
        assert_eq!(store.take_code("a", 1).await.unwrap(), Some(large));
    }
}
