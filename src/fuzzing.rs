//! What reads bytes from outside, each as a function that panics if something doesn't hold that should. `fuzz/` runs them
//! on what it makes up, the test below on everything in its corpora, which is where past findings are kept.
//!
//! Compiled for tests and for fuzzing only.

use crate::{config, edge, pki, portal};

/// A target: what it is given, it reads.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("certificate", pki::fuzzing::certificate),
    ("common_name", pki::fuzzing::common_name),
    ("configuration", configuration),
    ("connection", edge::fuzzing::connection),
    ("cookies_and_forms", cookies_and_forms),
    ("crl", pki::fuzzing::crl),
    ("ocsp", pki::fuzzing::ocsp),
    ("path", edge::fuzzing::path),
    ("proxy_header", edge::fuzzing::proxy_header),
    ("request", edge::fuzzing::request),
    ("response", edge::fuzzing::response),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
    target(data);
}

/// A configuration is good, or each of its mistakes has a place in it.
fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Err(problems) = config::parse("sekisho.yaml".as_ref(), text) else { return };
    assert!(!problems.to_string().is_empty());
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').count();
    for (line, column) in problems.iter().filter_map(config::Problem::position) {
        assert!((1..=lines).contains(&line) && column >= 1, "{line}:{column} of {lines} lines");
    }
}

/// Data path and portal find the same session in a request, or neither does.
fn cookies_and_forms(data: &[u8]) {
    assert_eq!(edge::fuzzing::cookies(data), portal::fuzzing::session(data));
    portal::fuzzing::forms(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// The inputs of a target.
    fn inputs(name: &str) -> Vec<PathBuf> {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn everything_in_the_corpora_holds() {
        for (name, target) in TARGETS {
            let inputs = inputs(name);
            assert!(!inputs.is_empty(), "{name}");
            for input in inputs {
                let data = fs::read(&input).unwrap();
                let held = std::panic::catch_unwind(|| target(&data));
                assert!(held.is_ok(), "{}", input.display());
            }
        }
    }

    /// For a few seconds what `fuzz/run` does for as long as one likes: without its sense for what is new, but always the same.
    #[test]
    fn what_is_made_of_the_corpora_holds() {
        for (name, target) in TARGETS {
            let corpus: Vec<Vec<u8>> = {
                let mut inputs = inputs(name);
                inputs.sort();
                inputs.iter().map(|input| fs::read(input).unwrap()).collect()
            };
            let mut random = fastrand::Rng::with_seed(2026);
            for _ in 0..MADE_UP {
                let data = made_up(&corpus, &mut random);
                let held = std::panic::catch_unwind(|| target(&data));
                assert!(held.is_ok(), "{name}: {:?}", data.escape_ascii().to_string());
            }
        }
    }

    /// So many inputs for each target.
    const MADE_UP: usize = 500;

    /// One input changed in a few places, some by what another one has.
    fn made_up(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut data = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..6) {
            let other = &corpus[random.usize(..corpus.len())];
            let at = random.usize(..=data.len());
            let end = random.usize(at..=data.len().min(at + 16));
            let begin = random.usize(..=other.len());
            let part = &other[begin..random.usize(begin..=other.len().min(begin + 64))];
            match random.u8(..5) {
                0 => drop(data.drain(at..end)),
                1 => drop(data.splice(at..end, part.iter().copied())),
                2 => data.insert(at, random.u8(..)),
                3 => data.extend_from_within(at..end),
                _ if at < data.len() => data[at] ^= 1 << random.u8(..8),
                _ => data.truncate(at / 2),
            }
        }
        data
    }

    #[test]
    fn each_target_has_a_program_in_fuzz() {
        let root = env!("CARGO_MANIFEST_DIR");
        let manifest = fs::read_to_string(format!("{root}/fuzz/Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            let program = fs::read_to_string(format!("{root}/fuzz/fuzz_targets/{name}.rs")).unwrap();
            assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}");
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    }
}
