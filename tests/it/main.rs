//! The gate as its users meet it: real sockets, real certificates, a real upstream. The names are the rules.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails, and says where")]
#![expect(unreachable_pub, reason = "`pub` says what of the support the tests may use")]

mod support;

mod identity;
mod reasons;
mod sign_in;
mod sign_in_certificate;
mod sign_in_faults;
mod sign_in_topologies;
mod sign_in_attacks;
mod acquisition;
mod acquisition_browser;
mod administration;
mod helper;
mod issuer;
mod notices;
mod canary;
mod client_certificate;
mod possession;
mod certificates;
mod common_names;
mod resumption;
mod server_certificates;
mod live;
mod live_tunnels;
mod hosts;
mod start;
mod handshakes;
mod flawed_hellos;
mod protocols;
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
mod pins;
mod browser;
mod sign_in_browser;
mod accessibility;
mod observatory;
mod firefox;
mod cli;
mod directory;
mod demo;
mod interop;
mod state;
mod state_redis_faults;
mod state_redis_topologies;
mod tidy;
