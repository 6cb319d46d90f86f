//! Times as people in Japan read them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use crate::domain::Language;

const JAPAN: Offset = Offset::constant(9);

/// The day in Japan.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::fixed(JAPAN)).date()
}

/// Date and time in Japan: `2026年11月23日 09:15`.
pub(super) fn moment(at: Timestamp, language: Language) -> String {
    let form = match language {
        Language::Japanese => "%Y年%-m月%-d日 %H:%M",
        Language::English => "%-d %B %Y, %H:%M (JST)",
    };
    at.to_zoned(TimeZone::fixed(JAPAN)).strftime(form).to_string()
}

/// A date: `2026年11月23日`.
pub(super) fn date(date: Date, language: Language) -> String {
    let form = match language {
        Language::Japanese => "%Y年%-m月%-d日",
        Language::English => "%-d %B %Y",
    };
    date.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_japan() {
        let at = "2026-11-23T00:15:59Z".parse().unwrap();
        assert_eq!(moment(at, Language::Japanese), "2026年11月23日 09:15");
        assert_eq!(moment(at, Language::English), "23 November 2026, 09:15 (JST)");
        assert_eq!(date(day("2026-11-22T15:00:00Z".parse().unwrap()), Language::Japanese), "2026年11月23日");
    }
}
