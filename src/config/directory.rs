//! `directory` and `state`: the two stores.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DirectoryUrl, Period, StateUrl};

/// The durable store of contracts, users, PIN hashes, credentials and suspensions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// `sqlite:PATH`, or `postgres://user@host:port/database` (TLS by `?sslmode=verify-full&sslrootcert=PATH`, with a
    /// path that begins with `/`; public authorities are believed too, so the server needs a name that they give nobody).
    #[serde(default)]
    pub url: DirectoryUrl,
    /// File with the password of the PostgreSQL user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// How long the store may take to answer before it counts as down.
    #[serde(default = "Directory::default_timeout")]
    pub timeout: Period,
    /// How old the gateway's picture of users and suspensions may grow while the directory doesn't answer. After that
    /// nobody passes who is proven by a certificate or a session.
    #[serde(default = "Directory::default_max_age")]
    pub max_age: Period,
}

impl Directory {
    const fn default_timeout() -> Period {
        Period::seconds(5)
    }

    const fn default_max_age() -> Period {
        Period::seconds(4 * 3600)
    }
}

/// The fast store of attempts, sessions, one-time codes and ticket secrets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// `embedded:PATH` for gateways on one machine, or a Redis 7 or Valkey: `redis://user@host:port`,
    /// `redis+sentinel://host:port,host:port/service`, `redis+cluster://host:port,host:port`; with `rediss` for TLS.
    #[serde(default)]
    pub url: StateUrl,
    /// File with the password of the Redis user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// PEM file with the authorities of the Redis servers' certificates; the system's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<PathBuf>,
    /// How long the store may take to answer before it counts as down.
    #[serde(default = "State::default_timeout")]
    pub timeout: Period,
    /// How many replicas must have a counted attempt before a PIN is looked at, so that no failover forgets it.
    #[serde(default)]
    pub replicas: u32,
}

impl State {
    const fn default_timeout() -> Period {
        Period::seconds(1)
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            url: StateUrl::default(),
            password_file: None,
            authorities: None,
            timeout: Self::default_timeout(),
            replicas: 0,
        }
    }
}
