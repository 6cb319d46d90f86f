//! While a file is there, routes are closed; it is looked for a few times a second, and a restart changes nothing.

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{Gate, OPTIONAL, Settings, WWW, lay_out};
use crate::support::http2::Version;
use crate::support::pki::Ca;

const ROUTES: &str = "
  - { path: /, require: nothing, upstream: banking }
  - { path: /secret, require: certificate, upstream: banking }
  - { path: /api, require: nothing, maintenance: { file: api-closed, retry_after: 7s }, upstream: banking }";
const ALL: &str = "maintenance: { file: closed.html }";

#[test]
fn a_file_closes_all_routes_or_one_until_it_is_gone() {
    let backend = Backend::start();
    let settings = Settings { routes: Some(ROUTES), yaml: ALL, ..Settings::default() };
    let gate = Gate::with(&backend, Ca::new("Mihon Bank CA-G1"), settings);
    let status = |path| gate.client().get(OPTIONAL, path).status;
    assert_eq!((status("/a"), status("/api")), (200, 200));
    gate.write("api-closed", "");
    eventually("the API is closed", || status("/api") == 503);
    assert_eq!(status("/a"), 200);
    gate.write("closed.html", "<!doctype html><title>Back at 6</title>");
    eventually("all is closed", || status("/a") == 503);
    for version in Version::BOTH {
        // Nobody is asked to prove who they are for what is closed.
        for path in ["/a", "/secret"] {
            let closed = version.get(&gate.client(), OPTIONAL, path);
            assert_eq!(closed.values("retry-after"), ["300"], "{version:?} {path}");
            assert_eq!(closed.text(), "<!doctype html><title>Back at 6</title>");
            assert!(closed.value("content-security-policy").unwrap().starts_with("default-src 'none'"));
        }
        let api = version.ask(&gate.client(), WWW, ("GET", "/api"), &[("accept", "application/json")], b"");
        assert_eq!((api.code().as_str(), api.values("retry-after")), ("maintenance", vec!["7".to_owned()]));
        // Where nothing is, nothing is closed; and our own pages need their style.
        assert_eq!(version.get(&gate.client(), WWW, "/sekisho/static/style.css").status, 200);
    }
    let english = [("accept-language", "en")];
    let page = Version::Http1.ask(&gate.client(), WWW, ("GET", "/api"), &english, b"");
    assert!(page.text().contains("Closed for maintenance"), "{}", page.text());
    std::fs::remove_file(gate.folder.path().join("closed.html")).unwrap();
    eventually("all but the API is open", || status("/a") == 200);
    assert_eq!((status("/api"), status("/secret")), (503, 403));
}

#[test]
fn a_gate_that_was_closed_comes_back_closed() {
    let backend = Backend::start();
    let ca = Ca::new("Mihon Bank CA-G1");
    let settings = Settings { routes: Some(ROUTES), yaml: ALL, ..Settings::default() };
    let folder = lay_out(&[backend.address], &ca, &settings);
    std::fs::write(folder.path().join("closed.html"), "no page").unwrap();
    let gate = Gate::in_folder(folder, ca);
    let closed = gate.client().get_with(WWW, "/a", "Accept-Language: ja\r\n");
    assert_eq!(closed.status, 503);
    assert!(closed.text().contains("メンテナンス中です"), "{}", closed.text());
    assert!(backend.received().is_empty());
}
