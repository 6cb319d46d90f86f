//! One line of the file with carets below the mistake, in columns as a terminal counts them.

use unicode_width::UnicodeWidthChar;

/// Wider lines are shown in part.
const WIDEST: usize = 120;
/// How much of such a line is shown before the mistake.
const BEFORE: usize = 40;
/// What a tab becomes: terminals disagree on its width.
const TAB: &str = "    ";

/// A line as it is shown, and the columns of its carets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snippet {
    /// The line, without anything that could move a cursor.
    pub(super) line: String,
    /// Columns before the first caret.
    pub(super) indent: usize,
    /// Carets.
    pub(super) carets: usize,
}

impl Snippet {
    /// Marks the characters `start..end` of `line`; an empty range gets one caret.
    pub(super) fn new(line: &str, start: usize, end: usize) -> Self {
        // A line can be as long as the file: only what is near the mistake is looked at.
        let skipped = start.saturating_sub(2 * WIDEST);
        let mut rest = line.trim_end().chars().skip(skipped);
        let shown: Vec<String> = rest.by_ref().take(4 * WIDEST).map(visible).collect();
        let (start, end) = (start - skipped, end.saturating_sub(skipped));
        let start = start.min(shown.len());
        let end = end.clamp(start, shown.len());
        let columns = |range: &[String]| range.iter().map(|text| width(text)).sum::<usize>();

        let whole = skipped == 0 && rest.next().is_none() && columns(&shown) <= WIDEST;
        let mut first = if whole { 0 } else { start };
        while !whole && first > 0 && columns(&shown[first - 1..start]) <= BEFORE {
            first -= 1;
        }
        let mut last = if whole { shown.len() } else { first };
        while !whole && last < shown.len() && columns(&shown[first..=last]) <= WIDEST {
            last += 1;
        }
        let head = if skipped + first > 0 { "…" } else { "" };
        let tail = if last < shown.len() { "…" } else { "" };
        Self {
            line: format!("{head}{}{tail}", shown[first..last].concat()),
            indent: width(head) + columns(&shown[first..start]),
            carets: columns(&shown[start..end.clamp(start, last.max(start))]).max(1),
        }
    }
}

/// Text with nothing in it that could move a cursor or turn the direction of writing.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "\\n".to_owned(),
            '\t' => " ".to_owned(),
            c => visible(c),
        })
        .collect()
}

fn visible(c: char) -> String {
    match c {
        '\t' => TAB.to_owned(),
        // Directional overrides can make a line read otherwise than it is (CVE-2021-42574).
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "\u{fffd}".to_owned(),
        c if c.is_control() => "\u{fffd}".to_owned(),
        c => c.to_string(),
    }
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(line: &str, start: usize, end: usize) -> String {
        let snippet = Snippet::new(line, start, end);
        format!("{}\n{}{}", snippet.line, " ".repeat(snippet.indent), "^".repeat(snippet.carets))
    }

    #[test]
    fn carets_stand_below_wide_characters_and_tabs() {
        assert_eq!(drawn("bank: みほん銀行 # x", 6, 11), "bank: みほん銀行 # x\n      ^^^^^^^^^^");
        assert_eq!(drawn("銀行: x", 4, 5), "銀行: x\n      ^");
        assert_eq!(drawn("\tkey: x", 1, 4), "    key: x\n    ^^^");
    }

    #[test]
    fn an_empty_or_distant_range_gets_one_caret() {
        assert_eq!(drawn("key:", 4, 4), "key:\n    ^");
        assert_eq!(drawn("key:", 99, 200), "key:\n    ^");
        assert_eq!(drawn("", 0, 0), "\n^");
    }

    #[test]
    fn a_long_line_is_shown_around_the_mistake() {
        let line = format!("{}MISTAKE{}", "a".repeat(500), "b".repeat(500));
        let snippet = Snippet::new(&line, 500, 507);
        assert_eq!(snippet.line, format!("…{}MISTAKE{}…", "a".repeat(40), "b".repeat(73)));
        assert_eq!((snippet.indent, snippet.carets), (41, 7));
        let snippet = Snippet::new(&line, 1, 900);
        assert_eq!(snippet.line, format!("{}…", "a".repeat(120)));
        assert_eq!((snippet.indent, snippet.carets), (1, 119));
        let snippet = Snippet::new(&line, 1006, 1007);
        assert_eq!(snippet.line, format!("…{}", "b".repeat(41)));
        assert_eq!((snippet.indent, snippet.carets), (41, 1));
    }

    #[test]
    fn nothing_can_move_the_cursor() {
        assert_eq!(Snippet::new("a\u{1b}[2Jb\u{202e}", 0, 1).line, "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable("a\nb\t\u{1b}"), "a\\nb \u{fffd}");
    }
}
