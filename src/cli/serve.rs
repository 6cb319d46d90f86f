//! A stand-in for `sekisho serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::Gateway;

/// Blocks until SIGTERM or SIGINT.
pub fn run_until_signal(gateway: Gateway) -> ExitCode {
    let wait = async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        Ok::<(), std::io::Error>(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.and_then(|runtime| runtime.block_on(wait));
    drop(gateway);
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
