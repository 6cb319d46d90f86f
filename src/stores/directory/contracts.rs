//! Contracts.

use jiff::Timestamp;

use super::lease::Lease;
use super::values::{contract_id, optional_time, time};
use super::{AddError, Contract, Directory, NewContract};
use crate::domain::ContractId;
use crate::stores::Unavailable;

type Row = (String, String, i64, Option<i64>);

fn contract((id, name, created_at, suspended_at): Row) -> Result<Contract, Unavailable> {
    Ok(Contract {
        id: contract_id(&id)?,
        name,
        created_at: time(created_at)?,
        suspended_at: optional_time(suspended_at)?,
    })
}

/// Adds a contract, unless there is one of that ID. Says whether it did.
pub(super) async fn insert(
    lease: &mut Lease,
    change: i64,
    contract: &NewContract,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO contracts (id, name, created_at, change) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(contract.id.as_str())
    .bind(contract.name.as_str())
    .bind(now.as_second())
    .bind(change)
    .execute(&mut **lease)
    .await?;
    Ok(done.rows_affected() == 1)
}

impl Directory {
    /// Adds a contract.
    pub async fn add_contract(&self, contract: &NewContract, now: Timestamp) -> Result<(), AddError> {
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                if insert(&mut lease, change, contract, now).await? {
                    lease.commit().await?;
                    Ok(())
                } else {
                    lease.undo().await?;
                    Err(AddError::Exists)
                }
            })
            .await
    }

    /// Every contract, by ID.
    pub async fn contracts(&self) -> Result<Vec<Contract>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<Row> =
                    sqlx::query_as("SELECT id, name, created_at, suspended_at FROM contracts")
                        .fetch_all(&mut *lease)
                        .await?;
                lease.done();
                let mut contracts = rows.into_iter().map(contract).collect::<Result<Vec<_>, _>>()?;
                // Not by the database, whose idea of order depends on its locale.
                contracts.sort_by(|a, b| a.id.cmp(&b.id));
                Ok(contracts)
            })
            .await
    }

    /// One contract.
    pub async fn contract(&self, id: &ContractId) -> Result<Option<Contract>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<Row> =
                    sqlx::query_as("SELECT id, name, created_at, suspended_at FROM contracts WHERE id = $1")
                        .bind(id.as_str())
                        .fetch_all(&mut *lease)
                        .await?;
                lease.done();
                rows.into_iter().next().map(contract).transpose()
            })
            .await
    }

    /// Suspends a contract, or lifts that. One that is suspended already stays so since then. False if there is no such
    /// contract.
    pub async fn suspend_contract(
        &self,
        id: &ContractId,
        since: Option<Timestamp>,
    ) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let (mut lease, change) = self.0.change().await?;
                let done = sqlx::query(
                    "UPDATE contracts SET change = $3, suspended_at = \
                     CASE WHEN $2 IS NULL THEN NULL ELSE COALESCE(suspended_at, $2) END WHERE id = $1",
                )
                .bind(id.as_str())
                .bind(since.map(Timestamp::as_second))
                .bind(change)
                .execute(&mut *lease)
                .await?;
                lease.commit().await?;
                Ok(done.rows_affected() == 1)
            })
            .await
    }
}
