//! The house stays as it was drawn: rooms import downwards, every file says what lives in it, and the forbidden
//! words stay out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each room, and the rooms that it may import.
const ROOMS: [(&str, &[&str]); 14] = [
    ("cli", &["app", "edge", "portal", "ops", "flows", "stores", "config", "pki", "domain", "clock"]),
    ("app", &["edge", "portal", "ops", "flows", "stores", "config", "pki", "domain", "clock"]),
    // Of the stores, only what is in memory: the data path waits for none.
    ("edge", &["ops", "stores", "config", "pki", "domain", "clock"]),
    ("portal", &["flows", "stores", "config", "domain", "clock"]),
    ("ops", &["domain", "clock"]),
    ("flows", &["stores", "config", "pki", "domain", "clock"]),
    ("stores", &["config", "domain", "clock"]),
    ("config", &["domain", "clock"]),
    ("pki", &["pkcs12", "domain", "clock"]),
    // On a person's PC: next to nothing.
    ("client", &["pkcs12", "domain"]),
    ("pkcs12", &[]),
    ("domain", &[]),
    ("fuzzing", &["edge", "portal", "config", "pki"]),
    ("clock", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file with its path from the root and its text.
fn read(folder: &str) -> Vec<(String, String)> {
    sources(&root().join(folder))
        .into_iter()
        .map(|path| {
            (path.strip_prefix(root()).unwrap().display().to_string(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    for (file, text) in read("src") {
        let room = file.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { continue };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let imported = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let is_room = ROOMS.iter().any(|(name, _)| *name == imported);
                assert!(
                    !is_room || imported == room || allowed.contains(&imported),
                    "{file}: `{room}` must not import `{imported}`: {line}"
                );
            }
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_lives_there() {
    for (file, text) in read("src").into_iter().chain(read("tests")) {
        assert!(text.starts_with("//! "), "{file} has no `//!`");
    }
}

#[test]
fn every_room_is_in_the_table() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for line in library.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let room = line.trim_end_matches(';');
        assert!(ROOMS.iter().any(|(name, _)| *name == room), "`{room}` is not in the table of this test");
    }
}

#[test]
fn only_the_gate_makes_a_permit() {
    for (file, text) in read("src") {
        let makes = text.contains("Permit {") && !text.contains("struct Permit {");
        assert!(!makes, "{file} makes a permit");
    }
}

#[test]
fn no_file_outgrows_the_head() {
    for (file, text) in read("src").into_iter().chain(read("tests")) {
        let lines = text.lines().count();
        assert!(lines <= 520, "{file} has {lines} lines: split it along its sense");
    }
}

/// What somebody else built doesn't belong to us, and nobody reads it in a review.
#[test]
fn nothing_is_tracked_that_nobody_can_read() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let files: Vec<_> = listed.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    assert!(files.len() > 100);
    for name in files {
        let name = str::from_utf8(name).unwrap();
        // What was deleted and not committed yet is listed too.
        let Ok(bytes) = fs::read(root().join(name)) else { continue };
        let is_picture = name.starts_with("docs/images/") && bytes.starts_with(b"\x89PNG");
        let is_input = name.starts_with("fuzz/") && bytes.len() < 16 << 10;
        assert!(is_picture || is_input || str::from_utf8(&bytes).is_ok(), "{name} is no text");
    }
}
