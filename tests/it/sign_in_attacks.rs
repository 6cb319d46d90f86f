//! What thieves try around signing in: old sessions, stolen cookies, spoilt cookies, open tunnels, slow forms.

use std::io::Read;

use jiff::{SignedDuration, Timestamp};
use sekisho::clock::Clock;
use sekisho::domain::SuspensionCause;
use sekisho::stores::Credential;

use crate::support::backend::Backend;
use crate::support::eventually;
use crate::support::gate::{Gate, OPTIONAL, WWW};
use crate::support::http2::Version;
use crate::support::people::{
    Browser, CONTRACT, ITO, TANAKA, gate, gate_with, hidden, identity, now, percent_encoded, stores, yaml,
};
use crate::support::tunnel::{Tunnel, echo};

const SESSION: &str = "__Host-sekisho-session";
const VISIT: &str = "__Host-sekisho-visit";

/// A credential of `user` that lasts for months.
fn credential(gate: &Gate, user: &str) -> Credential {
    let far = SignedDuration::from_hours(24 * 300);
    Credential {
        identity: identity(user),
        fingerprint: "00".repeat(32),
        serial: "01".to_owned(),
        not_before: jiff::Timestamp::UNIX_EPOCH,
        not_after: gate.clock.now().checked_add(far).unwrap(),
    }
}

/// A tunnel that this browser's session opened.
fn tunnel(gate: &Gate, browser: &Browser, version: Version) -> Tunnel {
    let cookie = format!("{SESSION}={}", browser.cookie(WWW, SESSION).unwrap());
    let asked = Tunnel::ask(version, &gate.client(), (WWW, "/banking/ws"), &[("cookie", &cookie)]);
    let (_, mut tunnel) = asked.unwrap_or_else(|refused| panic!("{}", refused.head));
    tunnel.echoes();
    tunnel
}

fn sign_out(browser: &mut Browser) {
    let home = browser.open(WWW, "/sekisho/home");
    assert_eq!(home.status, 200, "{}", home.head);
    assert_eq!(browser.post(WWW, "/sekisho/sign-out", &home, &[]).status, 303);
}

#[test]
fn a_tunnel_is_closed_when_the_user_of_its_session_is_suspended() {
    for version in Version::BOTH {
        let backend = echo();
        let gate = gate(&backend);
        let (mut ito, mut tanaka) = (Browser::new(&gate), Browser::new(&gate));
        ito.sign_in(ITO);
        tanaka.sign_in(TANAKA);
        let (mut closed, mut open) = (tunnel(&gate, &ito, version), tunnel(&gate, &tanaka, version));
        let others = stores(gate.folder.path());
        now(others.directory.suspend_user(&identity("ito"), SuspensionCause::Staff, gate.clock.now()))
            .unwrap();
        assert_eq!(closed.read_to_end(), b"");
        open.echoes();
    }
}

#[test]
fn a_tunnel_is_closed_when_its_session_is_over() {
    for version in Version::BOTH {
        let backend = echo();
        let gate = gate(&backend);
        let (mut ito, mut tanaka) = (Browser::new(&gate), Browser::new(&gate));
        ito.sign_in(ITO);
        tanaka.sign_in(TANAKA);
        let (mut closed, mut open) = (tunnel(&gate, &ito, version), tunnel(&gate, &tanaka, version));
        sign_out(&mut ito);
        assert_eq!(closed.read_to_end(), b"");
        // Nobody looks at a silent one as its use: the idle time goes on.
        open.echoes();
    }
}

#[test]
fn a_session_by_pin_ends_when_its_user_gets_a_credential() {
    let gate = gate(&Backend::start());
    let mut thief = Browser::new(&gate);
    thief.sign_in(ITO);
    assert_eq!(thief.open(WWW, "/banking").status, 200);
    now(stores(gate.folder.path()).directory.add_credential(
        &credential(&gate, "ito"),
        None,
        gate.clock.now(),
    ))
    .unwrap();
    let mut location = None;
    eventually("the session is over", || {
        location = thief.open(WWW, "/banking").value("location");
        location.is_some()
    });
    assert_eq!(location.as_deref(), Some("/sekisho/ended?why=withdrawn&to=%2Fbanking"));
    assert_ne!(thief.try_pin(ITO.0, ITO.1).status, 303);
}

#[test]
fn who_shows_a_certificate_on_the_portals_own_host_cannot_use_the_pin_alone_there() {
    let one = yaml("")
        .replace(&format!("host: {WWW}"), &format!("host: {OPTIONAL}"))
        .replace("certificate_host: cert.mihonbank.example", &format!("certificate_host: {OPTIONAL}"));
    let gate = gate_with(&Backend::start(), &one, Clock::default());
    let try_pin = |client| {
        let mut browser = Browser::with(&gate, client);
        let page = browser.open(OPTIONAL, "/sekisho/sign-in");
        let fields = [("contract", CONTRACT), ("user", ITO.0), ("pin", ITO.1)];
        browser.post(OPTIONAL, "/sekisho/sign-in", &page, &fields).status
    };
    let ito = gate.client().with(&gate.ca.client(&format!("{CONTRACT} ito")));
    assert_eq!(try_pin(gate.client()), 303);
    assert_eq!(try_pin(ito), 200);
}

#[test]
fn a_neighbours_cookie_that_is_no_ascii_keeps_nobody_out() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    browser.set_cookie(WWW, "NAME", "見本商事");
    browser.sign_in(ITO);
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    assert_eq!(browser.open(WWW, "/sekisho/home").status, 200);
}

#[test]
fn a_right_pin_that_opens_no_session_is_no_wrong_one() {
    let yaml = yaml("").replace("  lockout:", "  session: { concurrent: refuse }\n  lockout:");
    let clock = Clock::manual(Clock::default().now());
    let gate = gate_with(&Backend::start(), &yaml, clock.clone());
    let (mut first, mut second) = (Browser::new(&gate), Browser::new(&gate));
    first.sign_in(ITO);
    for nth in 1..=8 {
        assert_eq!(second.try_pin(ITO.0, ITO.1).status, 409, "{nth}");
    }
    clock.set(clock.now() + SignedDuration::from_mins(2));
    assert_eq!(second.try_pin(ITO.0, ITO.1).status, 409);
    let user = now(stores(gate.folder.path()).directory.user(&identity("ito"), clock.now())).unwrap();
    assert_eq!(user.unwrap().suspensions, []);
    sign_out(&mut first);
    second.sign_in(ITO);
}

#[test]
fn a_stolen_session_is_no_way_to_guess_the_pin() {
    let gate = gate(&Backend::start());
    let mut thief = Browser::new(&gate);
    thief.sign_in(ITO);
    let page = thief.open(WWW, "/sekisho/pin");
    let change = |thief: &mut Browser, present: &str| {
        let fields = [("present", present), ("new", "m8n3b5"), ("again", "m8n3b5")];
        thief.post(WWW, "/sekisho/pin", &page, &fields).status
    };
    for nth in 1..=5 {
        assert_eq!(change(&mut thief, &format!("wrong{nth}")), 200, "{nth}");
    }
    assert_eq!(change(&mut thief, "wrong6"), 403);
    assert_eq!(change(&mut thief, ITO.1), 303, "there is no session any more");
    let page = Browser::new(&gate).try_pin(ITO.0, ITO.1);
    assert!(page.text().contains("利用中止"), "{}", page.text());
}

#[test]
fn nobody_changes_the_pin_of_a_user_who_was_just_suspended() {
    let gate = gate(&Backend::start());
    let mut browser = Browser::new(&gate);
    browser.sign_in(ITO);
    let page = browser.open(WWW, "/sekisho/pin");
    let others = stores(gate.folder.path());
    now(others.directory.suspend_user(&identity("ito"), SuspensionCause::Staff, gate.clock.now())).unwrap();
    // Whether the registry knows it by now or not.
    let fields = [("present", ITO.1), ("new", "m8n3b5"), ("again", "m8n3b5")];
    let refused = browser.post(WWW, "/sekisho/pin", &page, &fields);
    assert_ne!(refused.value("location").as_deref(), Some("/sekisho/home?done=pin"));
    now(others.directory.lift_user(&identity("ito"))).unwrap();
    let mut again = Browser::new(&gate);
    again.sign_in(ITO);
}

#[test]
fn a_form_that_only_trickles_in_is_given_up() {
    let more = "timeouts: { body_idle: 300ms }";
    let gate = gate_with(&Backend::start(), &yaml(more), Clock::default());
    let mut connection = gate.client().connect(WWW).unwrap();
    connection.send(
        format!("POST /sekisho/sign-in HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: 16000\r\n\r\n").as_bytes(),
    );
    connection.stream.sock.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
    let mut answer = [0; 12];
    eventually("an answer", || {
        connection.send(b"x");
        matches!(connection.stream.read(&mut answer), Ok(1..))
    });
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[test]
fn a_temporary_pin_opens_nothing_before_it_is_changed() {
    let backend = Backend::start();
    let clock = Clock::manual(Clock::default().now());
    let gate = gate_with(&backend, &yaml(""), clock.clone());
    temporary(&gate, clock.now() + SignedDuration::from_hours(24));
    let mut browser = Browser::new(&gate);
    let sent = browser.try_pin_to("/banking/start", ITO.0, "t3m9p1");
    assert_eq!(
        (sent.status, sent.value("location").as_deref()),
        (303, Some("/sekisho/pin?to=/banking/start"))
    );
    let first = browser.cookie(WWW, SESSION).unwrap().to_owned();
    let banking = browser.open(WWW, "/banking");
    assert_eq!(
        (banking.status, banking.value("location").as_deref()),
        (303, Some("/sekisho/pin?to=%2Fbanking"))
    );
    let told = browser.send(WWW, "GET /banking HTTP/1.1", &["Accept: application/json"], "");
    assert_eq!((told.status, told.code()), (401, "sign_in_needed".to_owned()));
    assert_eq!(browser.open(WWW, "/sekisho/home").value("location").as_deref(), Some("/sekisho/pin"));
    assert!(backend.received().is_empty());
    let page = browser.open(WWW, "/sekisho/pin?to=/banking/start");
    let change = |browser: &mut Browser, present: &str, new: &str| {
        let fields = [("present", present), ("new", new), ("again", new), ("to", "/banking/start")];
        browser.post(WWW, "/sekisho/pin", &page, &fields)
    };
    assert_eq!(change(&mut browser, "t3m9p1", "t3m9p1").status, 200, "the same again");
    assert_eq!(change(&mut browser, "wrong1", "m8n3b5").status, 200);
    assert_eq!(browser.open(WWW, "/sekisho/home").value("location").as_deref(), Some("/sekisho/pin"));
    let changed = change(&mut browser, "t3m9p1", "m8n3b5");
    assert_eq!((changed.status, changed.value("location").as_deref()), (303, Some("/banking/start")));
    assert_ne!(browser.cookie(WWW, SESSION).unwrap(), first);
    assert_eq!(browser.open(WWW, "/banking").status, 200);
    // The token from before is nobody's.
    let mut thief = Browser::new(&gate);
    thief.set_cookie(WWW, SESSION, &first);
    eventually("forgotten", || {
        thief.open(WWW, "/banking").value("location").as_deref() == Some("/sekisho/sign-in?to=%2Fbanking")
    });
    assert_ne!(Browser::new(&gate).try_pin(ITO.0, "t3m9p1").status, 303);
    Browser::new(&gate).sign_in((ITO.0, "m8n3b5"));
}

#[test]
fn a_temporary_pin_expires_also_where_it_has_opened_a_session() {
    let clock = Clock::manual(Clock::default().now());
    let gate = gate_with(&Backend::start(), &yaml(""), clock.clone());
    temporary(&gate, clock.now() + SignedDuration::from_mins(10));
    let mut browser = Browser::new(&gate);
    assert_eq!(browser.try_pin(ITO.0, "t3m9p1").status, 303);
    let page = browser.open(WWW, "/sekisho/pin");
    clock.set(clock.now() + SignedDuration::from_secs(601));
    let fields = [("present", "t3m9p1"), ("new", "m8n3b5"), ("again", "m8n3b5")];
    assert_eq!(browser.post(WWW, "/sekisho/pin", &page, &fields).status, 200);
    for pin in ["t3m9p1", "m8n3b5"] {
        assert_eq!(Browser::new(&gate).try_pin(ITO.0, pin).status, 200, "{pin}");
    }
}

/// Somebody has called: their PIN was stolen. The thief is thrown out with it.
#[test]
fn a_new_pin_by_bank_staff_ends_the_session_of_whoever_knew_the_old_one() {
    let gate = gate(&Backend::start());
    let mut thief = Browser::new(&gate);
    thief.sign_in(ITO);
    let words = ["user", "set-pin", CONTRACT, ITO.0, "--config", "sekisho.yaml"];
    crate::support::process::sekisho(gate.folder.path(), &words).good();
    eventually("the session ends", || thief.open(WWW, "/banking").status == 303);
}

/// Whoever reads a temporary PIN on its way must not get the certificate by it.
#[test]
fn a_temporary_pin_acquires_no_certificate_before_it_is_changed() {
    let gate = crate::acquisition::gate(Clock::default());
    temporary(&gate, gate.clock.now() + SignedDuration::from_hours(1));
    crate::acquisition::permit(&gate, "ito");
    let mut browser = Browser::new(&gate);
    let sent = crate::acquisition::try_acquisition(&mut browser, ITO.0, "t3m9p1");
    let to = "/sekisho/pin?to=/sekisho/acquisition";
    assert_eq!((sent.status, sent.value("location").as_deref()), (303, Some(to)));
    let kept_out = browser.open(WWW, "/sekisho/acquisition/file");
    assert_ne!(kept_out.status, 200, "{}", kept_out.text());
    let page = browser.open(WWW, to);
    let fields =
        [("to", "/sekisho/acquisition"), ("present", "t3m9p1"), ("new", "m8n3b5"), ("again", "m8n3b5")];
    let changed = browser.post(WWW, "/sekisho/pin", &page, &fields);
    let back = Some("/sekisho/acquisition");
    assert_eq!((changed.status, changed.value("location").as_deref()), (303, back));
    crate::acquisition::begin(&mut browser, (ITO.0, "m8n3b5"));
}

/// Gives Ito a temporary PIN.
fn temporary(gate: &Gate, until: Timestamp) {
    let stores = stores(gate.folder.path());
    now(async {
        let pin = sekisho::domain::Pin::typed("t3m9p1").unwrap();
        let hash = stores.pins.as_ref().unwrap().hash(&pin).await.unwrap();
        let until = Some(until);
        stores.directory.set_pin(&identity("ito"), &hash, until, gate.clock.now()).await.unwrap();
    });
}

/// The value of a cookie that an answer sets.
fn set_cookie(answer: &crate::support::client::Response, name: &str) -> String {
    let lead = format!("{name}=");
    let cookies = answer.values("set-cookie");
    let cookie = cookies.iter().find_map(|cookie| cookie.strip_prefix(&lead)).unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn signing_in_works_alike_over_both_versions_of_http() {
    let backend = Backend::start();
    let gate = gate(&backend);
    for version in Version::BOTH {
        let client = gate.client();
        let page = version.ask(&client, WWW, ("GET", "/sekisho/sign-in"), &[("accept", "text/html")], b"");
        let visit = format!("{VISIT}={}", set_cookie(&page, VISIT));
        let token = hidden(&page.text(), "token");
        let body =
            format!("token={}&contract={CONTRACT}&user={}&pin={}", percent_encoded(&token), ITO.0, ITO.1);
        let origin = format!("https://{WWW}");
        let fields = [
            ("cookie", visit.as_str()),
            ("origin", origin.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = version.ask(&client, WWW, ("POST", "/sekisho/sign-in"), &fields, body.as_bytes());
        assert_eq!(
            (answer.status, answer.value("location").as_deref()),
            (303, Some("/sekisho/home")),
            "{version:?}"
        );
        let session = format!("{SESSION}={}", set_cookie(&answer, SESSION));
        // Two fields, as browsers of HTTP/2 send them; only the neighbour's goes on, and no claim of the client's.
        let both = [
            ("cookie", "a=1"),
            ("cookie", session.as_str()),
            ("cookie", "b=2"),
            ("x-user-id", "suzuki"),
            ("x_user_role", "administrator"),
            ("x-auth-method", "certificate"),
        ];
        let before = backend.received().len();
        let got = version.ask(&client, WWW, ("GET", "/banking"), &both, b"");
        assert_eq!(got.status, 200, "{version:?}");
        let received = backend.received()[before].clone();
        let value = |name: &str| received.value(name).unwrap_or_default();
        assert_eq!(
            [value("x-contract-id"), value("x-user-id"), value("x-user-role"), value("x-auth-method")],
            [CONTRACT, "ito", "user", "pin"],
            "{version:?}"
        );
        assert_eq!(value("cookie"), "a=1; b=2", "{version:?}");
        assert!(!received.head.contains("suzuki") && !received.head.contains("administrator"));
        // On a route for everybody nobody is named, whatever the client claims.
        let got = version.ask(&client, WWW, ("GET", "/public"), &both, b"");
        assert_eq!(got.status, 200, "{version:?}");
        let received = backend.received().pop().unwrap();
        assert_eq!(received.value("x-user-id"), None, "{version:?}");
        assert_eq!(received.value("cookie").as_deref(), Some("a=1; b=2"), "{version:?}");
        // No other spelling of the cookie is a session.
        for odd in ["__host-sekisho-session=", "__Host-sekisho-session =", "\"__Host-sekisho-session\"="] {
            let cookie = session.replace(&format!("{SESSION}="), odd);
            let told = version.ask(&client, WWW, ("GET", "/banking"), &[("cookie", &cookie)], b"");
            assert_eq!(told.status, 401, "{version:?} {odd}");
        }
    }
}

#[test]
fn what_only_looks_like_the_portal_is_not_and_keeps_its_connection_in_step() {
    let backend = Backend::start();
    let gate = gate(&backend);
    for (path, status) in [
        ("/sekisho%2Fhome", 400),
        ("/sekisho/static/../home", 400),
        ("/sekisho//home", 400),
        ("//sekisho/home", 400),
        ("/sekisho/home;a=b", 400),
        ("/SEKISHO/home", 404),
        ("/sekisho/static/nothing", 404),
        ("/sekishox", 404),
        ("/%73ekisho/home", 303),
    ] {
        assert_eq!(gate.client().get(WWW, path).status, status, "{path}");
    }
    // The body of a form that is refused isn't the next request.
    let mut connection = gate.client().connect(WWW).unwrap();
    let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: www.mihonbank.example\r\n\r\n";
    connection.send(
        format!(
            "POST /sekisho/sign-in HTTP/1.1\r\nHost: {WWW}\r\nContent-Length: {}\r\n\r\n{smuggled}\
             GET /public/next HTTP/1.1\r\nHost: {WWW}\r\n\r\n",
            smuggled.len()
        )
        .as_bytes(),
    );
    assert!(matches!(connection.response().unwrap().status, 400..=422));
    assert_eq!(connection.response().unwrap().status, 200);
    assert_eq!(backend.only().line(), "GET /public/next");
}
