//! A second place for records: a syslog server (RFC 5424). A thread of its own sends; whatever goes wrong there never
//! holds up the file.

use std::fmt;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock;
use crate::config::SyslogAddress;

/// Facility 13 (log audit), severity 5 (notice).
const PRIORITY: u8 = 13 * 8 + 5;
/// How many records may wait.
const WAITING: usize = 4096;
/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A syslog server.
pub struct Syslog {
    /// `None` while it is dropped.
    queue: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the thread and its owner both know.
#[derive(Default)]
struct Shared {
    /// Who is told of each record that is lost, if anybody wants to be.
    tell: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// When the owner gives up what waits.
    until: OnceLock<Instant>,
}

impl Shared {
    fn count(&self) {
        if let Some(tell) = self.tell.get() {
            tell();
        }
    }

    fn is_over(&self) -> bool {
        self.until.get().is_some_and(|until| clock::instant() >= *until)
    }
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl Syslog {
    /// Nothing is sent yet: a server that is down is no reason not to start.
    pub fn start(to: SyslogAddress) -> io::Result<Self> {
        let (queue, records) = sync_channel(WAITING);
        let shared = Arc::<Shared>::default();
        let told = shared.clone();
        let thread = std::thread::Builder::new()
            .name("syslog".into())
            .spawn(move || send_all(&to, &records, &told))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), shared })
    }

    /// Has `lost` called for each record that is lost from now on. Only the first who asks is told.
    pub(super) fn watch(&self, lost: Box<dyn Fn() + Send + Sync>) {
        let _ = self.shared.tell.set(lost);
    }

    /// Hands a record over, and doesn't wait.
    pub(super) fn send(&self, time: Timestamp, line: &[u8]) {
        let head = format!("<{PRIORITY}>1 {time:.6} {} sekisho {} audit - ", host(), process::id());
        let message = [head.as_bytes(), line].concat();
        // Nothing is logged of each: the thread says once that the server doesn't answer.
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(message).is_err()) {
            self.shared.count();
        }
    }
}

/// A command ends right after its record: what waits is sent, as far as the server takes it soon.
impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = self.shared.until.set(clock::instant() + PATIENCE);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Unix(UnixDatagram),
}

fn send_all(to: &SyslogAddress, records: &Receiver<Vec<u8>>, shared: &Shared) {
    let (mut way, mut lost) = (None, 0_u64);
    for record in records {
        // At the end, one that takes nothing isn't waited for once a record.
        let sent =
            if shared.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { send(to, &mut way, &record) };
        match sent {
            Ok(()) if lost > 0 => {
                tracing::info!(syslog.lost = lost, "The syslog server takes audit records again");
                lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if lost == 0 {
                    tracing::error!(%error, syslog.to = %to, "The syslog server doesn't take audit records; the file has them");
                }
                lost += 1;
                shared.count();
            }
        }
    }
}

/// Once more over a new connection if the old one has ended.
fn send(to: &SyslogAddress, way: &mut Option<Way>, record: &[u8]) -> io::Result<()> {
    if let Some(open) = way
        && open.send(record).is_ok()
    {
        return Ok(());
    }
    *way = None;
    let mut open = Way::open(to)?;
    open.send(record)?;
    *way = Some(open);
    Ok(())
}

impl Way {
    fn open(to: &SyslogAddress) -> io::Result<Self> {
        match to {
            SyslogAddress::Udp(place) => {
                let address = resolve(place)?;
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
            SyslogAddress::Tcp(place) => {
                let stream = TcpStream::connect_timeout(&resolve(place)?, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Tcp(stream))
            }
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(socket))
            }
        }
    }

    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(record).map(drop),
            Self::Unix(socket) => socket.send(record).map(drop),
            // Octet counting: a record can't end early, whatever it holds.
            Self::Tcp(stream) => {
                stream.write_all(&[format!("{} ", record.len()).as_bytes(), record].concat())
            }
        }
    }
}

fn resolve(place: &str) -> io::Result<std::net::SocketAddr> {
    place.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))
}

/// What the machine calls itself.
fn host() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().unwrap_or_default();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        "-".into()
    } else {
        name.into()
    }
}
