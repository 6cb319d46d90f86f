//! `sekisho serve`: the gateway, until a signal ends it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::{CANNOT_CREATE, CONFIG, Failure, SOFTWARE, UNAVAILABLE, print};
use super::logging;
use super::upgrade::{self, Program, Successor};
use crate::app::{ConfigFile, Gateway, Inherited, StartError};
use crate::clock::Clock;
use crate::config;
use crate::ops::systemd;

/// Run the gateway until a signal ends it
#[derive(Debug, Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match serve(arguments, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("serve"),
    }
}

fn serve(arguments: &Arguments, clock: &Clock) -> Result<(), Failure> {
    prepare_process();
    // First of all: no thread must be there yet.
    let mut inherited = Inherited::take();
    let predecessor = inherited.take_predecessor();
    let program = Program::own()
        .map_err(|error| Failure::new(SOFTWARE, format!("the program is not where it was: {error}")))?;
    let signals = Signals::install()?;
    let file = ConfigFile::at(&arguments.config);
    let document =
        config::load(&arguments.config).map_err(|problems| failure(&StartError::Config(problems)))?;
    let gateway =
        Gateway::start_with(&document, clock.clone(), inherited).map_err(|error| failure(&error))?;
    for address in gateway.addresses() {
        tracing::info!(%address, "Listening");
    }
    tracing::info!(address = %gateway.ops_address(), "Listening for operators");
    gateway.follow(file);
    print("ready\n")?;
    if let Some(line) = predecessor {
        upgrade::tell_predecessor(line);
    }
    systemd::ready();
    gateway.feed_watchdog();
    signals.run(gateway, Some(&program));
    Ok(())
}

/// What every command that serves does first.
pub(super) fn prepare_process() {
    logging::start();
    raise_file_limit();
    forbid_core_dumps();
}

/// The failure of a gateway that didn't start.
pub(super) fn failure(error: &StartError) -> Failure {
    match error {
        StartError::Config(problems) => Failure::new(CONFIG, format!("\n{problems}")),
        StartError::Bind(..) | StartError::Store(_) => Failure::new(UNAVAILABLE, error.to_string()),
        StartError::AccessLog(..) => Failure::new(CANNOT_CREATE, error.to_string()),
        StartError::System(_) => Failure::new(SOFTWARE, error.to_string()),
    }
}

/// The signals that a gateway obeys. Installed before anybody is told that it serves: whoever hears `ready` may
/// send one at once.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    rotated: Signal,
    changed: Signal,
    upgraded: Signal,
}

impl Signals {
    /// From now on these signals end nothing by themselves.
    pub(super) fn install() -> Result<Self, Failure> {
        let install = || -> io::Result<Self> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let entered = runtime.enter();
            let terminate = signal(SignalKind::terminate())?;
            let interrupt = signal(SignalKind::interrupt())?;
            let rotated = signal(SignalKind::user_defined1())?;
            let changed = signal(SignalKind::hangup())?;
            let upgraded = signal(SignalKind::user_defined2())?;
            drop(entered);
            Ok(Self { runtime, terminate, interrupt, rotated, changed, upgraded })
        };
        install().map_err(|error| Failure::new(SOFTWARE, format!("signals can't be handled: {error}")))
    }

    /// Blocks until SIGTERM or SIGINT.
    pub(super) fn wait(self) {
        let Self { runtime, mut terminate, mut interrupt, .. } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
        });
    }

    /// Blocks until SIGTERM or SIGINT, or until a successor serves, then drains. SIGUSR1 opens the access log anew, SIGHUP
    /// reloads the configuration, SIGUSR2 starts `program` as the successor.
    pub(super) fn run(self, gateway: Gateway, program: Option<&Program>) {
        let Self { runtime, mut terminate, mut interrupt, mut rotated, mut changed, mut upgraded } = self;
        let mut successor = None;
        let reloads = start_reloads(&gateway);
        let succeeded = runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return false,
                    _ = interrupt.recv() => return false,
                    _ = rotated.recv() => gateway.reopen_access_log(),
                    // One that waits already reads what is there then.
                    _ = changed.recv() => drop(reloads.try_send(())),
                    _ = upgraded.recv() => begin_upgrade(&gateway, program, &mut successor),
                    ready = upgrade::is_ready(&mut successor) => match ready {
                        Ok(()) => return true,
                        Err(reason) => {
                            successor = None;
                            tracing::error!(reason, "The upgrade failed: this process serves on");
                        }
                    }
                }
            }
        });
        match successor {
            Some(successor) if succeeded => {
                successor.take_over();
                tracing::info!("Draining");
                gateway.hand_over();
            }
            unfinished => {
                drop(unfinished);
                systemd::stopping();
                tracing::info!("Draining");
                gateway.drain();
            }
        }
        tracing::info!("Stopped");
    }
}

/// Reloads on a thread of its own: one may wait for names to be resolved, and a signal that ends the gateway must not wait
/// for that. One may wait while another is under way.
fn start_reloads(gateway: &Gateway) -> SyncSender<()> {
    let (sender, asked) = sync_channel(1);
    let reload = gateway.reloader();
    let started = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        for () in asked {
            reload();
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "SIGHUP reloads nothing: there is no thread for it");
    }
    sender
}

/// A core dump would hold keys and PINs (T67).
fn forbid_core_dumps() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "Core dumps can't be forbidden");
    }
}

fn begin_upgrade(gateway: &Gateway, program: Option<&Program>, successor: &mut Option<Successor>) {
    let Some(program) = program else {
        tracing::warn!("The demo can't be upgraded");
        return;
    };
    if successor.is_some() {
        tracing::warn!("An upgrade is under way already");
        return;
    }
    let path = program.path().display();
    match gateway.sockets().and_then(|sockets| program.start(sockets)) {
        Ok(started) => {
            tracing::info!(%path, "An upgrade begins");
            *successor = Some(started);
        }
        Err(error) => tracing::error!(%path, %error, "The upgrade failed: this process serves on"),
    }
}

/// Every connection is two file descriptors: take as many as the system lets us.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "The limit of open files can't be raised");
    }
}
