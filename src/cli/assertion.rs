//! `sekisho assertion`: the keys that sign for backends, and the set that those verify with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::{Failure, NO_INPUT, SOFTWARE, print};
use super::pepper::close_to_others;
use crate::pki::{AssertionKey, key_set};

/// Make a key that signs for backends, and print what they verify with
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a new key for `assertion.keys`: `sekisho assertion key > secrets/assertion-next.pem`
    Key,
    /// Print the public halves of these keys as the gateway publishes them (JWKS)
    Jwks {
        /// The files of `assertion.keys`
        #[arg(value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
    },
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        Command::Key => key(),
        Command::Jwks { keys } => jwks(keys),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("assertion"),
    }
}

fn key() -> Result<(), Failure> {
    let text = AssertionKey::generate().map_err(|error| Failure::new(SOFTWARE, error))?;
    close_to_others();
    print(&text)
}

fn jwks(files: &[PathBuf]) -> Result<(), Failure> {
    let read =
        |file: &PathBuf| AssertionKey::read(file).map_err(|error| Failure::new(NO_INPUT, error.to_string()));
    let keys = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    print(&(key_set(&keys) + "\n"))
}
