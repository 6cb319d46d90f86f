//! Sekisho: a mutual-TLS gateway in front of a bank's existing corporate banking applications.
//!
//! The rooms, from the door inwards; `docs/ARCHITECTURE.md` is the tour. A room imports only rooms below it
//! (`tests/it/tidy.rs` holds that).

// Plain comments: rustdoc would resolve the links of a room's own `//!` from here if there were doc comments too.

// What was typed → what was meant → exit code.
pub mod cli;

// The composition root: a configuration in, a running gateway out.
pub mod app;

// The data path: listener, TLS, connection, gate, forwarding.
pub mod edge;

// The pages that people see, and their handlers.
pub mod portal;

// What is seen from outside: metrics, health, access log.
pub mod ops;

// The verbs: sign in, sign out, change the PIN. No HTTP.
pub mod flows;

// What is kept: directory, state, registry, audit log.
pub mod stores;

// The operator's YAML file, read whole, with every mistake at once.
pub mod config;

// Certificates: subject → identity, authorities, CRLs, the judge, the development CA.
pub mod pki;

// Pure words of the domain: identities, standings and their reasons.
pub mod domain;

// The only reader of the time.
pub mod clock;
