//! The thin binary of the helper.

use std::process::ExitCode;

fn main() -> ExitCode {
    sekisho::client::run()
}
