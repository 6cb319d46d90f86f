//! Real Redis servers, each on a port of its own, killed with their guard or with the test's thread.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, FromRedisValue, ToRedisArgs};
use rustix::process::{Pid, Signal, kill_process};
use sekisho::config::{RedisTopology, RedisUrl};
use sekisho::stores::StateSettings;
use tempfile::TempDir;

use super::eventually;

/// A server, or a sentinel.
pub struct RedisServer {
    child: Child,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
}

/// A port that nobody listens at now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RedisServer {
    /// A server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::with(|_| Vec::new())
    }

    /// A server with more settings; they are told its folder.
    pub fn with(settings: impl Fn(&str) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut arguments: Vec<String> =
            ["--save", "", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
                .map(str::to_owned)
                .into();
        arguments.extend(["--port".to_owned(), port.to_string()]);
        arguments.extend(settings(folder.path().to_str().unwrap()));
        let mut server = Self { child: spawn(folder.path(), &arguments), folder, port, arguments };
        // Somebody else may take the port between the look and the start.
        if server.answers_or_ends() { server } else { Self::with(settings) }
    }

    /// A sentinel for the service `main`, whose primary is at `port`; it alone decides, after half a second.
    pub fn sentinel(primary: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        );
        fs::write(&file, text).unwrap();
        let arguments = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        let mut server = Self { child: spawn(folder.path(), &arguments), folder, port, arguments };
        assert!(server.answers_or_ends(), "the sentinel's port was taken");
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How a gateway reaches it.
    pub fn settings(&self) -> StateSettings {
        settings(RedisTopology::Single, &[self.port], 0)
    }

    /// Asks it something, past everything under test.
    pub fn tell<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> T {
        self.try_tell(words).unwrap()
    }

    /// The same, if it answers.
    pub fn try_tell<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> redis::RedisResult<T> {
        let client = Client::open(("127.0.0.1", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query(&mut connection)
    }

    /// Kills it, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it anew on its port.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.folder.path(), &self.arguments);
        assert!(self.answers_or_ends(), "the port was taken");
    }

    /// Stops it in its tracks: connections stay, nothing is answered.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    fn answers_or_ends(&mut self) -> bool {
        let mut answers = false;
        eventually("an answer from Redis, or its end", || {
            answers = pings(self.port);
            answers || self.child.try_wait().unwrap().is_some()
        });
        answers
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a gateway reaches servers on this machine.
pub fn settings(topology: RedisTopology, ports: &[u16], replicas: u32) -> StateSettings {
    let servers = ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
    let url = RedisUrl { topology, tls: false, user: None, servers, database: 0 };
    StateSettings::Redis { url, password: None, authorities: None, replicas }
}

/// `setpriv` has the kernel kill it when the test's thread is gone, however that came.
fn spawn(folder: &std::path::Path, arguments: &[String]) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn pings(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0; 5];
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(b"PING\r\n").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG"
}
