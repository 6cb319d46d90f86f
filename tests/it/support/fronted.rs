//! A backend behind TLS, or at a Unix socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::pki::{Ca, Credential};

/// TLS before a backend; dropped, it goes on until the test ends.
pub struct Fronted {
    pub address: SocketAddr,
    /// Of each connection: the server name that was asked for, and how many certificates were shown.
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

/// The server name that was asked for, and how many certificates were shown.
type Seen = (Option<String>, usize);

impl Fronted {
    /// Before the backend at `behind`; with `clients`, only for clients with a certificate of theirs.
    pub fn start(behind: SocketAddr, credential: &Credential, clients: Option<&Ca>) -> Self {
        Self::with(&[], behind, credential, clients)
    }

    /// The same for everybody who speaks one of these (ALPN).
    pub fn offering(alpn: &[&str], behind: SocketAddr, credential: &Credential) -> Self {
        Self::with(alpn, behind, credential, None)
    }

    fn with(alpn: &[&str], behind: SocketAddr, credential: &Credential, clients: Option<&Ca>) -> Self {
        let builder = ServerConfig::builder();
        let builder = match clients {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.der()).unwrap();
                builder
                    .with_client_cert_verifier(WebPkiClientVerifier::builder(roots.into()).build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(credential.chain.clone(), credential.key.clone_key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let noting = seen.clone();
        on_a_thread(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, noting) = (acceptor.clone(), noting.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let session = stream.get_ref().1;
                    let shown = session.peer_certificates().map_or(0, <[_]>::len);
                    noting.lock().unwrap().push((session.server_name().map(str::to_owned), shown));
                    carry(stream, behind).await;
                });
            }
        });
        Self { address, seen }
    }
}

/// Has the backend at `behind` listen at a Unix socket as well.
pub fn at_socket(path: &Path, behind: SocketAddr) {
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    on_a_thread(async move {
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(stream, behind));
        }
    });
}

async fn carry(mut stream: impl AsyncRead + AsyncWrite + Unpin, behind: SocketAddr) {
    if let Ok(mut backend) = TcpStream::connect(behind).await {
        let _ = copy_bidirectional(&mut stream, &mut backend).await;
    }
}

fn on_a_thread(serving: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serving);
    });
}
