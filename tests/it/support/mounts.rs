//! A gateway that sees mounts of its own: small disks that a test fills, another `/etc/resolv.conf`. Nobody else sees
//! them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Outcome, Running, SEKISHO, outcome};

/// How large each disk is, in KiB: room for what a test writes, filled in no time.
const DISK: u32 = 4096;

/// Starts the gateway of `folder`, after a shell has made its mounts.
pub fn serve(folder: &Path, mounts: &str) -> Running {
    assert!(
        rustix::process::getuid().is_root(),
        "this test mounts file systems and is not skipped: run it as root, or leave it out by name"
    );
    let script = format!("set -e; {mounts}\nexec {SEKISHO} serve --config sekisho.yaml");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let mut running = Running::spawn(unshare.current_dir(folder).env_remove("SEKISHO_LOG"));
    running.wait_until_ready();
    running
}

/// The shell's lines that put a small disk of its own below each folder, with what is in it.
pub fn disks(folders: &[&str]) -> String {
    let lines = folders.iter().map(|folder| {
        format!(
            "mkdir -p {folder}; mv {folder} {folder}.was; mkdir {folder}; \
             mount -t tmpfs -o size={DISK}k,mode=700 tmpfs {folder}; cp -a {folder}.was/. {folder}/"
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs a command of ours where the gateway is.
pub fn sekisho_beside(running: &Running, folder: &Path, arguments: &[&str]) -> Outcome {
    let target = running.pid().to_string();
    let there = format!("--wdns={}", folder.display());
    let mut command = Command::new("nsenter");
    outcome(command.args(["--target", &target, "--mount", &there, "--", SEKISHO]).args(arguments))
}

/// A disk as the gateway sees it.
pub struct Disk(PathBuf);

impl Disk {
    /// The one below this folder.
    pub fn of(running: &Running, folder: &Path) -> Self {
        let root = format!("/proc/{}/root", running.pid());
        Self(Path::new(&root).join(folder.strip_prefix("/").unwrap()))
    }

    /// A file on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file on it.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).unwrap();
        let mut part = vec![0; 1 << 16];
        while !part.is_empty() {
            match file.write(&part) {
                Ok(1..) => {}
                _ => part.truncate(part.len() / 2),
            }
        }
    }

    /// Gives it back.
    pub fn clear(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}
