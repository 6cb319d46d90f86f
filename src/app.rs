//! A stand-in for the composition root: it binds what the file says and answers nothing.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::clock::Clock;
use crate::config::Document;

/// A gateway that is up.
pub struct Gateway {
    listeners: Vec<TcpListener>,
    ops: TcpListener,
    addresses: Vec<SocketAddr>,
}

impl Gateway {
    /// Starts it.
    pub fn start(document: &Document, _clock: Clock) -> Result<Self, impl Display + use<>> {
        let bind = |document: &Document| -> io::Result<Self> {
            let listeners: Vec<_> = document
                .0
                .listeners
                .iter()
                .map(|listener| TcpListener::bind(listener.bind))
                .collect::<Result<_, _>>()?;
            let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
            Ok(Self { listeners, ops: TcpListener::bind(document.0.ops.bind)?, addresses })
        };
        bind(document)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        let _ = &self.listeners;
        &self.addresses
    }

    /// Where it answers operators.
    pub fn ops_address(&self) -> SocketAddr {
        self.ops.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}
