//! Every page: in both languages, with nothing inline, and never more than it may say.

use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::domain::{SessionEnd, WeakPin};
use crate::flows::{CertificateOutcome, PinOutcome};
use crate::portal::sign_in::{Mistake, SignInForm};
use crate::portal::{certificate, ends, home, messages, pages, pin, sign_in};

const LATER: Duration = Duration::from_millis(1500);

/// Every page of the portal, by name.
pub(super) async fn every_page(language: Language) -> Vec<(String, Response<Body>)> {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let notices = Some(config.join("notices.yaml"));
    let site = Arc::new(Site::new(PortalSettings { notices, ..settings() }).unwrap());
    let www = asking(&site, WWW, "/sekisho/sign-in?to=/banking", language).await;
    let cert = asking(&site, CERT, "/sekisho/certificate?to=/banking", language).await;
    let empty = SignInForm::default();
    let mut all = vec![
        ("sign-in", sign_in::page(&site, true, 6, &www, &empty, None)),
        ("sign-in-incomplete", sign_in::page(&site, true, 6, &www, &empty, Some(Mistake::Incomplete))),
        ("sign-in-certificate-only", sign_in::page(&site, false, 6, &www, &empty, None)),
        ("home", home::page(&site, &www, &signed_in(Role::Administrator))),
        ("pin", pin::page(&site, 6, &www, &signed_in(Role::User), None)),
        ("pin-needed", certificate::pin_page(&site, 6, &cert, &identity(), false)),
        ("not-found", pages::message(&site, &www, StatusCode::NOT_FOUND, &messages::NOT_FOUND)),
        ("foreign-form", pages::message(&site, &www, StatusCode::FORBIDDEN, &messages::FOREIGN_FORM)),
        ("not-arrived", pages::message(&site, &www, StatusCode::BAD_REQUEST, &messages::NOT_ARRIVED)),
        ("pin-not-here", pages::message(&site, &www, StatusCode::FORBIDDEN, &messages::PIN_NOT_HERE)),
        ("closed", pages::message(&site, &www, StatusCode::OK, &messages::CLOSED)),
        ("unavailable", ends::failed(&site, &www, &crate::stores::Unavailable::new("state", "gone"))),
    ]
    .into_iter()
    .map(|(name, page)| (name.to_owned(), page))
    .collect::<Vec<_>>();
    for outcome in [
        PinOutcome::Refused,
        PinOutcome::Suspended,
        PinOutcome::Occupied,
        PinOutcome::Throttled { retry_after: LATER },
        PinOutcome::Overloaded { retry_after: LATER },
    ] {
        all.push((format!("sign-in-{outcome:?}"), sign_in::turned_away(&site, 6, &www, &empty, &outcome)));
    }
    for outcome in [
        CertificateOutcome::Refused,
        CertificateOutcome::UnknownUser,
        CertificateOutcome::Suspended,
        CertificateOutcome::Occupied,
    ] {
        let page = certificate::turned_away(&site, 6, &cert, &identity(), &outcome);
        all.push((format!("certificate-{outcome:?}"), page));
    }
    for end in ["signed_out", "idle", "too_old", "replaced", "withdrawn"] {
        let texts = messages::ended(SessionEnd::from_code(end).unwrap());
        all.push((format!("ended-{end}"), pages::message(&site, &www, StatusCode::OK, texts)));
    }
    for weakness in
        [WeakPin::Length, WeakPin::LikeId, WeakPin::OneCharacter, WeakPin::Denied, WeakPin::Unchanged]
    {
        let mistake = Some(pin::Mistake::Weak(weakness));
        let page = pin::page(&site, 6, &www, &signed_in(Role::User), mistake);
        all.push((format!("pin-{}", weakness.code()), page));
    }
    all
}

#[tokio::test]
async fn every_page_is_in_both_languages_and_has_nothing_inline() {
    for language in [Language::Japanese, Language::English] {
        for (name, page) in every_page(language).await {
            let (_, headers, html) = read(page).await;
            assert_eq!(headers["content-type"], "text/html; charset=utf-8", "{name}");
            assert!(html.contains(&format!("<html lang=\"{language}\"")), "{name}: {html}");
            assert!(
                html.contains("<main id=\"main\"") && html.matches("<h1>").count() == 1,
                "{name}: {html}"
            );
            for inline in ["<style", " style=", "javascript:", " onclick=", "<script>"] {
                assert!(!html.contains(inline), "{name} has {inline}: {html}");
            }
            let japanese = html.matches(|c| matches!(c, 'ぁ'..='ヿ' | '一'..='龠')).count();
            // In English there is the name of the other language, and nothing else in Japanese.
            assert_eq!(language == Language::English, japanese == "日本語".chars().count(), "{name}: {html}");
        }
    }
}

#[tokio::test]
async fn every_form_carries_the_token_of_its_browser() {
    for (name, page) in every_page(Language::Japanese).await {
        let (_, headers, html) = read(page).await;
        let visit = cookies(&headers);
        assert!(visit[0].starts_with("__Host-sekisho-visit="), "{name}: {visit:?}");
        let forms = html.matches("<form").count();
        assert_eq!(html.matches("<input type=\"hidden\" name=\"token\" value=\"").count(), forms, "{name}");
        assert_eq!(html.matches("method=\"post\"").count(), forms, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_ids_and_never_the_pin() {
    let site = site();
    let asking = asking(&site, WWW, "/sekisho/sign-in", Language::Japanese).await;
    let form = SignInForm::of("10000000000001", "<tanaka>", "k7m2x9");
    let page = sign_in::turned_away(&site, 6, &asking, &form, &PinOutcome::Refused);
    let (status, headers, html) = read(page).await;
    assert_eq!(status, 200);
    assert!(html.contains("value=\"10000000000001\"") && html.contains("role=\"alert\""), "{html}");
    assert!(!html.contains("<tanaka>"), "{html}");
    assert!(!html.contains("k7m2x9"), "{html}");
    assert!(!cookies(&headers).iter().any(|cookie| cookie.contains("session")));
    // Whatever was wrong, it is the same page: nothing else goes into it.
    let again = sign_in::turned_away(&site, 6, &asking, &form, &PinOutcome::Refused);
    assert_eq!(read(again).await.2, html);
}

#[tokio::test]
async fn what_became_of_a_sign_in_has_its_status() {
    let pages = every_page(Language::Japanese).await;
    let status = |name: &str| {
        let (_, page) = pages.iter().find(|(found, _)| found.starts_with(name)).unwrap();
        (page.status().as_u16(), page.headers().get("retry-after").map(|value| value.to_str().unwrap()))
    };
    assert_eq!(status("sign-in-Refused"), (200, None));
    assert_eq!(status("sign-in-Suspended"), (403, None));
    assert_eq!(status("sign-in-Occupied"), (409, None));
    assert_eq!(status("sign-in-Throttled"), (429, Some("2")));
    assert_eq!(status("sign-in-Overloaded"), (503, Some("2")));
    assert_eq!(status("unavailable"), (503, Some("30")));
    assert_eq!(status("certificate-UnknownUser"), (403, None));
}

#[tokio::test]
async fn home_shows_who_is_there_and_what_they_may_open() {
    let site = site();
    let asking = asking(&site, "www.mihonbank.example:8443", "/sekisho/home", Language::Japanese).await;
    let (_, _, html) = read(home::page(&site, &asking, &signed_in(Role::User))).await;
    for part in [
        "10000000000001",
        "tanaka",
        "利用者",
        "ID・暗証番号方式",
        "2026年11月23日 09:15",
        "2026年11月20日 18:02",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(html.contains("href=\"/banking\""), "{html}");
    assert!(html.contains("href=\"https://cert.mihonbank.example:8443/banking/payroll\""), "{html}");
    assert!(!html.contains("/admin"), "{html}");
    let (_, _, html) = read(home::page(&site, &asking, &signed_in(Role::Administrator))).await;
    assert!(html.contains("/admin") && html.contains("管理者"), "{html}");
}

#[tokio::test]
async fn without_pins_there_are_no_fields_for_them() {
    let site = site();
    let asking = asking(&site, WWW, "/sekisho/sign-in", Language::Japanese).await;
    let (_, _, html) = read(sign_in::page(&site, false, 6, &asking, &SignInForm::default(), None)).await;
    assert!(!html.contains("name=\"pin\"") && html.contains("電子証明書でログイン"), "{html}");
}

#[tokio::test]
async fn a_theme_and_notices_show_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let theme = folder.path().join("theme");
    std::fs::create_dir(&theme).unwrap();
    std::fs::write(theme.join("texts.yaml"), "ja: { bank: 見本信用金庫, contact: 電話 0120-000-000 }")
        .unwrap();
    std::fs::write(theme.join("colours.css"), ":root{--mark:#123456}").unwrap();
    std::fs::write(theme.join("logo.png"), b"\x89PNG").unwrap();
    let notices = folder.path().join("notices.yaml");
    let one =
        "[{ date: 2026-11-20, title: { ja: 保守の<お知らせ>, en: M }, body: { ja: '**停止**', en: B } }]";
    std::fs::write(&notices, one).unwrap();
    let site = Site::new(PortalSettings { theme: Some(theme), notices: Some(notices), ..settings() });
    let site = Arc::new(site.unwrap());
    let asking = asking(&site, WWW, "/sekisho/sign-in", Language::Japanese).await;
    let (_, _, html) = read(sign_in::page(&site, true, 6, &asking, &SignInForm::default(), None)).await;
    for part in
        ["見本信用金庫", "0120-000-000", "/sekisho/static/colours.css?v=", "/sekisho/static/logo.png?v="]
    {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(html.contains("<strong>停止</strong>") && html.contains("2026年11月20日"), "{html}");
    assert!(!html.contains("<お知らせ>"), "{html}");
}

#[test]
fn the_examples_in_config_are_good() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let (theme, notices) = (Some(config.join("theme")), Some(config.join("notices.yaml")));
    Portal::new(PortalSettings { theme, notices, ..settings() }).unwrap();
}
