//! What a client would like to read: a page or a problem document (RFC 9457), in which language.

use super::fields::{Field, can_have_our_cookies};
use crate::domain::Language;

/// What a client would like to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wants {
    pub(super) format: Format,
    pub(super) language: Language,
}

/// A form of our own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    /// A page, asked for by name: a browser that navigates.
    Navigation,
    /// A page, for want of another wish.
    #[default]
    Page,
    /// A problem document.
    Problem,
}

impl Wants {
    /// Reads `Accept` and `Accept-Language` (RFC 9110, section 12.5), and the language that was chosen on a page.
    pub(super) fn of(fields: &[Field<'_>]) -> Self {
        let mut wants = Self::default();
        let mut chosen = None;
        for field in fields {
            if field.is("accept") {
                wants.format = format(field.value);
            } else if field.is("accept-language") && prefers_english(field.value) {
                wants.language = Language::English;
            } else if field.is("cookie") && can_have_our_cookies(field.value) {
                chosen = chosen.or_else(|| chosen_language(field.value));
            }
        }
        wants.language = chosen.unwrap_or(wants.language);
        wants
    }
}

/// `*/*` is what browsers send for everything else than pages, and means nothing.
fn format(value: &[u8]) -> Format {
    let mut format = Format::Page;
    for range in value.split(|&byte| byte == b',') {
        let range = range.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if range.eq_ignore_ascii_case(b"text/html") {
            return Format::Navigation;
        }
        if range.eq_ignore_ascii_case(b"application/json")
            || range.eq_ignore_ascii_case(b"application/problem+json")
        {
            format = Format::Problem;
        }
    }
    format
}

fn prefers_english(value: &[u8]) -> bool {
    let mut best = (0.0, false);
    for range in String::from_utf8_lossy(value).split(',') {
        let mut parts = range.split(';').map(str::trim);
        let primary =
            parts.next().unwrap_or_default().split('-').next().unwrap_or_default().to_ascii_lowercase();
        let quality =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if matches!(&*primary, "ja" | "en") && quality > best.0 {
            best = (quality, primary == "en");
        }
    }
    best.1
}

/// The language that was chosen on the portal's pages.
fn chosen_language(cookies: &[u8]) -> Option<Language> {
    let mut pairs = cookies.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let code = pairs.find_map(|pair| pair.strip_prefix(b"sekisho-lang="))?;
    Language::from_code(std::str::from_utf8(code).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str, language: &str, cookie: &str) -> (Format, Language) {
        let wants = Wants::of(&[
            Field { name: b"Accept", value: accept.as_bytes() },
            Field { name: b"accept-language", value: language.as_bytes() },
            Field { name: b"Cookie", value: cookie.as_bytes() },
        ]);
        (wants.format, wants.language)
    }

    #[test]
    fn json_is_for_those_who_name_it_and_english_for_those_who_prefer_it() {
        use Format::{Navigation, Page, Problem};
        use Language::{English, Japanese};
        assert_eq!(wants("application/json", "en", ""), (Problem, English));
        assert_eq!(wants("*/*", "ja,en;q=0.9", ""), (Page, Japanese));
        assert_eq!(wants("text/html,application/json", "ja;q=0.5, en-GB;q=0.8", ""), (Navigation, English));
        assert_eq!(wants("*/*", "de, fr;q=0.5", ""), (Page, Japanese));
        assert_eq!(wants("*/*", "ja", "a=b; sekisho-lang=en"), (Page, English));
        assert_eq!(wants("*/*", "en", "sekisho-lang=ja; a=b"), (Page, Japanese));
        assert_eq!(wants("*/*", "en", "sekisho-lang=xx"), (Page, English));
    }
}
