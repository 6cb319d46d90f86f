//! Whether traffic should be sent here, and what else an operator should know who asks that.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;

/// Whether traffic should be sent here. False before the gate serves and as soon as it drains.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    /// What isn't as it should be, although traffic is welcome, by what it is about.
    notes: BTreeMap<String, String>,
}

impl Readiness {
    /// Says whether traffic should be sent here from now on.
    pub fn set(&self, is_ready: bool) {
        self.lock().is_ready = is_ready;
    }

    /// Notes what isn't as it should be with `about`, or that all is well with it.
    pub fn note(&self, about: &str, note: Option<String>) {
        let notes = &mut self.lock().notes;
        match note {
            Some(note) => drop(notes.insert(about.to_owned(), note)),
            None => drop(notes.remove(about)),
        }
    }

    /// The status and the text of `/readyz`: what notes say in full, lines of the configuration and paths, is for the machine
    /// itself.
    pub(super) fn look(&self, is_local: bool) -> (StatusCode, String) {
        let state = self.lock();
        if !state.is_ready {
            return (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n".to_owned());
        }
        let mut text = String::new();
        for (about, note) in &state.notes {
            // Writing into a text can't fail.
            let _ = match is_local {
                true => writeln!(text, "ready, but {note}"),
                false => writeln!(text, "ready, but something is wrong with: {about}"),
            };
        }
        if text.is_empty() {
            text.push_str("ready\n");
        }
        (StatusCode::OK, text)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
