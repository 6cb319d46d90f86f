//! The handbook: what its pages name exists.

use std::collections::BTreeSet;

use regex::Regex;

use crate::deploy::watching::{RUNBOOKS, panels};
use crate::deploy::{path, text};
use crate::support::process::sekisho;

/// Asserts that every metric named here is one of docs/metrics.md, and every label one of its labels.
#[track_caller]
pub fn assert_metrics_exist(file: &str, words: &str) {
    let docs = text("docs/metrics.md");
    let names = Regex::new(r"\b(?:sekisho|process)_[a-z0-9_]+\b").unwrap();
    for name in names.find_iter(words) {
        let name = name.as_str();
        let plain = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let is_there = |name: &str| docs.contains(&format!("`{name}`"));
        assert!(is_there(name) || plain.is_some_and(is_there), "{file}: docs/metrics.md has no {name}");
    }
}

/// At three in the morning nobody guesses which of the words on the page was a mistake.
#[test]
fn what_the_pages_name_exists() {
    let titles: BTreeSet<String> = panels().into_iter().map(|(title, _)| title).collect();
    let command = Regex::new(r"`sekisho ([a-z]+)(?: ([a-z][a-z-]+))?[^`]*`").unwrap();
    let panel = Regex::new(r"\*([A-Z][^*]+)\* on the dashboard").unwrap();
    let link = Regex::new(r"\]\(([a-z./-]+\.md)?(#[a-z0-9-]+)?\)").unwrap();
    let option = Regex::new(r" (--[a-z-]+)").unwrap();
    for page in RUNBOOKS {
        let book = text(&format!("docs/runbooks/{page}.md"));
        assert_metrics_exist(page, &book);
        for found in command.captures_iter(&book) {
            let words: Vec<&str> =
                [found.get(1), found.get(2)].into_iter().flatten().map(|it| it.as_str()).collect();
            let help = sekisho(&path("."), &[&words[..], &["--help"]].concat()).good();
            let own = found[0].split(" | ").next().unwrap();
            for option in option.captures_iter(own) {
                assert!(help.contains(&option[1]), "{page}: {own}");
            }
        }
        for found in panel.captures_iter(&book) {
            assert!(titles.contains(&found[1]), "{page}: no panel {}", &found[1]);
        }
        for found in link.captures_iter(&book) {
            let file = found.get(1).map_or(format!("{page}.md"), |file| file.as_str().to_owned());
            let target = text(&format!("docs/runbooks/{file}"));
            if let Some(anchor) = found.get(2) {
                let slug = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                let anchors: BTreeSet<String> =
                    target.lines().filter(|line| line.starts_with('#')).map(slug).collect();
                assert!(anchors.contains(&anchor.as_str()[1..]), "{page}: {file} has no {}", anchor.as_str());
            }
        }
    }
}
