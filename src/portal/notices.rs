//! The notices (お知らせ) of the sign-in page: a YAML file with Markdown, read anew whenever it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde::Deserialize;

use super::when;
use crate::config::Title;
use crate::domain::Language;

/// One notice, rendered.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) date: Date,
    from: Option<Date>,
    until: Option<Date>,
    title: Title,
    body: [String; 2],
}

/// One notice, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    date: Date,
    /// First day on which it is shown.
    #[serde(default)]
    from: Option<Date>,
    /// Last day on which it is shown.
    #[serde(default)]
    until: Option<Date>,
    title: Title,
    body: Title,
}

impl Notice {
    pub(super) fn title(&self, language: Language) -> &str {
        match language {
            Language::Japanese => &self.title.ja,
            Language::English => &self.title.en,
        }
    }

    /// The body as HTML.
    pub(super) fn body(&self, language: Language) -> &str {
        &self.body[usize::from(language == Language::English)]
    }
}

/// The file, as it was last read.
pub(super) struct Notices {
    path: PathBuf,
    last: Mutex<Last>,
}

struct Last {
    looked_at: Timestamp,
    stamp: Option<(SystemTime, u64)>,
    notices: Arc<[Notice]>,
}

impl Notices {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf, now: Timestamp) -> Result<Self, String> {
        let stamp = stamp(&path);
        let notices = read(&path)?;
        Ok(Self { path, last: Mutex::new(Last { looked_at: now, stamp, notices }) })
    }

    /// The notices of now. Looks at the file's time and size at most once a second; a file that has become unreadable
    /// leaves the notices as they are.
    pub(super) fn current(&self, now: Timestamp) -> Arc<[Notice]> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.as_second() != last.looked_at.as_second() {
            last.looked_at = now;
            let stamp = stamp(&self.path);
            if stamp != last.stamp {
                last.stamp = stamp;
                match read(&self.path) {
                    Ok(notices) => last.notices = notices,
                    Err(problem) => {
                        tracing::warn!(problem, "the notices can't be read: the last good ones stay");
                    }
                }
            }
        }
        Arc::clone(&last.notices)
    }
}

/// Those of `notices` that are shown at `now`, by the day in Japan.
pub(super) fn shown(notices: &[Notice], now: Timestamp) -> impl Iterator<Item = &Notice> {
    let today = when::day(now);
    notices.iter().filter(move |notice| {
        notice.from.is_none_or(|from| from <= today) && notice.until.is_none_or(|until| today <= until)
    })
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Arc<[Notice]>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let yaml = fs::read_to_string(path).map_err(|error| named(&error))?;
    let written: Vec<Written> = serde_saphyr::from_str(&yaml).map_err(|error| named(&error))?;
    let mut notices: Vec<Notice> = written
        .into_iter()
        .map(|written| Notice {
            date: written.date,
            from: written.from,
            until: written.until,
            title: written.title,
            body: [rendered(&written.body.ja), rendered(&written.body.en)],
        })
        .collect();
    notices.sort_by_key(|notice| std::cmp::Reverse(notice.date));
    Ok(notices.into())
}

/// Markdown as HTML. HTML within it is shown, not obeyed; images become their text, and links lead to `https:` or to
/// this host. Headings are small: they are within a page that has its own.
fn rendered(markdown: &str) -> String {
    let mut dropped = 0_u32;
    let events = Parser::new_ext(markdown, Options::empty()).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Heading { id, classes, attrs, .. }) => {
            Some(Event::Start(Tag::Heading { level: HeadingLevel::H4, id, classes, attrs }))
        }
        Event::End(TagEnd::Heading(_)) => Some(Event::End(TagEnd::Heading(HeadingLevel::H4))),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::Start(Tag::Link { ref dest_url, .. }) if !leads_somewhere_safe(dest_url) => {
            dropped += 1;
            None
        }
        // Links don't nest, so the next end is that of the link that was dropped.
        Event::End(TagEnd::Link) if dropped > 0 => {
            dropped -= 1;
            None
        }
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

fn leads_somewhere_safe(address: &str) -> bool {
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && (address.starts_with("https://") || (address.starts_with('/') && !address.starts_with("//")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_rendered_and_html_is_not_obeyed() {
        let html = rendered(
            "# A\n\nA **b** [c](https://bank.example/) [d](/e) <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n",
        );
        assert!(html.contains("<h4>A</h4>"), "{html}");
        assert!(
            html.contains("<strong>b</strong> <a href=\"https://bank.example/\">c</a> <a href=\"/e\">d</a>"),
            "{html}"
        );
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        assert!(!html.contains("<img"), "{html}");
    }

    #[test]
    fn links_lead_to_https_or_to_this_host() {
        for bad in [
            "javascript:alert(1)",
            "http://x.example",
            "//x.example",
            "data:text/html,x",
            "/\\\\x.example",
            "x",
        ] {
            let html = rendered(&format!("[text]({bad}) [good](/ok) ![picture](https://x.example/p.png)"));
            assert!(html.contains("text <a href=\"/ok\">good</a> picture"), "{html}");
            assert_eq!(html.matches("href").count(), 1, "{html}");
        }
    }

    const ONE: &str = "- date: 2026-11-20\n  title: { ja: 一, en: One }\n  body: { ja: 本文, en: Body }\n";

    fn titles(notices: &Notices, now: &str) -> Vec<String> {
        let now = now.parse().unwrap();
        let all = notices.current(now);
        shown(&all, now).map(|notice| notice.title(Language::English).to_owned()).collect()
    }

    #[test]
    fn a_changed_file_is_read_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices.yaml");
        fs::write(&path, ONE).unwrap();
        let notices = Notices::open(path.clone(), "2026-11-23T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(titles(&notices, "2026-11-23T00:00:00Z"), ["One"]);
        fs::write(&path, format!("{ONE}{}", ONE.replace("One", "Two").replace("-20", "-21"))).unwrap();
        assert_eq!(titles(&notices, "2026-11-23T00:00:00Z"), ["One"], "not looked at twice in a second");
        assert_eq!(titles(&notices, "2026-11-23T00:00:01Z"), ["Two", "One"]);
        fs::write(&path, "- nonsense").unwrap();
        assert_eq!(titles(&notices, "2026-11-23T00:00:02Z"), ["Two", "One"]);
        fs::remove_file(&path).unwrap();
        assert_eq!(titles(&notices, "2026-11-23T00:00:03Z"), ["Two", "One"]);
        fs::write(&path, "[]").unwrap();
        assert_eq!(titles(&notices, "2026-11-23T00:00:04Z"), [""; 0]);
    }

    #[test]
    fn a_notice_is_shown_on_its_days_in_japan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices.yaml");
        fs::write(&path, ONE.replace("  title", "  from: 2026-11-24\n  until: 2026-11-24\n  title")).unwrap();
        let notices = Notices::open(path, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(titles(&notices, "2026-11-23T14:59:59Z"), [""; 0]);
        assert_eq!(titles(&notices, "2026-11-23T15:00:00Z"), ["One"]);
        assert_eq!(titles(&notices, "2026-11-24T14:59:59Z"), ["One"]);
        assert_eq!(titles(&notices, "2026-11-24T15:00:00Z"), [""; 0]);
    }

    #[test]
    fn a_broken_file_at_start_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notices.yaml");
        fs::write(&path, ONE.replace("body", "boby")).unwrap();
        let error = Notices::open(path, Timestamp::UNIX_EPOCH).err().unwrap();
        assert!(
            error.contains("notices.yaml") && error.contains("boby") && error.contains("line 3"),
            "{error}"
        );
    }
}
