//! Every page in every state: axe-core finds nothing, nothing has to be scrolled sideways, and pictures of it are in
//! `target/screenshots` for people to look at. Lighthouse gives full marks.

mod gallery;

use std::process::Command;

use serde_json::{Value, json};

use crate::sign_in_browser::sign_in;
use crate::support::chrome::{Chrome, Look, Window};
use crate::support::demo::{Demo, WWW};
use crate::support::process::outcome;
use crate::support::tools;

/// What axe-core finds wrong with the page as it is, best practices included: rule, element, and why.
pub fn violations(window: &Window<'_>, axe: &str) -> Vec<String> {
    if window.evaluate("typeof axe") != "object" {
        window.evaluate(&format!("{axe}; 0"));
    }
    let found = window.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then((results) => results.violations.flatMap((rule) =>
            rule.nodes.map((node) => `${rule.id}: ${node.html}: ${node.failureSummary}`)))",
    );
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Labels of one English word that stand on two lines.
fn broken_words(window: &Window<'_>) -> Vec<String> {
    let found = window.evaluate(
        "[...document.querySelectorAll('button, a, label, legend, dt, th')].filter((one) => {
            const range = document.createRange();
            range.selectNodeContents(one);
            const tops = new Set([...range.getClientRects()].map((line) => line.top));
            return /^[A-Za-z]+$/.test(one.innerText) && tops.size > 1;
        }).map((one) => `a broken word: ${one.innerText}`)",
    );
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Looks at a page in every way, and remembers what is wrong with it.
struct Eye<'a> {
    axe: String,
    language: &'a str,
    wrong: Vec<String>,
}

impl Eye<'_> {
    fn examine(&mut self, window: &Window<'_>, name: &str) {
        let Self { axe, language, wrong } = self;
        assert_eq!(window.evaluate("document.documentElement.lang"), *language, "{name}");
        for (label, look, audited) in [
            ("dark-narrow", Look::NARROW.dark(), true),
            ("narrow", Look::NARROW, false),
            ("zoomed", Look::ZOOMED, false),
            ("wide", Look::WIDE, true),
        ] {
            window.look(look);
            let found = if audited { violations(window, axe) } else { Vec::new() };
            let (wide, broken) = (window.beyond_the_edge(), broken_words(window));
            wrong.extend(
                found.iter().chain(&wide).chain(&broken).map(|problem| format!("{name}, {label}: {problem}")),
            );
            window.picture("screenshots", &format!("{name}.{language}.{label}"));
        }
        // Text of twice the size (WCAG 1.4.4), in a window that is not wide.
        window.look(Look { width: 640, ..Look::WIDE });
        window.evaluate("document.documentElement.style.fontSize = '200%'");
        let (wide, broken) = (window.beyond_the_edge(), broken_words(window));
        wrong.extend(wide.iter().chain(&broken).map(|problem| format!("{name}, text of 200 %: {problem}")));
        window.picture("screenshots", &format!("{name}.{language}.large-text"));
        window.evaluate("document.documentElement.style.fontSize = ''");
        window.look(Look::WIDE);
    }
}

fn every_page_is_good(language: &str) {
    let mut eye = Eye { axe: tools::read("axe-core/axe.min.js"), language, wrong: Vec::new() };
    gallery::visit(language, |window, name| eye.examine(window, name));
    assert!(eye.wrong.is_empty(), "{}", eye.wrong.join("\n"));
}

#[test]
fn every_page_in_japanese_is_accessible_and_needs_no_sideways_scrolling() {
    every_page_is_good("ja");
}

#[test]
fn every_page_in_english_is_accessible_and_needs_no_sideways_scrolling() {
    every_page_is_good("en");
}

/// Lighthouse's score for accessibility, and the audits that lower it.
fn lighthouse(chrome: &Chrome, url: &str) -> (Value, Vec<String>) {
    let config = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "120", "node"]).arg(tools::tool("lighthouse/cli/index.js"));
    command.args([
        url,
        &format!("--port={}", chrome.port()),
        "--hostname=127.0.0.1",
        "--output=json",
        "--quiet",
    ]);
    command.args(["--only-categories=accessibility", "--preset=desktop", "--disable-storage-reset"]);
    command.args([
        "--throttling-method=provided",
        "--disable-full-page-screenshot",
        "--no-enable-error-reporting",
    ]);
    command.env("XDG_CONFIG_HOME", config.path()).env("CI", "true");
    let report: Value = serde_json::from_str(&outcome(&mut command).good()).unwrap();
    assert_eq!(report["finalDisplayedUrl"], url, "{}", report["runtimeError"]);
    let category = &report["categories"]["accessibility"];
    let lowering = category["auditRefs"].as_array().unwrap().iter().filter_map(|audit| {
        let result = &report["audits"][audit["id"].as_str()?];
        (audit["weight"] != 0 && result["score"] == 0)
            .then(|| format!("{}: {}", audit["id"], result["details"]))
    });
    (category["score"].clone(), lowering.collect())
}

#[test]
fn lighthouse_gives_full_marks_to_the_sign_in_page_and_to_home() {
    let demo = Demo::start();
    let chrome = Chrome::trusting(&demo.file("ca.pem"));
    assert_eq!(lighthouse(&chrome, &demo.url(WWW, "/sekisho/sign-in")), (json!(1), Vec::new()));
    let window = chrome.shared_window("ja");
    sign_in(&window, &demo, "/sekisho/home", "ito");
    assert_eq!(lighthouse(&chrome, &demo.url(WWW, "/sekisho/home")), (json!(1), Vec::new()));
}

#[test]
fn the_auditors_find_what_is_wrong() {
    let demo = Demo::start();
    let chrome = Chrome::trusting(&demo.file("ca.pem"));
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.evaluate(
        "document.querySelector('h1').insertAdjacentHTML('afterend',
            '<h4 id=wide>faint</h4><input name=nameless>');
        Object.assign(document.querySelector('#wide').style, { width: '2000px', color: '#ccc' })",
    );
    let found = violations(&window, &tools::read("axe-core/axe.min.js"));
    for (rule, element) in [("color-contrast", "wide"), ("heading-order", "wide"), ("label", "nameless")] {
        let hit = |text: &&String| text.starts_with(&format!("{rule}: ")) && text.contains(element);
        assert_eq!(found.iter().filter(hit).count(), 1, "{rule}: {found:#?}");
    }
    let wide = window.beyond_the_edge();
    assert!(wide.len() == 2 && wide[1].contains("id=\"wide\""), "{wide:#?}");
}
