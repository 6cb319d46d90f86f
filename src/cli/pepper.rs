//! `pepper`: makes a new pepper for the hashes of PINs, and prints the line for its file.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use super::failure::{Failure, SOFTWARE, print};
use crate::clock::Clock;
use crate::flows;

/// Print a new pepper for `sign_in.pin.pepper_file`: `sekisho pepper > secrets/pepper`
///
/// To replace a pepper, put the new line above the old ones: the first makes new hashes, all check old ones, which are
/// renewed when their user next signs in. Removing a line locks out whoever hasn't signed in since: their PINs have to be
/// set anew. Never keep peppers together with a backup of the directory.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Prints the line, with today's date as the pepper's ID.
pub fn run(_: &Arguments, clock: &Clock) -> ExitCode {
    match line(clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("pepper"),
    }
}

fn line(clock: &Clock) -> Result<(), Failure> {
    let line = flows::new_pepper_line(&clock.now().strftime("%Y%m%d").to_string())
        .map_err(|error| Failure::new(SOFTWARE, error))?;
    close_to_others();
    print(&line)
}

/// A file that the shell has just made is usually open to others, and `serve` refuses such a secret. What can't be
/// closed here is told there.
pub(super) fn close_to_others() {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned().map(File::from) else { return };
    let Ok(metadata) = stdout.metadata() else { return };
    if metadata.is_file() {
        let mode = metadata.permissions().mode() & 0o700;
        let _ = stdout.set_permissions(Permissions::from_mode(mode));
    }
}
