//! Japanese or English.

/// The language of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    is_japanese: bool,
}

impl Words {
    /// What was asked for, else what the system is set to; Japanese if it doesn't say.
    #[expect(clippy::disallowed_methods, reason = "a program by itself, which reads its environment")]
    pub(super) fn new(asked: Option<&str>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let is_japanese = match (asked, locale) {
            (Some(asked), _) => asked == "ja",
            (None, Some(locale)) => !locale.starts_with("en"),
            (None, None) => true,
        };
        Self { is_japanese }
    }

    /// The text in the language.
    pub(super) const fn t<'a>(self, ja: &'a str, en: &'a str) -> &'a str {
        if self.is_japanese { ja } else { en }
    }

    /// For the gateway's own words.
    pub(super) const fn accept_language(self) -> &'static str {
        if self.is_japanese { "ja" } else { "en" }
    }
}
