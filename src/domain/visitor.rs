//! Who asks, as far as the connection shows.

use std::net::IpAddr;
use std::sync::Arc;

use super::Identity;

/// Who asks, as far as the connection shows.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Their address.
    pub source: IpAddr,
    /// The request's ID, as in the access log.
    pub request_id: String,
    /// Whose good certificate the connection has.
    pub identity: Option<Identity>,
    /// That certificate and its chain (DER); empty if there is no good one.
    pub chain: Arc<[Vec<u8>]>,
}
