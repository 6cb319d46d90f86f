//! `sekisho reload`: has a running gateway read its configuration anew.

use std::process::ExitCode;

use clap::Args;

use super::failure::{Failure, print};
use super::operations::{self, Running};

/// Have the running gateway read its configuration anew
///
/// The gateway checks it whole and then puts it in force, or says what is wrong with it and goes on as before.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    gateway: Running,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> ExitCode {
    match reload(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("reload"),
    }
}

fn reload(arguments: &Arguments) -> Result<(), Failure> {
    operations::reload(arguments.gateway.address()?)?;
    print("reloaded\n")
}
