//! A directory with the users and credentials of a bank.

use std::path::Path;

use sekisho::clock::Clock;
use sqlx::Connection as _;

/// As a bank has them: many contracts of a few users each, and one large one.
pub(crate) const CREDENTIALS: u64 = 200_000;
pub(crate) const LARGE_CONTRACT: u64 = 10_000;
const USERS_OF_A_CONTRACT: u64 = 20;

pub(crate) fn contract(nth: u64) -> String {
    format!("{:014}", 20_000_000_000_000 + nth)
}

/// The contract and the user of the nth credential.
pub(crate) fn place(nth: u64) -> (String, String) {
    let contract_number =
        if nth < LARGE_CONTRACT { 0 } else { 1 + (nth - LARGE_CONTRACT) / USERS_OF_A_CONTRACT };
    (contract(contract_number), format!("user{nth:06}"))
}

pub(crate) fn fingerprint(nth: u64) -> String {
    format!("{nth:064x}")
}

/// Fills the directory by hand: through its own operations it would take a disk's patience for every user.
pub(crate) async fn fill(file: &Path) {
    let address = format!("sqlite:{}", file.display());
    let mut directory = sqlx::SqliteConnection::connect(&address).await.expect("the directory");
    let now = Clock::System.now().as_second();
    let mut all = directory.begin().await.expect("a transaction");
    sqlx::raw_sql("UPDATE changes SET number = 1").execute(&mut *all).await.expect("a change");
    let mut last = String::new();
    for nth in 0..CREDENTIALS {
        let (contract, user) = place(nth);
        if contract != last {
            sqlx::query(
                "INSERT INTO contracts (id, name, created_at, change) VALUES ($1, 'みほん商事', $2, 1)",
            )
            .bind(&contract)
            .bind(now)
            .execute(&mut *all)
            .await
            .expect("a contract");
            last.clone_from(&contract);
        }
        sqlx::query(
            "INSERT INTO users (contract_id, user_id, role, mail, language, created_at, change) \
             VALUES ($1, $2, 'user', $2 || '@corp.example', 'ja', $3, 1)",
        )
        .bind(&contract)
        .bind(&user)
        .bind(now)
        .execute(&mut *all)
        .await
        .expect("a user");
        sqlx::query(
            "INSERT INTO credentials (fingerprint, contract_id, user_id, serial, not_before, not_after, \
             registered_at, acquired_at, change) VALUES ($1, $2, $3, $1, $4, $5, $4, $4, 1)",
        )
        .bind(fingerprint(nth))
        .bind(&contract)
        .bind(&user)
        .bind(now)
        .bind(now + 300 * 86_400)
        .execute(&mut *all)
        .await
        .expect("a credential");
    }
    all.commit().await.expect("all of it");
}
