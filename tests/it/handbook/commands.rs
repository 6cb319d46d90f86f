//! Commands and their options, held against what `--help` says of them.

use std::collections::BTreeMap;

use regex::Regex;

use super::{Page, pages};
use crate::deploy::path;
use crate::support::process::sekisho;

/// `sekisho` with this behind it is no command: what the helper signs begins so.
const OTHERS: [&str; 1] = ["proof of possession"];

/// What each command says of itself, asked for once.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, String>);

impl Help {
    fn of(&mut self, words: &[String]) -> String {
        let ask = || {
            let words: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
            sekisho(&path("."), &words).good()
        };
        self.0.entry(words.to_vec()).or_insert_with(ask).clone()
    }
}

/// The commands below one, as its help lists them.
fn below(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).map_or("", |rest| rest.split("\n\n").next().unwrap());
    list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Asserts that what stands behind `sekisho` is a command with options of its own.
fn assert_command(help: &mut Help, file: &str, typed: &str) {
    let (mut words, mut told) = (Vec::new(), help.of(&[]));
    let mut last = told.clone();
    let mut tokens = typed.split_whitespace();
    while let Some(token) = tokens.next() {
        if let Some(name) = token.strip_prefix("--") {
            let name = name.split('=').next().unwrap().trim_end_matches([',', '.', ':']);
            let option = Regex::new(&format!(r"--{}( <)?(?:[^a-z-]|$)", regex::escape(name))).unwrap();
            let found = option.captures(&told);
            let is_known = found.is_some() || ["help", "version"].contains(&name);
            assert!(is_known, "{file}: no --{name} in `sekisho {typed}`");
            let takes = found.is_some_and(|found| found.get(1).is_some());
            if takes && !token.contains('=') {
                tokens.next();
            }
            continue;
        }
        let commands = below(&last);
        if commands.is_empty() || token == "…" {
            continue;
        }
        // `on|off|status` are three.
        for word in token.trim_end_matches([',', '.', ':']).split('|') {
            assert!(commands.iter().any(|command| command == word), "{file}: no `sekisho {typed}`");
        }
        words.push(token.split('|').next().unwrap().trim_end_matches([',', '.', ':']).to_owned());
        last = help.of(&words);
        told.push_str(&last);
    }
}

/// What a page has people type, from behind `sekisho` on.
fn typed(page: &Page) -> Vec<String> {
    let mut typed: Vec<String> =
        page.code().iter().filter_map(|code| code.strip_prefix("sekisho ").map(str::to_owned)).collect();
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let parts = Regex::new(r"\s[|;]\s|&&|\s#\s|\s[0-9]?[<>]+\s|\$\(|\)|\bdo\s").unwrap();
    let command = Regex::new(
        r"^(?:sudo -u sekisho |podman compose exec gate-1 |kubectl .* exec \S+ -- )?(?:\S*/)?sekisho ((?:[a-z]|--).*)$",
    )
    .unwrap();
    for block in page.blocks().iter().filter(|block| ["", "bash", "sh"].contains(&block.language.as_str())) {
        let whole = continued.replace_all(&block.text, " ");
        let commands = whole.lines().flat_map(|line| parts.split(line));
        typed.extend(commands.filter_map(|part| Some(command.captures(part.trim())?[1].to_owned())));
    }
    typed
}

#[test]
fn every_command_that_a_page_names_exists_with_its_options() {
    let (mut help, mut seen) = (Help::default(), 0);
    for page in pages() {
        for typed in typed(&page).iter().filter(|typed| !OTHERS.contains(&typed.trim_end_matches('⏎'))) {
            assert_command(&mut help, &page.file, typed.split(" | ").next().unwrap());
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}
