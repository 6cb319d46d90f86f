//! What was typed → what was meant → exit code. (A stand-in until the other commands are there.)

pub mod ca;
pub mod demo;
mod failure;
pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;

/// A mutual-TLS gateway
#[derive(Debug, Parser)]
#[command(version)]
struct Typed {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ca(ca::Arguments),
    Demo(demo::Arguments),
}

/// Runs what was typed.
pub fn main() -> ExitCode {
    match Typed::try_parse() {
        Ok(Typed { command: Command::Ca(arguments) }) => ca::run(&arguments, &Clock::System),
        Ok(Typed { command: Command::Demo(arguments) }) => demo::run(&arguments, &Clock::System),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 })
        }
    }
}
