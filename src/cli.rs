//! What was typed → a command → an exit code of sysexits(3).

pub mod assertion;
pub mod audit;
pub mod ca;
pub mod check;
pub mod completions;
pub mod demo;
mod failure;
mod logging;
pub mod maintenance;
pub mod man;
mod operations;
pub mod pepper;
pub mod reload;
pub mod schema;
pub mod serve;
pub mod staff;
pub mod status;
mod upgrade;
pub mod upstream;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::clock::Clock;

/// A mutual-TLS gateway in front of a bank's existing corporate banking applications
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Typed {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Status(status::Arguments),
    Reload(reload::Arguments),
    Upstream(upstream::Arguments),
    Maintenance(maintenance::Arguments),
    Check(check::Args),
    Schema(schema::Args),
    Ca(ca::Arguments),
    Pepper(pepper::Arguments),
    Contract(staff::contract::Arguments),
    User(staff::user::Arguments),
    Credential(staff::credential::Arguments),
    Audit(audit::Arguments),
    Assertion(assertion::Arguments),
    Issuer(staff::issuer::Arguments),
    Notice(staff::notice::Arguments),
    Import(staff::import::Arguments),
    Demo(demo::Arguments),
    #[command(hide = true)]
    Completions(completions::Arguments),
    #[command(hide = true)]
    Man(man::Arguments),
}

/// Runs what was typed.
pub fn run() -> ExitCode {
    match Typed::try_parse() {
        Ok(Typed { command }) => match command {
            Command::Serve(arguments) => serve::run(&arguments, &Clock::System),
            Command::Status(arguments) => status::run(&arguments, &Clock::System),
            Command::Reload(arguments) => reload::run(&arguments),
            Command::Upstream(arguments) => upstream::run(&arguments),
            Command::Maintenance(arguments) => maintenance::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Schema(arguments) => schema::run(&arguments),
            Command::Ca(arguments) => ca::run(&arguments, &Clock::System),
            Command::Pepper(arguments) => pepper::run(&arguments, &Clock::System),
            Command::Contract(arguments) => staff::contract::run(&arguments, &Clock::System),
            Command::User(arguments) => staff::user::run(&arguments, &Clock::System),
            Command::Credential(arguments) => staff::credential::run(&arguments, &Clock::System),
            Command::Audit(arguments) => audit::run(&arguments, &Clock::System),
            Command::Assertion(arguments) => assertion::run(&arguments),
            Command::Issuer(arguments) => staff::issuer::run(&arguments, &Clock::System),
            Command::Notice(arguments) => staff::notice::run(&arguments, &Clock::System),
            Command::Import(arguments) => staff::import::run(&arguments, &Clock::System),
            Command::Demo(arguments) => demo::run(&arguments, &Clock::System),
            Command::Completions(arguments) => completions::run(&arguments, Typed::command()),
            Command::Man(arguments) => man::run(&arguments, Typed::command()),
        },
        Err(error) => {
            // Nobody is left to be told if the terminal is gone.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 })
        }
    }
}
