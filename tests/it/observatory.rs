//! MDN's HTTP Observatory judges the header fields of the pages, by its own program.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::demo::{Demo, WWW};
use crate::support::process::outcome;
use crate::support::tools;

fn observe(demo: &Demo, path: &str) -> Value {
    let page = format!("{WWW}:{}{path}", demo.listen.port());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/observatory.mjs");
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "60", "node", script])
        .arg(tools::tool("@mdn/mdn-http-observatory"))
        .arg(page);
    command.env("NODE_EXTRA_CA_CERTS", demo.file("ca.pem"));
    serde_json::from_str(&outcome(&mut command).good()).unwrap()
}

#[test]
fn the_observatory_gives_its_best_grade() {
    let demo = Demo::start();
    // `/` leads to signing in.
    for path in ["/", "/sekisho/sign-in", "/sekisho/ended?why=signed_out", "/sekisho/suspended", "/banking/"]
    {
        let report = observe(&demo, path);
        assert_eq!(report["grade"], "A+", "{path}: {report:#}");
        let results = report["results"].as_object().unwrap();
        assert!(results.values().all(|test| test["pass"] == true), "{path}: {report:#}");
        assert_eq!(
            results["content-security-policy"]["result"],
            json!("csp-implemented-with-no-unsafe-default-src-none"),
            "{path}"
        );
    }
}
