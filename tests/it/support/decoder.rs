//! Decoders of content codings that others wrote: tests/clients/decode.py.

use std::io::Write;
use std::process::{Command, Stdio};

/// A whole body, decoded. `Err` has what the decoder says of one that isn't whole.
pub fn decode(coding: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    run(coding, "whole", body)
}

/// What can be read of the beginning of a body.
#[track_caller]
pub fn decode_so_far(coding: &str, body: &[u8]) -> Vec<u8> {
    run(coding, "so-far", body).unwrap()
}

fn run(coding: &str, wanted: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-I").arg(format!("{}/tests/clients/decode.py", env!("CARGO_MANIFEST_DIR")));
    command.args([coding, wanted]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut input, body) = (child.stdin.take().unwrap(), body.to_vec());
    let writing = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
