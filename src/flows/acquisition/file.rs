//! The way without the helper: key and certificate made here, in memory, and handed out once as a PKCS#12 file.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::codes::Browser;
use super::standpoint::Found;
use super::{Acquisition, Asker, FileOutcome, Standpoint, issuer_trouble};
use crate::domain::Identity;
use crate::pki::Signed;
use crate::stores::{IssueOutcome, Unavailable};

impl Acquisition {
    /// Makes key and certificate, and packs them. What was issued before in this acquisition is revoked, so that of two
    /// presses of the button the last one counts.
    pub async fn file(&self, asker: Asker<'_>) -> Result<FileOutcome, Unavailable> {
        let Found { acquiring, right, .. } = match self.find(asker).await? {
            Ok(found) => found,
            Err(standpoint) => return Ok(FileOutcome::Not(standpoint)),
        };
        let Some(right) = right else { return Ok(FileOutcome::Not(Standpoint::At(Box::new(acquiring)))) };
        if let Some(retry_after) = self.throttled().await? {
            return Ok(FileOutcome::Throttled { retry_after });
        }
        let identity = acquiring.identity;
        let Browser { password, mark } = Browser::new(asker.browser)?;
        let (signed, file) = self.pack(&identity, password).await?;
        Ok(match self.register(&identity, &signed, right, Some(mark), asker.visitor).await? {
            IssueOutcome::Issued => {
                self.refresh().await?;
                FileOutcome::File(file)
            }
            IssueOutcome::NoRight => FileOutcome::Not(self.standpoint(asker).await?),
            IssueOutcome::Suspended => FileOutcome::Suspended,
        })
    }

    /// The password of the file that this browser fetched, as long as its acquisition lasts. It is made anew from the
    /// browser's secret each time and kept nowhere.
    pub async fn password(&self, asker: Asker<'_>) -> Result<Option<Zeroizing<String>>, Unavailable> {
        let found = self.find(asker).await?;
        Ok(found.ok().and_then(|found| found.browser).map(|browser| browser.password))
    }

    async fn pack(
        &self,
        identity: &Identity,
        password: Zeroizing<String>,
    ) -> Result<(Signed, Zeroizing<Vec<u8>>), Unavailable> {
        let (issuer, identity) = (Arc::clone(&self.settings.issuer), identity.clone());
        let (legacy, now) = (self.settings.legacy_files, self.now());
        // An HSM takes its time.
        let signed =
            tokio::task::spawn_blocking(move || issuer.sign_file(&identity, &password, legacy, now)).await;
        signed.map_err(|error| Unavailable::new("issuer", error))?.map_err(|error| issuer_trouble(&error))
    }
}
