//! `sekisho notice`: the mails that were sent, that wait, and those of which nobody can say whether they arrived.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::table::{or_dash, table};
use super::{Answer, Common, Desk, Failure, failed};
use crate::cli::failure::NO_INPUT;
use crate::clock::Clock;
use crate::domain::ContractId;
use crate::stores::{NoticeQuery, NoticeState};

/// Look at the mails to administrators and users, and decide about those that may not have arrived
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show notices, the newest first
    List {
        #[command(flatten)]
        common: Common,
        /// Only of this contract
        #[arg(long, value_name = "CONTRACT", value_parser = ContractId::typed)]
        contract: Option<ContractId>,
        /// Only those that are not sent
        #[arg(long)]
        unsent: bool,
        /// How many at most
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u32,
    },
    /// Send an uncertain or dropped notice again
    Send {
        #[command(flatten)]
        common: Common,
        /// Its number
        number: i64,
    },
    /// Be done with a notice that is not sent
    Drop {
        #[command(flatten)]
        common: Common,
        /// Its number
        number: i64,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match &arguments.command {
        Command::List { common, contract, unsent, limit } => {
            let query = NoticeQuery { contract: contract.clone(), unsent: *unsent, limit: *limit };
            super::run("notice", common, clock, async |desk| list(desk, &query).await)
        }
        Command::Send { common, number } => {
            super::run("notice", common, clock, async |desk| settle(desk, *number, true).await)
        }
        Command::Drop { common, number } => {
            super::run("notice", common, clock, async |desk| settle(desk, *number, false).await)
        }
    }
}

async fn list(desk: &Desk, query: &NoticeQuery) -> Result<Answer, Failure> {
    let notices = desk.stores.directory.notices(query).await.map_err(|error| failed(&error))?;
    let rows: Vec<_> = notices
        .iter()
        .map(|notice| {
            let state = match notice.state {
                NoticeState::Waiting => "waiting",
                NoticeState::Uncertain => "uncertain",
                NoticeState::Sent => "sent",
                NoticeState::Dropped => "dropped",
            };
            [
                notice.number.to_string(),
                notice.kind.to_string(),
                notice.identity.contract.to_string(),
                notice.identity.user.to_string(),
                notice.mail.clone(),
                state.to_owned(),
                or_dash(notice.sent_at.or(notice.due_at)),
                or_dash(notice.problem.as_deref()),
            ]
        })
        .collect();
    let heads = ["NUMBER", "KIND", "CONTRACT", "USER", "MAIL", "STATE", "SENT OR DUE", "PROBLEM"];
    Answer::new(table(heads, &rows, "There are no notices."), &notices)
}

async fn settle(desk: &Desk, number: i64, again: bool) -> Result<Answer, Failure> {
    let kind = if again { "notice_sent_again" } else { "notice_dropped" };
    let directory = &desk.stores.directory;
    let notice = directory.notice(number).await.map_err(|error| failed(&error))?;
    let about = notice.as_ref().map(|notice| (&notice.identity).into());
    let work = directory.settle_notice(number, again, desk.now());
    let detail = number.to_string();
    let settled = desk.change(kind, about, Some(&detail), work).await?.map_err(|error| failed(&error))?;
    if !settled {
        let problem = if again {
            format!("notice {number} is neither uncertain nor dropped")
        } else {
            format!("there is no notice {number} that is not sent")
        };
        return Err(Failure::new(NO_INPUT, problem));
    }
    let text = if again { "is due again" } else { "is dropped" };
    Answer::new(
        format!("Notice {number} {text}.\n"),
        &serde_json::json!({ "number": number, "again": again }),
    )
}
