//! The auditors that come from npm: `tests/run` installs them, in the versions that `tests/clients/packages` names.

use std::path::PathBuf;
use std::{env, fs};

/// A file or folder below `node_modules`.
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let path = folder().join("node_modules").join(name);
    assert!(path.exists(), "{} is missing: tests/run installs it", path.display());
    path
}

/// The text of a file below `node_modules`.
#[track_caller]
pub fn read(name: &str) -> String {
    fs::read_to_string(tool(name)).unwrap()
}

/// Where `tests/run` puts them.
#[expect(clippy::disallowed_methods, reason = "`tests/run` and the tests agree on it there")]
fn folder() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap().join(".cache"));
    set("SEKISHO_TEST_TOOLS").unwrap_or_else(|| cache().join("sekisho-tests/npm"))
}
