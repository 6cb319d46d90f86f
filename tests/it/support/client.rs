//! A client that speaks TLS well and HTTP as badly as a test wants: bytes in, bytes out.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned};
use socket2::{Domain, Socket, Type};
use x509_parser::parse_x509_certificate;

use super::PATIENCE;
use super::backend::values;
use super::pki::{Ca, Credential};

/// Who connects, and how.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub config: ClientConfig,
    roots: Arc<RootCertStore>,
    /// Sent before TLS, each part on its own.
    pub greeting: Vec<Vec<u8>>,
    source: Option<IpAddr>,
}

impl Client {
    /// A client without a certificate that trusts `ca` and keeps its sessions.
    pub fn new(address: SocketAddr, ca: &Ca) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der()).unwrap();
        let roots = Arc::new(roots);
        let config =
            builder(rustls::ALL_VERSIONS).with_root_certificates(roots.clone()).with_no_client_auth();
        Self { address, config, roots, greeting: Vec::new(), source: None }
    }

    /// The same with a certificate, and no sessions from before.
    pub fn with(&self, credential: &Credential) -> Self {
        self.with_versions(rustls::ALL_VERSIONS, Some(credential))
    }

    /// The same over these versions of TLS only.
    pub fn with_versions(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        credential: Option<&Credential>,
    ) -> Self {
        let builder = builder(versions).with_root_certificates(self.roots.clone());
        let mut config = match credential {
            Some(credential) => {
                builder.with_client_auth_cert(credential.chain.clone(), credential.key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(16);
        Self { config, ..self.clone() }
    }

    /// The same with a certificate that it shows only where the gate names the CA which signed it, as browsers do.
    pub fn choosing(&self, credential: &Credential) -> Self {
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&credential.key).unwrap();
        let held = CertifiedKey::new(credential.chain.clone(), key);
        let mut client = self.with_versions(rustls::ALL_VERSIONS, None);
        client.config.client_auth_cert_resolver = Arc::new(Choosing(Arc::new(held)));
        client
    }

    /// The same behind a proxy that sends this first.
    pub fn behind(mut self, header: &[u8]) -> Self {
        self.greeting = vec![header.to_vec()];
        self
    }

    /// The same from another address of this machine.
    pub fn from(mut self, source: &str) -> Self {
        self.source = Some(source.parse().unwrap());
        self
    }

    /// The same with these protocols offered.
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Connects and shakes hands with the host `name`.
    pub fn connect(&self, name: &str) -> io::Result<Connection> {
        self.connect_over(self.dial()?, name)
    }

    /// The same with a small receive buffer: the gate soon has to wait for a client that doesn't read.
    pub fn connect_narrow(&self, name: &str) -> io::Result<Connection> {
        let socket = self.socket()?;
        socket.set_recv_buffer_size(16 << 10)?;
        socket.connect(&self.address.into())?;
        self.connect_over(socket.into(), name)
    }

    /// A connection without a word yet.
    pub fn dial(&self) -> io::Result<TcpStream> {
        let socket = self.socket()?;
        socket.connect(&self.address.into())?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket.into())
    }

    fn socket(&self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(source) = self.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        Ok(socket)
    }

    fn connect_over(&self, tcp: TcpStream, name: &str) -> io::Result<Connection> {
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        self.greeting.iter().try_for_each(|part| (&tcp).write_all(part))?;
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(self.config.clone()), server).unwrap();
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// The alert that ends a handshake with the host `name`. TLS 1.3 lets a client think that all is well first.
    pub fn alert(&self, name: &str) -> AlertDescription {
        let error = match self.connect(name) {
            Ok(mut connection) => connection.stream.read(&mut [0]).expect_err("an alert, but bytes came"),
            Err(error) => error,
        };
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => panic!("an alert, but {error:?} came"),
        }
    }

    /// One `GET` on a connection of its own.
    pub fn get(&self, name: &str, path: &str) -> Response {
        self.get_with(name, path, "")
    }

    /// One `GET` with more header lines, each ending in CRLF.
    pub fn get_with(&self, name: &str, path: &str, lines: &str) -> Response {
        let mut connection = self.connect(name).unwrap();
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: {name}\r\n{lines}\r\n").as_bytes());
        connection.response().expect("a response")
    }
}

#[derive(Debug)]
struct Choosing(Arc<CertifiedKey>);

impl ResolvesClientCert for Choosing {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let (_, certificate) = parse_x509_certificate(&self.0.cert[0]).unwrap();
        hints.contains(&certificate.issuer().as_raw()).then(|| self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap()
}

/// An open connection.
pub struct Connection {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

/// A response, as it came.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The values of all fields of this name (in lower case).
    pub fn values(&self, name: &str) -> Vec<String> {
        values(&self.head, name)
    }

    /// The first value of a field.
    pub fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `code` of a problem document.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

impl Connection {
    /// Sends bytes as they are. That the gate has hung up by now is for the reading side to find.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Reads one response; `None` if the connection ends before its head is complete.
    pub fn response(&mut self) -> Option<Response> {
        self.response_to("GET")
    }

    /// Reads the response to a request of this method.
    pub fn response_to(&mut self, method: &str) -> Option<Response> {
        let head = self.read_until(b"\r\n\r\n")?;
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let chunked = values(&head, "transfer-encoding").iter().any(|coding| coding == "chunked");
        let length: Option<usize> =
            values(&head, "content-length").first().map(|length| length.parse().unwrap());
        let has_no_body = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let body = match (has_no_body, chunked, length) {
            (true, ..) => Vec::new(),
            (_, true, _) => self.read_chunks()?,
            (_, _, Some(length)) => self.read_exactly(length)?,
            _ => self.read_to_end(),
        };
        Some(Response { status, head, body })
    }

    /// Whether the gate has closed the connection, once it has; waits for that.
    pub fn is_closed(&mut self) -> bool {
        self.fill().is_none()
    }

    /// Everything until the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().is_some() {}
        std::mem::take(&mut self.buffer)
    }

    /// So many bytes.
    pub fn read_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Everything up to and with `mark`.
    pub fn read_until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            self.fill()?;
        }
    }

    fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                // Trailers, if any, stay out of the body.
                while self.read_until(b"\r\n")? != b"\r\n" {}
                return Some(body);
            }
            body.extend(self.read_exactly(size)?);
            assert_eq!(self.read_exactly(2)?, b"\r\n");
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut part = [0; 16 << 10];
        match self.read(&mut part) {
            Ok(0) => None,
            Ok(length) => {
                self.buffer.extend_from_slice(&part[..length]);
                Some(())
            }
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "nothing came for {PATIENCE:?}");
                None
            }
        }
    }

    /// Reads without writing first what couldn't be written: a gate that has hung up may have said why before that.
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.conn.reader().read(part) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.stream.conn.read_tls(&mut self.stream.sock)? == 0 {
                // The reader says whether that was a goodbye.
                return self.stream.conn.reader().read(part);
            }
            self.stream.conn.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// `GET` over plain HTTP: status and body.
pub fn plain_get(address: SocketAddr, path: &str) -> (u16, String) {
    plain(address, "GET", path)
}

/// Any method over plain HTTP: status and body.
pub fn plain(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    plain_with(address, method, path, "")
}

/// The same with more header lines.
pub fn plain_with(address: SocketAddr, method: &str, path: &str, lines: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: ops\r\n{lines}Connection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}
