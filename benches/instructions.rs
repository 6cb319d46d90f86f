//! What the gate spends on one operation, in user-space instructions of its process, counted by valgrind. A busy machine
//! can't hide a regression in them, and can't invent one; what time an operation takes, docs/PERFORMANCE.md says.
//!
//! ```text
//! cargo bench --bench instructions                # counts, and holds the figures against benches/instructions.txt
//! cargo bench --bench instructions -- --keep      # keeps them there
//! cargo bench --bench instructions -- --show      # counts only
//! cargo bench --bench instructions -- --show HTTP/2    # those whose name has this in it, and leaves what callgrind_annotate
//!                                                 # reads in target/instructions
//! ```
//!
//! The gate runs in a process of its own under callgrind, with what a bank's would have: a required client certificate, a
//! revocation list, the access log. One client asks one thing after another over loopback. Each case is counted twice, with
//! so many operations and with twice as many: the difference is theirs alone, without what the start and the clock's ticks
//! cost. The figures that are kept are those of CI's build (`CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo bench --profile dev`), which shares
//! what the tests have built; what is shipped, with link-time optimisation, spends less.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sekisho::app::Gateway;
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::domain::{ContractId, Identity, UserId};
use sekisho::pki::AssertionKey;
use sekisho::pki::development::{Authority, AuthorityName, Existing, FileStem, KeyKind};

const HOST: &str = "cert.localhost";
const KEPT: &str = "benches/instructions.txt";
/// What callgrind wrote last.
const LEFT: &str = "target/instructions";
/// By so much a figure may differ from the one that is kept, in parts of a hundred: the libraries have other functions for other
/// processors, and what comes in two parts in place of one is read twice.
const TOLERANCE: f64 = 8.0;
/// A figure that differs by more is counted again so often: a machine that is busy can make parts of what was one, though
/// hardly each time.
const AGAIN: usize = 2;

/// What is counted, and how often.
const CASES: [Counted; 11] = [
    ("handshake, full, with one request", 30, Case::Connection { resumed: false }),
    ("handshake, resumed, with one request", 60, Case::Connection { resumed: true }),
    ("request over HTTP/1.1", 1000, Case::Http1("/")),
    ("request over HTTP/1.1, with a browser's header fields", 1000, Case::Browser),
    ("request over HTTP/1.1, the hundredth route of its host", 1000, Case::Http1("/r99/page")),
    ("request over HTTP/1.1, with an assertion", 200, Case::Http1("/assertion")),
    ("request over HTTP/1.1, refused", 500, Case::Http1("/assertion/none")),
    ("request over HTTP/1.1, of a trace that is not recorded", 1000, Case::Traced { ratio: 0 }),
    ("request over HTTP/1.1, of a trace that is recorded and told", 1000, Case::Traced { ratio: 1 }),
    ("request over HTTP/2", 1000, Case::Http2),
    ("MiB of a response", 20, Case::Download),
];

#[derive(Clone, Copy)]
enum Case {
    Connection { resumed: bool },
    Http1(&'static str),
    Browser,
    Traced { ratio: u8 },
    Http2,
    Download,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = &*arguments
        && mode == "gate"
    {
        serve(Path::new(folder));
        return ExitCode::SUCCESS;
    }
    let says = |word| arguments.iter().any(|argument| argument == word);
    let only = arguments.iter().find(|argument| !argument.starts_with("--"));
    let backend = backend();
    let wanted = CASES.iter().filter(|(name, ..)| only.is_none_or(|only| name.contains(&**only)));
    let found: Vec<_> = wanted.map(|case| (case, count(case, backend))).collect();
    let is_good = if says("--keep") {
        keep(&found);
        true
    } else {
        says("--show") || compare(&found, backend)
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One that is counted: its name, how often it is done, and what that is.
type Counted = (&'static str, usize, Case);

/// Instructions per operation.
fn count((name, operations, case): &Counted, backend: SocketAddr) -> u64 {
    let [once, twice] = [1, 2].map(|times| {
        let gate = Gate::start(*case, backend);
        let client = Client::new(&gate);
        // What is made when it is first needed is made by then.
        client.run(*case, 3);
        client.run(*case, operations * times);
        gate.stop()
    });
    let each = twice.saturating_sub(once) / *operations as u64;
    println!("{each:>12}  {name}");
    each
}

fn keep(found: &[(&Counted, u64)]) {
    let lines: String = found.iter().map(|((name, ..), count)| format!("{count:>12}  {name}\n")).collect();
    std::fs::write(KEPT, lines).expect("written");
}

/// Whether every figure is about what it was. One that is much better isn't right either: it should be kept.
fn compare(found: &[(&Counted, u64)], backend: SocketAddr) -> bool {
    let kept = std::fs::read_to_string(KEPT).expect("figures that were kept");
    let kept: BTreeMap<&str, u64> = kept
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(count, name)| (name, count.parse().expect("a number")))
        .collect();
    let mut is_good = true;
    for (case, first) in found {
        let Some(before) = kept.get(case.0) else {
            println!("{}: no figure is kept", case.0);
            is_good = false;
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let percent = |count: u64| (count as f64 / *before as f64 - 1.0) * 100.0;
        let again = std::iter::repeat_with(|| count(case, backend)).take(AGAIN);
        if !std::iter::once(*first).chain(again).any(|count| percent(count).abs() <= TOLERANCE) {
            println!("{}: {:+.1} % against {before}", case.0, percent(*first));
            is_good = false;
        }
    }
    if !is_good {
        println!("If that is as it should be: cargo bench --bench instructions -- --keep (with CI's build)");
    }
    is_good
}

/// The child: a gate that serves until its standard input ends.
fn serve(folder: &Path) {
    // As the binary does it: libraries ask whether anybody listens.
    let log = tracing_subscriber::fmt().json().with_env_filter("info").with_writer(std::io::stderr);
    log.init();
    let document = config::load(&folder.join("sekisho.yaml")).expect("a good file");
    let gateway = Gateway::start(&document, Clock::System).expect("a gateway");
    println!("{}", gateway.addresses()[0]);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    gateway.drain();
}

/// A gate under callgrind.
struct Gate {
    child: Child,
    stdin: ChildStdin,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Gate {
    fn start(case: Case, backend: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        lay_out(folder.path(), backend);
        if let Case::Traced { ratio } = case {
            let file = folder.path().join("sekisho.yaml");
            let yaml = std::fs::read_to_string(&file).expect("a file");
            // The backend plays the collector as well.
            let traces = format!("traces: {{ url: 'http://{backend}/traces', ratio: {ratio} }}\n");
            std::fs::write(file, yaml + &traces).expect("written");
        }
        let mut child = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", counts(folder.path()).display()))
            .arg(std::env::current_exe().expect("this program"))
            .arg("gate")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("valgrind, from Debian's package of that name");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("an address");
        let address = line.trim().parse().expect("an address");
        Self { stdin: child.stdin.take().expect("a pipe"), child, address, folder }
    }

    /// Stops it, and says how many instructions it has executed.
    fn stop(mut self) -> u64 {
        drop(self.stdin);
        assert!(self.child.wait().expect("an end").success());
        let counts = std::fs::read_to_string(counts(self.folder.path())).expect("counts");
        std::fs::create_dir_all(LEFT)
            .and_then(|()| std::fs::write(format!("{LEFT}/callgrind.out"), &counts))
            .expect("written");
        let total = counts.lines().rev().find_map(|line| line.strip_prefix("totals: "));
        total.expect("a total").trim().parse().expect("a number")
    }
}

fn counts(folder: &Path) -> PathBuf {
    folder.join("callgrind")
}

fn lay_out(folder: &Path, backend: SocketAddr) {
    let now = Clock::System.now();
    let mut authority =
        Authority::create(folder, &AuthorityName::default(), Existing::Replace, now).expect("a CA");
    let server = FileStem::new("server").expect("a name");
    let issued = authority.issue_server(&server, &[HOST.to_owned()], KeyKind::EcdsaP256, 30, now);
    issued.and_then(|issued| issued.write(folder, &server, None)).expect("a server's certificate");
    let client = FileStem::new("client").expect("a name");
    let identity = Identity {
        contract: ContractId::new("10000000000001").expect("a contract ID"),
        user: UserId::new("tanaka").expect("a user ID"),
    };
    let issued = authority.issue_client(&client, &identity, 30, now);
    issued.and_then(|issued| issued.write(folder, &client, None)).expect("a client's certificate");
    let key = AssertionKey::generate().expect("a key");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::write(folder.join("assertion.key"), key.as_bytes()).expect("written");
    std::fs::set_permissions(folder.join("assertion.key"), private).expect("private");
    let routes: String =
        (0..100).map(|n| format!("  - {{ path: /r{n}, require: certificate, upstream: plain }}\n")).collect();
    let yaml = format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]
workers: 1
ops: {{ bind: '127.0.0.1:0' }}
access_log: access.log
hosts: {{ {HOST}: {{ tls: {{ certificate: server.pem, key: server.key }}, client_certificate: required }} }}
trust: {{ authorities: ca.pem, crl: {{ sources: [ca.crl] }} }}
assertion: {{ issuer: 'https://{HOST}', keys: [assertion.key] }}
upstreams:
  plain: {{ endpoints: ['{backend}'] }}
  asserted: {{ endpoints: ['{backend}'], identity: {{ assertion: true }} }}
routes:
  - {{ path: /, require: certificate, upstream: plain }}
  - {{ path: /assertion, require: certificate, upstream: asserted }}
  - {{ path: /assertion/none, require: certificate, contracts: ['10000000000002'], upstream: plain }}
{routes}"
    );
    std::fs::write(folder.join("sekisho.yaml"), yaml).expect("written");
}

/// Answers each request with 1 KiB, or with 1 MiB for a path that begins with `/large`.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(stream: &TcpStream) {
    let answer = |length: usize| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; length]].concat()
    };
    let (small, large) = (answer(1 << 10), answer(1 << 20));
    stream.set_nodelay(true).expect("a socket");
    let (mut lines, mut writer) = (BufReader::new(stream), stream);
    let mut head = String::new();
    // A head has no body behind it here, unless spans are told: that they were taken is said with nothing.
    while matches!(lines.read_line(&mut head), Ok(1..)) {
        if head.ends_with("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            lines.read_exact(&mut vec![0; length.unwrap_or(0)]).expect("a body");
            let answer = match () {
                () if length.is_some() => &answer(0),
                () if head.starts_with("GET /large") => &large,
                () => &small,
            };
            if writer.write_all(answer).is_err() {
                return;
            }
            head.clear();
        }
    }
}

/// A client with a certificate.
struct Client {
    address: SocketAddr,
    once: Arc<ClientConfig>,
    again: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Client {
    fn new(gate: &Gate) -> Self {
        let file = |name: &str| gate.folder.path().join(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("a CA")).expect("a CA");
        let config = || {
            let chain = vec![CertificateDer::from_pem_file(file("client.pem")).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(file("client.key")).expect("a key");
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots.clone())
                .with_client_auth_cert(chain, key)
                .expect("a certificate")
        };
        let mut once = config();
        once.resumption = Resumption::disabled();
        let mut http2 = config();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Self { address: gate.address, once: once.into(), again: config().into(), http2: http2.into() }
    }

    fn run(&self, case: Case, operations: usize) {
        match case {
            Case::Connection { resumed } => {
                for _ in 0..operations {
                    self.connect(resumed).ask("/", "", 200);
                }
            }
            Case::Http1(path) => {
                let mut connection = self.connect(false);
                let status = if path == "/assertion/none" { 403 } else { 200 };
                for _ in 0..operations {
                    connection.ask(path, "", status);
                }
            }
            Case::Traced { .. } => {
                let mut connection = self.connect(false);
                for _ in 0..operations {
                    connection.ask("/", "", 200);
                }
            }
            Case::Browser => {
                let mut connection = self.connect(false);
                for _ in 0..operations {
                    connection.ask("/banking/accounts?page=2", BROWSER, 200);
                }
            }
            Case::Http2 => self.ask_http2(operations),
            Case::Download => {
                let mut connection = self.connect(false);
                for _ in 0..operations {
                    connection.ask("/large", "", 200);
                }
            }
        }
    }

    fn connect(&self, resumed: bool) -> Connection {
        let name = ServerName::try_from(HOST).expect("a name");
        let config = if resumed { &self.again } else { &self.once };
        let session = ClientConnection::new(config.clone(), name).expect("a session");
        let tcp = TcpStream::connect(self.address).expect("a connection");
        tcp.set_nodelay(true).expect("a socket");
        Connection { stream: BufReader::new(StreamOwned::new(session, tcp)) }
    }

    fn ask_http2(&self, operations: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(self.address).await.expect("a connection");
            tcp.set_nodelay(true).expect("a socket");
            let connector = tokio_rustls::TlsConnector::from(self.http2.clone());
            let name = ServerName::try_from(HOST).expect("a name");
            let tls = connector.connect(name, tcp).await.expect("a handshake");
            let (mut requests, connection) = h2::client::handshake(tls).await.expect("a connection");
            let serving = tokio::spawn(connection);
            for _ in 0..operations {
                let request = http::Request::get(format!("https://{HOST}/")).body(()).expect("a request");
                requests = requests.ready().await.expect("room");
                let (response, _) = requests.send_request(request, true).expect("sent");
                let response = response.await.expect("an answer");
                assert_eq!(response.status(), 200);
                let mut body = response.into_body();
                while let Some(data) = body.data().await {
                    let length = data.expect("data").len();
                    body.flow_control().release_capacity(length).expect("room");
                }
            }
            drop(requests);
            let _ = serving.await;
        });
    }
}

/// What a browser sends with a page's request.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n\
    Accept-Language: ja,en-US;q=0.9,en;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://cert.localhost/banking/accounts\r\n\
    Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF; theme=light; last=2026-11-28\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Ch-Ua: \"Chromium\";v=\"140\"\r\n\
    Sec-Ch-Ua-Mobile: ?0\r\n\
    Sec-Ch-Ua-Platform: \"Windows\"\r\n\
    Priority: u=0, i\r\n\
    Connection: keep-alive\r\n";

struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Connection {
    fn ask(&mut self, path: &str, fields: &str, status: u16) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        self.stream.get_mut().write_all(head.as_bytes()).expect("sent");
        let (mut lines, mut length) = (String::new(), 0);
        while !lines.ends_with("\r\n\r\n") {
            let begun = lines.len();
            assert!(self.stream.read_line(&mut lines).expect("an answer") > 0, "an end: {lines}");
            let line = lines[begun..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        assert!(lines.starts_with(&format!("HTTP/1.1 {status} ")), "{lines}");
        let read = std::io::copy(&mut (&mut self.stream).take(length), &mut std::io::sink());
        assert_eq!(read.expect("a body"), length);
    }
}
