//! The thin binary.

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    sekisho::cli::run()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("sekisho runs on Linux; on other systems there is only sekisho-client");
    ExitCode::FAILURE
}
