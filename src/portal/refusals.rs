//! The words of the gate's refusals, by the failure's code.
//!
//! They give a person what they can act on and an attacker nothing: what exactly was found is in the log, under the
//! request ID that the page shows.

mod certificates;
mod requests;

use std::sync::LazyLock;

use super::texts::Texts;

static CODES: LazyLock<Vec<&'static str>> = LazyLock::new(|| all().map(|(code, _)| *code).collect());

/// Every code that has a page of its own, so that a test can hold the gate's failures against them.
pub fn refusal_codes() -> &'static [&'static str] {
    &CODES
}

/// The words for a code; those of `bad_request` for one that nobody has written any for.
pub(super) fn of(code: &str) -> &'static Texts {
    let found = all().find(|(known, _)| *known == code).or_else(|| requests::TEXTS.first());
    found.map_or(&requests::UNREADABLE, |(_, texts)| texts)
}

/// Whether signing in is what helps.
pub(super) fn sign_in_helps(code: &str) -> bool {
    matches!(code, "sign_in_needed" | "sent_to_portal")
}

/// Whether the home page leads on.
pub(super) fn home_helps(code: &str) -> bool {
    matches!(code, "no_route" | "not_allowed")
}

fn all() -> impl Iterator<Item = &'static (&'static str, Texts)> {
    certificates::TEXTS.iter().chain(&requests::TEXTS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::{Language, Reason};

    #[test]
    fn every_reason_has_words_of_its_own_in_both_languages() {
        let mut titles = HashSet::new();
        for reason in Reason::ALL {
            assert!(refusal_codes().contains(&reason.code()), "{reason}");
            for language in [Language::Japanese, Language::English] {
                assert!(titles.insert(of(reason.code()).of(language).title), "{reason} shares its title");
            }
        }
    }

    #[test]
    fn every_text_says_what_to_do_and_is_in_the_language_that_it_claims() {
        for (code, texts) in all() {
            for words in [texts.ja, texts.en] {
                assert!(
                    !words.title.is_empty() && !words.what.is_empty() && !words.todo.is_empty(),
                    "{code}"
                );
            }
            let english = [texts.en.title, texts.en.what].into_iter().chain(texts.en.todo.iter().copied());
            assert!(english.clone().all(str::is_ascii), "{code}");
            let japanese = [texts.ja.title, texts.ja.what].into_iter().chain(texts.ja.todo.iter().copied());
            assert!(japanese.clone().all(|text| !text.is_ascii()), "{code}");
        }
    }

    #[test]
    fn codes_are_said_once() {
        let codes = refusal_codes();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
    }
}
