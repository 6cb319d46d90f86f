//! What systemd wants to know (`Type=notify`): readiness, reloads, the end, the main process, and that we are alive.
//! Where nobody asks, because there is no `NOTIFY_SOCKET`, nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;

/// The gate serves.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("Serving")]);
}

/// A reload begins; [`reloaded`] ends it, whatever came of it. systemd waits for that.
pub fn reloading() {
    let began = NotifyState::monotonic_usec_now().ok();
    let status = NotifyState::Status("Reading the configuration anew");
    let states: Vec<_> = [NotifyState::Reloading, status].into_iter().chain(began).collect();
    tell(&states);
}

/// The end of a reload, with what came of it for `systemctl status`.
pub fn reloaded(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The gate drains.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("Draining: requests in flight end")]);
}

/// From now on the service's main process is another one.
pub fn succeeded_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Feeds the watchdog.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the watchdog is to be fed, if there is one: twice as often as it wants.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 2).filter(|every| !every.is_zero())
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd can't be told how the gate is");
    }
}
