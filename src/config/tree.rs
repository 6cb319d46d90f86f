//! YAML text → a tree of values, each with its place. Takes the part of YAML that an operator needs and refuses the
//! rest in clear words: anchors, aliases, merge keys, tags, keys that aren't text, several documents.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as YamlSpan, StrInput};

use super::scalar;

/// Deeper nesting is refused: what follows is recursive.
const DEEPEST: usize = 64;
/// More mistakes of form aren't looked for.
const MOST_NOTES: usize = 100;

/// A position in the text: the line from 1, the column from 0, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A range of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: Position,
    pub(super) end: Position,
}

/// One value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Its JSON pointer; none for what is not part of the configuration, such as the second of two equal keys.
    pub(super) pointer: Option<String>,
    /// Its key, if it is a value of a mapping.
    pub(super) key: Option<Span>,
    pub(super) span: Span,
    pub(super) value: Value,
}

impl Node {
    /// How many children it has; a scalar counts as one value.
    pub(super) fn len(&self) -> usize {
        match &self.value {
            Value::List(items) => items.len(),
            Value::Mapping(entries) => entries.len(),
            _ => 1,
        }
    }
}

/// What a node holds. Children are indices of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<usize>),
    Mapping(Vec<(String, usize)>),
    /// An alias: already complained of.
    Broken,
}

/// A mistake of form.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) span: Span,
    pub(super) message: String,
}

/// What was found in the text.
#[derive(Debug)]
pub(super) struct Tree {
    /// The values; the first is the root.
    pub(super) nodes: Vec<Node>,
    pub(super) notes: Vec<Note>,
    /// Whether the text was read to its end.
    pub(super) complete: bool,
}

/// Reads the text.
pub(super) fn grow(text: &str) -> Tree {
    let mut grower = Grower { parser: Parser::new_from_str(text), nodes: Vec::new(), notes: Vec::new() };
    let complete = grower.document().is_ok();
    Tree { nodes: grower.nodes, notes: grower.notes, complete }
}

/// The rest of the text can't be read; the reason is noted.
struct Stop;

struct Grower<'t> {
    parser: Parser<'t, StrInput<'t>>,
    nodes: Vec<Node>,
    notes: Vec<Note>,
}

impl<'t> Grower<'t> {
    fn document(&mut self) -> Result<(), Stop> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, span) => {
                    self.note(span, "the file is empty");
                    return Err(Stop);
                }
                (event, span) => {
                    let root = self.value(event, span, Some(String::new()), None, 0)?;
                    if self.nodes[root].value == Value::Null {
                        self.note(span, "the file is empty");
                        return Err(Stop);
                    }
                    break;
                }
            }
        }
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentStart(_), span) => {
                    self.note(span, "a second document begins here: the configuration is one document");
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let at = position(*error.marker());
                self.note(Span { start: at, end: at }, in_words(error.info()));
                Err(Stop)
            }
            None => Err(Stop),
        }
    }

    fn note(&mut self, span: Span, message: impl Into<String>) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(Note { span, message: message.into() });
        }
    }

    /// Refuses anchors and tags; the value itself is read on.
    fn properties(&mut self, span: Span, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.note(span, "anchors (`&name`) are not supported: write the value out where it is needed");
        }
        if tagged {
            self.note(
                span,
                "tags (`!name`) are not supported: put text in quotes, write anything else plainly",
            );
        }
    }

    /// The value that begins with `event`; returns its index.
    fn value(
        &mut self,
        event: Event<'t>,
        span: Span,
        pointer: Option<String>,
        key: Option<Span>,
        depth: usize,
    ) -> Result<usize, Stop> {
        let id = self.nodes.len();
        self.nodes.push(Node { pointer, key, span, value: Value::Broken });
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(span, anchor, tag.is_some());
                self.nodes[id].value = match style {
                    ScalarStyle::Plain if tag.is_none() => scalar::plain(&text),
                    _ => Value::Text(text.into_owned()),
                };
            }
            Event::Alias(_) => {
                self.note(span, "aliases (`*name`) are not supported: write the value out here");
            }
            Event::SequenceStart(anchor, tag) => {
                self.deeper(span, depth)?;
                self.properties(span, anchor, tag.is_some());
                self.list(id, depth)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.deeper(span, depth)?;
                self.properties(span, anchor, tag.is_some());
                self.mapping(id, depth)?;
            }
            _ => {}
        }
        Ok(id)
    }

    fn deeper(&mut self, span: Span, depth: usize) -> Result<(), Stop> {
        if depth < DEEPEST {
            return Ok(());
        }
        self.note(span, too_deep());
        Err(Stop)
    }

    fn list(&mut self, id: usize, depth: usize) -> Result<(), Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                self.close(id, span, &items);
                self.nodes[id].value = Value::List(items);
                return Ok(());
            }
            let pointer = self.below(id, &items.len().to_string());
            items.push(self.value(event, span, pointer, None, depth + 1)?);
        }
    }

    fn mapping(&mut self, id: usize, depth: usize) -> Result<(), Stop> {
        let mut entries: Vec<(String, usize)> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let children: Vec<_> = entries.iter().map(|(_, child)| *child).collect();
                self.close(id, span, &children);
                self.nodes[id].value = Value::Mapping(entries);
                return Ok(());
            }
            let name = self.key(event, span, depth)?;
            if let Some(line) = name.as_ref().and_then(|name| seen.get(name)) {
                let name = name.as_deref().unwrap_or_default();
                self.note(span, format!("`{name}` is given twice: first on line {line}"));
            }
            let name = name.filter(|name| !seen.contains_key(name));
            let pointer = name.as_ref().and_then(|name| self.below(id, name));
            let (event, value_span) = self.next()?;
            let child = self.value(event, value_span, pointer, Some(span), depth + 1)?;
            if let Some(name) = name {
                seen.insert(name.clone(), span.start.line);
                entries.push((name, child));
            }
        }
    }

    /// The text of a key, or none if it can't be one.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Option<String>, Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(span, anchor, tag.is_some());
                if text == "<<" && style == ScalarStyle::Plain {
                    self.note(span, "merge keys (`<<`) are not supported: write the keys out here");
                    return Ok(None);
                }
                Ok(Some(text.into_owned()))
            }
            other => {
                self.value(other, span, None, None, depth + 1)?;
                self.note(span, "a key must be text");
                Ok(None)
            }
        }
    }

    fn below(&self, id: usize, name: &str) -> Option<String> {
        let parent = self.nodes[id].pointer.as_ref()?;
        Some(format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1")))
    }

    /// Ends a list or mapping. One that spans several lines is marked by what stands on its first.
    fn close(&mut self, id: usize, end: Span, children: &[usize]) {
        let start = self.nodes[id].span.start;
        let last = if end.end.line == start.line {
            end.end
        } else {
            let ends = children.iter().map(|child| &self.nodes[*child]).flat_map(|child| {
                let key = child.key.map(|key| key.end);
                [key, Some(child.span.end)]
            });
            ends.flatten().filter(|end| end.line == start.line).max().unwrap_or(start)
        };
        self.nodes[id].span.end = last;
    }
}

fn too_deep() -> String {
    format!("nested more than {DEEPEST} levels deep")
}

/// The parser's words, with what an operator probably did.
fn in_words(info: &str) -> String {
    if info.contains("recursion limit") {
        return too_deep();
    }
    let hint = if info.contains("mapping values are not allowed") {
        ": is the indentation right? Text with `: ` in it must be in quotes"
    } else if info.contains("did not find expected key") {
        ": is the indentation right? Text that begins with `[` or `{`, such as `[::]:443`, must be in quotes"
    } else if info.contains("unexpected character") {
        ": text that begins with it must be in quotes"
    } else if info.contains("tabs disallowed") {
        ": indent with spaces"
    } else {
        ""
    };
    format!("not valid YAML: {info}{hint}")
}

fn place(span: YamlSpan) -> Span {
    Span { start: position(span.start), end: position(span.end) }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::mistakes;

    #[test]
    fn what_is_not_yaml_is_explained() {
        for (text, mistake) in [
            ("", "1:1 the file is empty"),
            ("# only a comment\n", "2:1 the file is empty"),
            ("---\n", "2:1 the file is empty"),
            ("a: [b", "1:1 not valid YAML: while parsing a flow sequence, expected ',' or ']'"),
            (
                "a:\n\tb: c",
                "2:2 not valid YAML: tabs disallowed within this context (block indentation): indent with spaces",
            ),
            (
                "listeners:\n  - bind: [::]:443",
                "2:15 not valid YAML: while parsing a block mapping, did not find expected key: is the indentation right? \
                 Text that begins with `[` or `{`, such as `[::]:443`, must be in quotes",
            ),
            (
                "a: b: c",
                "1:5 not valid YAML: mapping values are not allowed in this context: is the indentation right? \
                 Text with `: ` in it must be in quotes",
            ),
            (
                "a: @b",
                "1:4 not valid YAML: unexpected character: `@': text that begins with it must be in quotes",
            ),
            ("a: *b", "1:4 not valid YAML: while parsing node, found unknown anchor"),
        ] {
            assert_eq!(mistakes(text), [mistake], "{text}");
        }
    }

    #[test]
    fn what_is_yaml_but_not_ours_is_refused() {
        let head = "hosts: []\nlisteners: []\n";
        for (text, mistake) in [
            (
                "trust: &t 5",
                "3:8 anchors (`&name`) are not supported: write the value out where it is needed",
            ),
            (
                "trust: !t 5",
                "3:8 tags (`!name`) are not supported: put text in quotes, write anything else plainly",
            ),
            ("<<: {}", "3:1 merge keys (`<<`) are not supported: write the keys out here"),
            ("? [a]\n: b", "3:3 a key must be text"),
            ("ops: {}\nops: {}", "4:1 `ops` is given twice: first on line 3"),
            ("---\na: b", "3:1 a second document begins here: the configuration is one document"),
        ] {
            let found = mistakes(&format!("{head}{text}"));
            assert!(found.iter().any(|found| found == mistake), "{text}: {found:#?}");
        }
        let found = mistakes("ops: &o {}\nlimits: *o\n");
        assert!(
            found.contains(&"2:9 aliases (`*name`) are not supported: write the value out here".to_owned())
        );
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
        let too_deep = "nested more than 64 levels deep";
        assert!(!mistakes(&nested(63)).iter().any(|mistake| mistake.contains(too_deep)));
        assert_eq!(mistakes(&nested(64)), [format!("1:67 {too_deep}")]);
        assert_eq!(mistakes(&nested(100_000)), [format!("1:259 {too_deep}")]);
        let block =
            |depth: usize| (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<String>();
        assert_eq!(mistakes(&block(200)), [format!("65:65 {too_deep}")]);
    }
}
