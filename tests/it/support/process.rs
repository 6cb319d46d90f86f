//! Real programs: run to their end, or kept running and killed at the end of the test.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::eventually;

/// The binary under test.
pub const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");

/// What a program said until it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal killed it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// What it printed, if it did what it was told.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program without any input. One that hangs is killed, by coreutils' `timeout`, and ends with 124.
pub fn run(program: &str, arguments: &[&str]) -> Outcome {
    outcome(Command::new("timeout").args(["--kill-after=5", "60", program]).args(arguments))
}

/// Runs the binary under test in `folder`.
pub fn sekisho(folder: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("timeout");
    outcome(command.args(["--kill-after=5", "60", SEKISHO]).args(arguments).current_dir(folder))
}

/// Runs a prepared command without any input.
pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A program that runs until it is told to stop, or until this is dropped.
pub struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    /// Starts the binary under test in `folder`.
    pub fn sekisho(folder: &Path, arguments: &[&str]) -> Self {
        Self::sekisho_with(folder, arguments, &[])
    }

    /// The same with environment variables.
    pub fn sekisho_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(SEKISHO);
        command.args(arguments).current_dir(folder).env_remove("SEKISHO_LOG");
        Self::spawn(command.envs(environment.iter().copied()))
    }

    /// Starts another program in `folder`.
    pub fn program(program: &str, folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(arguments).current_dir(folder))
    }

    /// The same with an input that stays open until it is dropped: its end tells the program to stop.
    pub fn program_with_input(program: &str, folder: &Path, arguments: &[&str]) -> Self {
        Self::spawn_with(Command::new(program).args(arguments).current_dir(folder), Stdio::piped())
    }

    /// Starts a prepared command.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_with(command, Stdio::null())
    }

    fn spawn_with(command: &mut Command, input: Stdio) -> Self {
        let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), &stdout),
            collect(child.stderr.take().unwrap(), &stderr),
        ];
        Self { child, readers, stdout, stderr }
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it has logged so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it has printed `ready` on a line of its own.
    pub fn wait_until_ready(&mut self) {
        eventually("`ready`, or the end of the program", || {
            self.stdout().lines().any(|line| line == "ready") || self.child.try_wait().unwrap().is_some()
        });
        assert!(self.child.try_wait().unwrap().is_none(), "{}{}", self.stdout(), self.stderr());
    }

    /// The address in the line of its log with this message, once it is there.
    pub fn address(&self, message: &str) -> SocketAddr {
        let mut address = None;
        eventually(message, || {
            let log = self.stderr();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            address = lines.find(|line| line["fields"]["message"] == message);
            address.is_some()
        });
        address.unwrap()["fields"]["address"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end only, and not for that of processes which it leaves behind. `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        eventually("the end of the process", || !self.is_running());
        self.child.wait().unwrap().code()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Outcome {
        let mut status = None;
        eventually("the end of the program", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Outcome { code: status.unwrap().code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Tells it to stop, and waits for its end.
    pub fn stop(self, signal: Signal) -> Outcome {
        self.signal(signal);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        let (mut part, mut rest) = ([0; 4096], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut part) {
            rest.extend_from_slice(&part[..length]);
            // A character may be cut in two: what is whole ends with a line.
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = rest.drain(..whole).collect();
            into.lock().unwrap().push_str(&String::from_utf8(lines).unwrap());
        }
        into.lock().unwrap().push_str(&String::from_utf8_lossy(&rest));
    })
}
