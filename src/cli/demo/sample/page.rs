//! The application's page: what a backend sees of a request, for a person to look at.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};

use super::joined;

/// Nothing is loaded from anywhere and nothing runs; the style stands in the page, and the empty icon too.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="ja">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>みほん銀行 サンプル業務アプリ / Mihon Bank sample application</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#14506b, #8cc8e4); }
  body { margin: 0; font: 1rem/1.7 system-ui, "Hiragino Sans", "Yu Gothic UI", "Noto Sans CJK JP", sans-serif; }
  header { background: #14506b; color: #fff; padding: 1.2rem 1.5rem; }
  header p, h1 { margin: 0; } h1 { font-size: 1.35rem; text-wrap: balance; } h1, p { word-break: auto-phrase; }
  main { max-width: 56rem; margin: 0 auto; padding: 1rem 1.5rem 3rem; }
  h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
  [lang=en] { opacity: .8; font-size: .92em; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
  th { font-weight: 600; width: 18rem; }
  .known td { font-size: 1.1rem; }
  code, .fields td, .fields th { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: .9rem; }
  .note { background: var(--soft); border-left: .3rem solid var(--accent); padding: .7rem 1rem; }
  a { color: var(--accent); }
  @media (max-width: 40rem) { th, td { display: block; width: auto; } th { border: 0; padding-bottom: 0; } td { padding-top: 0; } }
</style>
</head>
<body>
<header><h1>みほん銀行 サンプル業務アプリ</h1><p lang="en">Mihon Bank sample application</p></header>
<main>
<h2>ご利用者 <span lang="en">Who is there</span></h2>
{% if user.is_some() %}
<table class="known">
  <tr><th scope="row">契約法人ID <span lang="en">Contract</span></th><td id="contract">{{ contract.as_deref().unwrap_or("—") }}</td></tr>
  <tr><th scope="row">利用者ID <span lang="en">User</span></th><td id="user">{{ user.as_deref().unwrap_or("—") }}</td></tr>
  <tr><th scope="row">認証方式 <span lang="en">Signed in by</span></th><td id="auth-method">{{ auth_method.as_deref().unwrap_or("—") }}</td></tr>
  <tr><th scope="row">受付番号 <span lang="en">Request ID</span></th><td id="request-id">{{ request_id.as_deref().unwrap_or("—") }}</td></tr>
</table>
<p class="note">別の電子証明書を使うときは、ブラウザーの画面をすべて閉じてから、開き直してください。<br>
<span lang="en">To use another certificate, close all windows of the browser and open this page again.</span></p>
{% else %}
<p class="note" id="nobody">ゲートウェイから利用者の情報は届いていません。<br>
<span lang="en">The gateway told this application of no user.</span></p>
{% endif %}

<h2>お試し <span lang="en">Try</span></h2>
<ul>
  <li><a href="headers">headers</a>: ヘッダーを JSON で表示 <span lang="en">the header fields as JSON</span></li>
  <li><a href="download?bytes=1048576">download?bytes=1048576</a>: ダウンロード <span lang="en">a download of any size</span></li>
  <li><a href="slow?ms=2000">slow?ms=2000</a>: 2秒後に応答 <span lang="en">an answer after two seconds</span></li>
  <li><code>curl -T FILE …/upload</code>: アップロード <span lang="en">an upload: says its length and SHA-256</span></li>
  <li><code>…/ws</code>: WebSocket エコー <span lang="en">echo</span></li>
</ul>

<h2>業務アプリに届いたリクエスト <span lang="en">The request as it arrived here</span></h2>
<p><code>{{ method }} {{ target }}</code></p>
<table class="fields">
{% for (name, value) in fields %}  <tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
</main>
</body>
</html>
"#
)]
struct Page {
    contract: Option<String>,
    user: Option<String>,
    auth_method: Option<String>,
    request_id: Option<String>,
    method: Method,
    target: String,
    fields: Vec<(HeaderName, String)>,
}

/// Shows the request, under the default names of the identity's fields.
pub(super) async fn page(method: Method, target: Uri, headers: HeaderMap) -> Response {
    let field = |name: &str| headers.contains_key(name).then(|| joined(&headers, name));
    let page = Page {
        contract: field("x-contract-id"),
        user: field("x-user-id"),
        auth_method: field("x-auth-method"),
        request_id: field("x-request-id"),
        method,
        target: target.to_string(),
        fields: headers.keys().map(|name| (name.clone(), joined(&headers, name.as_str()))).collect(),
    };
    match page.render() {
        Ok(text) => {
            ([(CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY)], Html(text)).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
