//! The issuer's revocation list: made anew when something was revoked and when its time has come, once for all
//! gateways. Whichever is first publishes it; the others find it in the directory.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::pki::{Issuer, ListEntry};
use crate::stores::{Directory, PublishedList, Unavailable};

/// What publishing is built from.
pub struct ListSettings {
    /// The durable store.
    pub directory: Directory,
    /// What signs.
    pub issuer: Arc<Issuer>,
    /// How often there is a new list in any case.
    pub every: Duration,
    /// How long a list is valid.
    pub validity: Duration,
}

/// Publishes the issuer's revocation list.
pub struct RevocationLists {
    settings: ListSettings,
}

impl RevocationLists {
    /// Puts it together.
    pub const fn new(settings: ListSettings) -> Self {
        Self { settings }
    }

    /// The list in force, which is made first if it is due.
    pub async fn current(&self, now: Timestamp) -> Result<PublishedList, Unavailable> {
        let directory = &self.settings.directory;
        let id = self.settings.issuer.id();
        loop {
            let newest = directory.newest_list(id).await?;
            let last_change = directory.last_revocation(id).await?;
            if let Some(list) = &newest
                && last_change <= list.change
                && now < later(list.this_update, self.settings.every)
            {
                return Ok(list.clone());
            }
            let list = self.make(newest.map_or(0, |newest| newest.number) + 1, now).await?;
            // Another gateway may have been faster, and may not have known of the last revocation: look again.
            if directory.publish_list(id, &list).await? {
                return Ok(list);
            }
        }
    }

    /// A new list, due or not, with a number that none before it has: the seconds since 1970. When the directory went back to a
    /// backup its numbers did too, and whoever has seen later ones would take no list until they are reached again.
    pub async fn anew(&self, now: Timestamp) -> Result<PublishedList, Unavailable> {
        let directory = &self.settings.directory;
        let id = self.settings.issuer.id();
        loop {
            let next = directory.newest_list(id).await?.map_or(0, |newest| newest.number) + 1;
            let list = self.make(next.max(now.as_second().unsigned_abs()), now).await?;
            if directory.publish_list(id, &list).await? {
                return Ok(list);
            }
        }
    }

    async fn make(&self, number: u64, now: Timestamp) -> Result<PublishedList, Unavailable> {
        let issuer = Arc::clone(&self.settings.issuer);
        let (change, revoked) = self.settings.directory.revoked_of(issuer.id(), now).await?;
        let entries: Vec<_> = revoked
            .into_iter()
            .map(|revoked| ListEntry { serial: revoked.serial, at: revoked.at, cause: revoked.cause })
            .collect();
        let this_update = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let next_update = later(this_update, self.settings.validity);
        // An HSM takes its time.
        let signed =
            tokio::task::spawn_blocking(move || issuer.sign_list(number, &entries, this_update, next_update));
        let der = signed
            .await
            .map_err(|error| Unavailable::new("issuer", error))?
            .map_err(|error| super::acquisition::issuer_trouble(&error))?;
        Ok(PublishedList { number, change, this_update, next_update, der })
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
