//! Maintenance: whether the file is there that closes routes. Requests only look at what was found last.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

use crate::config::Maintenance;

/// A file that closes routes while it is there.
#[derive(Debug)]
pub(in crate::edge) struct Closure {
    file: PathBuf,
    retry_after: Duration,
    /// What was found last; `None` if nothing was.
    notice: ArcSwapOption<Notice>,
}

/// What is said while routes are closed.
#[derive(Debug)]
pub(in crate::edge) struct Notice {
    /// The operator's page; the gate's own if there is none.
    pub(in crate::edge) page: Option<Bytes>,
    /// What `Retry-After` says.
    pub(in crate::edge) retry_after: Duration,
}

impl Closure {
    pub(super) fn new(maintenance: &Maintenance) -> Arc<Self> {
        let Maintenance { file, retry_after } = maintenance.clone();
        Arc::new(Self { file, retry_after: retry_after.get(), notice: ArcSwapOption::empty() })
    }

    /// Whether it is for the same file, told in the same way.
    pub(super) fn is_for(&self, maintenance: &Maintenance) -> bool {
        self.file == maintenance.file && self.retry_after == maintenance.retry_after.get()
    }

    /// The notice, if routes are closed.
    pub(super) fn notice(&self) -> Option<Arc<Notice>> {
        self.notice.load_full()
    }

    /// Looks whether the file is there. Blocks.
    pub(super) fn look(&self) {
        let was_closed = self.notice.load().is_some();
        let found = match File::open(&self.file) {
            Ok(file) => {
                let mut text = Vec::new();
                // One that can't be read, a folder for instance, closes the routes all the same.
                let read = file.take(Maintenance::LARGEST + 1).read_to_end(&mut text);
                let is_page = read.is_ok() && Maintenance::is_page(&text);
                Some(is_page.then(|| text.into()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            // It is there, and is a secret of somebody's.
            Err(_) => Some(None),
        };
        if found.is_some() != was_closed {
            tracing::warn!(file = %self.file.display(), closed = found.is_some(), "Maintenance begins or ends");
        }
        let retry_after = self.retry_after;
        self.notice.store(found.map(|page| Arc::new(Notice { page, retry_after })));
    }
}
