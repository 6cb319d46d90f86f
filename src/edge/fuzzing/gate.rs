//! A whole connection over HTTP/1.1: what a client sends, and what a backend answers, both from the fuzzer. The client's
//! side is in memory, the backend's a socket; no time passes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::naive::{self, Head};
use crate::clock::Clock;
use crate::config::{self, ClientCertificate, Rejection};
use crate::domain::{Language, SessionToken, Visitor};
use crate::edge::backstage::{Backstage, FoundSession, Later, Page};
use crate::edge::connection::Connection;
use crate::edge::policy::{HostSettings, Policy, PolicySettings};
use crate::edge::rates::RateTables;
use crate::edge::rules::Orders;
use crate::edge::socket::ClientIo;
use crate::edge::upstream::{Address, Upstream};
use crate::edge::worker::{Phase, Worker, WorkerSettings};
use crate::edge::{http1, target};
use crate::ops::{AccessLog, LogTarget, Metrics, Readiness};

const HOST: &str = "www.mihonbank.example";
/// Far more than any input needs.
const PATIENCE: Duration = Duration::from_secs(10);

impl ClientIo for DuplexStream {
    /// A client that has said all that it had to say listens on.
    fn poll_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn written(&self) -> u64 {
        0
    }
}

/// Whatever a client sends and a backend answers, the connection ends, and what reaches the backend is well-formed:
/// requests for its host, with one framing, without a word about who is there. Two bytes say how much is the client's;
/// with an odd first one the backend answers as it should instead.
pub(crate) fn connection(data: &[u8]) {
    let Some((&[high, low], data)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_be_bytes([high >> 1, low])).min(data.len());
    let (sent, answers) = data.split_at(length);
    converse(sent, (high & 1 == 0).then(|| answers.to_vec()));
}

/// One connection from its beginning to its end. Gives what the client was told, and how many requests the backend saw.
fn converse(sent: &[u8], answers: Option<Vec<u8>>) -> (Vec<u8>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let talking = async {
        let backend = Backend::start(answers).await;
        let told = tokio::time::timeout(PATIENCE, talk(&backend, sent)).await.expect("an end");
        if !told.is_empty() {
            assert!(told.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&told));
        }
        // Each request that a backend saw was written out by the client.
        let asked = sent.windows(7).filter(|window| window.eq_ignore_ascii_case(b"HTTP/1.")).count();
        let seen = backend.seen.load(Ordering::Relaxed);
        assert!(seen <= asked);
        if let Some(wrong) = backend.wrong.lock().expect("no panic").take() {
            panic!("{wrong}");
        }
        (told, seen)
    };
    runtime.block_on(talking)
}

/// Sends everything, and reads what comes until the end.
async fn talk(backend: &Backend, sent: &[u8]) -> Vec<u8> {
    let (gate, client) = duplex(4096);
    let worker = worker(backend);
    let host = worker.rules().policy.host(HOST).expect("the host").clone();
    let connection = Connection::bare(worker.clone(), host);
    let (mut from, mut to) = tokio::io::split(client);
    let serving = http1::serve(gate, connection, worker.timers.timer());
    let sending = async {
        let _ = to.write_all(sent).await;
        let _ = to.shutdown().await;
    };
    let mut told = Vec::new();
    let reading = async {
        let _ = from.read_to_end(&mut told).await;
    };
    tokio::join!(serving, sending, reading);
    told
}

/// A worker of a gate with one host, which leaves everything to the backend.
fn worker(backend: &Backend) -> Arc<Worker> {
    let metrics = Metrics::new().expect("metrics");
    let log = AccessLog::open(LogTarget::Off, &metrics, &Readiness::default()).expect("no file");
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\nhosts:\n  {HOST}: {{ tls: {{ certificate: a, key: b }}, client_certificate: none }}\n\
         routes: [{{ path: /, require: nothing, upstream: backend }}, {{ path: /compressed, require: nothing, upstream: backend, compression: {{ }} }}]\nupstreams: {{ backend: {{ endpoints: ['{}'] }} }}\n",
        backend.address
    );
    let config = config::parse("sekisho.yaml".as_ref(), &yaml).unwrap_or_else(|bad| panic!("{bad}")).config;
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nobody));
    let host = HostSettings {
        name: config.hosts.keys().next().expect("the host").clone(),
        tls: Arc::new(tls),
        client_certificate: ClientCertificate::None,
        rejection: Rejection::default(),
    };
    let upstreams = config.upstreams.iter().map(|(name, settings)| {
        let upstream = Upstream::new(name.as_str(), settings, None, &metrics);
        upstream.place(0, &[Address::Ip(backend.address)], None, None);
        Arc::new(upstream)
    });
    let upstreams = upstreams.collect();
    let settings = PolicySettings {
        hosts: vec![host],
        routes: config.routes,
        upstreams,
        headers: config.headers,
        trusted_proxies: Vec::new(),
        timeouts: config.timeouts,
        limits: config.limits,
        rates: (config.rate_limits, RateTables::default()),
        sign_in: None,
        traces: None,
        assertions: None,
        bodies: HashMap::new(),
        maintenance: config.maintenance,
    };
    let policy = Arc::new(Policy::build(settings, &metrics).expect("a policy"));
    let orders = Orders { policy, trust: None, registry: None, backstage: Arc::new(Nobody) };
    let settings = WorkerSettings {
        clock: Clock::System,
        access_log: log.buffer(),
        load: Arc::default(),
        id_seed: 0,
        metrics,
    };
    Worker::new(settings, &orders, watch::channel(Phase::Serving).1)
}

/// Nobody behind the data path, and no certificate.
#[derive(Debug)]
struct Nobody;

impl ResolvesServerCert for Nobody {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

impl Backstage for Nobody {
    fn session(&self, _: SessionToken, _: Visitor, _: bool) -> Later<FoundSession> {
        Box::pin(async { FoundSession::Nobody })
    }

    fn portal(&self, request: Request<Bytes>) -> Later<Response<Bytes>> {
        Box::pin(async move { Response::new(request.into_body()) })
    }

    fn seen(&self, _: Arc<[Vec<u8>]>, _: IpAddr) {}

    fn page(&self, _: &str, code: &'static str, _: Language, _: &str) -> Page {
        Page { title: code.to_owned(), what: code.to_owned(), html: code.into() }
    }

    fn content_security_policy(&self) -> &str {
        "default-src 'none'"
    }
}

/// A backend that believes nothing.
struct Backend {
    address: std::net::SocketAddr,
    seen: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Option<String>>>,
}

impl Backend {
    /// One that sends `answers` on its first connection, or answers properly on all.
    async fn start(answers: Option<Vec<u8>>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Another address each time: a port that was used a moment ago is not free.
        let [.., high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let listener = TcpListener::bind((format!("127.1.{high}.{}", low.max(1)), 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, wrong) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Option<String>>>::default());
        let (count, note, mut answers) = (seen.clone(), wrong.clone(), answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, note) = (count.clone(), note.clone());
                let answers = answers.as_mut().map(std::mem::take);
                tokio::spawn(async move {
                    if let Err(wrong) = serve(stream, answers, &count).await {
                        note.lock().expect("no panic").get_or_insert(wrong);
                    }
                });
            }
        });
        Self { address, seen, wrong }
    }
}

/// Reads request after request; an error is one that should never have come.
async fn serve(mut stream: TcpStream, answers: Option<Vec<u8>>, seen: &AtomicUsize) -> Result<(), String> {
    let mut buffer = Vec::new();
    let mut answers = answers.map(Some);
    loop {
        let mut has_said_continue = false;
        let length = loop {
            if let Some((head, rest)) = Head::read(&buffer) {
                check(&head)?;
                if let Some(length) = body(&head, rest)? {
                    break buffer.len() - rest.len() + length;
                }
                // Nobody waits here until the gate has waited long enough for this.
                if !head.values("expect").is_empty() && !std::mem::replace(&mut has_said_continue, true) {
                    let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                }
            } else if buffer.windows(4).any(|window| window == b"\r\n\r\n") {
                return Err(format!("no head: {:?}", String::from_utf8_lossy(&buffer)));
            }
            if !matches!(stream.read_buf(&mut buffer).await, Ok(1..)) {
                return Ok(());
            }
        };
        seen.fetch_add(1, Ordering::Relaxed);
        buffer.drain(..length);
        let answer = match &mut answers {
            None => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Some(answers) => match answers.take() {
                Some(answers) => answers,
                None => return Ok(()),
            },
        };
        if stream.write_all(&answer).await.is_err() {
            return Ok(());
        }
        if answers.is_some() {
            // An answer that ends with the connection ends here.
            let _ = stream.shutdown().await;
        }
    }
}

/// How long the body behind a head is, once it is all there.
fn body(head: &Head, rest: &[u8]) -> Result<Option<usize>, String> {
    if head.is_chunked() {
        let mut left = Bytes::copy_from_slice(rest);
        return Ok(naive::dechunk(&mut left).map(|_| rest.len() - left.len()));
    }
    let length = match head.values("content-length")[..] {
        [] => 0,
        [length] => std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).ok_or("no length")?,
        _ => return Err("two lengths".to_owned()),
    };
    Ok((rest.len() >= length).then_some(length))
}

/// Whether a request is one that the gate may send.
fn check(head: &Head) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {head:?}"));
    let words: Vec<&str> = head.start.split(' ').collect();
    let [method, path, "HTTP/1.1"] = words[..] else { return wrong("no start line") };
    if !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return wrong("no method");
    }
    let form = target::Target::parse(path.as_bytes()).map_err(|bad| format!("{}: {head:?}", bad.0))?;
    if !path.starts_with(&*form.path) {
        return wrong("a path in another form");
    }
    let codings = head.values("transfer-encoding");
    let framings = codings.len() + head.values("content-length").len();
    if framings > 1 || codings.iter().any(|coding| **coding != *b"chunked") {
        return wrong("two framings");
    }
    let hosts: Vec<_> = head.values("host").iter().map(|host| host.to_ascii_lowercase()).collect();
    let [host] = &hosts[..] else { return wrong("not one host") };
    if host.split(|&byte| byte == b':').next() != Some(HOST.as_bytes()) {
        return wrong("another host");
    }
    for (name, most) in
        [("x-contract-id", 0), ("x-user-id", 0), ("x-request-id", 1), ("via", 1), ("forwarded", 1)]
    {
        let folded = |known: &str| known.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
        if head.fields.iter().filter(|(known, _)| folded(known) == name).count() > most {
            return wrong(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client is told of two requests, and how many of them the backend saw.
    fn told(requests: &str, answers: Option<&str>) -> (String, usize) {
        let requests = requests.replace("HOST", &format!("Host: {HOST}"));
        let (told, seen) = converse(requests.as_bytes(), answers.map(|answers| answers.as_bytes().to_vec()));
        (String::from_utf8(told).unwrap(), seen)
    }

    #[test]
    fn requests_reach_the_backend_and_answers_the_client() {
        let two = "GET /a HTTP/1.1\r\nHOST\r\n\r\nPOST /b HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi";
        let (text, seen) = told(two, None);
        assert_eq!((text.matches("HTTP/1.1 200 OK\r\n").count(), seen), (2, 2), "{text}");
        let (text, seen) = told(two, Some("HTTP/1.1 202 x\r\nContent-Length: 2\r\n\r\nok"));
        assert!(text.starts_with("HTTP/1.1 202 Accepted\r\n") && text.contains("\r\n\r\nok"), "{text}");
        assert!(seen >= 1);
        let (text, seen) = told("GET /a HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n", None);
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert_eq!(seen, 0);
    }

    /// Wherever in its body the client's side is full: the last part may be what fills it.
    #[test]
    fn a_compressed_response_ends_with_the_last_chunk() {
        let request = format!("GET /compressed HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n\r\n");
        let mut random = fastrand::Rng::with_seed(7);
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(160 << 10).collect();
        for length in (64 << 10..noise.len()).step_by(3 << 10) {
            let head =
                format!("HTTP/1.1 200 x\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
            let (told, seen) =
                converse(request.as_bytes(), Some([head.as_bytes(), &noise[..length]].concat()));
            let has_ended = told.ends_with(b"\r\n0\r\n\r\n");
            assert_eq!((has_ended, told.len() > length, seen), (true, true, 1), "{length}");
        }
    }

    #[test]
    fn a_request_that_no_gate_sends_is_seen() {
        let wrong = |bytes: &[u8]| check(&Head::read(bytes).unwrap().0).is_err();
        let good = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        assert!(!wrong(good.as_bytes()));
        for line in [
            "Host: other",
            "Content-Length: 1\r\nContent-Length: 1",
            "x_contract_id: 1",
            "Transfer-Encoding: x",
        ] {
            assert!(wrong(good.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n")).as_bytes()), "{line}");
        }
        assert!(wrong(good.replace("/a", "/a/../b").as_bytes()));
        assert!(wrong(good.replace("GET", "get").as_bytes()));
    }
}
