//! Revocation lists of our own issuers: what the next one must hold, and the newest one for all gateways.

use jiff::Timestamp;

use super::{CredentialRecord, Directory, PublishedList, RevokedCredential};
use crate::stores::Unavailable;

impl Directory {
    /// The newest list of an issuer (by its key's ID), if there is one.
    pub async fn newest_list(&self, issuer: &str) -> Result<Option<PublishedList>, Unavailable> {
        let _ = issuer;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// What a list made now must hold: every credential of the issuer that was revoked and has not expired (RFC 5280 allows
    /// dropping one after a list has held it past its end; a day's grace is kept), and the number of the last change
    /// among them.
    pub async fn revoked_of(
        &self,
        issuer: &str,
        now: Timestamp,
    ) -> Result<(i64, Vec<RevokedCredential>), Unavailable> {
        let _ = (issuer, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Every credential that an issuer signed.
    pub async fn issued_by(
        &self,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Vec<CredentialRecord>, Unavailable> {
        let _ = (issuer, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The number of the last change to the revocations of an issuer. A list with a smaller one is out of date.
    pub async fn last_revocation(&self, issuer: &str) -> Result<i64, Unavailable> {
        let _ = issuer;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Publishes a list. False if another gateway has published that number: then that one counts.
    pub async fn publish_list(&self, issuer: &str, list: &PublishedList) -> Result<bool, Unavailable> {
        let _ = (issuer, list);
        Err(Unavailable::new("directory", "not built yet"))
    }
}
