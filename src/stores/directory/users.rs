//! Users: adding them, one by one or many at once, and looking at them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lease::Lease;
use super::values::{identity, language, last_sign_in, optional_time, role, suspension, time};
use super::{AddError, Directory, NewContract, NewUser, User, contracts};
use crate::domain::{ContractId, Identity, UserId};
use crate::stores::Unavailable;

/// One user with one of their suspensions, if any.
#[derive(sqlx::FromRow)]
struct Row {
    user_id: String,
    role: String,
    mail: Option<String>,
    language: String,
    has_pin: i64,
    pin_temporary_until: Option<i64>,
    last_sign_in_at: Option<i64>,
    last_sign_in_method: Option<String>,
    credential_until: Option<i64>,
    created_at: i64,
    cause: Option<String>,
    suspended_at: Option<i64>,
}

const SELECT: &str = "SELECT u.user_id, u.role, u.mail, u.language, \
     CAST(CASE WHEN u.pin_hash IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_pin, u.pin_temporary_until, \
     u.last_sign_in_at, u.last_sign_in_method, \
     (SELECT MAX(c.not_after) FROM credentials c WHERE c.contract_id = u.contract_id AND c.user_id = u.user_id \
      AND c.acquired_at IS NOT NULL AND c.revoked_at IS NULL AND c.retired_at IS NULL AND c.not_after >= $3) AS credential_until, \
     u.created_at, s.cause, s.suspended_at \
     FROM users u LEFT JOIN suspensions s ON s.contract_id = u.contract_id AND s.user_id = u.user_id \
     WHERE u.contract_id = $1 AND ($2 IS NULL OR u.user_id = $2) ORDER BY s.suspended_at, s.cause";

/// Adds a user, unless the contract isn't there or has one of that ID. Says whether it did.
async fn insert(lease: &mut Lease, change: i64, user: &NewUser, now: Timestamp) -> Result<(), AddError> {
    let (hash, until) = match &user.pin {
        Some((hash, until)) => (Some(hash.as_str()), Some(until.as_second())),
        None => (None, None),
    };
    let contract = user.identity.contract.as_str();
    let done = sqlx::query(
        "INSERT INTO users (contract_id, user_id, role, mail, language, pin_hash, pin_set_at, \
         pin_temporary_until, created_at, change) \
         SELECT c.id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM contracts c WHERE c.id = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind(contract)
    .bind(user.identity.user.as_str())
    .bind(user.role.code())
    .bind(user.mail.as_deref())
    .bind(user.language.code())
    .bind(hash)
    .bind(hash.map(|_| now.as_second()))
    .bind(until)
    .bind(now.as_second())
    .bind(change)
    .execute(&mut **lease)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let contracts: Vec<(String,)> = sqlx::query_as("SELECT id FROM contracts WHERE id = $1")
        .bind(contract)
        .fetch_all(&mut **lease)
        .await?;
    Err(if contracts.is_empty() { AddError::NoContract } else { AddError::Exists })
}

impl Directory {
    /// Adds a user.
    pub async fn add_user(&self, user: &NewUser, now: Timestamp) -> Result<(), AddError> {
        self.import(&[], std::slice::from_ref(user), now).await.map_err(|(_, error)| error)
    }

    /// Adds contracts (those that aren't there) and users in one transaction: all or nothing. The error names the index of
    /// the first user that can't be added.
    pub async fn import(
        &self,
        contracts: &[NewContract],
        users: &[NewUser],
        now: Timestamp,
    ) -> Result<(), (Option<usize>, AddError)> {
        self.0
            .bounded_by(contracts.len() + users.len(), async {
                let (mut lease, change) = self.0.change().await.map_err(whole)?;
                for contract in contracts {
                    contracts::insert(&mut lease, change, contract, now).await.map_err(whole)?;
                }
                for (index, user) in users.iter().enumerate() {
                    match insert(&mut lease, change, user, now).await {
                        Ok(()) => {}
                        Err(error @ AddError::Unavailable(_)) => return Err(Refused(None, error)),
                        Err(error) => {
                            lease.undo().await.map_err(whole)?;
                            return Err(Refused(Some(index), error));
                        }
                    }
                }
                lease.commit().await.map_err(whole)
            })
            .await
            .map_err(|Refused(index, error)| (index, error))
    }

    /// The users of a contract, by ID.
    pub async fn users(&self, contract: &ContractId, now: Timestamp) -> Result<Vec<User>, Unavailable> {
        self.select(contract, None, now).await
    }

    /// One user.
    pub async fn user(&self, identity: &Identity, now: Timestamp) -> Result<Option<User>, Unavailable> {
        Ok(self.select(&identity.contract, Some(&identity.user), now).await?.pop())
    }

    async fn select(
        &self,
        contract: &ContractId,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<Vec<User>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<Row> = sqlx::query_as(SELECT)
                    .bind(contract.as_str())
                    .bind(user.map(UserId::as_str))
                    .bind(now.as_second())
                    .fetch_all(&mut *lease)
                    .await?;
                lease.done();
                // Sorted here: the database's idea of order depends on its locale.
                let mut users: BTreeMap<UserId, User> = BTreeMap::new();
                for row in rows {
                    let suspension = suspension(row.cause.as_deref(), row.suspended_at)?;
                    let identity = identity(contract.as_str(), &row.user_id)?;
                    let user = match users.remove(&identity.user) {
                        Some(user) => user,
                        None => row.user(identity)?,
                    };
                    let user = users.entry(user.identity.user.clone()).or_insert(user);
                    user.suspensions.extend(suspension);
                }
                Ok(users.into_values().collect())
            })
            .await
    }
}

impl Row {
    fn user(self, identity: Identity) -> Result<User, Unavailable> {
        Ok(User {
            identity,
            role: role(&self.role)?,
            mail: self.mail,
            language: language(&self.language)?,
            has_pin: self.has_pin == 1,
            pin_temporary_until: optional_time(self.pin_temporary_until)?,
            last_sign_in: last_sign_in(self.last_sign_in_at, self.last_sign_in_method.as_deref())?,
            suspensions: Vec::new(),
            credential_until: optional_time(self.credential_until)?,
            created_at: time(self.created_at)?,
        })
    }
}

/// The index of the user that can't be added, and why.
struct Refused(Option<usize>, AddError);

impl From<Unavailable> for Refused {
    fn from(error: Unavailable) -> Self {
        Self(None, error.into())
    }
}

/// What concerns no user in particular.
fn whole(error: sqlx::Error) -> Refused {
    Refused(None, error.into())
}
