//! What a route does with a request that may pass: forward it, or answer it at once.

use bytes::Bytes;

use super::Found;
use crate::config::{self, RedirectTarget};

/// What a route does.
#[derive(Debug)]
pub(in crate::edge) enum Action {
    /// Forwards to the upstream of this index.
    Forward(usize),
    /// Answers at once.
    Answer(Own),
}

/// An answer of a route's own.
#[derive(Debug)]
pub(in crate::edge) enum Own {
    /// Sends the client elsewhere.
    Redirect {
        /// Where to.
        to: RedirectTarget,
        /// With which status.
        status: u16,
    },
    /// Says the same to everybody.
    Fixed {
        /// With which status.
        status: u16,
        /// What.
        body: Bytes,
        /// Of which kind.
        content_type: Box<str>,
    },
}

impl Action {
    /// What the configuration says. Its checks name what is wrong here with its place in the file.
    pub(super) fn new(route: &config::Route, found: &Found<'_>) -> Result<Self, String> {
        if let Some(name) = &route.upstream {
            return (found.upstream)(name.as_str())
                .map(Self::Forward)
                .ok_or_else(|| format!("no upstream is called `{name}`"));
        }
        if let Some(redirect) = &route.redirect {
            let status = redirect.status.code();
            return Ok(Self::Answer(Own::Redirect { to: redirect.to.clone(), status }));
        }
        let answer = route.answer.as_ref().ok_or("a route that does nothing")?;
        let body = match (&answer.file, &answer.body) {
            (Some(file), _) => {
                found.bodies.get(file).cloned().ok_or_else(|| format!("{} wasn't read", file.display()))?
            }
            (None, Some(body)) => body.clone().into(),
            (None, None) => Bytes::new(),
        };
        let content_type = answer.content_type.as_str().into();
        Ok(Self::Answer(Own::Fixed { status: answer.status, body, content_type }))
    }
}
