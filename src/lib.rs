//! Sekisho: a mutual-TLS gateway in front of a bank's existing corporate banking applications.
//!
//! The rooms, from the door inwards; `docs/ARCHITECTURE.md` is the tour. A room imports only rooms below it
//! (`tests/it/tidy.rs` holds that).

// Plain comments: rustdoc would resolve the links of a room's own `//!` from here if there were doc comments too.

// What was typed → what was meant → exit code.
#[cfg(unix)]
pub mod cli;

// The composition root: a configuration in, a running gateway out.
#[cfg(unix)]
pub mod app;

// The data path: listener, TLS, connection, gate, forwarding.
#[cfg(unix)]
pub mod edge;

// The pages that people see, and their handlers.
#[cfg(unix)]
pub mod portal;

// What is seen from outside: metrics, health, access log.
#[cfg(unix)]
pub mod ops;

// The verbs: sign in, sign out, change the PIN. No HTTP.
#[cfg(unix)]
pub mod flows;

// What is kept: directory, state, registry, audit log.
#[cfg(unix)]
pub mod stores;

// The operator's YAML file, read whole, with every mistake at once.
#[cfg(unix)]
pub mod config;

// Certificates: subject → identity, authorities, CRLs, the judge, the development CA.
#[cfg(unix)]
pub mod pki;

// Keys with their chain in a file.
mod pkcs12;

// The helper program on a person's PC, which also runs where the gateway doesn't.
pub mod client;

// Pure words of the domain: identities, standings and their reasons.
pub mod domain;

// What fuzzing and a test run on bytes from outside.
#[cfg(all(unix, any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzzing;

// The only reader of the time.
#[cfg(unix)]
pub mod clock;
