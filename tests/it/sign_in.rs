//! Signing in by contract ID, user ID and PIN, through the gate's own front door.

use jiff::{SignedDuration, Timestamp};
use sekisho::clock::Clock;
use sekisho::domain::SuspensionCause;

use crate::support::backend::Backend;
use crate::support::client::Response;
use crate::support::gate::{CERT, WWW};
use crate::support::people::{
    Browser, CONTRACT, ITO, SUZUKI, TANAKA, gate, gate_with, hidden, identity, now, percent_encoded, stores,
    yaml,
};

const SESSION: &str = "__Host-sekisho-session";

/// A page without what is random in it.
fn comparable(page: &Response) -> String {
    let text = page.text();
    let token = hidden(&text, "token");
    text.replace(&token, "TOKEN").replace(&page.value("x-request-id").unwrap(), "ID")
}

#[test]
fn whoever_has_not_signed_in_is_sent_there_and_a_program_is_told() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut browser = Browser::new(&gate);
    let sent = browser.open(WWW, "/banking/transfer?id=1");
    assert_eq!(sent.status, 303);
    assert_eq!(sent.value("location").unwrap(), "/sekisho/sign-in?to=%2Fbanking%2Ftransfer%3Fid%3D1");
    let told = browser.send(WWW, "GET /banking/transfer HTTP/1.1", &["Accept: */*"], "");
    assert_eq!((told.status, told.code()), (401, "sign_in_needed".to_owned()));
    assert_eq!(told.value("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(told.value("www-authenticate").as_deref(), Some("Session"));
    let told = browser.send(WWW, "POST /banking/transfer HTTP/1.1", &["Content-Length: 0"], "");
    assert_eq!(told.status, 401);
    assert!(backend.received().is_empty());
}

#[test]
fn a_right_pin_opens_a_session_and_the_backend_learns_who_is_there() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut browser = Browser::new(&gate);
    let response = browser.try_pin_to("/banking/transfer?id=1", ITO.0, ITO.1);
    assert_eq!(
        (response.status, response.value("location").as_deref()),
        (303, Some("/banking/transfer?id=1"))
    );
    let cookies = response.values("set-cookie");
    let session = cookies.iter().find(|cookie| cookie.starts_with(SESSION)).unwrap();
    assert!(session.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{session}");
    let answer = browser.open(WWW, "/banking/transfer?id=1");
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    assert_eq!(answer.value("cache-control").as_deref(), Some("no-store"));
    let received = backend.only();
    let value = |name: &str| received.value(name).unwrap_or_default();
    assert_eq!(
        [value("x-contract-id"), value("x-user-id"), value("x-user-role"), value("x-auth-method")],
        [CONTRACT, "ito", "user", "pin"]
    );
    // A backend that knew the token could be its user.
    assert!(!received.head.contains("sekisho-session"), "{}", received.head);
    let line = gate.logged(|line| line["path"] == "/banking/transfer");
    assert_eq!((&line["user"], &line["auth_method"]), (&"ito".into(), &"pin".into()));
}

#[test]
fn ids_and_pin_have_one_form_however_they_are_typed() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    let page = browser.open(WWW, "/sekisho/sign-in");
    let fields =
        [("contract", "１００００００００００００１"), ("user", " ｉｔｏ　"), ("pin", "ｐ４ｑ８ｗ１")];
    let response = browser.post(WWW, "/sekisho/sign-in", &page, &fields);
    assert_eq!(response.status, 303, "{}", response.text());
    // Written otherwise or not, it is one count.
    let mut stranger = Browser::new(&gate);
    for user in ["tanaka", " tanaka", "ｔａｎａｋａ", "tanaka\u{3000}", "tanaka "] {
        stranger.try_pin(user, "wrong1");
    }
    assert!(stranger.try_pin("tanaka", "wrong1").text().contains("利用中止"));
}

#[test]
fn every_refusal_is_the_same_page() {
    let gate = gate(&Backend::start());
    let others = stores(gate.folder.path());
    let far = SignedDuration::from_hours(24 * 300);
    now(async {
        others
            .directory
            .suspend_user(&identity("suzuki"), SuspensionCause::Staff, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        let credential = sekisho::stores::Credential {
            identity: identity("tanaka"),
            fingerprint: "00".repeat(32),
            serial: "01".to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: gate.clock.now().checked_add(far).unwrap(),
        };
        others.directory.add_credential(&credential, None, gate.clock.now()).await.unwrap();
    });
    let page = |user: &str, pin: &str| Browser::new(&gate).try_pin(user, pin);
    let wrong = page("ito", "wrong1");
    for (user, pin, what) in [
        ("suzuki", SUZUKI.1, "suspended"),
        ("tanaka", TANAKA.1, "a live credential"),
        ("nobody", "k7m2x9", "nobody"),
        ("ito", "no", "no PIN at all"),
    ] {
        let refused = page(user, pin);
        assert_eq!(refused.status, wrong.status, "{what}");
        assert_eq!(comparable(&refused).replace(user, "ito"), comparable(&wrong), "{what}");
        assert_eq!(refused.values("set-cookie").len(), wrong.values("set-cookie").len(), "{what}");
    }
}

#[test]
fn six_wrong_pins_in_a_row_suspend_and_the_right_one_fails_afterwards() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    for nth in 1..=5 {
        assert!(!browser.try_pin(ITO.0, "wrong1").text().contains("利用中止になりました"), "{nth}");
    }
    for (pin, what) in [("wrong1", "the sixth"), (ITO.1, "the right one")] {
        let page = browser.try_pin(ITO.0, pin);
        assert_ne!(page.status, 303, "{what}");
        assert!(page.text().contains("利用中止"), "{what}: {}", page.text());
        assert_eq!(browser.cookie(WWW, SESSION), None);
    }
    let others = stores(gate.folder.path());
    let user = now(others.directory.user(&identity("ito"), gate.clock.now())).unwrap().unwrap();
    let causes: Vec<_> = user.suspensions.iter().map(|suspension| suspension.cause).collect();
    assert_eq!(causes, [SuspensionCause::WrongPins]);
    let audit = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    let suspended: Vec<_> = audit.lines().filter(|line| line.contains("\"kind\":\"suspended\"")).collect();
    assert_eq!(suspended.len(), 1, "{audit}");
    assert!(suspended[0].contains("\"user\":\"ito\"") && suspended[0].contains("wrong_pins"), "{audit}");
    gate.counts("sekisho_sign_ins_total{method=\"pin\",outcome=\"suspended\"}", 1.0);
    // Lifted, it counts from the beginning.
    now(async {
        others.directory.lift_user(&identity("ito")).await.unwrap();
        for proven in [false, true] {
            let key =
                sekisho::stores::AttemptKey { tag: sekisho::domain::UserTag::of(&identity("ito")), proven };
            others.state.clear_attempts(&key).await.unwrap();
        }
    });
    browser.sign_in(ITO);
}

#[test]
fn a_right_pin_forgets_the_wrong_ones() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    for _ in 0..3 {
        for _ in 0..5 {
            browser.try_pin(ITO.0, "wrong1");
        }
        browser.sign_in(ITO);
    }
}

#[test]
fn ids_that_nobody_has_are_counted_and_answered_like_others() {
    let gate = gate(&Backend::start());
    let answers = |user: &str| -> Vec<(u16, String)> {
        let mut browser = Browser::new(&gate);
        (0..8)
            .map(|_| {
                let page = browser.try_pin(user, "wrong1");
                (page.status, comparable(&page).replace(user, "USER"))
            })
            .collect()
    };
    assert_eq!(answers("nobody"), answers("ito"));
}

#[test]
fn a_flushed_state_gives_nobody_another_guess() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    for _ in 0..5 {
        browser.try_pin(ITO.0, "wrong1");
    }
    let state = stores(gate.folder.path()).state;
    now(state.clear_attempts(&sekisho::stores::AttemptKey {
        tag: sekisho::domain::UserTag::of(&identity("ito")),
        proven: false,
    }))
    .unwrap();
    assert!(browser.try_pin(ITO.0, "wrong1").text().contains("利用中止"));
    assert_ne!(browser.try_pin(ITO.0, ITO.1).status, 303);
}

#[test]
fn a_source_that_tries_too_often_is_told_to_wait_before_anybody_is_counted() {
    let lockout = "lockout: { attempts: 6, per_source: { attempts: 3, per: 1h } }";
    let yaml = yaml("").replace("lockout: { attempts: 6, per_source: { attempts: 10000, per: 1m }, in_all: { attempts: 10000, per: 1m } }", lockout);
    let gate = gate_with(&Backend::start(), &yaml, Clock::default());
    let mut browser = Browser::new(&gate);
    for user in ["a1", "a2", "a3"] {
        assert_ne!(browser.try_pin(user, "wrong1").status, 429);
    }
    for _ in 0..10 {
        let told = browser.try_pin(ITO.0, "wrong1");
        assert_eq!(told.status, 429);
        let seconds: u64 = told.value("retry-after").unwrap().parse().unwrap();
        assert!((1..=1200).contains(&seconds), "{seconds}");
    }
    let others = stores(gate.folder.path());
    let user = now(others.directory.user(&identity("ito"), gate.clock.now())).unwrap().unwrap();
    assert_eq!(user.suspensions, []);
}

#[test]
fn a_form_of_another_site_does_nothing() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    let page = browser.open(WWW, "/sekisho/sign-in");
    let token = hidden(&page.text(), "token");
    let port = gate.address.port();
    let ours = format!("Origin: https://{WWW}:{port}");
    let fields =
        |token: &'static str| [("token", token), ("contract", CONTRACT), ("user", ITO.0), ("pin", ITO.1)];
    for (token, origin) in [
        (None, ours.as_str()),
        (Some(token.as_str()), "Origin: https://evil.example"),
        (Some(token.as_str()), "Origin: null"),
        (Some(token.as_str()), "Sec-Fetch-Site: cross-site"),
        (Some(token.as_str()), "X-Nothing: said"),
    ] {
        let token: &'static str = Box::leak(token.unwrap_or("").to_owned().into_boxed_str());
        let refused = browser.post_raw(WWW, "/sekisho/sign-in", &fields(token), &[origin]);
        assert_eq!(refused.status, 403, "{origin}");
        assert_eq!(browser.cookie(WWW, SESSION), None);
    }
    // Another browser's token is no better than none.
    let other = hidden(&Browser::new(&gate).open(WWW, "/sekisho/sign-in").text(), "token");
    let other: &'static str = Box::leak(other.into_boxed_str());
    assert_eq!(browser.post_raw(WWW, "/sekisho/sign-in", &fields(other), &[&ours]).status, 403);
    browser.sign_in(ITO);
}

#[test]
fn after_signing_in_nobody_lands_on_another_host() {
    let gate = gate(&Backend::start());
    for to in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nX: y", "javascript:alert(1)"]
    {
        let mut browser = Browser::new(&gate);
        let page = browser.open(WWW, &format!("/sekisho/sign-in?to={}", percent_encoded(to)));
        let fields = [("contract", CONTRACT), ("user", ITO.0), ("pin", ITO.1), ("to", to)];
        let response = browser.post(WWW, "/sekisho/sign-in", &page, &fields);
        assert_eq!(
            (response.status, response.value("location").as_deref()),
            (303, Some("/sekisho/home")),
            "{to}"
        );
    }
}

#[test]
fn a_route_is_for_its_roles_and_contracts() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut user = Browser::new(&gate);
    user.sign_in(ITO);
    let mut administrator = Browser::new(&gate);
    administrator.sign_in(SUZUKI);
    assert_eq!(user.open(WWW, "/administration").status, 403);
    assert_eq!(administrator.open(WWW, "/administration").status, 200);
    for browser in [&mut user, &mut administrator] {
        let refused = browser.send(WWW, "GET /other HTTP/1.1", &["Accept: application/json"], "");
        assert_eq!((refused.status, refused.code()), (403, "not_allowed".to_owned()));
    }
    // The same for a certificate, whose user the directory knows or doesn't.
    let backend_saw = backend.received().len();
    let of = |user: &str| gate.client().with(&gate.ca.client(&format!("{CONTRACT} {user}")));
    assert_eq!(of("suzuki").get(CERT, "/administration").status, 200);
    assert_eq!(of("ito").get(CERT, "/administration").status, 403);
    assert_eq!(of("nobody").get(CERT, "/administration").status, 403);
    assert_eq!(of("nobody").get(CERT, "/machine").status, 200);
    assert_eq!(backend.received().len(), backend_saw + 2);
    assert_eq!(backend.received()[backend_saw].value("x-user-role").as_deref(), Some("administrator"));
}

#[test]
fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
    let begun = Clock::default().now();
    let clock = Clock::manual(begun);
    let after = |minutes: i64| begun.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let gate = gate_with(&Backend::start(), &yaml(""), clock.clone());
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    // The portal asks the state itself; the gate keeps what it found for a moment.
    let home = |browser: &mut Browser| browser.open(WWW, "/sekisho/home");
    for minutes in [14, 28, 42] {
        clock.set(after(minutes));
        assert_eq!(home(&mut browser).status, 200, "{minutes}");
    }
    clock.set(after(58));
    let location = home(&mut browser).value("location").unwrap();
    assert!(location.contains("why=idle"), "{location}");
    browser.sign_in(ITO);
    for quarter in 1..=34 {
        clock.set(after(58 + quarter * 14));
        assert_eq!(home(&mut browser).status, 200, "{quarter}");
    }
    clock.set(after(58 + 8 * 60));
    assert!(ended(&mut browser).contains("why=too_old"));
}

/// Where a browser is sent once its session is over.
fn ended(browser: &mut Browser) -> String {
    let mut location = None;
    crate::support::eventually("the session is over", || {
        location = browser.open(WWW, "/banking").value("location");
        location.is_some()
    });
    location.unwrap()
}

#[test]
fn the_newest_sign_in_ends_the_one_before_and_tells_it() {
    let gate = gate(&Backend::start());
    let (mut first, mut second) = (Browser::new(&gate), Browser::new(&gate));
    first.sign_in(ITO);
    let before = first.cookie(WWW, SESSION).unwrap().to_owned();
    second.sign_in(ITO);
    let location = ended(&mut first);
    assert!(location.starts_with("/sekisho/ended?why=replaced"), "{location}");
    assert_eq!(second.open(WWW, "/banking").status, 200);
    // A new token at every sign-in.
    second.sign_in(ITO);
    assert_ne!(second.cookie(WWW, SESSION).unwrap(), before);
}

#[test]
fn a_bank_may_want_the_first_session_to_end_first() {
    let yaml = yaml("").replace("  lockout:", "  session: { concurrent: refuse }\n  lockout:");
    let gate = gate_with(&Backend::start(), &yaml, Clock::default());
    let (mut first, mut second) = (Browser::new(&gate), Browser::new(&gate));
    first.sign_in(ITO);
    assert_ne!(second.try_pin(ITO.0, ITO.1).status, 303);
    sign_out(&mut first);
    second.sign_in(ITO);
}

fn sign_out(browser: &mut Browser) {
    let home = browser.open(WWW, "/sekisho/home");
    assert_eq!(home.status, 200, "{}", home.head);
    let out = browser.post(WWW, "/sekisho/sign-out", &home, &[]);
    assert_eq!(out.status, 303, "{}", out.text());
}

#[test]
fn a_sign_out_holds_on_every_gateway() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    let token = browser.cookie(WWW, SESSION).unwrap().to_owned();
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    sign_out(&mut browser);
    assert_eq!(browser.cookie(WWW, SESSION), None);
    // Whoever kept the token has nothing.
    let mut thief = Browser::new(&gate);
    thief.set_cookie(WWW, SESSION, &token);
    assert!(ended(&mut thief).contains("why=signed_out"));
}

#[test]
fn a_suspension_ends_the_session_and_the_certificate_within_a_second() {
    let backend = Backend::start();
    let gate = gate(&backend);
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    let mut live = gate.client().with(&gate.ca.client(&format!("{CONTRACT} ito"))).connect(CERT).unwrap();
    let request = format!("GET /machine HTTP/1.1\r\nHost: {CERT}\r\nAccept: application/json\r\n\r\n");
    live.send(request.as_bytes());
    assert_eq!(live.response().unwrap().status, 200);
    let others = stores(gate.folder.path());
    now(others.directory.suspend_user(&identity("ito"), SuspensionCause::Staff, gate.clock.now())).unwrap();
    assert!(ended(&mut browser).contains("why=withdrawn"));
    // The idle connection of its certificate is closed, and a new one is told why.
    assert!(live.is_closed());
    let told = gate.client().with(&gate.ca.client(&format!("{CONTRACT} ito"))).get(CERT, "/machine");
    assert_eq!(told.status, 403);
    now(others.directory.lift_user(&identity("ito"))).unwrap();
    crate::support::eventually("lifted", || {
        gate.client().with(&gate.ca.client(&format!("{CONTRACT} ito"))).get(CERT, "/machine").status == 200
    });
}

#[test]
fn wrong_pins_typed_elsewhere_do_not_stop_the_holder_of_a_certificate() {
    let gate = gate(&Backend::start());
    let mut stranger = Browser::new(&gate);
    for _ in 0..7 {
        stranger.try_pin(ITO.0, "wrong1");
    }
    let ito = gate.client().with(&gate.ca.client(&format!("{CONTRACT} ito")));
    assert_eq!(ito.get(CERT, "/machine").status, 200);
    assert_eq!(ito.get(CERT, "/banking").status, 200);
}

#[test]
fn no_backend_can_set_the_portals_cookies() {
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nSet-Cookie: __Host-sekisho-session=x; Path=/; Secure\r\nSet-Cookie: mine=1\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let gate = gate(&backend);
    let answer = Browser::new(&gate).open(WWW, "/public");
    assert_eq!(answer.values("set-cookie"), ["mine=1"]);
}
