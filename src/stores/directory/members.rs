//! A contract's users as its administrator sees them: with permit, credential and suspension, searched and paged.

use jiff::Timestamp;

use super::notices::{About, tell_user};
use super::permits::touch_user;
use super::values::{identity, optional_time, revocation_cause, time};
use super::{Credential, CredentialRecord, Directory, Member, Members, Page};
use crate::domain::{ContractId, CredentialState, Identity, NoticeKind, UserId};
use crate::stores::Unavailable;

/// The beginning of a query for [`RecordRow`]s.
pub(super) const RECORD: &str = "SELECT contract_id, user_id, fingerprint, serial, not_before, not_after, \
     registered_at, acquired_at, used_at, retired_at, revoked_at, revoked_because, renews, browser FROM credentials";

/// A credential with all that became of it.
#[derive(sqlx::FromRow)]
pub(super) struct RecordRow {
    contract_id: String,
    user_id: String,
    fingerprint: String,
    serial: String,
    not_before: i64,
    not_after: i64,
    registered_at: i64,
    acquired_at: Option<i64>,
    used_at: Option<i64>,
    retired_at: Option<i64>,
    revoked_at: Option<i64>,
    revoked_because: Option<String>,
    renews: Option<String>,
    browser: Option<String>,
}

impl RecordRow {
    pub(super) fn record(self, now: Timestamp) -> Result<CredentialRecord, Unavailable> {
        let state = if self.revoked_at.is_some() {
            CredentialState::Revoked
        } else if self.retired_at.is_some() {
            CredentialState::Retired
        } else if self.not_after < now.as_second() {
            CredentialState::Expired
        } else if self.acquired_at.is_none() {
            CredentialState::Issued
        } else {
            CredentialState::Live
        };
        let revoked = match self.revoked_at {
            Some(at) => Some((time(at)?, revocation_cause(self.revoked_because.as_deref())?)),
            None => None,
        };
        Ok(CredentialRecord {
            credential: Credential {
                identity: identity(&self.contract_id, &self.user_id)?,
                fingerprint: self.fingerprint,
                serial: self.serial,
                not_before: time(self.not_before)?,
                not_after: time(self.not_after)?,
            },
            state,
            registered_at: time(self.registered_at)?,
            acquired_at: optional_time(self.acquired_at)?,
            used_at: optional_time(self.used_at)?,
            retired_at: optional_time(self.retired_at)?,
            revoked,
            renews: self.renews,
            browser: self.browser,
        })
    }
}

impl Directory {
    /// The users of a contract whose ID or mail address contains `search`, by ID, as far as `page` goes.
    pub async fn members(
        &self,
        contract: &ContractId,
        search: &str,
        page: Page,
        now: Timestamp,
    ) -> Result<Members, Unavailable> {
        let mut users = self.found(contract, search).await?;
        // Sorted here: the database's idea of order depends on its locale.
        users.sort();
        let total = users.len() as u64;
        let mut members = Vec::new();
        for user in users.into_iter().skip(page.offset as usize).take(page.limit as usize) {
            let identity = Identity { contract: contract.clone(), user };
            members.extend(self.member(&identity, now).await?);
        }
        Ok(Members { total, members })
    }

    async fn found(&self, contract: &ContractId, search: &str) -> Result<Vec<UserId>, Unavailable> {
        let mut pattern = String::from("%");
        for letter in search.trim().to_lowercase().chars() {
            if matches!(letter, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(letter);
        }
        pattern.push('%');
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(String,)> = sqlx::query_as(
                    "SELECT user_id FROM users WHERE contract_id = $1 \
                     AND (LOWER(user_id) LIKE $2 ESCAPE '!' OR LOWER(COALESCE(mail, '')) LIKE $2 ESCAPE '!')",
                )
                .bind(contract.as_str())
                .bind(pattern.as_str())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.iter().map(|(user,)| Ok(identity(contract.as_str(), user)?.user)).collect()
            })
            .await
    }

    /// One of them.
    pub async fn member(&self, identity: &Identity, now: Timestamp) -> Result<Option<Member>, Unavailable> {
        let Some(user) = self.user(identity, now).await? else { return Ok(None) };
        let permit = self.permit_of(identity).await?;
        let history = self.credential_history(identity, now).await?;
        let rank = |record: &CredentialRecord| match record.state {
            CredentialState::Live => 2,
            CredentialState::Issued => 1,
            CredentialState::Retired | CredentialState::Revoked | CredentialState::Expired => 0,
        };
        let credential = history
            .into_iter()
            .max_by_key(|record| (rank(record), record.credential.not_after, record.registered_at));
        Ok(Some(Member { user, permit, credential }))
    }

    /// Every credential that a user ever had, the newest first.
    pub async fn credential_history(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Vec<CredentialRecord>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<RecordRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "{RECORD} WHERE contract_id = $1 AND user_id = $2 ORDER BY registered_by DESC, registered_at DESC"
                )))
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.into_iter().map(|row| row.record(now)).collect()
            })
            .await
    }

    /// A credential with all that became of it, by its fingerprint.
    pub async fn credential_record(
        &self,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<CredentialRecord>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let row: Option<RecordRow> =
                    sqlx::query_as(sqlx::AssertSqlSafe(format!("{RECORD} WHERE fingerprint = $1")))
                        .bind(fingerprint)
                        .fetch_optional(&mut *lease)
                        .await?;
                lease.done();
                row.map(|row| row.record(now)).transpose()
            })
            .await
    }

    /// Changes where a user's mails go, and writes the notices to the old and to the new address (T64). False if there is
    /// no such user.
    pub async fn set_mail(
        &self,
        identity: &Identity,
        mail: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let about = About::change(NoticeKind::MailChanged, identity, change);
                if !touch_user(&mut lease, identity, change).await? {
                    lease.undo().await?;
                    return Ok(false);
                }
                tell_user(&mut lease, &about, now).await?;
                sqlx::query("UPDATE users SET mail = $3 WHERE contract_id = $1 AND user_id = $2")
                    .bind(identity.contract.as_str())
                    .bind(identity.user.as_str())
                    .bind(mail)
                    .execute(&mut *lease)
                    .await?;
                tell_user(&mut lease, &about, now).await?;
                lease.commit().await?;
                Ok(true)
            })
            .await
    }
}
