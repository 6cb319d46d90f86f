//! The clients: what they do, how often, and what each operation cost the server.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bank::{self, HOST};
use crate::server::Server;

/// Until everything is warm.
const WARMING: Duration = Duration::from_millis(500);
const MEASURING: Duration = Duration::from_secs(3);
/// Connections that idle.
const IDLE: usize = 5000;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Work(Work),
    Idle,
}

/// So many clients that do one thing again and again.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) what: What,
    pub(crate) clients: u32,
    /// So often in a second, all of them together; else as fast as they are answered.
    pub(crate) rate: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A request on a connection of its own.
    Handshake { resumed: bool },
    /// A request for a path, on a connection of each client's own.
    Http1(&'static str),
    /// A request on a connection that eight clients share.
    Http2,
}

const fn flat_out(what: What, clients: u32) -> Kind {
    Kind::Work(Work { what, clients, rate: None })
}

pub(crate) const CASES: [Case; 7] = [
    Case {
        name: "full",
        what: "full handshake and a request, 64 at a time",
        kind: flat_out(What::Handshake { resumed: false }, 64),
    },
    Case {
        name: "resumed",
        what: "resumed handshake and a request, 64 at a time",
        kind: flat_out(What::Handshake { resumed: true }, 64),
    },
    Case {
        name: "http1",
        what: "requests on 64 connections over HTTP/1.1, 1 KiB",
        kind: flat_out(What::Http1("/"), 64),
    },
    Case {
        name: "http2",
        what: "requests on 16 connections × 8 streams over HTTP/2, 1 KiB",
        kind: flat_out(What::Http2, 128),
    },
    Case {
        name: "download",
        what: "1 MiB at a time, 4 connections",
        kind: flat_out(What::Http1("/large"), 4),
    },
    Case {
        name: "rate",
        what: "2,000 requests a second on 64 connections over HTTP/1.1",
        kind: Kind::Work(Work { what: What::Http1("/"), clients: 64, rate: Some(2000.0) }),
    },
    Case { name: "idle", what: "5,000 idle connections, each of which has asked once", kind: Kind::Idle },
];

impl Case {
    /// Of what it costs.
    pub(crate) fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Work(Work { what: What::Http1("/large"), .. }) => "µs of processor time for each MiB",
            Kind::Work(_) => "µs of processor time for each",
            Kind::Idle => "KiB of memory for each connection",
        }
    }

    pub(crate) const fn is_of_resumption(&self) -> bool {
        matches!(self.kind, Kind::Work(Work { what: What::Handshake { resumed: true }, .. }))
    }

    pub(crate) fn has_times(&self) -> bool {
        matches!(self.kind, Kind::Work(_))
    }
}

/// What one round found.
pub(crate) struct Measured {
    /// µs of the server's processor time for an operation; KiB of its memory for a connection.
    pub(crate) cost: f64,
    pub(crate) per_second: f64,
    /// µs.
    pub(crate) p99: f64,
    /// How many of the handshakes took an earlier session up again, of 1.
    pub(crate) resumed: f64,
    pub(crate) failed: u64,
}

impl Display for Measured {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { cost, per_second, p99, failed, .. } = self;
        write!(f, "{cost:.1} ({per_second:.0}/s, p99 {p99:.0} µs, {failed} failed)")
    }
}

/// A client with a certificate.
pub(crate) struct Load {
    once: Arc<ClientConfig>,
    again: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// What the clients of a round have done.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) done: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    /// Handshakes that took an earlier session up again.
    resumed: Cell<u64>,
    times: RefCell<Vec<Duration>>,
    is_over: Cell<bool>,
}

/// Clients at work.
pub(crate) struct Working {
    pub(crate) tally: Rc<Tally>,
    clients: JoinSet<()>,
}

impl Working {
    /// How long each operation has taken since this was asked last.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.tally.times.borrow_mut())
    }

    /// Lets them finish what they are at.
    pub(crate) async fn end(self) {
        self.tally.is_over.set(true);
        self.clients.join_all().await;
    }
}

impl Load {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut once = bank::client(folder);
        once.resumption = Resumption::disabled();
        let mut http2 = bank::client(folder);
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Self { once: once.into(), again: bank::client(folder).into(), http2: http2.into() }
    }

    pub(crate) async fn measure(&self, case: &Case, server: &Server) -> Measured {
        let Kind::Work(work) = case.kind else {
            return self.idle(server).await;
        };
        let working = self.begin(work, server.port);
        tokio::time::sleep(WARMING).await;
        working.take_times();
        let tally = &working.tally;
        let (begun, before) = (begin(), server.processor_time());
        let (done, resumed) = (tally.done.get(), tally.resumed.get());
        tokio::time::sleep(MEASURING).await;
        let (spent, took) = (server.processor_time().saturating_sub(before), begun.elapsed());
        let operations = count(tally.done.get() - done).max(1.0);
        let resumed = count(tally.resumed.get() - resumed) / operations;
        let p99 = p99(working.take_times());
        let failed = tally.failed.get();
        working.end().await;
        Measured {
            cost: spent.as_secs_f64() * 1e6 / operations,
            per_second: operations / took.as_secs_f64(),
            p99,
            resumed,
            failed,
        }
    }

    /// Puts clients to work, until somebody ends them.
    pub(crate) fn begin(&self, work: Work, port: u16) -> Working {
        let tally = Rc::new(Tally::default());
        let mut clients = JoinSet::new();
        let each = work.rate.map(|rate| Duration::from_secs_f64(f64::from(work.clients) / rate));
        let config = match work.what {
            What::Handshake { resumed: true } => &self.again,
            What::Handshake { resumed: false } | What::Http1(_) => &self.once,
            What::Http2 => &self.http2,
        };
        let mut http2 = Shared::default();
        for nth in 0..work.clients {
            if nth % 8 == 0 {
                http2 = Shared::default();
            }
            let mut config = config.clone();
            if work.what == (What::Handshake { resumed: true }) {
                // Each has sessions of its own: rustls keeps no more than eight for a name.
                Arc::make_mut(&mut config).resumption = Resumption::in_memory_sessions(8);
            }
            let client = Client { config, port, what: work.what, connection: None, http2: http2.clone() };
            let first = each.unwrap_or_default() * nth / work.clients;
            clients.spawn_local(client.work(first, each, tally.clone()));
        }
        Working { tally, clients }
    }

    /// Whether the work is done: the identity reaches the backend, what the client says about itself doesn't, and nobody comes in
    /// without a certificate.
    pub(crate) async fn check(&self, folder: &Path, port: u16) -> Result<(), &'static str> {
        let asked = async {
            let mut connection = Connection::open(&self.once, port).await?;
            let forged = "X-Contract-Id: 99999999999999\r\nX-User-Id: mallory\r\nx-user-id: mallory\r\n";
            connection.ask_with("/echo", forged).await?;
            String::from_utf8(connection.read).ok()
        };
        let echo = asked.await.ok_or("it answers nothing good")?.to_ascii_lowercase();
        if !echo.contains("\r\nx-contract-id: 10000000000001\r\n")
            || !echo.contains("\r\nx-user-id: tanaka\r\n")
        {
            return Err("the backend doesn't get the identity");
        }
        if echo.contains("99999999999999") || echo.contains("mallory") {
            return Err("the backend gets what the client says about itself");
        }
        let nobody = Arc::new(bank::anybody(folder).with_no_client_auth());
        match async { Connection::open(&nobody, port).await?.ask("/").await }.await {
            Some(()) => Err("it lets in who has no certificate"),
            None => Ok(()),
        }
    }

    async fn idle(&self, server: &Server) -> Measured {
        // What is made when it is first needed is made by then.
        let warming = self.begin(Work { what: What::Http1("/"), clients: 64, rate: None }, server.port);
        tokio::time::sleep(WARMING).await;
        warming.end().await;
        let before = server.memory();
        let mut connections = Vec::new();
        let mut failed = 0;
        while connections.len() < IDLE && failed < 10 {
            let opened = async {
                let mut connection = Connection::open(&self.once, server.port).await?;
                connection.ask("/").await?;
                connection.read = Vec::new();
                Some(connection)
            };
            match opened.await {
                Some(connection) => connections.push(connection),
                None => failed += 1,
            }
        }
        // A server gives buffers back when a connection is found to idle.
        tokio::time::sleep(2 * WARMING).await;
        let cost = count(server.memory().saturating_sub(before)) / count(connections.len().max(1) as u64);
        Measured { cost, per_second: 0.0, p99: 0.0, resumed: 0.0, failed }
    }
}

/// The connection of eight.
type Shared = Rc<tokio::sync::Mutex<Option<SendRequest<Bytes>>>>;

struct Client {
    config: Arc<ClientConfig>,
    port: u16,
    what: What,
    connection: Option<Connection>,
    http2: Shared,
}

impl Client {
    async fn work(mut self, first: Duration, each: Option<Duration>, tally: Rc<Tally>) {
        let mut due = begin() + first;
        while !tally.is_over.get() {
            // Times count from when something was due, so that what is late makes late what is behind it.
            match each {
                Some(_) => tokio::time::sleep_until(due.into()).await,
                None => due = begin(),
            }
            if self.act(&tally).await.is_some() {
                tally.done.set(tally.done.get() + 1);
                tally.times.borrow_mut().push(due.elapsed());
            } else {
                tally.failed.set(tally.failed.get() + 1);
            }
            due += each.unwrap_or_default();
        }
    }

    async fn act(&mut self, tally: &Tally) -> Option<()> {
        match self.what {
            What::Handshake { .. } => {
                let mut connection = Connection::open(&self.config, self.port).await?;
                if connection.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                    tally.resumed.set(tally.resumed.get() + 1);
                }
                connection.ask("/").await
            }
            What::Http1(path) => {
                let mut connection = match self.connection.take() {
                    Some(connection) => connection,
                    None => Connection::open(&self.config, self.port).await?,
                };
                connection.ask(path).await?;
                self.connection = Some(connection);
                Some(())
            }
            What::Http2 => {
                let requests = self.shared().await?;
                let answered = stream(requests).await.ok();
                if answered.is_none() {
                    *self.http2.lock().await = None;
                }
                answered
            }
        }
    }

    async fn shared(&self) -> Option<SendRequest<Bytes>> {
        let mut shared = self.http2.lock().await;
        if let Some(requests) = &*shared {
            return Some(requests.clone());
        }
        let tls = connect(&self.config, self.port).await?;
        let (requests, connection) = h2::client::handshake(tls).await.ok()?;
        tokio::task::spawn_local(connection);
        *shared = Some(requests.clone());
        Some(requests)
    }
}

async fn stream(mut requests: SendRequest<Bytes>) -> Result<(), h2::Error> {
    let request = http::Request::get(format!("https://{HOST}/")).body(()).expect("a request");
    requests = requests.ready().await?;
    let (response, _) = requests.send_request(request, true)?;
    let response = response.await?;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    Ok(())
}

async fn connect(config: &Arc<ClientConfig>, port: u16) -> Option<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    tcp.set_nodelay(true).ok()?;
    let name = ServerName::try_from(HOST).expect("a name");
    TlsConnector::from(config.clone()).connect(name, tcp).await.ok()
}

struct Connection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl Connection {
    async fn open(config: &Arc<ClientConfig>, port: u16) -> Option<Self> {
        let stream = connect(config, port).await?;
        Some(Self { stream, read: Vec::new() })
    }

    /// Asks, and reads the whole answer. Nothing, if that isn't a good one.
    async fn ask(&mut self, path: &str) -> Option<()> {
        self.ask_with(path, "").await
    }

    async fn ask_with(&mut self, path: &str, fields: &str) -> Option<()> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        self.stream.write_all(head.as_bytes()).await.ok()?;
        self.read.clear();
        self.read.reserve(64 << 10);
        let end = loop {
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.read[..end]).ok()?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
        let mut rest = end + length.trim().parse::<usize>().ok()?;
        while self.read.len() < rest {
            // No more than a buffer's worth is kept of a large one.
            if self.read.len() == self.read.capacity() {
                rest -= self.read.len();
                self.read.clear();
            }
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
        head.starts_with("http/1.1 200").then_some(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
pub(crate) fn begin() -> Instant {
    Instant::now()
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

/// µs.
pub(crate) fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default().as_secs_f64() * 1e6
}
