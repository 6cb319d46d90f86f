//! `sekisho demo`: a PKI, a sample banking application and the gate before it, in one process and one folder.

mod announcement;
mod folder;
mod people;
mod sample;
mod settings;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::failure::{Failure, UNAVAILABLE, print};
use super::serve::{self, Signals};
use crate::app::{ConfigFile, Gateway, StartError};
use crate::clock::Clock;
use crate::config;

use announcement::Announcement;
use sample::SampleApplication;
use settings::Settings;

/// Try the gate out: a development PKI, a sample banking application and the gate before it
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder for the certificates, the configuration and the access log
    #[arg(long, default_value = "target/demo", value_name = "FOLDER")]
    dir: PathBuf,
    /// Address of the gate; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Address for operators: metrics and health
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "IP:PORT")]
    ops_listen: SocketAddr,
    /// Address of the sample application
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "IP:PORT")]
    backend_listen: SocketAddr,
    /// Threads of the gate's data path [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Serve the sample application alone, for gates elsewhere
    #[arg(long)]
    application_only: bool,
}

/// Runs the demo until it is told to stop.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    match demo(arguments, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("demo"),
    }
}

fn demo(arguments: &Arguments, clock: &Clock) -> Result<(), Failure> {
    serve::prepare_process();
    let signals = Signals::install()?;
    let Arguments { dir, listen, ops_listen, backend_listen, workers, application_only } = arguments;
    // Bound first: the configuration names its port.
    let backend = listen_for_backend(*backend_listen)?;
    if *application_only {
        let sample = start_application(backend)?;
        print(&format!("backend {}\n", sample.address()))?;
        signals.wait();
        sample.stop();
        return Ok(());
    }
    let pki = folder::prepare(dir, clock.now())?;
    let sample = start_application(backend)?;
    let settings = Settings {
        listen: *listen,
        ops: *ops_listen,
        backend: sample.address(),
        workers: *workers,
        helpers: folder::helpers(dir)?,
    };
    let file = settings.write(dir)?;
    let config = ConfigFile::at(&file);
    let gateway = start_gate(dir, &file, clock)?;
    gateway.follow(config);
    let announcement = Announcement {
        dir,
        pki,
        listen: gateway.addresses(),
        ops: gateway.ops_address(),
        backend: sample.address(),
    };
    print(&announcement.to_string())?;
    signals.run(gateway, None);
    // After the gate: requests in flight have had their answers.
    sample.stop();
    Ok(())
}

fn start_application(listener: TcpListener) -> Result<SampleApplication, Failure> {
    SampleApplication::start(listener)
        .map_err(|error| Failure::new(UNAVAILABLE, format!("the sample application does not start: {error}")))
}

/// The seam to the gate itself: everything that the demo knows of it is here and in the few calls above.
fn start_gate(dir: &Path, file: &Path, clock: &Clock) -> Result<Gateway, Failure> {
    let document = config::load(file).map_err(|problems| serve::failure(&StartError::Config(problems)))?;
    people::enrol(dir, &document, clock)?;
    Gateway::start(&document, clock.clone()).map_err(|error| {
        serve::failure(&error)
            .hint("`--listen` and `--ops-listen` take other addresses, `127.0.0.1:0` any free port")
    })
}

fn listen_for_backend(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        Failure::new(UNAVAILABLE, format!("the sample application cannot listen on {address}: {error}"))
            .hint("`--backend-listen` takes another address, `127.0.0.1:0` any free port")
    })
}
