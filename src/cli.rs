//! Scaffold: what was typed → a command. The real one is written elsewhere.

pub mod check;
pub mod schema;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sekisho.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Schema(schema::Args),
}

/// Runs the command that was typed.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
    }
}
