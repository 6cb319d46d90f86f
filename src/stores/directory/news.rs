//! Hearing of changes at once, where the database can say so: PostgreSQL's NOTIFY. Where it can't, or where a message
//! is lost, whoever asks every now and then finds them all the same.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

/// The channel.
pub(super) const CHANNEL: &str = "sekisho_changes";
/// How long it is waited before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// Hears of changes.
pub struct News {
    /// `None` for SQLite.
    options: Option<PgConnectOptions>,
    listener: Option<PgListener>,
}

impl News {
    pub(super) const fn of(options: Option<PgConnectOptions>) -> Self {
        Self { options, listener: None }
    }

    /// Waits until something has changed, or may have. Never comes back for SQLite. Can be dropped at any time.
    pub async fn next(&mut self) {
        let Some(options) = &self.options else { return std::future::pending().await };
        let Some(listener) = &mut self.listener else {
            match listen(options.clone()).await {
                // What changed before it listened was missed.
                Ok(listener) => self.listener = Some(listener),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            return;
        };
        // Without a message: the connection was lost and is made again, and what changed meanwhile was missed.
        if listener.try_recv().await.is_err() {
            self.listener = None;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn listen(options: PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
