//! The tree → the typed nouns, with every mistake and not only the first.
//!
//! serde stops at its first error. So: note it, prune the value that it is about, read again, until the rest passes.
//! What a pruned value leaves behind ("missing key") is not complained of: it isn't missing, it is wrong.

mod mistake;
mod reader;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use self::mistake::{About, Mistake};
use self::reader::Reader;
use super::tree::Value;
use super::{Problems, Source};

/// More mistakes aren't looked for: each costs a reading of the file.
const MOST: usize = 100;

/// What could be read.
pub(super) struct Reading<T> {
    /// None if not even the outermost value fits.
    pub(super) value: Option<T>,
    pub(super) survivors: Survivors,
}

/// Which values of the file stand in the result.
pub(super) struct Survivors(HashSet<usize>);

impl Survivors {
    /// Whether the value at `pointer` is part of the result.
    pub(super) fn contain(&self, source: &Source, pointer: &str) -> bool {
        source.id(pointer).is_some_and(|id| !self.0.contains(&id))
    }

    /// The pointer of the `index`th element of the list at `pointer`, as the result counts.
    pub(super) fn element(&self, source: &Source, pointer: &str, index: usize) -> String {
        let Some(Value::List(items)) = source.node(pointer).map(|node| &node.value) else {
            return pointer.to_owned();
        };
        let mut living = items.iter().enumerate().filter(|(_, id)| !self.0.contains(id));
        match living.nth(index) {
            Some((original, _)) => format!("{pointer}/{original}"),
            None => pointer.to_owned(),
        }
    }
}

/// One attempt after the other to read a tree, and what was learnt in them.
struct Session<'t> {
    source: &'t Source,
    schema: &'t Json,
    notes: RefCell<Vec<(About, String)>>,
    noted: RefCell<HashSet<(usize, String)>>,
    pruned: RefCell<HashSet<usize>>,
    misnamed: RefCell<HashSet<usize>>,
}

/// Reads the tree as a `T`, whose JSON schema is `schema`. Mistakes go to `problems`.
pub(super) fn read<T: DeserializeOwned>(
    source: &Source,
    schema: &Json,
    problems: &mut Problems,
) -> Reading<T> {
    let broken = source.nodes().iter().enumerate().filter(|(_, node)| node.value == Value::Broken);
    let session = Session {
        source,
        schema,
        notes: RefCell::default(),
        noted: RefCell::default(),
        pruned: RefCell::new(broken.map(|(id, _)| id).collect()),
        misnamed: RefCell::default(),
    };
    let value = session.read();
    for (about, message) in session.notes.take() {
        let (id, span) = match about {
            About::Key(id) => (id, source.nodes()[id].key),
            About::Value(id) => (id, None),
        };
        let pointer = source.nodes()[id].pointer.as_deref().unwrap_or_default();
        problems.push(match span {
            Some(span) => source.problem_in(span, message),
            None => source.problem(pointer, message),
        });
    }
    if problems.len() >= MOST {
        problems.give_up();
    }
    Reading { value, survivors: Survivors(session.pruned.take()) }
}

impl Session<'_> {
    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        loop {
            let full = self.notes.borrow().len() >= MOST;
            match T::deserialize(Reader { session: self, id: 0 }) {
                // Entries with a bad name were read under another, for the sake of what is in them.
                Ok(_) if !self.misnamed.borrow().is_empty() => {
                    let misnamed = self.misnamed.take();
                    misnamed.into_iter().for_each(|id| self.prune(id));
                }
                Ok(value) => return Some(value),
                Err(_) if full => return None,
                Err(mistake) => self.learn(mistake).then_some(())?,
            }
        }
    }

    /// Notes a mistake and removes its cause. False if the cause is the outermost value.
    fn learn(&self, mistake: Mistake) -> bool {
        let about = mistake.about.unwrap_or(About::Value(0));
        let (About::Key(id) | About::Value(id)) = about;
        // A key that was pruned, or was already reported by `Reader::deserialize_struct`.
        let follows = mistake.missing.is_some_and(|field| {
            let Value::Mapping(entries) = &self.source.nodes()[id].value else { return false };
            let pruned = entries.iter().any(|(_, child)| self.is_pruned(*child));
            pruned || entries.iter().any(|(key, _)| key == field)
        });
        if !follows {
            self.note(about, mistake.message);
        }
        if matches!(about, About::Key(_)) && self.misnamed.borrow_mut().insert(id) {
            return true;
        }
        self.prune(id);
        id != 0
    }

    fn note(&self, about: About, message: String) {
        let (About::Key(id) | About::Value(id)) = about;
        if self.notes.borrow().len() < MOST && self.noted.borrow_mut().insert((id, message.clone())) {
            self.notes.borrow_mut().push((about, message));
        }
    }

    fn prune(&self, id: usize) {
        self.pruned.borrow_mut().insert(id);
    }

    fn is_pruned(&self, id: usize) -> bool {
        self.pruned.borrow().contains(&id)
    }

    /// The key of a value: as written, or one that is surely well-formed.
    fn key(&self, id: usize, key: &str) -> String {
        if self.misnamed.borrow().contains(&id) { format!("x{id}") } else { key.to_owned() }
    }

    /// The keys that the struct of this name must have. serde would name only the first that is missing.
    fn required(&self, name: &str) -> Vec<&str> {
        let root = self.schema.get("title").and_then(Json::as_str) == Some(name);
        let schema =
            if root { Some(self.schema) } else { self.schema.get("$defs").and_then(|defs| defs.get(name)) };
        let required = schema.and_then(|schema| schema.get("required")).and_then(Json::as_array);
        required.into_iter().flatten().filter_map(Json::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{BASE, mistakes, with};

    #[test]
    fn every_mistake_is_found_at_once() {
        let text = "\
workers: many
listeners:
  - bnd: 0.0.0.0:443
  - bind: localhost:1
hosts:
  WWW.mihonbank.example:
    tls: { certificate: a.pem, ky: b }
    client_certificate: Required
rotes: []
routes:
  - path: banking
    銀行: みほん
upstreams:
  banking: 5
limits: { connections: 0, body: 1kb, h2_streams: -1, header_count: 1.5 }
timeouts:
  drain: 10
access_log: false
ops: { bind: true }
";
        assert_eq!(
            mistakes(text),
            [
                "1:10 expected `auto` or a whole number from 1, found `many`",
                "3:5 unknown key `bnd`: did you mean `bind`?",
                "4:11 expected an IP address and a port such as `0.0.0.0:443` or `[::]:443`, found `localhost:1`",
                "6:3 expected a host name in lower case, without port or trailing dot, such as \
                 `www.mihonbank.example`, found `WWW.mihonbank.example`",
                "7:32 unknown key `ky`: did you mean `key`?",
                "8:25 expected `none`, `optional` or `required`, found `Required`: did you mean `required`?",
                "9:1 unknown key `rotes`: did you mean `routes`?",
                "11:5 missing key `require`",
                "11:11 expected a path such as `/banking`: absolute, nothing percent-encoded, no empty or dot \
                 segments, no trailing slash; found `banking`",
                "12:5 unknown key `銀行`",
                "14:12 expected a mapping, found the number 5",
                "15:24 expected a whole number from 1 to 4294967295, found the number 0",
                "15:33 expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found `1kb`",
                "15:50 expected a whole number from 1 to 4294967295, found the number -1",
                "15:68 expected a whole number from 1 to 4294967295, found the number 1.5",
                "17:10 expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found the number 10",
                "18:13 expected `stdout`, `off` or the path of a file with a `/` or a `.` in it, found `false`",
                "19:14 expected text, found `true`: text that looks like something else must be in quotes",
            ]
        );
    }

    #[test]
    fn a_file_without_mistakes_has_none() {
        assert_eq!(mistakes(BASE), [""; 0]);
    }

    #[test]
    fn values_say_what_they_expect() {
        for (line, mistake) in [
            ("workers: 0", "expected `auto` or a whole number from 1, found the number 0"),
            ("workers: [1]", "expected `auto` or a whole number from 1, found a list"),
            (
                "access_log: stdou",
                "expected `stdout`, `off` or the path of a file with a `/` or a `.` in it, found `stdou`",
            ),
            ("headers: { remove: {} }", "expected a list, found a mapping"),
            ("headers: []", "expected a mapping, found a list"),
            (
                "headers: { user: a b }",
                "expected a header field name of letters, digits and `-`, found `a b`",
            ),
            ("limits: { body: 0 }", "expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found `0`"),
            (
                "limits: { body: { a: 1 } }",
                "expected a size such as `512`, `16KiB`, `1MiB` or `10GiB`, found a mapping",
            ),
            (
                "limits: { connections: 5000000000 }",
                "expected a whole number from 1 to 4294967295, found the number 5000000000",
            ),
            (
                "limits: { connections: 99999999999999999999 }",
                "expected a whole number from 1 to 4294967295, found a number beyond 64 bits",
            ),
            (
                "limits: { upstream_idle_connections: x }",
                "expected a whole number from 0 to 4294967295, found `x`",
            ),
            (
                "timeouts: { idle: 0s }",
                "expected a time such as `500ms`, `10s`, `5m`, `1h` or `30d`, found `0s`",
            ),
            ("trust: { authorities: 5 }", "expected text or a list, found the number 5"),
            ("trust: { authorities: [a, [b]] }", "expected text or a mapping, found a list"),
            ("trust: { authorities: a, crl: }", "expected a mapping, found nothing"),
            (
                "trust: { authorities: a, common_name: '(a' }",
                "not a regular expression: unclosed group, in `(a`",
            ),
            ("trust: { authorities: a, common_name: 'a' }", "the pattern has no group `(?<contract>…)`"),
            ("limits:", "expected a mapping, found nothing"),
            (
                "ops: { bind: 1.2.3.4 }",
                "expected an IP address and a port such as `0.0.0.0:443` or `[::]:443`, found `1.2.3.4`",
            ),
        ] {
            let found = mistakes(&with(line));
            let found: Vec<_> =
                found.iter().filter_map(|found| found.split_once(' ')).map(|(_, text)| text).collect();
            assert_eq!(found, [mistake], "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_also_called_missing() {
        let text = BASE.replace("require: nothing", "require: anything");
        assert_eq!(
            mistakes(&text),
            [
                "9:14 expected `nothing`, `signed_in` or `certificate`, found `anything`: did you mean `nothing`?"
            ]
        );
        let text = BASE.replace("require: nothing", "reqire: nothing");
        assert_eq!(mistakes(&text), ["9:5 unknown key `reqire`: did you mean `require`?"]);
        let text = BASE.replace("    upstream: website\n", "");
        assert_eq!(mistakes(&text), ["8:5 a route needs `upstream`, `redirect` or `answer`"]);
        assert_eq!(mistakes("workers: 1"), ["missing key `listeners`", "missing key `hosts`"]);
    }

    #[test]
    fn the_search_ends() {
        let endless = format!("{BASE}headers:\n  remove:\n{}", "  - a b\n".repeat(1000));
        assert_eq!(mistakes(&endless).len(), 100);
    }
}
