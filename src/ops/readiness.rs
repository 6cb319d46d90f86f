//! Whether traffic should be sent here, and what else an operator should know who asks that.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;

/// Whether traffic should be sent here. False before the gate serves and as soon as it drains.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    /// What isn't as it should be, although traffic is welcome.
    note: Option<String>,
}

impl Readiness {
    /// Says whether traffic should be sent here from now on.
    pub fn set(&self, is_ready: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_ready = is_ready;
    }

    /// Notes what isn't as it should be, or that all is well.
    pub fn note(&self, note: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note = note;
    }

    /// The status and the text of `/readyz`.
    pub(super) fn look(&self) -> (StatusCode, String) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (state.is_ready, &state.note) {
            (true, None) => (StatusCode::OK, "ready\n".to_owned()),
            (true, Some(note)) => (StatusCode::OK, format!("ready, but {note}\n")),
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n".to_owned()),
        }
    }
}
