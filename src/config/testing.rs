//! What the tests of the reader share.

use std::path::Path;

use super::parse;

/// A small good file, 13 lines long.
pub(super) const BASE: &str = "\
listeners:
  - bind: 0.0.0.0:443
hosts:
  www.mihonbank.example:
    tls: { certificate: www.pem, key: www.key }
    client_certificate: none
routes:
  - path: /
    require: nothing
    upstream: website
upstreams:
  website:
    endpoints: [10.0.0.1:80]
";

/// The base with one more line, the 14th.
pub(super) fn with(line: &str) -> String {
    format!("{BASE}{line}\n")
}

/// Every mistake of a text as `line:column message`.
pub(super) fn mistakes(text: &str) -> Vec<String> {
    let Err(problems) = parse(Path::new("sekisho.yaml"), text) else {
        return Vec::new();
    };
    let place = |position: Option<(usize, usize)>| {
        position.map(|(line, column)| format!("{line}:{column} ")).unwrap_or_default()
    };
    problems.iter().map(|problem| format!("{}{}", place(problem.position()), problem.message())).collect()
}

/// The same with lines alone, where what is meant is clear without columns.
pub(super) fn lines_of(mistakes: Vec<String>) -> Vec<String> {
    let without_column = |mistake: String| {
        let (place, message) = mistake.split_once(' ').unwrap_or_default();
        format!("{} {message}", place.split(':').next().unwrap_or_default())
    };
    mistakes.into_iter().map(without_column).collect()
}
