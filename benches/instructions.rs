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
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sekisho::app::Gateway;
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::pki::AssertionKey;

#[path = "parts/backend.rs"]
mod backend;
#[path = "parts/bank.rs"]
mod bank;

use bank::HOST;

const KEPT: &str = "benches/instructions.txt";
/// What callgrind wrote last.
const LEFT: &str = "target/instructions";
/// By so much a figure may differ from the one that is kept, in parts of a hundred: the libraries have other functions for other
/// processors, and what comes in two parts in place of one is read twice.
const TOLERANCE: f64 = 8.0;
/// A figure that differs by more is counted again so often: a machine that is busy can make parts of what was one, though
/// hardly each time.
const AGAIN: usize = 2;

/// One that is counted: its name, how often it is done, what that is, and which of its parts are counted by themselves.
struct Counted {
    name: &'static str,
    operations: usize,
    case: Case,
    parts: &'static [Part],
}

/// A part of an operation: its name, and the function that does it with all that it calls.
type Part = (&'static str, &'static str);

const fn counted(name: &'static str, operations: usize, case: Case) -> Counted {
    Counted { name, operations, case, parts: &[] }
}

impl Counted {
    const fn with(self, parts: &'static [Part]) -> Self {
        Self { parts, ..self }
    }
}

const CASES: [Counted; 11] = [
    counted("handshake, full, with one request", 30, Case::Connection { resumed: false })
        .with(&[("judging the certificate", "sekisho::edge::connection::judge")]),
    counted("handshake, resumed, with one request", 60, Case::Connection { resumed: true }),
    counted("request over HTTP/1.1", 1000, Case::Http1("/")),
    counted("request over HTTP/1.1, with a browser's header fields", 1000, Case::Browser).with(&[
        ("the gate's decision", "sekisho::edge::gate::decide"),
        ("the head for the upstream", "sekisho::edge::forward::request::request_head"),
        ("the head of the response", "sekisho::edge::forward::response::ResponseHead::take"),
        ("the line of the access log", "sekisho::ops::access_log::AccessLogBuffer::write"),
    ]),
    counted("request over HTTP/1.1, the hundredth route of its host", 1000, Case::Http1("/r99/page")),
    counted("request over HTTP/1.1, with an assertion", 200, Case::Http1("/assertion")),
    counted("request over HTTP/1.1, refused", 500, Case::Http1("/assertion/none")),
    counted("request over HTTP/1.1, of a trace that is not recorded", 1000, Case::Traced { ratio: 0 }),
    counted("request over HTTP/1.1, of a trace that is recorded and told", 1000, Case::Traced { ratio: 1 }),
    counted("request over HTTP/2", 1000, Case::Http2),
    counted("MiB of a response", 20, Case::Download),
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
    let backend = backend::start();
    let wanted = CASES.iter().filter(|case| only.is_none_or(|only| case.name.contains(&**only)));
    let found: Vec<Found> = wanted.map(|case| (case, count(case, backend))).collect();
    let is_good = if says("--keep") {
        keep(&found);
        true
    } else {
        says("--show") || compare(&found, backend)
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was counted for a case: for the operation, then for its parts.
type Found = (&'static Counted, Vec<(String, u64)>);

/// Instructions per operation.
fn count(counted: &Counted, backend: SocketAddr) -> Vec<(String, u64)> {
    let [once, twice] = [1, 2].map(|times| {
        let gate = Gate::start(counted.case, backend);
        let client = Client::new(&gate);
        // What is made when it is first needed is made by then.
        client.run(counted.case, 3);
        client.run(counted.case, counted.operations * times);
        gate.stop()
    });
    let each =
        |count: &dyn Fn(&str) -> u64| count(&twice).saturating_sub(count(&once)) / counted.operations as u64;
    let mut found = vec![(counted.name.to_owned(), each(&total))];
    for (part, function) in counted.parts {
        let count = each(&|counts| inclusive(counts, function));
        assert!(count > 0, "{function} is not called, or not a function of its own any more");
        found.push((format!("{}: {part}", counted.name), count));
    }
    for (name, count) in &found {
        println!("{count:>12}  {name}");
    }
    found
}

/// All that the process has executed, as callgrind wrote it down.
fn total(counts: &str) -> u64 {
    let total = counts.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    total.expect("a total").trim().parse().expect("a number")
}

/// What a function has executed, with all that it called. Callgrind writes a name in full the first time, and from then on its
/// number; under each call, what that came to.
fn inclusive(counts: &str, function: &str) -> u64 {
    let (mut numbers, mut is_called, mut sum) = (Vec::new(), false, 0);
    let mut lines = counts.lines();
    while let Some(line) = lines.next() {
        if let Some((kind, rest)) = line.split_once("fn=(")
            && matches!(kind, "" | "c")
        {
            let (number, name) = rest.split_once(')').expect("a number");
            if name.trim() == function {
                numbers.push(number);
            }
            if kind == "c" {
                is_called = numbers.contains(&number);
            }
        } else if line.starts_with("calls=") {
            let cost = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a cost");
            sum += if is_called { cost.parse::<u64>().expect("a number") } else { 0 };
        }
    }
    sum
}

fn keep(found: &[Found]) {
    let all = found.iter().flat_map(|(_, found)| found);
    let lines: String = all.map(|(name, count)| format!("{count:>12}  {name}\n")).collect();
    std::fs::write(KEPT, lines).expect("written");
}

/// Whether every figure is about what it was. One that is much better isn't right either: it should be kept.
fn compare(found: &[Found], backend: SocketAddr) -> bool {
    let kept = std::fs::read_to_string(KEPT).expect("figures that were kept");
    let kept: BTreeMap<&str, u64> = kept
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(count, name)| (name, count.parse().expect("a number")))
        .collect();
    let off = |found: &[(String, u64)]| -> Vec<String> {
        let off = found.iter().filter_map(|(name, count)| {
            let Some(before) = kept.get(&**name) else { return Some(format!("{name}: no figure is kept")) };
            #[expect(clippy::cast_precision_loss, reason = "some millions")]
            let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
            (percent.abs() > TOLERANCE).then(|| format!("{name}: {percent:+.1} % against {before}"))
        });
        off.collect()
    };
    let mut is_good = true;
    for (counted, first) in found {
        let again = std::iter::repeat_with(|| off(&count(counted, backend))).take(AGAIN);
        let wrong = off(first);
        if !wrong.is_empty() && !again.into_iter().any(|wrong| wrong.is_empty()) {
            println!("{}", wrong.join("\n"));
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

    /// Stops it, and returns what callgrind has counted.
    fn stop(mut self) -> String {
        drop(self.stdin);
        assert!(self.child.wait().expect("an end").success());
        let counts = std::fs::read_to_string(counts(self.folder.path())).expect("counts");
        std::fs::create_dir_all(LEFT)
            .and_then(|()| std::fs::write(format!("{LEFT}/callgrind.out"), &counts))
            .expect("written");
        counts
    }
}

fn counts(folder: &Path) -> PathBuf {
    folder.join("callgrind")
}

fn lay_out(folder: &Path, backend: SocketAddr) {
    bank::lay_out(folder);
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

/// A client with a certificate.
struct Client {
    address: SocketAddr,
    once: Arc<ClientConfig>,
    again: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Client {
    fn new(gate: &Gate) -> Self {
        let config = || bank::client(gate.folder.path());
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
