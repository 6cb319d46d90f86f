//! `sekisho upstream`: how the endpoints of a running gateway are, and which of them get no new requests.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::failure::{Failure, print};
use super::operations::{self, Running};

/// See how the endpoints of a running gateway are, and keep new requests from one
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the upstreams with their endpoints, as JSON
    List {
        #[command(flatten)]
        gateway: Running,
    },
    /// Keep new requests from an endpoint, until it is let in again or the gateway starts anew
    Drain(Which),
    /// Let requests in again
    Undrain(Which),
}

/// Which endpoint.
#[derive(Debug, Args)]
struct Which {
    /// The upstream's name
    upstream: String,
    /// The endpoint, as `list` shows it
    #[arg(value_name = "IP:PORT|unix:PATH")]
    endpoint: String,
    #[command(flatten)]
    gateway: Running,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> ExitCode {
    match answer(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("upstream"),
    }
}

fn answer(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List { gateway } => print(&operations::upstreams(gateway.address()?)?),
        Command::Drain(which) => drain(which, true),
        Command::Undrain(which) => drain(which, false),
    }
}

fn drain(which: &Which, is_drained: bool) -> Result<(), Failure> {
    operations::drain(which.gateway.address()?, &which.upstream, &which.endpoint, is_drained)?;
    print(if is_drained { "drained\n" } else { "undrained\n" })
}
