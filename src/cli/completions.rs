//! `completions`: what makes a shell complete our words. Packages ship it; nobody types this.

use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use super::failure::{Failure, SOFTWARE, print};

/// Print the script that makes a shell complete the words of sekisho
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command, for these words.
pub fn run(arguments: &Arguments, command: Command) -> ExitCode {
    match script(arguments.shell, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("completions"),
    }
}

fn script(shell: Shell, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "sekisho", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::new(SOFTWARE, format!("the script is no text: {error}")))?;
    print(&script)
}
