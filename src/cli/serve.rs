//! `sekisho serve`: the gateway, until a signal ends it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{CANNOT_CREATE, CONFIG, Failure, SOFTWARE, UNAVAILABLE, print};
use super::logging;
use crate::app::{Gateway, StartError};
use crate::clock::Clock;
use crate::config;

/// Serve
#[derive(Debug, Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    logging::start();
    raise_file_limit();
    let document = match config::load(&arguments.config) {
        Ok(document) => document,
        Err(problems) => return Failure::new(CONFIG, format!("\n{problems}")).report("serve"),
    };
    let gateway = match Gateway::start(&document, clock.clone()) {
        Ok(gateway) => gateway,
        Err(error) => return failure(&error).report("serve"),
    };
    for address in gateway.addresses() {
        tracing::info!(%address, "Listening");
    }
    tracing::info!(address = %gateway.ops_address(), "Listening for operators");
    if let Err(failure) = print("ready\n") {
        return failure.report("serve");
    }
    run_until_signal(gateway)
}

/// The failure of a gateway that didn't start.
pub(super) fn failure(error: &StartError) -> Failure {
    match error {
        StartError::Config(problems) => Failure::new(CONFIG, format!("\n{problems}")),
        StartError::Bind(..) => Failure::new(UNAVAILABLE, error.to_string()),
        StartError::AccessLog(_) => Failure::new(CANNOT_CREATE, error.to_string()),
        StartError::System(_) => Failure::new(SOFTWARE, error.to_string()),
    }
}

/// Blocks until SIGTERM or SIGINT, then drains. SIGUSR1 opens the access log anew.
pub(super) fn run_until_signal(gateway: Gateway) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(wait(&gateway))) {
        Ok(()) => {
            tracing::info!("Draining");
            gateway.drain();
            tracing::info!("Stopped");
            ExitCode::SUCCESS
        }
        Err(error) => Failure::new(SOFTWARE, format!("signals can't be handled: {error}")).report("serve"),
    }
}

async fn wait(gateway: &Gateway) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut rotated = signal(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = rotated.recv() => gateway.reopen_access_log(),
        }
    }
}

/// Every connection is two file descriptors: take as many as the system lets us.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "The limit of open files can't be raised");
    }
}
