//! The servers that are compared: how each is configured and started, and what its processes have used.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{Issuer, KeyPair};
use rustix::process::{Pid, Resource, Signal};
use sekisho::app::Stores;
use sekisho::config;

use crate::load::Load;
use crate::process::status;
use crate::{backend, bank, directory, list};

const REVOKED: u64 = 100_000;

#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    program: &'static str,
    /// Its configuration: the file's name, and what is in it.
    file: (&'static str, &'static str),
    arguments: &'static [&'static str],
}

/// `@CONFIG@`, `@FOLDER@`, `@PORT@`, `@OPS@` and `@BACKEND@` are put in where they stand.
pub(crate) const PEERS: [Peer; 7] = [
    Peer {
        name: "nginx",
        program: "nginx",
        file: ("nginx.conf", include_str!("conf/nginx.conf")),
        arguments: &["-p", "@FOLDER@", "-e", "nginx.error", "-c", "@CONFIG@"],
    },
    Peer {
        name: "haproxy",
        program: "haproxy",
        file: ("haproxy.cfg", include_str!("conf/haproxy.cfg")),
        arguments: &["-db", "-f", "@CONFIG@"],
    },
    Peer {
        name: "apache",
        program: "apache2",
        file: ("apache.conf", include_str!("conf/apache.conf")),
        arguments: &["-DFOREGROUND", "-f", "@CONFIG@"],
    },
    Peer {
        name: "envoy",
        program: "envoy",
        file: ("envoy.yaml", include_str!("conf/envoy.yaml")),
        arguments: &[
            "-c",
            "@CONFIG@",
            "--concurrency",
            "1",
            "--log-level",
            "error",
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            "1000",
        ],
    },
    Peer {
        name: "caddy",
        program: "caddy",
        file: ("Caddyfile", include_str!("conf/Caddyfile")),
        arguments: &["run", "--adapter", "caddyfile", "--config", "@CONFIG@"],
    },
    // The same work as the others do.
    Peer {
        name: "sekisho",
        program: SEKISHO,
        file: ("same.yaml", include_str!("conf/same.yaml")),
        arguments: SERVE,
    },
    // And everything that a bank switches on besides.
    Peer {
        name: "sekisho-whole",
        program: SEKISHO,
        file: ("whole.yaml", include_str!("conf/whole.yaml")),
        arguments: SERVE,
    },
];

impl Peer {
    /// Another build of the gate, doing the same.
    pub(crate) fn others(program: &str) -> [Self; 2] {
        let program = std::fs::canonicalize(program).expect("a program").display().to_string().leak();
        [("other", "sekisho"), ("other-whole", "sekisho-whole")].map(|(name, like)| {
            let like = PEERS.iter().find(|peer| peer.name == like).expect("it is there");
            Self { name, program, ..*like }
        })
    }
}

const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");
const SERVE: &[&str] = &["serve", "--config", "@CONFIG@"];

/// Where they all stand: their certificates, what else they need, and the backend behind them.
pub(crate) struct Site {
    folder: PathBuf,
    backend: SocketAddr,
}

impl Site {
    pub(crate) async fn lay_out(folder: &Path) -> Self {
        bank::lay_out(folder);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it was written");
        std::fs::write(folder.join("both.pem"), read("server.pem") + &read("server.key")).expect("written");
        let key = KeyPair::from_pem(&read("ca.key")).expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).expect("a CA");
        std::fs::write(folder.join("many.crl"), list::make(&issuer, REVOKED)).expect("written");
        let site = Self { folder: folder.to_owned(), backend: backend::start() };
        let whole = PEERS.iter().find(|peer| peer.name == "sekisho-whole").expect("it is there");
        let document = config::load(&site.configure(whole, 0)).expect("a good file");
        // Its tables are made when it is first opened.
        drop(Stores::open(&document).await.expect("stores"));
        directory::fill(&folder.join("data/sekisho.db")).await;
        site
    }

    /// Writes its configuration.
    fn configure(&self, peer: &Peer, port: u16) -> PathBuf {
        let path = self.folder.join(peer.file.0);
        std::fs::write(&path, self.put_in(peer.file.1, port)).expect("written");
        path
    }

    fn put_in(&self, text: &str, port: u16) -> String {
        let ops = if text.contains("@OPS@") { free_port() } else { 0 };
        text.replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@PORT@", &port.to_string())
            .replace("@OPS@", &ops.to_string())
            .replace("@BACKEND@", &self.backend.to_string())
            .replace("@BACKEND_PORT@", &self.backend.port().to_string())
    }

    /// Whether it can be had, and does what it should.
    pub(crate) async fn check(&self, peer: &Peer, load: &Load) -> Result<(), String> {
        let server = self.start(peer).await?;
        load.check(&self.folder, server.port).await.map_err(str::to_owned)
    }

    pub(crate) async fn start(&self, peer: &Peer) -> Result<Server, String> {
        let port = free_port();
        let configuration = self.configure(peer, port);
        let arguments = peer.arguments.iter().map(|argument| {
            self.put_in(argument, port).replace("@CONFIG@", &configuration.display().to_string())
        });
        let said = self.folder.join(format!("{}.out", peer.name));
        let output = File::create(&said).expect("a file");
        let child = Command::new("taskset")
            .args(["--cpu-list", "0", peer.program])
            .args(arguments)
            .envs([("GOMAXPROCS", "1"), ("HOME", ".")])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .expect("taskset, from Debian's util-linux");
        let mut server = Server { child, port };
        for _ in 0..300 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                // Whatever it does after it has begun to listen.
                tokio::time::sleep(Duration::from_millis(300)).await;
                return Ok(server);
            }
            if server.child.try_wait().expect("a child").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let said = std::fs::read_to_string(said).unwrap_or_default();
        Err(format!("it doesn't start: {}", said.lines().next().unwrap_or("it says nothing")))
    }
}

/// One that runs. It is killed when nobody needs it any more.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// What all its threads have used.
    pub(crate) fn processor_time(&self) -> Duration {
        let threads = self.processes().into_iter().flat_map(|process| {
            std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten()
        });
        let nanoseconds: u64 = threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
            .sum();
        Duration::from_nanos(nanoseconds)
    }

    /// What its processes have for themselves, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.processes().iter().map(|process| status(process, "RssAnon")).sum()
    }

    /// How many files, sockets among them, it has open.
    pub(crate) fn open_files(&self) -> usize {
        let files =
            |process: String| std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        self.processes().into_iter().map(files).sum()
    }

    /// All of its process group.
    fn processes(&self) -> Vec<String> {
        let group = self.child.id().to_string();
        let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|process| {
                let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
                // After the program's name, which may have blanks: its state, its parent, its group.
                let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
                fields.split(' ').nth(2) == Some(&group)
            })
            .collect()
    }
}

impl Drop for Server {
    /// Asks it to end first: one that is built to write a profile does so then.
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
        for _ in 0..50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Five thousand connections have a file each, on either side.
pub(crate) fn allow_many_files() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}
