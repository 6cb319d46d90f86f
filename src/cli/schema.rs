//! `schema`: prints what the configuration may contain, for editors or for people.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config;

/// Print the JSON Schema of the configuration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the reference in Markdown instead, as in `docs/configuration.md`.
    #[arg(long)]
    pub markdown: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let text = if args.markdown { config::reference() } else { config::schema_text() };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
