//! The file as it was written: its lines, and where each value stands. Knows nothing of what the values mean.

use std::collections::HashMap;

use super::tree::{Node, Span, Value};
use super::{Problem, Problems};

/// The text of the file, and the place of every value in it by JSON pointer (RFC 6901): `/routes/0/upstream`.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    lines: Vec<String>,
    nodes: Vec<Node>,
    by_pointer: HashMap<String, usize>,
}

impl Source {
    pub(super) fn new(name: &str, text: &str, mut nodes: Vec<Node>) -> Self {
        // There is always a root to fall back to.
        if nodes.is_empty() {
            let span = Span::default();
            nodes.push(Node { pointer: Some(String::new()), key: None, span, value: Value::Null });
        }
        let by_pointer =
            nodes.iter().enumerate().filter_map(|(id, node)| Some((node.pointer.clone()?, id))).collect();
        // The line ends of YAML, so that its line numbers are ours: CR LF, LF and CR.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.split('\n').map(str::to_owned).collect();
        Self { name: name.to_owned(), lines, nodes, by_pointer }
    }

    /// The file's name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A collection for this file's mistakes.
    pub fn problems(&self) -> Problems {
        Problems::new(&self.name)
    }

    /// A mistake in the value at `pointer`, or in the nearest part of the file that exists above it. A scalar is
    /// marked itself, a list or mapping by its key; the whole file isn't marked.
    pub fn problem(&self, pointer: &str, message: impl AsRef<str>) -> Problem {
        let node = &self.nodes[self.nearest(pointer)];
        if node.pointer.as_deref() == Some("") {
            return Problem::of_file(&self.name, message);
        }
        let span = match (&node.value, node.key) {
            (Value::List(_) | Value::Mapping(_) | Value::Null, Some(key)) => key,
            _ => node.span,
        };
        self.problem_in(span, message)
    }

    /// A mistake in the key of the value at `pointer`.
    pub fn key_problem(&self, pointer: &str, message: impl AsRef<str>) -> Problem {
        let node = &self.nodes[self.nearest(pointer)];
        self.problem_in(node.key.unwrap_or(node.span), message)
    }

    /// Whether the file says anything at `pointer`.
    pub fn contains(&self, pointer: &str) -> bool {
        self.id(pointer).is_some()
    }

    /// The line (from 1) of the value at `pointer`.
    pub fn line(&self, pointer: &str) -> Option<usize> {
        self.node(pointer).map(|node| node.key.unwrap_or(node.span).start.line)
    }

    /// The keys of the mapping at `pointer`, in the order of the file.
    pub fn keys(&self, pointer: &str) -> Vec<&str> {
        match self.node(pointer).map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries.iter().map(|(key, _)| key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn problem_in(&self, span: Span, message: impl AsRef<str>) -> Problem {
        let number = span.start.line.clamp(1, self.lines.len());
        let line = &self.lines[number - 1];
        let end = if span.end.line == span.start.line { span.end.column } else { line.chars().count() };
        Problem::of_file(&self.name, message).at(number, line, span.start.column, end)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn node(&self, pointer: &str) -> Option<&Node> {
        self.id(pointer).map(|id| &self.nodes[id])
    }

    pub(super) fn id(&self, pointer: &str) -> Option<usize> {
        self.by_pointer.get(pointer).copied()
    }

    fn nearest(&self, mut pointer: &str) -> usize {
        loop {
            if let Some(id) = self.id(pointer) {
                return id;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 0,
            }
        }
    }
}
