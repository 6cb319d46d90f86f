//! Links lead somewhere: between pages, to their sections, and to files of the project.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::{Page, all_pages, pages};
use crate::deploy::path;

/// A path without `..`: what the link means, not where it would lead on this disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(normal.pop(), "{}", path.display()),
            Component::CurDir => {}
            _ => normal.push(part),
        }
    }
    normal
}

/// The sections of a page, as forges name them: in lower case, without punctuation, with `-` for spaces.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    for line in page.prose().lines().filter(|line| line.starts_with('#')) {
        let title = link.replace_all(line, "$1").to_lowercase();
        let title = title.trim_start_matches('#').trim().chars();
        let anchor: String = title
            .filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char))
            .map(|char| if char == ' ' { '-' } else { char })
            .collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free =
            [anchor.clone()].into_iter().chain(numbered).find(|anchor| !anchors.contains(anchor)).unwrap();
        anchors.insert(free);
    }
    anchors
}

#[test]
fn no_link_is_dead() {
    let pages = all_pages();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let elsewhere = Regex::new("^[a-z]+:").unwrap();
    let mut seen = 0;
    for page in &pages {
        for found in link.captures_iter(&page.prose()) {
            let target = &found[1];
            if elsewhere.is_match(target) {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(&page.file).parent().unwrap();
            let file = if file.is_empty() { PathBuf::from(&page.file) } else { normal(&folder.join(file)) };
            assert!(path(file.to_str().unwrap()).exists(), "{}: dead link {target}", page.file);
            if let Some(there) = pages.iter().find(|page| Path::new(&page.file) == file) {
                let is_there = anchor.is_empty() || anchors(there).contains(anchor);
                assert!(is_there, "{}: no section {target}", page.file);
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

/// Names without a link: `deploy/prometheus/alerts.yaml`.
#[test]
fn every_file_of_the_project_that_a_page_names_exists() {
    let name = Regex::new(r"(?:^|[^\w/.-])((?:benches|config|deploy|docs|src|tests)/[\w./-]*\w)").unwrap();
    let mut seen = 0;
    for page in pages() {
        for found in name.captures_iter(&page.text) {
            assert!(path(&found[1]).exists(), "{}: no file {}", page.file, &found[1]);
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}
