//! A PostgreSQL server of a test's own: on a socket in a temporary folder, gone with the test however it ends.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, getuid, kill_process};
use sekisho::stores::DirectorySettings;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tempfile::TempDir;

use super::eventually;

/// The superuser's password. Reserved characters of a URL on purpose.
pub const PASSWORD: &str = "kanarienvogel/?&#%:@ 1";

/// A running server.
pub struct Postgres {
    folder: TempDir,
    server: Child,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let owner = Owner::find();
        if let Owner::Postgres { user, group } = owner {
            chown(folder.path(), Some(user), Some(group)).unwrap();
            chown(&password, Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let made = owner
            .command("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let server = Self::run(owner, folder.path());
        let postgres = Self { folder, server, databases: AtomicU32::new(0) };
        postgres.wait();
        postgres
    }

    fn run(owner: Owner, folder: &Path) -> Child {
        let log = fs::File::create(folder.join("log")).unwrap();
        owner
            .command("postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn wait(&self) {
        eventually("the start of PostgreSQL", || self.execute("SELECT 1").is_ok());
    }

    /// Ends the server, with all its connections, and starts it again.
    pub fn restart(&mut self) {
        self.end();
        self.server = Self::run(Owner::find(), self.folder.path());
        self.wait();
    }

    fn end(&mut self) {
        self.signal(Signal::CONT);
        kill_process(Pid::from_child(&self.server), Signal::INT).unwrap();
        self.server.wait().unwrap();
    }

    /// Sends a signal to the server and every process of it, the server first.
    pub fn signal(&self, signal: Signal) {
        let server = Pid::from_child(&self.server);
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        for pid in std::iter::once(server)
            .chain(children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())))
        {
            // One that has just ended is none.
            let _ = kill_process(pid, signal);
        }
    }

    /// A new, empty database.
    pub fn database(&self) -> DirectorySettings {
        let name = format!("directory{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}")).unwrap();
        DirectorySettings::Postgres {
            url: format!("postgres://postgres@localhost/{name}?host={}", self.folder.path().display()),
            password: Some(zeroize::Zeroizing::new(PASSWORD.to_owned())),
        }
    }

    /// Runs a program of PostgreSQL's that connects by itself.
    #[track_caller]
    pub fn run_tool(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(binary(program));
        let done = command.args(arguments).env("PGPASSWORD", PASSWORD).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn execute(&self, statement: &str) -> Result<(), sqlx::Error> {
        let options = PgConnectOptions::new()
            .socket(self.folder.path())
            .username("postgres")
            .password(PASSWORD)
            .database("postgres");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { options.connect().await?.execute(AssertSqlSafe(statement)).await.map(drop) })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// Who runs the server: it refuses to be root's.
#[derive(Clone, Copy)]
enum Owner {
    Ourselves,
    Postgres { user: u32, group: u32 },
}

impl Owner {
    fn find() -> Self {
        if !getuid().is_root() {
            return Self::Ourselves;
        }
        let id = |what: &str| {
            let output = Command::new("id").args([what, "postgres"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().expect("the user postgres")
        };
        Self::Postgres { user: id("-u"), group: id("-g") }
    }

    /// A program of PostgreSQL's. It is told to stop when the thread that started it ends, however that comes.
    fn command(self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if let Self::Postgres { user, group } = self {
            command.args(["--clear-groups", &format!("--reuid={user}"), &format!("--regid={group}")]);
        }
        command.arg(binary(program)).current_dir("/");
        command
    }
}

/// Debian keeps them out of the PATH, in a folder for each version.
fn binary(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.unwrap().path().join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| program.into())
}
