//! `sekisho serve` as a service of an operator's: a process of its own, its successors, and the files that both read.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::backend::Backend;
use super::client::Client;
use super::eventually;
use super::gate::{Settings, lay_out};
use super::pki::{COMMON_NAME, Ca};
use super::process::{Running, SEKISHO};

/// A process that serves. Its end is that of all its successors.
pub struct Service {
    pub running: Running,
    pub address: SocketAddr,
    pub ops: SocketAddr,
    pub folder: TempDir,
    ca: Ca,
}

impl Service {
    /// Two workers before `backend`, started by the link `sekisho` in the folder.
    pub fn start(backend: &Backend) -> Self {
        Self::started(backend, |folder| {
            let mut command = Command::new(folder.join("sekisho"));
            command.args(["serve", "--config"]).arg(folder.join("sekisho.yaml"));
            command
        })
    }

    /// The same, started by a script in Python that becomes its arguments.
    pub fn activated(backend: &Backend, script: &str) -> Self {
        Self::started(backend, |folder| {
            let mut command = Command::new("python3");
            command.arg("-c").arg(script).arg(folder.join("sekisho"));
            command.args(["serve", "--config"]).arg(folder.join("sekisho.yaml"));
            command
        })
    }

    /// The same, started by the command that `command` makes of the folder.
    pub fn started(backend: &Backend, command: impl FnOnce(&Path) -> Command) -> Self {
        let ca = Ca::new("Mihon Bank CA-G1");
        let folder = lay_out(&[backend.address], &ca, &Settings::default());
        symlink(SEKISHO, folder.path().join("sekisho")).unwrap();
        edit(folder.path(), "workers: 1", "workers: 2");
        let mut command = command(folder.path());
        command.current_dir(folder.path()).env_remove("SEKISHO_LOG");
        let mut running = Running::spawn(&mut command);
        running.wait_until_ready();
        eventually("the addresses", || running.stderr().contains("Listening for operators"));
        let lines = lines(&running);
        let address = |message: &str| said(&lines, message)[0]["address"].as_str().unwrap().parse().unwrap();
        let (address, ops) = (address("Listening"), address("Listening for operators"));
        // From port 0 nobody could take over.
        let file = folder.path().join("sekisho.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let text = [address, ops]
            .iter()
            .fold(text, |text, bound: &SocketAddr| text.replacen("'127.0.0.1:0'", &format!("'{bound}'"), 1));
        fs::write(file, text).unwrap();
        Self { running, address, ops, folder, ca }
    }

    /// Changes the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        edit(self.folder.path(), from, to);
    }

    /// Puts a script, or with `None` the program again, in the program's place.
    pub fn replace_program(&self, script: Option<&str>) {
        let (file, new) = (self.folder.path().join("sekisho"), self.folder.path().join("new"));
        match script {
            Some(script) => {
                fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
                fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            }
            None => symlink(SEKISHO, &new).unwrap(),
        }
        fs::rename(new, file).unwrap();
    }

    /// A client with the usual certificate.
    pub fn tanaka(&self) -> Client {
        Client::new(self.address, &self.ca).with(&self.ca.client(COMMON_NAME))
    }

    /// The fields of every line of the logs that has this message.
    pub fn said(&self, message: &str) -> Vec<Value> {
        said(&lines(&self.running), message)
    }

    /// Waits until this was logged for the `count`th time, and returns its fields.
    pub fn says(&self, message: &str, count: usize) -> Value {
        eventually(message, || self.said(message).len() >= count);
        self.said(message).remove(count - 1)
    }

    /// Waits until the `count`th successor serves.
    pub fn successor(&self, count: usize) -> Pid {
        let pid = self.says("The successor serves", count)["successor.pid"].as_i64().unwrap();
        Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The first process is a child of ours; those that came after it are only known by what they were started with.
        kill_process(Pid::from_raw(self.running.pid().cast_signed()).unwrap(), Signal::KILL).ok();
        for pid in processes_about(self.folder.path()) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Whether a process of this number is there, and no zombie.
pub fn is_alive(pid: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    state.is_ok_and(|state| !state.contains(") Z "))
}

fn processes_about(folder: &Path) -> Vec<Pid> {
    let folder = folder.to_str().unwrap().as_bytes();
    let about = |path: &PathBuf| -> io::Result<bool> {
        Ok(fs::read(path.join("cmdline"))?.windows(folder.len()).any(|words| words == folder))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let ours = entries.filter(|path| about(path).unwrap_or(false));
    ours.filter_map(|path| Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?)).collect()
}

fn edit(folder: &Path, from: &str, to: &str) {
    let file = folder.join("sekisho.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn lines(running: &Running) -> Vec<Value> {
    running.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn said(lines: &[Value], message: &str) -> Vec<Value> {
    let fields = lines.iter().map(|line| &line["fields"]);
    fields.filter(|fields| fields["message"] == message).cloned().collect()
}
