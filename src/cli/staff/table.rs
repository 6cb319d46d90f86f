//! Tables and lists for people: columns as wide as what is in them, full-width characters included.

use unicode_width::UnicodeWidthStr;

/// Lines up rows under their heads; `none` instead if there are none.
pub(in crate::cli) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]], none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let heads = heads.map(str::to_owned);
    let all: Vec<&[String; N]> = std::iter::once(&heads).chain(rows).collect();
    let widths: Vec<usize> =
        (0..N).map(|column| all.iter().map(|row| row[column].width()).max().unwrap_or_default()).collect();
    all.iter().map(|row| line(row.as_slice(), &widths)).collect()
}

/// Lines up what is known of one thing.
pub(super) fn list(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    lines.iter().map(|(name, value)| line(&[(*name).to_owned(), value.clone()], &[width, 0])).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(2 + width.saturating_sub(cell.width())));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A value that may not be there.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
