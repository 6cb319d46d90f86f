//! The data path. Read it in this order: a [`worker`] accepts and goes by its [`rules`], [`tls`] shakes hands,
//! [`connection`] knows who is there, [`http1`] and [`http2`] read requests, [`intake`] checks one and asks the [`gate`],
//! [`forward`] carries it to an [`upstream`], [`respond`] answers when that can't be.
//!
//! Nothing here waits for a store to judge a certificate, and nothing here knows the portal: sessions and pages come from
//! the [`backstage`] that the app hands in.

mod assertion;
mod backstage;
mod client_cert;
mod connection;
mod failure;
mod fields;
mod forward;
mod framing;
mod gate;
mod http1;
mod http2;
mod intake;
mod load;
mod place;
mod policy;
mod proxy_protocol;
mod rates;
mod record;
mod request_id;
mod respond;
mod route;
mod rules;
mod sessions;
mod slowness;
mod socket;
mod spare;
mod target;
mod tickets;
mod timer;
mod tls;
mod told;
mod trace;
mod trail;
mod tunnel;
mod upstream;
mod wants;
mod worker;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

pub use assertion::Assertions;
pub use backstage::{Backstage, FoundSession, Later, Page, Session};
pub use failure::codes;
pub use load::Load;
pub use policy::{Host, HostSettings, Policy, PolicySettings, SignInPolicy};
pub use rates::{News, RateTables};
pub use rules::Orders;
pub use tickets::{TicketAdoption, TicketKeys, TicketSecret, TicketTimes};
pub use tls::server_config;
pub use trace::Traces;
pub use upstream::{Address, Condition, Endpoint, Upstream, UpstreamTls};
pub use worker::{Listening, Phase, Worker, WorkerSettings, bind};
