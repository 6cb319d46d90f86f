//! TLS: the server name picks the host, and the host its certificates, its verifier and its tickets.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureAlgorithm};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::policy::{Host, Policy};
use super::socket::{Client, Socket};
use crate::clock::Clock;
use crate::domain::Reason;
use crate::pki::{ClientCertificates, ServerKey};

/// A handshake that didn't come to its end.
#[derive(Debug)]
pub(super) enum HandshakeFailure {
    /// No server name, or one that no host has.
    UnknownServerName,
    /// More bytes than `limits.client_hello` or `limits.handshake`.
    TooLarge,
    /// Not in time.
    Timeout,
    /// More connections of its source than `limits.connections_per_source`.
    TooMany,
    /// More new connections of its source than `rate_limits.handshakes`.
    RateLimited,
    /// The client closed the connection.
    Closed,
    /// A certificate was demanded in the handshake, and there was no good one.
    Refused(Reason),
    /// A peer that is none of the proxies that the listener is for.
    UnknownProxy,
    /// No PROXY header where one is demanded, or a broken one.
    ProxyHeader(&'static str),
    /// Not TLS, nothing in common, or a bad signature.
    Tls(String),
}

impl HandshakeFailure {
    /// The word for it in metrics.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::UnknownServerName => "unknown_server_name",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::TooMany => "connections_per_source",
            Self::RateLimited => "rate_limited",
            Self::Closed => "closed",
            Self::Refused(reason) => reason.code(),
            Self::UnknownProxy => "unknown_proxy",
            Self::ProxyHeader(_) => "proxy_header",
            Self::Tls(_) => "tls",
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(error) => write!(f, "{error}"),
            Self::ProxyHeader(why) => f.write_str(why),
            _ => f.write_str(self.code()),
        }
    }
}

/// A fatal alert, unrecognized_name (RFC 8446, section 6.2; RFC 6066, section 3), as it stands before any encryption.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Shakes hands. The caller sets the deadline.
pub(super) async fn accept(tcp: TcpStream, policy: &Policy) -> Result<(Client, Arc<Host>), HandshakeFailure> {
    let socket = Socket::new(tcp, policy.limits.client_hello.bytes());
    let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), socket);
    let mut start = match (&mut acceptor).await {
        Ok(start) => start,
        Err(error) => return Err(failure(&error, acceptor.take_io().is_some_and(|io| io.is_overdrawn()))),
    };
    let host = start.client_hello().server_name().and_then(|name| policy.host(&name.to_ascii_lowercase()));
    let Some(host) = host.cloned() else {
        let _ = start.io.write_all(&UNRECOGNIZED_NAME).await;
        let _ = start.io.shutdown().await;
        return Err(HandshakeFailure::UnknownServerName);
    };
    start.io.allow(policy.limits.handshake.bytes());
    match start.into_stream(host.tls.clone()).into_fallible().await {
        Ok(mut stream) => {
            stream.get_mut().0.allow(u64::MAX);
            Ok((Box::new(stream), host))
        }
        Err((error, io)) => Err(failure(&error, io.is_overdrawn())),
    }
}

fn failure(error: &io::Error, is_overdrawn: bool) -> HandshakeFailure {
    if is_overdrawn {
        return HandshakeFailure::TooLarge;
    }
    let refused = match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => Some(Reason::Absent),
        Some(error) => ClientCertificates::reason(error),
        None => None,
    };
    if let Some(reason) = refused {
        return HandshakeFailure::Refused(reason);
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => HandshakeFailure::Tls(error.to_string()),
        _ => HandshakeFailure::Closed,
    }
}

/// The TLS of one host.
///
/// Each host has tickets of its own (T1): a session made at one name can't be resumed at another, whatever the two
/// ask of a client. Sessions live in tickets only; nothing is kept here that a restart could lose or a thread could
/// fight over. One ticket, not two: browsers ask for one connection and reuse it, and a ticket carries the client's
/// chain.
pub fn server_config(
    keys: Vec<ServerKey>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    ticketer: Arc<dyn ProducesTickets>,
    clock: Clock,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let verified = match verifier {
        Some(verifier) => versions.with_client_cert_verifier(verifier),
        None => versions.with_no_client_auth(),
    };
    let mut config = verified.with_cert_resolver(Arc::new(Certificates::new(keys, clock)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = ticketer;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    // Replayed requests would move money twice (T12).
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The certificates of one host, the preferred first.
#[derive(Debug)]
struct Certificates {
    keys: Vec<ServerKey>,
    clock: Clock,
}

impl Certificates {
    /// RSA is for those who know nothing else: its signatures cost the gate ten times as much.
    fn new(mut keys: Vec<ServerKey>, clock: Clock) -> Self {
        keys.sort_by_key(|key| key.certified.key.algorithm() == SignatureAlgorithm::RSA);
        Self { keys, clock }
    }
}

impl ResolvesServerCert for Certificates {
    /// For TLS 1.2 rustls has left out the schemes that the client's cipher suites rule out.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&ServerKey| key.certified.key.choose_scheme(hello.signature_schemes()).is_some();
        // With none that fits, rustls finds the words for it.
        let key = self.keys.iter().find(fits).or(self.keys.first())?;
        Some(key.to_serve(self.clock.now()))
    }
}
