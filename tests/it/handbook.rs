//! The handbook: what its pages name exists. At three in the morning nobody guesses which of the words on the page was a mistake.

mod commands;
mod keys;
mod links;
mod moving;

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use crate::deploy::watching::{alerts, panels};
use crate::deploy::{path, text};

/// A page, by its path below the root.
pub struct Page {
    file: String,
    text: String,
}

/// A block of code of a page.
pub struct Block {
    pub language: String,
    pub text: String,
}

impl Page {
    /// The page in this file.
    pub fn read(file: &str) -> Self {
        Self { file: file.to_owned(), text: text(file) }
    }

    /// The part of it below the heading that begins with these words.
    #[track_caller]
    pub fn section(&self, heading: &str) -> Self {
        let begin = self.text.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading:?}"));
        let body = &self.text[begin + heading.len()..];
        let end = body.find("\n##").unwrap_or(body.len());
        Self { file: self.file.clone(), text: body[..end].to_owned() }
    }

    /// Its blocks of code, at the left margin whatever they are indented by.
    pub fn blocks(&self) -> Vec<Block> {
        let block = Regex::new(r"(?ms)^( *)```([a-z]*)\n(.*?)^ *```").unwrap();
        let made = block.captures_iter(&self.text).map(|found| {
            let lines = found[3].lines().map(|line| line.strip_prefix(&found[1]).unwrap_or(line));
            Block { language: found[2].to_owned(), text: lines.collect::<Vec<_>>().join("\n") }
        });
        made.collect()
    }

    /// What stands around them.
    fn prose(&self) -> String {
        Regex::new(r"(?ms)^ *```.*?^ *```").unwrap().replace_all(&self.text, "").into_owned()
    }

    /// What is set as code in the prose, on one line each.
    fn code(&self) -> Vec<String> {
        let code = Regex::new(r"`([^`]+)`").unwrap();
        code.captures_iter(&self.prose()).map(|found| found[1].replace('\n', " ")).collect()
    }
}

/// Every file of a folder below the root, but for what is hidden and what is made.
fn files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let file = if folder == "." { name.clone() } else { format!("{folder}/{name}") };
        if !entry.file_type().unwrap().is_dir() {
            files.push(file);
        } else if !name.starts_with('.') && !["target", "data"].contains(&name.as_str()) {
            files.extend(self::files(&file));
        }
    }
    files.sort();
    files
}

/// Every page in Markdown of the project.
fn all_pages() -> Vec<Page> {
    let pages = files(".").into_iter().filter(|file| file.ends_with(".md"));
    let pages: Vec<Page> = pages.map(|file| Page::read(&file)).collect();
    assert!(pages.len() > 50, "{}", pages.len());
    pages
}

/// Those that people work by.
fn pages() -> Vec<Page> {
    let mut pages = all_pages();
    pages.retain(|page| page.file.starts_with("docs/") || page.file.ends_with("README.md"));
    pages
}

/// Asserts that every metric named here is one of docs/metrics.md, and every label that is asked for one of its labels.
#[track_caller]
pub fn assert_metrics_exist(file: &str, words: &str) {
    let docs = text("docs/metrics.md");
    // A database that was restored.
    let others = ["sekisho_restored"];
    let names = Regex::new(r#"\b((?:sekisho|process)_[a-z][a-z0-9_]*)(?:\{([a-z_]+)=)?"#).unwrap();
    for found in names.captures_iter(words) {
        let name = &found[1];
        let plain = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        // `grep '^sekisho_crl_'` is about all of them.
        let is_beginning = name.ends_with('_') && docs.contains(&format!("`{name}"));
        let is_there = |name: &str| docs.contains(&format!("`{name}`"));
        assert!(
            is_there(name) || plain.is_some_and(is_there) || is_beginning || others.contains(&name),
            "{file}: docs/metrics.md has no {name}"
        );
        if let Some(label) = found.get(2) {
            let row = |name: &str| docs.lines().find(|line| line.starts_with(&format!("| `{name}` ")));
            let label = label.as_str();
            // Those of the process have none of ours, and some are Prometheus' own.
            let is_ours = !["instance", "job", "le"].contains(&label);
            if let Some(row) = row(name).or_else(|| plain.and_then(row)).filter(|_| is_ours) {
                assert!(row.contains(&format!("`{label}`")), "{file}: {name} has no label {label}");
            }
        }
    }
}

#[test]
fn every_metric_alert_and_panel_that_a_page_names_exists() {
    let titles: BTreeSet<String> = panels().into_iter().map(|(title, _)| title).collect();
    let names: BTreeSet<String> =
        alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    let alert = Regex::new(r"\bSekisho[A-Z]\w+").unwrap();
    let panel = Regex::new(r"\*([A-Z][^*]+)\* on the dashboard").unwrap();
    for page in pages() {
        let file = &page.file;
        assert_metrics_exist(file, &page.text);
        for found in alert.find_iter(&page.text) {
            assert!(names.contains(found.as_str()), "{file}: no alert {}", found.as_str());
        }
        for found in panel.captures_iter(&page.text) {
            assert!(titles.contains(&found[1]), "{file}: no panel {}", &found[1]);
        }
    }
}

/// Commands are the same in every language.
#[test]
fn a_japanese_page_has_every_block_of_the_english_one() {
    let comment = Regex::new(r"\s*#.*").unwrap();
    let blocks = |page: &Page| -> Vec<String> {
        page.blocks().iter().map(|block| comment.replace_all(&block.text, "").into_owned()).collect()
    };
    let (pages, mut seen) = (pages(), 0);
    for japanese in pages.iter().filter(|page| page.file.starts_with("docs/ja/")) {
        let file = japanese.file.replace("docs/ja/", "docs/");
        let english = pages.iter().find(|page| page.file == file).unwrap();
        let there = blocks(japanese);
        for block in blocks(english) {
            assert!(there.contains(&block), "{}: not in it\n{block}", japanese.file);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

/// Every file of the program, in one text, with the strings that go on over several lines in one.
fn sources() -> String {
    let sources: String =
        files("src").iter().filter_map(|file| fs::read_to_string(path(file)).ok()).collect();
    Regex::new(r"\\\n\s*").unwrap().replace_all(&sources, "").into_owned()
}

/// Pages in English set the titles of Japanese pages in italics.
#[test]
fn every_title_that_a_page_quotes_is_one() {
    let sources = sources();
    let title = Regex::new(r"\*([^*\n`(]*[\p{Hiragana}\p{Katakana}\p{Han}][^*\n`(]*)\*").unwrap();
    let mut seen = 0;
    for page in pages().iter().filter(|page| !page.file.starts_with("docs/ja/")) {
        for found in title.captures_iter(&page.prose()) {
            assert!(sources.contains(&found[1]), "{}: no page says {}", page.file, &found[1]);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// The first column of the tables, in code, is what somebody looks for with the error before them.
#[test]
fn every_error_in_the_troubleshooting_is_one_that_the_gate_says() {
    let sources = sources();
    let code = Regex::new("`([^`]+)`").unwrap();
    // The operating system's own words.
    let others = ["Address already in use", "Permission denied", "Cannot assign requested address"];
    for page in pages().iter().filter(|page| page.file.ends_with("troubleshooting.md")) {
        let rows = page.text.lines().filter(|line| line.starts_with("| `"));
        let mut seen = 0;
        for row in rows {
            let cell = row.split(" | ").next().unwrap();
            for said in code.captures_iter(cell) {
                for part in said[1].trim_start_matches("note: ").split('…') {
                    let part = part.trim_matches([' ', ':', '(']);
                    if part.contains(' ') && !others.iter().any(|other| part.ends_with(other)) {
                        assert!(is_said(&sources, part), "{}: nothing says {part:?} ({row})", page.file);
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 80, "{}: {seen}", page.file);
    }
}

/// Whether the sources have this in one piece, or in pieces of two words and more: a message can be made of several.
fn is_said(sources: &str, part: &str) -> bool {
    let words: Vec<&str> = part.split(' ').collect();
    let mut from = 0;
    while from < words.len() {
        let piece = (from + 1..=words.len()).rev().find(|to| sources.contains(&words[from..*to].join(" ")));
        match piece {
            Some(to) if to - from > 1 || words.len() == 1 => from = to,
            _ => return false,
        }
    }
    true
}
