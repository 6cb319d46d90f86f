//! The gate as its users meet it: real sockets, real certificates, a real upstream. The names are the rules.

#![expect(unreachable_pub, reason = "`pub` says what of the support the tests may use")]
#![expect(clippy::unwrap_used, reason = "what can't be set up fails its test, in helpers too")]

mod support;

mod identity;
mod headers;
mod hops;
mod paths;
mod smuggling;
mod smuggling_http2;
mod chunks;
mod responses;
mod limits;
mod forwarding;
mod giving_up;
mod bodies;
mod tunnels;
mod outside;
mod drain;
