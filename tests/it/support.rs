//! What the tests stand on: a CA, a gate, a backend and a client, each real, each on a port of its own.

pub mod assertion;
pub mod backend;
pub mod balancer;
pub mod chrome;
pub mod client;
pub mod collector;
pub mod decoder;
pub mod demo;
pub mod firefox;
pub mod frames;
pub mod fronted;
pub mod gate;
pub mod http2;
pub mod http2_backend;
pub mod mounts;
pub mod people;
pub mod pki;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod reasons;
pub mod redis;
pub mod remote;
pub mod responder;
pub mod service;
pub mod sites;
pub mod tools;
pub mod tunnel;

use std::time::{Duration, Instant};

/// How long a condition may take to come true. Nothing waits this long unless it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, looking again and again.
#[expect(clippy::disallowed_methods, reason = "a bound on waiting, not a measurement")]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &std::path::Path, content: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
}
