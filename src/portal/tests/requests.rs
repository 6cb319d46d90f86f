//! Requests: which are answered where, with which header fields, and which forms are believed.

use super::*;
use crate::portal::asking::Secret;
use crate::portal::{REFUSAL_POLICY, Refused, certificate, refusal_codes};

#[tokio::test]
async fn every_answer_is_dressed() {
    let portal = portal();
    let style = portal.site.statics.address("style.css");
    for path in ["/sekisho", "/sekisho/sign-in", "/sekisho/ended?why=idle", "/sekisho/nothing", &style] {
        let answer = portal.answer(get("www.mihonbank.example:8443", path)).await;
        let field = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(
            field("content-security-policy"),
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self' \
             https://www.mihonbank.example:8443 https://cert.mihonbank.example:8443; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        assert_eq!(field("x-content-type-options"), "nosniff");
        assert_eq!(field("x-frame-options"), "DENY");
        assert_eq!(field("referrer-policy"), "same-origin");
        assert_eq!(field("strict-transport-security"), "max-age=63072000; includeSubDomains");
        assert_eq!(field("cross-origin-opener-policy"), "same-origin");
        assert_eq!(field("cross-origin-resource-policy"), "same-origin");
        assert!(field("permissions-policy").contains("camera=()"));
        let caching = if path == style { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(field("cache-control"), caching, "{path}");
    }
}

#[tokio::test]
async fn paths_and_methods_are_answered_as_they_should_be() {
    let portal = portal();
    for (method, path, status) in [
        ("GET", "/sekisho", 303),
        ("GET", "/sekisho/", 303),
        ("GET", "/sekisho/nothing", 404),
        ("GET", "/sekisho/sign-in/", 404),
        ("GET", "/sekisho/static/none.css", 404),
        ("GET", "/sekisho/static/..%2Fstyle.css", 404),
        ("DELETE", "/sekisho/sign-in", 405),
        ("PUT", "/sekisho/home", 405),
        ("GET", "/sekisho/sign-out", 405),
        ("GET", "/sekisho/preferences", 405),
        ("GET", "/sekisho/suspended", 403),
        ("GET", "/sekisho/unavailable", 503),
        ("GET", "/sekisho/ended?why=nonsense", 200),
        ("HEAD", "/sekisho/ended?why=idle", 200),
        // Without the verbs nobody signs in.
        ("GET", "/sekisho/sign-in", 404),
        ("GET", "/sekisho/certificate", 404),
        ("GET", "/sekisho/home", 404),
    ] {
        let answer = portal.answer(request(method, WWW, path, &[], "")).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.body().is_empty(), status == 303 || method == "HEAD", "{method} {path}");
    }
    let answer = portal.answer(request("DELETE", WWW, "/sekisho/sign-in", &[], "")).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn a_file_is_kept_for_good_only_under_the_name_of_its_contents() {
    let portal = portal();
    for name in ["style.css", "keyboard.js", "logo.svg", "icon.svg"] {
        let address = portal.site.statics.address(name);
        let answer = portal.answer(get("elsewhere.example", &address)).await;
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable", "{address}");
        assert!(answer.headers().get("set-cookie").is_none(), "{address}");
        let plain = format!("/sekisho/static/{name}");
        for other in [plain.clone(), format!("{plain}?v=0")] {
            let answer = portal.answer(get(WWW, &other)).await;
            assert_eq!(answer.status(), 200, "{other}");
            assert_eq!(answer.headers()["cache-control"], "no-cache", "{other}");
        }
    }
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const OURS: &str = "origin: https://www.mihonbank.example";

/// Posts a choice of size. The status says whether the form was believed.
async fn post(portal: &Portal, fields: &[&str], token: &str) -> Response<Bytes> {
    let body = format!("token={token}&size=large&page=%2Fsekisho%2Fsign-in%3Fto%3D%252Fbanking");
    let fields = [&[FORM], fields].concat();
    portal.answer(request("POST", WWW, "/sekisho/preferences", &fields, &body)).await
}

#[tokio::test]
async fn a_form_is_believed_only_from_our_own_page_in_the_same_browser() {
    let portal = portal();
    let (visit, other) = (Secret::new().unwrap(), Secret::new().unwrap());
    let cookie = format!("cookie: __Host-sekisho-visit={}", visit.value());
    let token = visit.hash("form");
    let answer = post(&portal, &[OURS, &cookie], &token).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (303, &"/sekisho/sign-in?to=%2Fbanking".parse().unwrap())
    );
    assert_eq!(
        cookies(answer.headers()),
        ["sekisho-size=large; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax"]
    );
    for good in [
        &["origin: https://www.mihonbank.example:443", &cookie][..],
        &["sec-fetch-site: same-origin", &cookie],
    ] {
        assert_eq!(post(&portal, good, &token).await.status(), 303, "{good:?}");
    }
    for bad in [
        &["origin: https://evil.example", &*cookie][..],
        &["origin: null", &cookie],
        &["origin: http://www.mihonbank.example", &cookie],
        &["origin: https://www.mihonbank.example.evil.example", &cookie],
        &["origin: https://cert.mihonbank.example", &cookie],
        &["origin: https://www.mihonbank.example:8443", &cookie],
        &["origin: https://evil.example", "sec-fetch-site: same-origin", &cookie],
        &["sec-fetch-site: same-site", &cookie],
        &["sec-fetch-site: cross-site", &cookie],
        &[&cookie],
        &[OURS],
        &[OURS, &format!("cookie: __Host-sekisho-visit={}", other.value())],
        &[OURS, "cookie: __Host-sekisho-visit=x"],
    ] {
        let answer = post(&portal, bad, &token).await;
        assert_eq!(answer.status(), 403, "{bad:?}");
        assert!(!cookies(answer.headers()).iter().any(|cookie| cookie.contains("size")), "{bad:?}");
        assert!(text(&answer).contains("この画面からの操作を確認できませんでした"), "{bad:?}");
    }
    for bad in ["", "0", &other.hash("form"), visit.value(), &visit.hash("")] {
        assert_eq!(post(&portal, &[OURS, &cookie], bad).await.status(), 403, "{bad:?}");
    }
}

#[tokio::test]
async fn every_form_of_the_portal_is_guarded() {
    let portal = portal();
    for path in ["sign-in", "sign-out", "certificate", "pin", "preferences"] {
        let path = format!("/sekisho/{path}");
        let answer =
            portal.answer(request("POST", WWW, &path, &[FORM, OURS], "contract=1&user=a&pin=1234")).await;
        assert_eq!(answer.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn a_form_is_small_and_a_form() {
    let portal = portal();
    let large = format!("token={}", "a".repeat(16 * 1024));
    let answer = portal.answer(request("POST", WWW, "/sekisho/sign-in", &[FORM, OURS], &large)).await;
    assert_eq!(answer.status(), 413);
    let json = ["content-type: application/json", OURS];
    let answer = portal.answer(request("POST", WWW, "/sekisho/sign-in", &json, "{}")).await;
    assert_eq!(answer.status(), 415);
}

#[tokio::test]
async fn the_way_to_the_certificate_host_shows_only_the_hash_of_the_browsers_secret() {
    let site = site();
    let path = "/sekisho/certificate?to=%2Fbanking%3Fa%3D1";
    let asking = asking(&site, "www.mihonbank.example:8443", path, Language::English).await;
    let (status, headers, _) = read(certificate::over(&site, &asking)).await;
    let cookie = cookies(&headers).remove(0);
    let secret = cookie.strip_prefix("__Host-sekisho-flow=").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
    let mut parts =
        request("GET", WWW, "/", &[&format!("cookie: __Host-sekisho-flow={secret}")], "").into_parts().0;
    let back = Asking::from_request_parts(&mut parts, &site).await.unwrap();
    let nonce = back.flow.unwrap().hash("");
    let location = headers["location"].to_str().unwrap();
    let expected = format!(
        "https://cert.mihonbank.example:8443/sekisho/certificate?nonce={nonce}&to=/banking%3Fa%3D1&lang=en&size=standard"
    );
    assert_eq!((status, location), (303, expected.as_str()));
    assert!(!location.contains(&secret));
}

#[tokio::test]
async fn a_person_lands_where_they_wanted_to_go_and_on_no_other_host() {
    let site = site();
    for (to, place) in [
        ("/banking/transfer?x=1", "/banking/transfer?x=1"),
        ("/bankingx", "/bankingx"),
        ("/banking/payroll", "https://cert.mihonbank.example/banking/payroll"),
        ("/banking/payroll/new?a=b", "https://cert.mihonbank.example/banking/payroll/new?a=b"),
        ("//evil.example", "/sekisho/home"),
        ("https://evil.example", "/sekisho/home"),
        ("/%5Cevil.example", "/sekisho/home"),
        ("", "/sekisho/home"),
    ] {
        let path = format!("/sekisho/sign-in?to={}", crate::portal::way::encoded(to));
        let asking = asking(&site, WWW, &path, Language::Japanese).await;
        assert_eq!(site.destination(&asking.way, &asking.authority), place, "{to}");
    }
}

#[test]
fn a_refusal_has_a_page_without_forms_and_scripts() {
    let portal = portal();
    assert_eq!(portal.content_security_policy(), REFUSAL_POLICY);
    for &code in refusal_codes() {
        for language in [Language::Japanese, Language::English] {
            let page =
                portal.refusal(Refused { host: "www.mihonbank.example", code, language, request_id: "00ff" });
            let html = String::from_utf8(page.html).unwrap();
            assert!(html.contains(&format!("<code>{code}</code>")) && html.contains("00ff"), "{html}");
            let title = page.title.replace('\'', "&#39;");
            assert!(html.contains(&format!("<h1>{title}</h1>")), "{html}");
            for absent in ["<form", "<script", "<style", " style="] {
                assert!(!html.contains(absent), "{code} has {absent}: {html}");
            }
        }
    }
    let unknown = portal.refusal(Refused {
        host: "www.mihonbank.example",
        code: "new",
        language: Language::Japanese,
        request_id: "00ff",
    });
    assert_eq!(unknown.title, "要求を受け付けられません");
}
