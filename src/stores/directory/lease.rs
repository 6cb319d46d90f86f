//! One connection for one operation: how long it may take, how it begins and ends, and what becomes of a connection
//! that failed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::news::CHANNEL;
use crate::stores::Unavailable;

/// What speaks SQL on the other side. The statements are the same; how a transaction begins is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Begins a transaction that will write. SQLite's takes the write lock at once: one that only asked for it at its
    /// first write could be refused there (SQLITE_BUSY), however long it was willing to wait.
    const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Begins a transaction whose reads all see one moment. They may take as long as its caller waits.
    const fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0"
            }
        }
    }
}

/// What all clones of a directory share.
pub(super) struct Store {
    pub(super) engine: Engine,
    pub(super) pool: AnyPool,
    /// Where changes are heard of.
    pub(super) news: Option<PgConnectOptions>,
    /// Bounds every operation.
    pub(super) timeout: Duration,
    /// SQLite has one writer at a time. In line here they take turns; at its own lock they would sleep and retry.
    pub(super) writers: Option<Arc<Semaphore>>,
}

impl Store {
    /// Does `work`, or gives up in time.
    pub(super) async fn bounded<T, E: From<Unavailable>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        within(self.timeout, work).await
    }

    /// The same for work on many rows: each thousand of them may take as long as one operation.
    pub(super) async fn bounded_by<T, E: From<Unavailable>>(
        &self,
        rows: usize,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let thousands = u32::try_from(rows / 1000).unwrap_or(u32::MAX);
        within(self.timeout.saturating_mul(thousands.saturating_add(1)), work).await
    }

    /// A connection for single statements.
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        Ok(Lease {
            connection: Some(self.pool.acquire().await?),
            turn: None,
            engine: self.engine,
            is_news: false,
        })
    }

    /// A connection for a single statement that writes.
    pub(super) async fn lease_to_write(&self) -> Result<Lease, sqlx::Error> {
        let turn = match &self.writers {
            Some(writers) => {
                Some(writers.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?)
            }
            None => None,
        };
        let mut lease = self.lease().await?;
        lease.turn = turn;
        Ok(lease)
    }

    /// A connection in a transaction that sees one moment.
    pub(super) async fn read(&self) -> Result<Lease, sqlx::Error> {
        let mut lease = self.lease().await?;
        sqlx::raw_sql(self.engine.begin_read()).execute(&mut *lease).await?;
        Ok(lease)
    }

    /// A connection in a transaction that writes.
    pub(super) async fn write(&self) -> Result<Lease, sqlx::Error> {
        let mut lease = self.lease_to_write().await?;
        sqlx::raw_sql(self.engine.begin_write()).execute(&mut *lease).await?;
        Ok(lease)
    }

    /// The same for what the registry has to know of, with the change's number. The row that counts them stays locked
    /// until the end: changes become visible in the order of their numbers.
    pub(super) async fn change(&self) -> Result<(Lease, i64), sqlx::Error> {
        let mut lease = self.write().await?;
        let number = lease.next_change().await?;
        Ok((lease, number))
    }
}

/// Does `work`, or gives up after `timeout`.
pub(super) async fn within<T, E: From<Unavailable>>(
    timeout: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        Err(Unavailable::new("directory", format_args!("no answer within {timeout:?}")).into())
    })
}

/// A connection on loan. Only one whose work came to its end goes back into the pool: after an error, in time or not,
/// it is closed, and with it whatever it had begun is undone.
pub(super) struct Lease {
    connection: Option<PoolConnection<Any>>,
    /// Given back after the connection.
    turn: Option<OwnedSemaphorePermit>,
    engine: Engine,
    /// Whether registries want to hear of what it did.
    is_news: bool,
}

impl Lease {
    /// Ends work that was a single statement, or only read.
    pub(super) fn done(mut self) {
        self.connection = None;
    }

    /// The number of the change that this transaction is.
    pub(super) async fn next_change(&mut self) -> Result<i64, sqlx::Error> {
        let rows: Vec<(i64,)> = sqlx::query_as("UPDATE changes SET number = number + 1 RETURNING number")
            .fetch_all(&mut **self)
            .await?;
        self.is_news = true;
        rows.first().map(|(number,)| *number).ok_or(sqlx::Error::RowNotFound)
    }

    /// Makes the transaction's work last.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.is_news && self.engine == Engine::Postgres {
            // It goes out with the COMMIT, or not at all.
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut *self).await?;
        }
        sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
        self.done();
        Ok(())
    }

    /// Undoes the transaction's work.
    pub(super) async fn undo(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(&mut *self).await?;
        self.done();
        Ok(())
    }
}

impl Deref for Lease {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection.as_deref().expect("it is there until the lease ends")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_deref_mut().expect("it is there until the lease ends")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
        drop(self.turn.take());
    }
}

impl From<sqlx::Error> for Unavailable {
    /// Says what went wrong without the statement's values, which sqlx doesn't show either.
    fn from(error: sqlx::Error) -> Self {
        match error {
            // Of all that a server says only its first sentence: its details may quote a row.
            sqlx::Error::Database(error) => Self::new("directory", error.message()),
            error => Self::new("directory", error),
        }
    }
}
