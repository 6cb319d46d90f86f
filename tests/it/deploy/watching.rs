//! Alerts, dashboard, runbooks: every query is one that Prometheus answers, about metrics that the gate has, and every alert
//! has been seen to fire and has a page for three in the morning.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use super::{list, path, text, yaml};
use crate::handbook::assert_metrics_exist;
use crate::support::demo::{CERT, Demo, WWW};
use crate::support::eventually;
use crate::support::process::{Running, run};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const DASHBOARD: &str = "deploy/grafana/sekisho.json";
/// The pages of docs/runbooks.
pub const RUNBOOKS: [&str; 5] = ["availability", "certificates", "sign-in", "stores", "upstreams"];

/// The alerts as they stand in their file.
pub fn alerts() -> Vec<Value> {
    let file = yaml(&text(ALERTS));
    list(&file["groups"]).iter().flat_map(|group| list(&group["rules"]).to_vec()).collect()
}

/// The panels of the dashboard that show something, each with its queries.
pub fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let shown = list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row");
    let queries = |panel: &Value| {
        let targets = list(&panel["targets"]).iter();
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    };
    shown.map(|panel| (panel["title"].as_str().unwrap().to_owned(), queries(panel))).collect()
}

#[test]
fn every_alert_fires_on_what_it_is_for_and_on_nothing_else() {
    let checked = run("promtool", &["check", "rules", path(ALERTS).to_str().unwrap()]).good();
    assert!(checked.contains("SUCCESS"), "{checked}");
    run("promtool", &["test", "rules", path("deploy/prometheus/alerts.test.yaml").to_str().unwrap()]).good();
    let tests = yaml(&text("deploy/prometheus/alerts.test.yaml"));
    let mut seen = (BTreeSet::new(), BTreeSet::new());
    for case in list(&tests["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])) {
        let name = case["alertname"].as_str().unwrap().to_owned();
        let is_quiet = list(&case["exp_alerts"]).is_empty();
        if is_quiet {
            seen.1.insert(name)
        } else {
            seen.0.insert(name)
        };
    }
    let names: BTreeSet<String> =
        alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen.0, names, "those that are seen to fire");
    assert_eq!(seen.1, names, "those that are seen to be quiet");
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do() {
    let mut pages = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let url = alert["annotations"]["runbook_url"].as_str().unwrap();
        let (page, anchor) = url.rsplit('/').next().unwrap().split_once(".md#").unwrap();
        assert_eq!(anchor, name.to_lowercase(), "{url}");
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        let book = text(&format!("docs/runbooks/{page}.md"));
        let section = book.split("\n## ").find_map(|section| section.strip_prefix(&format!("{name}\n")));
        let section = section.unwrap_or_else(|| panic!("docs/runbooks/{page}.md has no ## {name}"));
        for part in ["**What it means.**", "**What to look at.**", "**What to do.**"] {
            assert_eq!(section.matches(part).count(), 1, "{name}: {part}");
        }
        pages.insert((page.to_owned(), name.to_owned()));
    }
    // And no page without its alert.
    for page in RUNBOOKS {
        for line in text(&format!("docs/runbooks/{page}.md")).lines() {
            let Some(name) = line.strip_prefix("## ") else { continue };
            assert!(pages.contains(&(page.to_owned(), name.to_owned())), "{page}: no alert {name}");
        }
    }
}

#[test]
fn every_query_is_about_metrics_that_the_gate_has() {
    assert_metrics_exist(ALERTS, &text(ALERTS));
    assert_metrics_exist(DASHBOARD, &text(DASHBOARD));
    let titles: Vec<String> = panels().into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles.iter().collect::<BTreeSet<_>>().len(), titles.len(), "{titles:?}");
}

/// Prometheus that scrapes a demo and evaluates the alerts, on ports that nobody else has.
struct Prometheus {
    address: String,
    _running: Running,
    _folder: TempDir,
}

impl Prometheus {
    fn watching(demo: &Demo) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}
rule_files: ['{}']
scrape_configs:
  - {{ job_name: sekisho, static_configs: [{{ targets: ['{}'] }}] }}
",
            path(ALERTS).display(),
            demo.ops
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let words =
            ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"];
        let running = Running::program("prometheus", folder.path(), &words);
        let listening = Regex::new(r#"msg="Listening on" address=(\S+)"#).unwrap();
        let mut address = None;
        eventually("Prometheus listens", || {
            address = listening.captures(&running.stderr()).map(|found| found[1].to_owned());
            address.is_some()
        });
        Self { address: address.unwrap(), _running: running, _folder: folder }
    }

    /// What its API answers, if it is there already.
    fn ask(&self, path: &str, query: &str) -> Option<Value> {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let query = format!("query={query}");
        let told =
            run("curl", &["-qsSG", "--noproxy", "*", "--max-time", "20", "--data-urlencode", &query, &url]);
        let answer: Value = serde_json::from_str(&told.stdout).ok()?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        Some(answer["data"].clone())
    }

    /// How many values a query has that are numbers.
    fn values(&self, query: &str) -> usize {
        let Some(data) = self.ask("query", query) else { return 0 };
        let is_number = |sample: &&Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
        list(&data["result"]).iter().filter(is_number).count()
    }
}

/// A little of everything that people do.
fn traffic(demo: &Demo) {
    assert_eq!(demo.curl(Some("user"), CERT, "/banking/headers", &[]).status, 200);
    assert_eq!(demo.curl(Some("revoked"), CERT, "/banking/", &[]).status, 403);
    assert_eq!(demo.curl(None, WWW, "/nowhere", &[]).status, 404);
    demo.curl_outcome(None, "nobody.localhost", "/", &[]);
}

#[test]
fn every_panel_of_the_dashboard_shows_something_and_no_alert_fires_on_a_healthy_gate() {
    let demo = Demo::start();
    let prometheus = Prometheus::watching(&demo);
    eventually("a first scrape", || prometheus.values("sekisho_build_info") == 1);
    for (title, queries) in panels() {
        // As Grafana fills them in.
        let queries: Vec<String> = queries
            .iter()
            .map(|query| query.replace("$instance", ".+").replace("$__rate_interval", "20s"))
            .collect();
        eventually(&format!("the panel {title:?} shows something: {queries:?}"), || {
            // Every query is asked, so that each is seen to be one that Prometheus understands.
            let shown = queries.iter().map(|query| prometheus.values(query)).sum::<usize>() > 0;
            if !shown {
                traffic(&demo);
            }
            shown
        });
    }
    let rules = prometheus.ask("rules", "").unwrap();
    let rules: Vec<&Value> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
    assert_eq!(rules.len(), alerts().len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}
