//! Debian's Firefox, with a certificate in its profile: the other family of browsers.

use crate::support::demo::{CERT, CONTRACT, Demo, WWW};
use crate::support::firefox::Firefox;

#[test]
fn firefox_signs_in_by_certificate_and_arrives_where_its_person_wanted_to_go() {
    let demo = Demo::start();
    let mut firefox = Firefox::start(&demo.file("ca.pem"), &demo.file("clients/user.p12"), "demo");
    firefox.open_url(&demo.url(WWW, "/banking/?from=firefox"));
    assert_eq!(
        firefox.string("location.href"),
        demo.url(WWW, "/sekisho/sign-in?to=%2Fbanking%2F%3Ffrom%3Dfirefox")
    );
    firefox.follow("a[href^='/sekisho/certificate']", "/banking/");
    assert_eq!(firefox.string("location.href"), demo.url(WWW, "/banking/?from=firefox"));
    for (id, value) in [("contract", CONTRACT), ("user", "tanaka"), ("auth-method", "certificate")] {
        assert_eq!(firefox.string(&format!("document.getElementById('{id}').textContent")), value);
    }
    // The certificate host knows it too, by the certificate.
    firefox.open_url(&demo.url(CERT, "/banking/"));
    assert_eq!(firefox.string("document.getElementById('user').textContent"), "tanaka");
}
