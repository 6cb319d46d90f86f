//! `listeners` and `workers`: where and on how many threads the gate serves.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One listening socket.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// IP address and port, for example `0.0.0.0:443` or `[::]:443`. Port 0 takes a free one.
    pub bind: SocketAddr,
}

/// Threads of the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Workers {
    /// One per core that the process may use.
    #[default]
    Auto,
    /// So many.
    #[serde(untagged)]
    Count(NonZeroUsize),
}
