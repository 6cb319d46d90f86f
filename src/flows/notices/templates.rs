//! The texts of notices: our own, or the bank's. The first line is the subject.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use minijinja::{Environment, UndefinedBehavior, context};

use crate::domain::{Language, NoticeKind};
use crate::stores::Notice;

const JAPAN: Offset = Offset::constant(9);

/// A mail's text.
pub(super) struct Text {
    pub(super) subject: String,
    pub(super) body: String,
}

/// The texts of notices.
pub struct Templates(BTreeMap<(NoticeKind, &'static str), String>);

impl Default for Templates {
    fn default() -> Self {
        let languages = [Language::Japanese, Language::English];
        let all = NoticeKind::ALL.iter().flat_map(|kind| languages.map(|language| (*kind, language)));
        Self(all.map(|(kind, language)| ((kind, language.code()), own(kind, language).to_owned())).collect())
    }
}

impl Templates {
    /// Our own, with the bank's in `folder` (`KIND.LANGUAGE.txt`) in their place. Each is tried out; the error names the
    /// file and what is wrong with it.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut templates = Self::default();
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
            let blame = |problem: &str| format!("{}: {problem}", path.display());
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let [kind, language, "txt"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
            let kind = NoticeKind::from_code(kind).ok_or_else(|| blame("there is no such kind of notice"))?;
            let language =
                Language::from_code(language).ok_or_else(|| blame("expected `ja` or `en` in its name"))?;
            let text = std::fs::read_to_string(&path).map_err(|error| blame(&error.to_string()))?;
            check(&text).map_err(|problem| blame(&problem))?;
            templates.0.insert((kind, language.code()), text);
        }
        Ok(templates)
    }

    /// The text of a notice.
    pub(super) fn render(&self, notice: &Notice, contract_name: &str) -> Text {
        let language = notice.language;
        let template = self.0.get(&(notice.kind, language.code())).map_or("", String::as_str);
        let values = Values {
            contract_id: notice.identity.contract.as_str(),
            contract_name,
            user_id: notice.identity.user.as_str(),
            serial: notice.serial.as_deref().unwrap_or_default(),
            not_after: notice.not_after.map(|at| moment(at, language)).unwrap_or_default(),
            created_at: moment(notice.created_at, language),
        };
        // It was tried out when it was read.
        let text = filled(template, &values).unwrap_or_default();
        let (subject, body) = text.split_once('\n').unwrap_or((text.as_str(), ""));
        // A line end in a name would end the subject.
        let subject = subject.chars().filter(|letter| !letter.is_control()).collect::<String>();
        Text { subject: subject.trim().to_owned(), body: body.trim_start_matches('\n').to_owned() }
    }
}

/// What a text may say.
struct Values<'a> {
    contract_id: &'a str,
    contract_name: &'a str,
    user_id: &'a str,
    serial: &'a str,
    not_after: String,
    created_at: String,
}

fn filled(template: &str, values: &Values<'_>) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let Values { contract_id, contract_name, user_id, serial, not_after, created_at } = values;
    environment.render_str(
        template,
        context! {
            contract_id => *contract_id,
            contract_name => *contract_name,
            user_id => *user_id,
            serial => *serial,
            not_after => not_after.as_str(),
            created_at => created_at.as_str(),
        },
    )
}

/// Tries a text out. Fraudsters send links, so the bank's own mails have none.
fn check(template: &str) -> Result<(), String> {
    let values = Values {
        contract_id: "1",
        contract_name: "1",
        user_id: "1",
        serial: "1",
        not_after: "1".to_owned(),
        created_at: "1".to_owned(),
    };
    let text = filled(template, &values).map_err(|error| error.to_string())?;
    let subject = text.lines().next().unwrap_or_default();
    if subject.trim().is_empty() {
        return Err("its first line, the subject, is empty".to_owned());
    }
    let lower = text.to_lowercase();
    match ["http://", "https://", "www."].into_iter().find(|link| lower.contains(link)) {
        Some(link) => Err(format!("it holds a link (`{link}`): notices have none")),
        None => Ok(()),
    }
}

/// Date and time in Japan.
fn moment(at: Timestamp, language: Language) -> String {
    let form = match language {
        Language::Japanese => "%Y年%-m月%-d日 %H:%M",
        Language::English => "%-d %B %Y, %H:%M",
    };
    at.to_zoned(TimeZone::fixed(JAPAN)).strftime(form).to_string()
}

const fn own(kind: NoticeKind, language: Language) -> &'static str {
    let [ja, en] = match kind {
        NoticeKind::ExpirySoon => {
            [include_str!("texts/expiry_soon.ja.txt"), include_str!("texts/expiry_soon.en.txt")]
        }
        NoticeKind::ExpiryVerySoon => {
            [include_str!("texts/expiry_very_soon.ja.txt"), include_str!("texts/expiry_very_soon.en.txt")]
        }
        NoticeKind::Suspension => {
            [include_str!("texts/suspension.ja.txt"), include_str!("texts/suspension.en.txt")]
        }
        NoticeKind::Acquired => {
            [include_str!("texts/acquired.ja.txt"), include_str!("texts/acquired.en.txt")]
        }
        NoticeKind::Revoked => [include_str!("texts/revoked.ja.txt"), include_str!("texts/revoked.en.txt")],
        NoticeKind::MailChanged => {
            [include_str!("texts/mail_changed.ja.txt"), include_str!("texts/mail_changed.en.txt")]
        }
    };
    match language {
        Language::Japanese => ja,
        Language::English => en,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_texts_are_whole_and_hold_no_link() {
        for kind in NoticeKind::ALL {
            for language in [Language::Japanese, Language::English] {
                assert_eq!(check(own(*kind, language)), Ok(()), "{kind} {language:?}");
            }
        }
    }

    #[test]
    fn a_text_of_the_banks_is_tried_out() {
        let problem = |text| check(text).unwrap_err();
        assert_eq!(problem("\nbody"), "its first line, the subject, is empty");
        assert_eq!(
            problem("Subject\nHTTPS://mihonbank.example"),
            "it holds a link (`https://`): notices have none"
        );
        assert!(problem("Subject\n{{ surname }}").contains("undefined value"));
        assert!(problem("Subject\n{{ user_id").contains("syntax error"));
        assert_eq!(check("Subject {{ user_id }}\n{{ not_after }}"), Ok(()));
    }
}
