//! The bank's own look: a folder with a logo, colours and texts. Read once, at start.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::domain::Language;

/// A logo of the bank's.
pub(super) struct Logo {
    pub(super) png: bool,
    pub(super) bytes: Vec<u8>,
}

/// What a theme replaces.
#[derive(Default)]
pub(super) struct Theme {
    pub(super) logo: Option<Logo>,
    pub(super) colours: Option<String>,
    texts: Texts,
}

/// `texts.yaml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Texts {
    ja: Words,
    en: Words,
}

/// The texts that can be replaced.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Words {
    bank: Option<String>,
    service: Option<String>,
    contact: Option<String>,
    footer: Option<String>,
}

impl Theme {
    /// Reads a folder. Each of its files may be absent; the folder may not.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        if !folder.is_dir() {
            return Err(format!("the theme {} is not a folder", folder.display()));
        }
        let logo = match (file(folder, "logo.svg")?, file(folder, "logo.png")?) {
            (Some(_), Some(_)) => {
                let folder = folder.display();
                return Err(format!("the theme {folder} has both logo.svg and logo.png: keep one of them"));
            }
            (Some(bytes), None) => Some(Logo { png: false, bytes }),
            (None, Some(bytes)) => Some(Logo { png: true, bytes }),
            (None, None) => None,
        };
        let colours = text(folder, "colours.css")?;
        let texts = match text(folder, "texts.yaml")? {
            None => Texts::default(),
            Some(yaml) => serde_saphyr::from_str(&yaml)
                .map_err(|error| format!("{}: {error}", folder.join("texts.yaml").display()))?,
        };
        Ok(Self { logo, colours, texts })
    }

    /// The bank's name.
    pub(super) fn bank(&self, language: Language) -> &str {
        self.word(language, |words| &words.bank, ["みほん銀行", "Mihon Bank"])
    }

    /// What the service is called.
    pub(super) fn service(&self, language: Language) -> &str {
        let ours = ["法人インターネットバンキング", "Corporate internet banking"];
        self.word(language, |words| &words.service, ours)
    }

    /// Whom to ask.
    pub(super) fn contact(&self, language: Language) -> &str {
        let ours = [
            "ご不明な点は、貴社の管理者または銀行の窓口へお問い合わせください。",
            "If you have questions, ask your company's administrator or the bank.",
        ];
        self.word(language, |words| &words.contact, ours)
    }

    /// The line at the foot of every page.
    pub(super) fn footer(&self, language: Language) -> &str {
        self.word(language, |words| &words.footer, ["© みほん銀行", "© Mihon Bank"])
    }

    fn word<'a>(
        &'a self,
        language: Language,
        which: impl Fn(&'a Words) -> &'a Option<String>,
        ours: [&'a str; 2],
    ) -> &'a str {
        let (words, ours) = match language {
            Language::Japanese => (&self.texts.ja, ours[0]),
            Language::English => (&self.texts.en, ours[1]),
        };
        which(words).as_deref().unwrap_or(ours)
    }
}

fn file(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, String> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn text(folder: &Path, name: &str) -> Result<Option<String>, String> {
    let not_text = |_| format!("{}: is not UTF-8 text", folder.join(name).display());
    file(folder, name)?.map(|bytes| String::from_utf8(bytes).map_err(not_text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_theme_replaces_what_it_has_and_nothing_else() {
        let folder = folder(&[
            ("texts.yaml", "ja:\n  bank: 見本信用金庫\nen:\n  footer: © Mihon Shinkin\n"),
            ("colours.css", ":root{--mark:#123456}"),
            ("logo.svg", "<svg/>"),
        ]);
        let theme = Theme::read(folder.path()).unwrap();
        assert_eq!(theme.bank(Language::Japanese), "見本信用金庫");
        assert_eq!(theme.bank(Language::English), "Mihon Bank");
        assert_eq!(theme.footer(Language::English), "© Mihon Shinkin");
        assert!(theme.colours.is_some() && theme.logo.is_some_and(|logo| !logo.png));
    }

    #[test]
    fn a_mistake_names_the_file_and_the_line() {
        let folder = folder(&[("texts.yaml", "ja:\n  bank: みほん\n  bnak: みほん\n")]);
        let error = Theme::read(folder.path()).err().unwrap();
        assert!(error.contains("texts.yaml") && error.contains("bnak"), "{error}");
        assert!(error.contains("line 3"), "{error}");
        let error = Theme::read(&folder.path().join("nowhere")).err().unwrap();
        assert!(error.contains("nowhere is not a folder"), "{error}");
    }

    #[test]
    fn two_logos_are_one_too_many() {
        let folder = folder(&[("logo.svg", "<svg/>"), ("logo.png", "")]);
        assert!(Theme::read(folder.path()).err().unwrap().contains("keep one of them"));
    }
}
