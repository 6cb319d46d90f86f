//! The ticket secrets in the file.

use sqlx::Sqlite;

use super::{Embedded, failed};
use crate::stores::Unavailable;
use crate::stores::state::{MOST_TICKET_SECRETS, StoredTicketSecret, TicketSecretOffer, millis};

impl Embedded {
    pub(in crate::stores::state) async fn ticket_secrets(
        &self,
        now: i64,
    ) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        lasting(&self.pool, now).await
    }

    pub(in crate::stores::state) async fn offer_ticket_secret(
        &self,
        offer: &TicketSecretOffer<'_>,
        now: i64,
    ) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let secret = offer.secret;
        let mut write = self.write(now).await?;
        let held = lasting(&mut *write, now).await?;
        let knows = |id: &String| offer.replaces.contains(id) || offer.others.contains(id);
        let mut ids = held.iter().map(|held| &held.id);
        // Those from when the clock was far ahead would keep new ones from being made, for as long as that was.
        let soon = now + millis(offer.lasts) + HOUR;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM ticket_secrets WHERE forgotten > ? AND forgotten <= ?")
                .bind(now)
                .bind(soon)
                .fetch_one(&mut *write)
                .await
                .map_err(failed)?;
        if ids.any(|id| *id == secret.id || !knows(id)) || count >= MOST_TICKET_SECRETS {
            return Ok(held);
        }
        for id in offer.replaces {
            sqlx::query("UPDATE ticket_secrets SET forgotten = min(forgotten, ?) WHERE id = ?")
                .bind(now + millis(offer.replaced_last))
                .bind(id)
                .execute(&mut *write)
                .await
                .map_err(failed)?;
        }
        sqlx::query("REPLACE INTO ticket_secrets (id, sealed, forgotten) VALUES (?, ?, ?)")
            .bind(&secret.id)
            .bind(&secret.sealed)
            .bind(now + millis(offer.lasts))
            .execute(&mut *write)
            .await
            .map_err(failed)?;
        let held = lasting(&mut *write, now).await?;
        write.commit().await.map_err(failed)?;
        Ok(held)
    }
}

/// In milliseconds.
const HOUR: i64 = 3_600_000;

/// Those that last, by their IDs.
async fn lasting(
    store: impl sqlx::Executor<'_, Database = Sqlite>,
    now: i64,
) -> Result<Vec<StoredTicketSecret>, Unavailable> {
    let held: Vec<(String, String)> =
        sqlx::query_as("SELECT id, sealed FROM ticket_secrets WHERE forgotten > ? ORDER BY id")
            .bind(now)
            .fetch_all(store)
            .await
            .map_err(failed)?;
    Ok(held.into_iter().map(|(id, sealed)| StoredTicketSecret { id, sealed }).collect())
}
