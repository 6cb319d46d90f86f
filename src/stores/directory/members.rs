//! A contract's users as its administrator sees them: with permit, credential and suspension, searched and paged.

use jiff::Timestamp;

use super::{CredentialRecord, Directory, Member, Members, Page};
use crate::domain::{ContractId, Identity};
use crate::stores::Unavailable;

impl Directory {
    /// The users of a contract whose ID or mail address contains `search`, by ID, as far as `page` goes.
    pub async fn members(
        &self,
        contract: &ContractId,
        search: &str,
        page: Page,
        now: Timestamp,
    ) -> Result<Members, Unavailable> {
        let _ = (contract, search, page, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// One of them.
    pub async fn member(&self, identity: &Identity, now: Timestamp) -> Result<Option<Member>, Unavailable> {
        let _ = (identity, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Every credential that a user ever had, the newest first.
    pub async fn credential_history(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Vec<CredentialRecord>, Unavailable> {
        let _ = (identity, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Changes where a user's mails go, and writes the notices to the old and to the new address (T64). False if there is
    /// no such user.
    pub async fn set_mail(
        &self,
        identity: &Identity,
        mail: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let _ = (identity, mail, now);
        Err(Unavailable::new("directory", "not built yet"))
    }
}
