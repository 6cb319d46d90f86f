//! The thin binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    sekisho::cli::main()
}
