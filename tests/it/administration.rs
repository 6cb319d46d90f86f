//! The contract's administrator: by certificate and PIN, one change at a time, on nobody but the contract's users.

use sekisho::clock::Clock;
use sekisho::domain::{ContractId, CredentialState, Identity, Language, Role, SuspensionCause, UserId};
use sekisho::stores::{NewContract, NewUser};

use crate::acquisition::{
    begin, fetch_file, gate, gets_in, holder, machine, password, permit, states, unpack,
};
use crate::support::client::{Client, Response};
use crate::support::eventually;
use crate::support::gate::{CERT, Gate, WWW};
use crate::support::people::{Browser, CONTRACT, ITO, SUZUKI, identity, now, stores};
use crate::support::pki::Credential;

/// A certificate for this user, acquired as a file.
fn acquired(gate: &Gate, who: (&str, &str)) -> Credential {
    permit(gate, who.0);
    let mut browser = Browser::new(gate);
    begin(&mut browser, who);
    let file = fetch_file(&mut browser, WWW);
    let password = password(&mut browser, WWW);
    let credential = unpack(&file, &password);
    gets_in(gate, &credential);
    credential
}

/// Does something to a user, from the page that confirms it.
fn change(browser: &mut Browser, action: &str, user: &str, pin: &str, more: &[(&str, &str)]) -> Response {
    let page = browser.open(CERT, &format!("/sekisho/administration/confirm?action={action}&id={user}"));
    let page = if page.status == 200 {
        page
    } else {
        browser.open(CERT, "/sekisho/administration/confirm?action=add")
    };
    let mut fields = vec![("action", action), ("id", user), ("pin", pin)];
    fields.extend(more);
    browser.post(CERT, "/sekisho/administration/change", &page, &fields)
}

#[track_caller]
fn done(response: &Response, action: &str) {
    assert_eq!(response.status, 303, "{}", response.text());
    let location = response.value("location").unwrap();
    assert!(location.ends_with(&format!("&done={action}")), "{location}");
}

/// The audit log's records of this kind.
fn audited(gate: &Gate, kind: &str) -> Vec<serde_json::Value> {
    let log = std::fs::read_to_string(gate.folder.path().join("audit.log")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["kind"] == kind)
        .collect()
}

#[test]
fn a_user_is_permitted_reissued_and_revoked() {
    let gate = gate(Clock::default());
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    done(&change(&mut suzuki, "permit", ITO.0, SUZUKI.1, &[]), "permit");
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    let first = unpack(&file, &password(&mut browser, WWW));
    gets_in(&gate, &first);
    let listed = suzuki.open(CERT, "/sekisho/administration").text();
    assert!(listed.contains("有効") && listed.contains("id=ito"), "{listed}");
    let again = change(&mut suzuki, "permit", ITO.0, SUZUKI.1, &[]);
    assert_eq!(again.status, 409);

    done(&change(&mut suzuki, "reissue", ITO.0, SUZUKI.1, &[]), "reissue");
    // At its very next request.
    let refused = machine(&gate, &first);
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("失効"), "{}", refused.text());
    assert_eq!(states(&gate, ITO.0), [CredentialState::Revoked]);
    let mut browser = Browser::new(&gate);
    begin(&mut browser, ITO);
    let file = fetch_file(&mut browser, WWW);
    let second = unpack(&file, &password(&mut browser, WWW));
    gets_in(&gate, &second);
    done(&change(&mut suzuki, "revoke", ITO.0, SUZUKI.1, &[]), "revoke");
    assert_eq!(machine(&gate, &second).status, 403);
    assert_eq!(states(&gate, ITO.0), [CredentialState::Revoked, CredentialState::Revoked]);
    assert_ne!(crate::acquisition::try_acquisition(&mut Browser::new(&gate), ITO.0, ITO.1).status, 303);
    let by: Vec<_> = audited(&gate, "reissued").iter().map(|line| line["by"].clone()).collect();
    assert_eq!(by, ["administrator:suzuki"]);
}

#[test]
fn a_reissue_closes_live_connections_and_refuses_their_next_request() {
    let gate = gate(Clock::default());
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    let ito = acquired(&gate, ITO);
    let client: Client = gate.client().with(&ito);
    let mut live = client.connect(CERT).unwrap();
    live.send(format!("GET /machine HTTP/1.1\r\nHost: {CERT}\r\n\r\n").as_bytes());
    assert_eq!(live.response_to("GET").unwrap().status, 200);
    done(&change(&mut suzuki, "reissue", ITO.0, SUZUKI.1, &[]), "reissue");
    // Nothing was asked: it is closed all the same.
    assert!(live.response_to("GET").is_none());
}

#[test]
fn nobody_acts_on_themself_on_administrators_or_outside_their_contract() {
    let gate = gate(Clock::default());
    let directory = stores(gate.folder.path()).directory;
    let other = ContractId::new("20000000000002").unwrap();
    let stranger = Identity { contract: other.clone(), user: UserId::new("stranger").unwrap() };
    let new =
        |identity, role| NewUser { identity, role, mail: None, language: Language::Japanese, pin: None };
    now(async {
        let at = gate.clock.now();
        directory.add_contract(&NewContract { id: other, name: "よそ".to_owned() }, at).await.unwrap();
        directory.add_user(&new(stranger, Role::User), at).await.unwrap();
        directory.add_user(&new(identity("kato"), Role::Administrator), at).await.unwrap();
    });
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    for (user, status) in [("suzuki", 403), ("kato", 403), ("stranger", 404), ("nobody", 404), ("a b", 404)] {
        for action in ["permit", "reissue", "revoke", "lift", "stop", "mail"] {
            let answer = change(&mut suzuki, action, user, SUZUKI.1, &[]);
            assert_eq!(answer.status, status, "{action} {user}");
        }
    }
    assert_eq!(audited(&gate, "administration_refused").len(), 24, "all but what is no ID");
    assert_eq!(states(&gate, "suzuki"), [CredentialState::Live]);
    // A user is no administrator, whatever page they ask for.
    let mut ito = holder(&gate, &acquired(&gate, ITO));
    for path in ["", "/user?id=tanaka", "/confirm?action=add", "/confirm?action=revoke&id=tanaka"] {
        assert_eq!(ito.open(CERT, &format!("/sekisho/administration{path}")).status, 403, "{path}");
    }
    let page = ito.open(CERT, "/sekisho/renewal");
    let fields = [("action", "permit"), ("id", "tanaka"), ("pin", ITO.1)];
    assert_eq!(ito.post(CERT, "/sekisho/administration/change", &page, &fields).status, 403);
    // Without the page's token nothing is done.
    let bare = suzuki.post_raw(CERT, "/sekisho/administration/change", &fields, &[]);
    assert_eq!(bare.status, 403);
    // And on the portal's host, which asks for no certificate, there are no such pages.
    assert_eq!(Browser::new(&gate).open(WWW, "/sekisho/administration").status, 404);
}

#[test]
fn each_change_takes_the_pin_and_wrong_ones_suspend_the_administrator() {
    let gate = gate(Clock::default());
    let credential = acquired(&gate, SUZUKI);
    let mut suzuki = holder(&gate, &credential);
    for _ in 0..5 {
        let wrong = change(&mut suzuki, "permit", ITO.0, "wrong1", &[]);
        assert_eq!(wrong.status, 403);
        assert!(wrong.text().contains("正しくありません"), "{}", wrong.text());
    }
    // A right one ends the row.
    done(&change(&mut suzuki, "permit", ITO.0, SUZUKI.1, &[]), "permit");
    for _ in 0..6 {
        change(&mut suzuki, "revoke", ITO.0, "wrong1", &[]);
    }
    eventually("the suspension", || machine(&gate, &credential).status == 403);
    assert!(machine(&gate, &credential).text().contains("利用を中止"));
}

#[test]
fn suspensions_are_made_and_lifted_but_not_the_banks() {
    let gate = gate(Clock::default());
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    let mut ito = Browser::new(&gate);
    ito.sign_in(ITO);
    done(&change(&mut suzuki, "stop", ITO.0, SUZUKI.1, &[]), "stop");
    assert_eq!(ito.open(WWW, "/sekisho/home").status, 303);
    assert_ne!(Browser::new(&gate).try_pin(ITO.0, ITO.1).status, 303);
    done(&change(&mut suzuki, "lift", ITO.0, SUZUKI.1, &[]), "lift");
    Browser::new(&gate).sign_in(ITO);
    let directory = stores(gate.folder.path()).directory;
    let ito = identity(ITO.0);
    now(directory.suspend_user(&ito, SuspensionCause::Staff, gate.clock.now())).unwrap();
    assert_eq!(change(&mut suzuki, "lift", ITO.0, SUZUKI.1, &[]).status, 409);
}

#[test]
fn a_user_is_added_with_a_temporary_pin_and_a_mail_address_is_changed() {
    let gate = gate(Clock::default());
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    let added =
        change(&mut suzuki, "add", "mori", SUZUKI.1, &[("mail", "mori@a.example"), ("language", "en")]);
    assert_eq!(added.status, 200, "{}", added.text());
    let text = added.text();
    let pin = text.split("data-pin=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let sent = Browser::new(&gate).try_pin("mori", &pin);
    assert!(sent.value("location").unwrap().starts_with("/sekisho/pin"), "{}", sent.head);
    for (id, mail) in [("mori", ""), ("a b", ""), ("kato", "no address"), ("kato", "a@b.example\r\nBcc: c")] {
        let answer = change(&mut suzuki, "add", id, SUZUKI.1, &[("mail", mail), ("language", "ja")]);
        assert_eq!(answer.status, 409, "{id} {mail}");
    }
    done(&change(&mut suzuki, "mail", "mori", SUZUKI.1, &[("mail", "new@a.example")]), "mail");
    let directory = stores(gate.folder.path()).directory;
    let user = now(directory.user(&identity("mori"), gate.clock.now())).unwrap().unwrap();
    assert_eq!((user.mail.as_deref(), user.language), (Some("new@a.example"), Language::English));
}

#[test]
fn ten_thousand_users_are_paged_and_searched() {
    let gate = gate(Clock::default());
    let directory = stores(gate.folder.path()).directory;
    let users: Vec<_> = (0..10_000)
        .map(|number| NewUser {
            identity: identity(&format!("user{number:05}")),
            role: Role::User,
            mail: None,
            language: Language::Japanese,
            pin: None,
        })
        .collect();
    now(directory.import(&[], &users, gate.clock.now())).unwrap();
    let mut suzuki = holder(&gate, &acquired(&gate, SUZUKI));
    let first = suzuki.open(CERT, "/sekisho/administration").text();
    assert!(first.contains("10003") && first.contains("1 / 201"), "{first}");
    let last = suzuki.open(CERT, "/sekisho/administration?page=201").text();
    assert!(last.contains("user09999") && !last.contains("rel=\"next\""), "{last}");
    let found = suzuki.open(CERT, "/sekisho/administration?q=USER00042").text();
    assert!(found.contains("id=user00042") && found.contains(">1件"), "{found}");
    let _ = CONTRACT;
}
