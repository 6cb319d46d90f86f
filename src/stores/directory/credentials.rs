//! Credentials: which certificates were issued to whom.

use jiff::Timestamp;

use super::permits::touch_user;
use super::values::time;
use super::{AddError, Credential, Directory};
use crate::domain::Identity;
use crate::stores::Unavailable;

impl Directory {
    /// Registers a certificate that the bank's CA issued without us as live and in use, and has the registry know: it
    /// ends what the PIN alone has opened. `signer` is the ID of the key that signed it: a list of that key will name it when it
    /// is revoked. One that is registered already stays as it is (`Exists`).
    pub async fn add_credential(
        &self,
        credential: &Credential,
        signer: Option<&str>,
        now: Timestamp,
    ) -> Result<(), AddError> {
        let (contract, user) = (credential.identity.contract.as_str(), credential.identity.user.as_str());
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let done = sqlx::query(
                    "INSERT INTO credentials (fingerprint, contract_id, user_id, serial, not_before, not_after, \
                     registered_at, acquired_at, used_at, registered_by, change, issuer) \
                     SELECT $3, u.contract_id, u.user_id, $4, $5, $6, $7, $7, $7, $8, $8, $9 FROM users u \
                     WHERE u.contract_id = $1 AND u.user_id = $2 ON CONFLICT DO NOTHING",
                )
                .bind(contract)
                .bind(user)
                .bind(credential.fingerprint.as_str())
                .bind(credential.serial.as_str())
                .bind(credential.not_before.as_second())
                .bind(credential.not_after.as_second())
                .bind(now.as_second())
                .bind(change)
                .bind(signer)
                .execute(&mut *lease)
                .await?;
                if done.rows_affected() == 1 {
                    touch_user(&mut lease, &credential.identity, change).await?;
                    lease.commit().await?;
                    return Ok(());
                }
                let contracts: Vec<(String, Option<String>)> = sqlx::query_as(
                    "SELECT c.id, u.user_id FROM contracts c \
                     LEFT JOIN users u ON u.contract_id = c.id AND u.user_id = $2 WHERE c.id = $1",
                )
                .bind(contract)
                .bind(user)
                .fetch_all(&mut *lease)
                .await?;
                lease.undo().await?;
                Err(match contracts.first() {
                    None => AddError::NoContract,
                    Some((_, None)) => AddError::NoUser,
                    Some((_, Some(_))) => AddError::Exists,
                })
            })
            .await
    }

    /// The live credentials of a user, the one that lasts longest first.
    pub async fn credentials(
        &self,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Vec<Credential>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
                    "SELECT fingerprint, serial, not_before, not_after FROM credentials \
                     WHERE contract_id = $1 AND user_id = $2 AND acquired_at IS NOT NULL AND revoked_at IS NULL \
                     AND retired_at IS NULL AND not_after >= $3 \
                     ORDER BY not_after DESC, not_before DESC",
                )
                .bind(identity.contract.as_str())
                .bind(identity.user.as_str())
                .bind(now.as_second())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.into_iter()
                    .map(|(fingerprint, serial, not_before, not_after)| {
                        Ok(Credential {
                            identity: identity.clone(),
                            fingerprint,
                            serial,
                            not_before: time(not_before)?,
                            not_after: time(not_after)?,
                        })
                    })
                    .collect()
            })
            .await
    }
}
