//! The gate as its users meet it: real sockets, real certificates, a real upstream. The names are the rules.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(unreachable_pub, reason = "`pub` says what of the support the tests may use")]

mod support;

mod identity;
mod reasons;
mod client_certificate;
mod possession;
mod certificates;
mod common_names;
mod resumption;
mod live;
mod tunnels;
mod hosts;
mod start;
mod handshakes;
mod flawed_hellos;
mod protocols;
