//! SIGUSR2: the program at our path is started beside us with our sockets, and takes over when it says that it serves.
//!
//! Both processes accept from the same sockets for a moment, so nobody is ever refused. Until the successor's word this one
//! serves as if nothing happened; whatever goes wrong with the successor costs a line in the log. They talk over a pair of
//! Unix sockets, whose other end the successor finds behind the listening sockets:
//!
//! ```text
//! predecessor                           successor
//!   fork, exec ──── sockets, line ────▶   reads the configuration, starts
//!              ◀─────── ready ─────────   serves
//!   tells systemd who is the main process
//!              ──────── taken ────────▶   speaks to systemd from now on
//!   stops accepting, drains, ends
//! ```

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::io::AsyncReadExt;

use crate::clock;
use crate::ops::systemd;

/// How long a successor may take to serve.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a predecessor may take to hear of it.
const HEARING: Duration = Duration::from_secs(5);
/// How often and how many times it is looked whether a successor that hung up has ended.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: usize = 200;
/// The first file descriptor of `LISTEN_FDS`.
const FIRST: i32 = 3;

const READY: &[u8] = b"ready\n";
const TAKEN: &[u8] = b"taken\n";

/// How this process was started: how its successor will be.
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Asked at the start, while the working directory is what the words meant.
    pub(super) fn own() -> io::Result<Self> {
        let mut words = std::env::args_os();
        let typed = words.next().map(PathBuf::from).unwrap_or_default();
        Ok(Self { path: find(&typed)?, arguments: words.collect() })
    }

    /// Starts it with copies of these sockets.
    pub(super) fn start(&self, sockets: Vec<OwnedFd>) -> io::Result<Successor> {
        let (line, other) = UnixStream::pair()?;
        line.set_nonblocking(true)?;
        let count = sockets.len();
        let descriptors = sockets.into_iter().chain([OwnedFd::from(other)]);
        let mappings = (FIRST..).zip(descriptors);
        let mappings = mappings.map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env("LISTEN_FDS", (count + 1).to_string());
        // They name us. Without them, the rest is for whoever reads it.
        for name in ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES", "LISTEN_FDS_FIRST_FD", "WATCHDOG_PID"]
        {
            command.env_remove(name);
        }
        let deadline = tokio::time::Instant::from_std(clock::instant() + PATIENCE);
        let child = command.fd_mappings(mappings).map_err(io::Error::other)?.spawn()?;
        Ok(Successor {
            child,
            line: tokio::net::UnixStream::from_std(line)?,
            deadline,
            heard: Vec::new(),
            took_over: false,
        })
    }

    /// Where the successor comes from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the program is that was started as `typed`. Links are kept, since they are what an operator turns to the next
/// version; `/proc/self/exe` would name the old one.
#[expect(clippy::disallowed_methods, reason = "only cli/ reads the environment: here the way to ourselves")]
fn find(typed: &Path) -> io::Result<PathBuf> {
    if typed.components().count() > 1 {
        return std::path::absolute(typed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(typed)).find(|file| file.is_file());
    found.map_or_else(std::env::current_exe, std::path::absolute)
}

/// A process that is to take over. Killed if it is dropped before it has.
pub(super) struct Successor {
    child: Child,
    line: tokio::net::UnixStream,
    deadline: tokio::time::Instant,
    heard: Vec<u8>,
    took_over: bool,
}

/// Waits for the word of a successor, for ever if there is none. Nothing is lost if it is dropped and called anew.
pub(super) async fn is_ready(successor: &mut Option<Successor>) -> Result<(), String> {
    match successor {
        Some(successor) => successor.is_ready().await,
        None => std::future::pending().await,
    }
}

impl Successor {
    async fn is_ready(&mut self) -> Result<(), String> {
        while self.heard.len() < READY.len() {
            match tokio::time::timeout_at(self.deadline, self.line.read_buf(&mut self.heard)).await {
                Err(_) => return Err("it did not serve in time".to_owned()),
                Ok(Ok(1..)) => {}
                Ok(_) => return Err(self.end().await),
            }
        }
        if self.heard == READY { Ok(()) } else { Err("it speaks another language".to_owned()) }
    }

    /// How it ended. Its line ends a moment before it does, and in that moment it says why.
    async fn end(&mut self) -> String {
        for _ in 0..LOOKS {
            if let Ok(Some(status)) = self.child.try_wait() {
                return format!("it ended: {status}");
            }
            tokio::time::sleep(LOOK).await;
        }
        "it gave up".to_owned()
    }

    /// Leaves the service to it.
    pub(super) fn take_over(mut self) {
        let pid = self.child.id();
        systemd::succeeded_by(pid);
        tracing::info!(successor.pid = pid, "The successor serves");
        // It doesn't depend on hearing it: without, it speaks to systemd a little later.
        let _ = self.line.try_write(TAKEN);
        self.took_over = true;
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.took_over {
            // Fails if it has ended, which is what is wanted.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Tells whoever handed us the sockets that we serve, and waits until systemd listens to us.
pub(super) fn tell_predecessor(mut line: UnixStream) {
    let told = line.set_nonblocking(false).and_then(|()| line.write_all(READY)).and_then(|()| {
        line.set_read_timeout(Some(HEARING))?;
        line.read_exact(&mut [0; TAKEN.len()])
    });
    if let Err(error) = told {
        tracing::warn!(%error, "The predecessor did not hear that we serve");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(arguments: &[&str]) -> Program {
        let arguments = arguments.iter().map(OsString::from).collect();
        Program { path: "/bin/sh".into(), arguments }
    }

    #[tokio::test]
    async fn a_successor_that_is_late_gives_up_or_talks_nonsense_is_none() {
        for (script, expected) in [
            ("exec sleep 60", "it did not serve in time"),
            ("echo maybe >&3; exec sleep 60", "it speaks another language"),
            ("exec 3>&-; exec sleep 60", "it gave up"),
        ] {
            let mut successor = program(&["-c", script]).start(Vec::new()).unwrap();
            if expected.ends_with("in time") {
                successor.deadline = tokio::time::Instant::from_std(clock::instant());
            }
            assert_eq!(successor.is_ready().await, Err(expected.to_owned()));
        }
        assert!(
            Program { path: "/nowhere/sekisho".into(), arguments: Vec::new() }.start(Vec::new()).is_err()
        );
    }

    #[test]
    fn the_program_is_found_where_it_was_started() {
        assert_eq!(find(Path::new("/opt/sekisho/../x")).unwrap(), Path::new("/opt/sekisho/../x"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(find(Path::new("./sekisho")).unwrap(), here.join("sekisho"));
        assert!(find(Path::new("sh")).unwrap().is_absolute());
    }
}
