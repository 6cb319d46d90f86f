//! The page, or the problem document (RFC 9457), that says what is wrong and whom to ask.

mod texts;

use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use self::texts::Texts;
use super::failure::Failure;
use super::fields::Field;

const STYLE: &str = include_str!("pages/style.css");

/// What a client would like to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wants {
    format: Format,
    language: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Page,
    Problem,
}

/// The languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Japanese,
    English,
}

impl Default for Wants {
    fn default() -> Self {
        Self { format: Format::Page, language: Language::Japanese }
    }
}

impl Wants {
    /// Reads `Accept` and `Accept-Language` (RFC 9110, section 12.5).
    pub(super) fn of(fields: &[Field<'_>]) -> Self {
        let mut wants = Self::default();
        for field in fields {
            if field.is("accept") && accepts_json(field.value) {
                wants.format = Format::Problem;
            } else if field.is("accept-language") && prefers_english(field.value) {
                wants.language = Language::English;
            }
        }
        wants
    }
}

/// Whether JSON is asked for by name. `*/*` is what browsers send for everything else than pages, and means nothing.
fn accepts_json(value: &[u8]) -> bool {
    let mut json = false;
    for range in value.split(|&byte| byte == b',') {
        let range = range.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if range.eq_ignore_ascii_case(b"text/html") {
            return false;
        }
        json |= range.eq_ignore_ascii_case(b"application/json")
            || range.eq_ignore_ascii_case(b"application/problem+json");
    }
    json
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

/// A rendered answer.
pub(super) struct Rendered {
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Page<'a> {
    lang: &'static str,
    style: &'static str,
    title: &'static str,
    what: &'static str,
    todo_heading: &'static str,
    todo: &'static [&'static str],
    code_label: &'static str,
    id_label: &'static str,
    code: &'static str,
    request_id: &'a str,
}

/// Renders a failure for a reader.
pub(super) fn render(failure: Failure, wants: Wants, request_id: &str) -> Rendered {
    let texts = texts::of(failure, wants.language);
    match wants.format {
        Format::Page => Rendered {
            content_type: "text/html; charset=utf-8",
            body: page(failure, wants, texts, request_id),
        },
        Format::Problem => Rendered {
            content_type: "application/problem+json",
            body: serde_json::json!({
                "type": format!("urn:sekisho:problem:{}", failure.code()),
                "title": texts.title,
                "status": failure.status(),
                "detail": texts.what,
                "code": failure.code(),
                "request_id": request_id,
            })
            .to_string()
            .into_bytes(),
        },
    }
}

fn page(failure: Failure, wants: Wants, texts: Texts, request_id: &str) -> Vec<u8> {
    let (lang, todo_heading, code_label, id_label) = match wants.language {
        Language::Japanese => ("ja", "次の操作", "コード", "お問い合わせ番号"),
        Language::English => ("en", "What to do", "Code", "Request ID"),
    };
    let page = Page {
        lang,
        style: STYLE,
        title: texts.title,
        what: texts.what,
        todo_heading,
        todo: texts.todo,
        code_label,
        id_label,
        code: failure.code(),
        request_id,
    };
    page.render().unwrap_or_else(|_| texts.title.to_owned()).into_bytes()
}

/// The policy of our pages: nothing is loaded, nothing runs, and the one style is known by its hash.
pub(super) fn content_security_policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Reason, Refusal};

    fn wants(accept: &str, language: &str) -> Wants {
        Wants::of(&[
            Field { name: b"Accept", value: accept.as_bytes() },
            Field { name: b"accept-language", value: language.as_bytes() },
        ])
    }

    #[test]
    fn json_is_for_those_who_name_it_and_english_for_those_who_prefer_it() {
        assert_eq!(
            wants("application/json", "en"),
            Wants { format: Format::Problem, language: Language::English }
        );
        assert_eq!(wants("*/*", "ja,en;q=0.9"), Wants::default());
        assert_eq!(wants("text/html,application/json", "ja;q=0.5, en-GB;q=0.8").language, Language::English);
        assert_eq!(wants("text/html,application/json", "").format, Format::Page);
        assert_eq!(wants("*/*", "de, fr;q=0.5").language, Language::Japanese);
    }

    #[test]
    fn every_reason_has_a_page_of_its_own_in_both_languages() {
        let mut titles = std::collections::HashSet::new();
        for reason in Reason::ALL {
            let failure = Failure::Certificate(Refusal::new(reason, "finding"));
            for language in [Language::Japanese, Language::English] {
                let wants = Wants { format: Format::Page, language };
                let page = String::from_utf8(render(failure, wants, "00ff").body).unwrap();
                assert!(page.contains(reason.code()) && page.contains("00ff"), "{page}");
                assert!(!page.contains("finding"), "the finding is for the log");
                assert!(titles.insert(texts::of(failure, language).title), "{reason} shares its title");
            }
        }
    }
}
