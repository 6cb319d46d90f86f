//! Looking at the contract's users.

use super::{Administered, Administration, done};
use crate::flows::Asker;
use crate::stores::{Member, Members, Page, Unavailable};

impl Administration {
    /// The users of the administrator's contract.
    pub async fn list(
        &self,
        asker: Asker<'_>,
        search: &str,
        page: Page,
    ) -> Result<Administered<Members>, Unavailable> {
        let administrator = done!(self.administrator(asker).await?);
        let members = self.directory().members(&administrator.contract, search, page, self.now()).await?;
        Ok(Administered::Done(members))
    }

    /// One of them, by the ID as typed.
    pub async fn show(&self, asker: Asker<'_>, user: &str) -> Result<Administered<Member>, Unavailable> {
        let administrator = done!(self.administrator(asker).await?);
        let Some(identity) = Self::colleague(&administrator, user) else { return Ok(Administered::NotFound) };
        let member = self.directory().member(&identity, self.now()).await?;
        Ok(member.map_or(Administered::NotFound, Administered::Done))
    }
}
