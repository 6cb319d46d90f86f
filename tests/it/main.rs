//! The gate as its users meet it: real sockets, real certificates, a real upstream. The names are the rules.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails, and says where")]
#![expect(unreachable_pub, reason = "`pub` says what of the support the tests may use")]

mod support;

mod identity;

mod browser;
mod cli;
mod demo;
mod interop;
