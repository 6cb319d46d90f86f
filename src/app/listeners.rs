//! The listening sockets: inherited where somebody handed us one for a configured address, bound where not.
//!
//! systemd and a predecessor (`cli/upgrade`) hand sockets over in the same way, `LISTEN_FDS`. Each socket has a queue of
//! its own in the kernel, and closing the last copy of one resets whoever waits in it. So all of a predecessor's sockets
//! are taken, however many workers there are now: too many are spread over the workers, too few are shared by them.
//! No others are bound beside those, because a start that fails after that would close them with people in them.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::{Domain, Type};

use super::{StartError, system};
use crate::config::Config;
use crate::edge::{self, Listening};

/// Sockets that were open when this process began.
#[derive(Debug, Default)]
pub struct Inherited {
    listeners: Vec<TcpListener>,
    predecessor: Option<UnixStream>,
}

impl Inherited {
    /// Takes what the environment names. Before there are threads: it removes the names, so that no child of ours
    /// takes them for its own.
    pub fn take() -> Self {
        let mut named = ListenFd::from_env();
        let mut taken = Self::default();
        for index in 0..named.len() {
            if let Ok(Some(listener)) = named.take_tcp_listener(index) {
                taken.listeners.push(listener);
            } else if let Ok(Some(line)) =
                named.take_custom(index, Domain::UNIX.into(), Type::STREAM.into(), "a predecessor")
            {
                taken.predecessor = Some(line);
            } else {
                tracing::warn!(index, "An inherited file descriptor is no TCP socket, and not used");
            }
        }
        taken
    }

    /// The line to the process that handed its sockets over, if one did.
    pub const fn take_predecessor(&mut self) -> Option<UnixStream> {
        self.predecessor.take()
    }

    /// The sockets for `address`.
    fn take_for(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let is_for = |listener: &mut TcpListener| listener.local_addr().is_ok_and(|local| local == address);
        self.listeners.extract_if(.., is_for).collect()
    }
}

/// All that is listened at.
pub(super) struct Listeners {
    /// The bound addresses, in the order of the configuration.
    pub(super) addresses: Vec<SocketAddr>,
    /// What each worker accepts from.
    pub(super) workers: Vec<Vec<Listening>>,
    /// For operators.
    pub(super) ops: TcpListener,
    /// Each socket once, to hand over.
    pub(super) kept: Vec<OwnedFd>,
}

impl Listeners {
    /// Opens what `config` names, for `count` workers.
    pub(super) fn open(config: &Config, count: usize, mut inherited: Inherited) -> Result<Self, StartError> {
        let mut addresses = Vec::new();
        let mut workers: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        let mut kept = Vec::new();
        for listener in &config.listeners {
            let proxies: Option<Arc<[_]>> =
                listener.proxy_protocol.as_ref().map(|proxy_protocol| proxy_protocol.from.as_slice().into());
            let mut sockets = inherited.take_for(listener.bind);
            if sockets.is_empty() {
                sockets = edge::bind(listener.bind, count)
                    .map_err(|error| StartError::Bind(listener.bind, error))?;
            }
            addresses.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
            for index in 0..count.max(sockets.len()) {
                let socket = sockets[index % sockets.len()].try_clone().map_err(system)?;
                // systemd's may block, and a worker must not.
                socket.set_nonblocking(true).map_err(system)?;
                workers[index % count].push(Listening { socket, proxies: proxies.clone() });
            }
            kept.extend(sockets.into_iter().map(OwnedFd::from));
        }
        let ops = match inherited.take_for(config.ops.bind).pop() {
            Some(ops) => ops,
            None => TcpListener::bind(config.ops.bind)
                .map_err(|error| StartError::Bind(config.ops.bind, error))?,
        };
        ops.set_nonblocking(true).map_err(system)?;
        kept.push(ops.try_clone().map_err(system)?.into());
        for listener in &inherited.listeners {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            tracing::warn!(address, "An inherited socket is for no configured address, and closed");
        }
        Ok(Self { addresses, workers, ops, kept })
    }
}
