//! A mistake in the file, and all of them: how they read on a terminal.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::snippet::{Snippet, printable};

/// Longer messages are cut: they quote the file, and a value can be as long as the file.
const LONGEST: usize = 500;

/// One mistake: a sentence, and where it is as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    file: String,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    snippet: Snippet,
}

impl Problem {
    /// A mistake of the file as a whole.
    pub fn of_file(file: &str, message: impl AsRef<str>) -> Self {
        let mut message = printable(message.as_ref());
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        Self { message, file: printable(file), place: None }
    }

    /// A mistake at a line (from 1) and a range of characters in it (from 0).
    pub(super) fn at(self, number: usize, line: &str, start: usize, end: usize) -> Self {
        let place =
            Place { line: number, column: start + 1, snippet: Snippet::new(&masked(line), start, end) };
        Self { place: Some(place), ..self }
    }

    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Line and column, both from 1, columns in characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }
}

/// A line with stars for what may be a password that stands where none belongs. The line goes into logs and to whoever asks
/// for `/readyz`.
fn masked(line: &str) -> Cow<'_, str> {
    static PASSWORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"(?i)(?<lead>://[^\s/@'"]*?:|pass(?:word|phrase)['"]?\s*[=:]\s*['"]?)(?<secret>[^\s'",}&]+@|[^\s'",}&@]+)"#,
        )
        .ok()
    });
    let Some(passwords) = &*PASSWORDS else { return Cow::Borrowed("") };
    passwords.replace_all(line, |found: &Captures<'_>| {
        let (lead, secret) = (&found["lead"], &found["secret"]);
        // A host with its port is no password.
        if lead.starts_with("://") && !secret.ends_with('@') {
            return format!("{lead}{secret}");
        }
        format!("{lead}{}", "*".repeat(secret.chars().count()))
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        let Some(Place { line, column, snippet }) = &self.place else {
            return write!(f, "  --> {}", self.file);
        };
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{margin} --> {}:{line}:{column}", self.file)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {}", snippet.line)?;
        write!(f, "{margin} | {}{}", " ".repeat(snippet.indent), "^".repeat(snippet.carets))
    }
}

/// All mistakes of one file. Prints them in the order of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    found: Vec<Problem>,
    gave_up: bool,
}

impl Problems {
    /// None yet.
    pub fn new(file: &str) -> Self {
        Self { file: printable(file), found: Vec::new(), gave_up: false }
    }

    /// One mistake of the file as a whole.
    pub fn of_file(file: &str, message: impl AsRef<str>) -> Self {
        let mut problems = Self::new(file);
        problems.push(Problem::of_file(file, message));
        problems
    }

    /// One more. The same mistake at the same place counts once.
    pub fn push(&mut self, problem: Problem) {
        if !self.found.contains(&problem) {
            self.found.push(problem);
            self.found.sort_by_key(Problem::position);
        }
    }

    /// Says that the search ended before the whole file was read.
    pub(super) fn give_up(&mut self) {
        self.gave_up = true;
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The mistakes in the order of the lines.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }

    /// `value` if there are none, else the mistakes.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.found {
            writeln!(f, "{problem}\n")?;
        }
        match self.found.len() {
            1 => write!(f, "1 mistake in {}", self.file)?,
            number => write!(f, "{number} mistakes in {}", self.file)?,
        }
        if self.gave_up { f.write_str(", and there may be more") } else { Ok(()) }
    }
}

impl Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_printed_in_the_order_of_the_lines() {
        let mut problems = Problems::new("sekisho.yaml");
        problems.push(Problem::of_file("sekisho.yaml", "later").at(12, "  rotes: 1", 2, 7));
        problems.push(Problem::of_file("sekisho.yaml", "earlier").at(3, "bind: x", 6, 7));
        problems.push(Problem::of_file("sekisho.yaml", "earlier").at(3, "bind: x", 6, 7));
        problems.push(Problem::of_file("sekisho.yaml", "of the whole"));
        assert_eq!(
            problems.to_string(),
            "error: of the whole
  --> sekisho.yaml

error: earlier
  --> sekisho.yaml:3:7
  |
3 | bind: x
  |       ^

error: later
   --> sekisho.yaml:12:3
   |
12 |   rotes: 1
   |   ^^^^^

3 mistakes in sekisho.yaml"
        );
    }

    #[test]
    fn a_result_is_good_without_mistakes() {
        assert_eq!(Problems::new("f").into_result(1), Ok(1));
        let one = Problems::of_file("f", "bad");
        assert_eq!(one.clone().into_result(1), Err(one.clone()));
        assert_eq!(one.to_string(), "error: bad\n  --> f\n\n1 mistake in f");
    }

    #[test]
    fn a_message_can_not_flood_the_terminal() {
        assert_eq!(Problem::of_file("f", "あ".repeat(1000)).message().chars().count(), LONGEST + 1);
    }
}
