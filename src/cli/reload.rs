//! `sekisho reload`: has a running gateway read its configuration anew.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::{CONFIG, Failure, UNAVAILABLE, print};
use super::operations::{self, Trouble};
use crate::config;

/// Have the running gateway read its configuration anew
///
/// The gateway checks it whole and then puts it in force, or says what is wrong with it and goes on as before.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The configuration file: where it says `ops.bind`, the gateway is asked
    #[arg(long, value_name = "FILE", required_unless_present = "ops")]
    config: Option<PathBuf>,
    /// The gateway's address for operators, if it isn't the one in the file
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    ops: Option<SocketAddr>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> ExitCode {
    match reload(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("reload"),
    }
}

fn reload(arguments: &Arguments) -> Result<(), Failure> {
    let address = match (&arguments.ops, &arguments.config) {
        (Some(address), _) => *address,
        (None, Some(file)) => {
            let document = config::load(file);
            let document = document.map_err(|problems| Failure::new(CONFIG, format!("\n{problems}")))?;
            document.config.ops.bind
        }
        // clap demands one of the two.
        (None, None) => config::Ops::default().bind,
    };
    operations::reload(address).map_err(|trouble| match trouble {
        Trouble::Unreachable(told) => Failure::new(UNAVAILABLE, told),
        Trouble::Refused(told) => Failure::new(CONFIG, told),
    })?;
    print("reloaded\n")
}
