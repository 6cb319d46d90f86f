//! From `assertion` in the configuration to what signs, and to the set of public keys that backends verify with.

use crate::config::{Document, Problem};
use crate::edge::Assertions;
use crate::pki::{AssertionKey, key_set};

/// What signs for backends, and what they verify with.
pub(super) struct Signing {
    pub(super) assertions: Assertions,
    /// JSON (RFC 7517).
    pub(super) key_set: String,
}

/// Reads the keys. `None` if nothing is signed, or if something is wrong, which is said as well.
pub(super) fn signing(document: &Document) -> (Option<Signing>, Vec<Problem>) {
    let Some(settings) = &document.config.assertion else { return (None, Vec::new()) };
    let (mut keys, mut problems) = (Vec::<AssertionKey>::new(), Vec::new());
    for (index, file) in settings.keys.iter().enumerate() {
        let told = match AssertionKey::read(file) {
            Ok(key) if keys.iter().any(|other| other.id() == key.id()) => {
                format!("{}: the same key is in another of these files", file.display())
            }
            Ok(key) => {
                keys.push(key);
                continue;
            }
            Err(error) => error.to_string(),
        };
        problems.push(document.source.problem(&format!("/assertion/keys/{index}"), told));
    }
    if !problems.is_empty() {
        return (None, problems);
    }
    let key_set = key_set(&keys);
    let signing = keys.into_iter().next().map(|first| {
        let assertions = Assertions::new(settings.issuer.as_str(), settings.lifetime.get(), first);
        Signing { assertions, key_set }
    });
    (signing, problems)
}
