//! The form of a message: what is wrong, in a few words and in a sentence, and what to do. Japanese first, English
//! second.

use crate::domain::Language;

/// A message in both languages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts {
    pub(super) ja: Words,
    pub(super) en: Words,
}

/// A message in one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) todo: &'static [&'static str],
}

pub(super) const fn words(title: &'static str, what: &'static str, todo: &'static [&'static str]) -> Words {
    Words { title, what, todo }
}

impl Texts {
    pub(super) const fn of(&self, language: Language) -> Words {
        match language {
            Language::Japanese => self.ja,
            Language::English => self.en,
        }
    }
}
