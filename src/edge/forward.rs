//! Forwarding: the request's head as the upstream gets it, and the exchange itself.

mod answer;
mod compress;
mod exchange;
mod request;
mod response;
mod translate;

pub(super) use answer::{Waiting, answer};
pub(super) use exchange::{Answer, BodySource, Broken, Exchange, Part};
pub(super) use request::{Lines, request_head};
pub(super) use response::ResponseHead;
pub(super) use translate::{field_lines, field_map};
