//! The contract of the directory: one suite of rules, each held on SQLite and on PostgreSQL.

mod attempts;
mod lives;
mod people;
mod pictures;
mod places;
mod postgres;
mod sqlite;

use std::time::Duration;

use jiff::Timestamp;
use sekisho::domain::{ContractId, Identity, Language, Role, UserId};
use sekisho::stores::{Directory, DirectorySettings, NewContract, NewUser};
use sqlx::any::AnyConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::runtime::Runtime;

use crate::support::postgres::PASSWORD;

/// Longer than anything takes unless it hangs: the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A rule of the contract.
type Rule = fn(&Runtime, &Place);

/// Lists the rules: a test for each on SQLite, and the list that PostgreSQL's test goes through.
macro_rules! rules {
    ($($room:ident::$rule:ident),* $(,)?) => {
        mod on_sqlite {
            //! Every rule, on an SQLite file.
            $(#[test]
            fn $rule() {
                super::sqlite::holds(|runtime, place| runtime.block_on(super::$room::$rule(place)));
            })*
        }

        const RULES: &[(&str, Rule)] =
            &[$((stringify!($rule), |runtime, place| runtime.block_on($room::$rule(place)))),*];
    };
}

rules! {
    people::a_contract_is_added_once,
    people::a_suspended_contract_stays_so_since_then,
    people::a_user_belongs_to_a_contract_and_is_added_once,
    people::an_import_is_all_or_nothing,
    people::a_credential_belongs_to_a_user_and_is_registered_once,
    people::a_suspension_is_written_once_with_its_notice,
    people::lifting_ends_every_suspension_and_forgets_attempts,
    people::a_candidate_is_all_that_a_sign_in_needs,
    people::an_id_is_its_bytes,
    people::a_sign_in_is_remembered_and_replaces_only_the_hash_that_it_saw,
    people::a_new_pin_forgets_attempts_but_lifts_nothing,
    attempts::of_a_hundred_attempts_at_once_the_limit_is_counted,
    attempts::attempts_are_counted_for_ids_that_nobody_has,
    attempts::attempts_are_forgotten_after_the_quiet_time,
    attempts::an_attempt_is_taken_back_but_never_below_none,
    attempts::forgotten_attempts_are_dropped,
    lives::a_permit_is_used_up_by_one_credential,
    lives::a_permit_lapses_and_a_suspension_stops_everything,
    lives::a_renewal_retires_the_old_one_at_its_first_use,
    lives::a_file_can_be_given_up_for_another_until_it_is_used,
    lives::a_reissue_revokes_at_once_and_permits_another,
    lives::no_order_of_steps_leaves_two_live_credentials,
    lives::of_two_gateways_at_once_one_issues,
    lives::members_are_searched_and_paged,
    lives::reminders_are_written_once_and_none_for_what_is_renewed,
    lives::after_an_outage_only_the_shorter_reminder_goes_out,
    lives::a_reminder_that_lost_its_reason_is_not_sent,
    lives::a_notice_is_claimed_by_one_and_uncertain_if_its_sender_dies,
    lives::a_notice_that_failed_is_due_again_or_dropped,
    lives::a_changed_address_is_told_to_the_old_and_to_the_new,
    pictures::a_registry_follows_every_change,
    pictures::a_registry_misses_no_change_that_many_make_at_once,
    pictures::a_registry_forgets_what_a_restored_directory_does_not_know,
    places::everything_is_there_after_a_restart,
    places::many_open_an_empty_directory_at_once,
    places::two_processes_write_at_once,
    places::a_schema_of_the_future_is_refused,
}

/// Where a directory is.
struct Place(DirectorySettings);

impl Place {
    async fn open(&self) -> Directory {
        Directory::open(&self.0, TIMEOUT).await.unwrap()
    }

    /// Runs a statement past the directory. Returns the rows' only column.
    async fn sql(&self, statement: &str) -> Vec<i64> {
        sqlx::any::install_default_drivers();
        let url = match &self.0 {
            DirectorySettings::Sqlite(path) => format!("sqlite://{}", path.display()),
            DirectorySettings::Postgres { url, .. } => {
                let password: String = PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
                format!("{url}&password={password}")
            }
        };
        let mut connection = url.parse::<AnyConnectOptions>().unwrap().connect().await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap()
    }
}

/// Noon of a day, and so many seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn contract(id: &str) -> ContractId {
    ContractId::new(id).unwrap()
}

/// A user of contract A.
fn identity(user: &str) -> Identity {
    Identity { contract: contract("A"), user: UserId::new(user).unwrap() }
}

fn new_contract(id: &str) -> NewContract {
    NewContract { id: contract(id), name: format!("株式会社{id}") }
}

fn new_user(user: &str) -> NewUser {
    NewUser {
        identity: identity(user),
        role: Role::User,
        mail: None,
        language: Language::Japanese,
        pin: None,
    }
}

/// A directory with contract A and these users of it.
async fn with_users(place: &Place, users: &[&str]) -> Directory {
    let directory = place.open().await;
    let users: Vec<_> = users.iter().map(|user| new_user(user)).collect();
    directory.import(&[new_contract("A")], &users, at(0)).await.unwrap();
    directory
}
