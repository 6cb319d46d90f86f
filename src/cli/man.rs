//! `man`: the manual's pages, one for each command, made from what `--help` says. Packages ship them; nobody types this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;

use super::failure::{CANNOT_CREATE, Failure};

/// Write the manual's pages into a folder
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder; made if it isn't there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Runs the command, for these words.
pub fn run(arguments: &Arguments, command: Command) -> ExitCode {
    match write(&arguments.folder, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("man"),
    }
}

fn write(folder: &Path, command: Command) -> Result<(), Failure> {
    let written = fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command.disable_help_subcommand(true), folder));
    written
        .map_err(|error| Failure::new(CANNOT_CREATE, format!("cannot write {}: {error}", folder.display())))
}
