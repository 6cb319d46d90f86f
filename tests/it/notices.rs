//! Notices, sent to a real mail server.

mod year;

use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{SignedDuration, Timestamp};
use sekisho::clock::Clock;
use sekisho::config::{Mail, Period};
use sekisho::domain::{ContractId, Identity, Language, NoticeKind, Role, SuspensionCause, UserId};
use sekisho::flows::{Mailer, NoticeSettings, Notices, Templates};
use sekisho::stores::{
    Credential, Directory, DirectorySettings, NewContract, NewCredential, NewUser, Notice, NoticeQuery,
    NoticeState, Right,
};
use serde_json::Value;
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::support::pki::Ca;
use crate::support::process::Running;
use crate::support::{PATIENCE, write_secret};

/// How the mail server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    None,
    StartTls,
    Implicit,
}

/// A mail server.
pub struct Server {
    folder: TempDir,
    port: u16,
    security: Security,
    _running: Running,
}

impl Server {
    pub fn start(security: Security) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["mails", "faults"] {
            std::fs::write(path(name), "").unwrap();
        }
        let ca = Ca::new("Mihon Bank internal CA");
        let server = ca.server(&["localhost"]);
        std::fs::write(path("ca.pem"), ca.pem()).unwrap();
        std::fs::write(path("server.pem"), &server.pem).unwrap();
        std::fs::write(path("server.key"), &server.key_pem).unwrap();
        write_secret(&folder.path().join("password"), b"kanarienvogel\n");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/smtp.py");
        let (mails, faults) = (path("mails"), path("faults"));
        let (certificate, key) = (path("server.pem"), path("server.key"));
        let mut words = vec![script, &mails, &faults];
        if security != Security::None {
            words.extend([certificate.as_str(), key.as_str()]);
        }
        if security == Security::Implicit {
            words.push("implicit");
        }
        let mut running = Running::program_with_input("/usr/bin/python3", folder.path(), &words);
        running.wait_until_ready();
        let said = running.stdout();
        let port = said.lines().find_map(|line| line.strip_prefix("port ")).unwrap().parse().unwrap();
        Self { folder, port, security, _running: running }
    }

    /// From now on it fails like this.
    pub fn fails(&self, faults: &str) {
        std::fs::write(self.folder.path().join("faults"), faults).unwrap();
    }

    /// What it has taken.
    pub fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("mails")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn settings(&self) -> Mail {
        let file = |name: &str| Some(self.folder.path().join(name));
        let scheme = if self.security == Security::Implicit { "smtps" } else { "smtp" };
        let secure = self.security != Security::None;
        Mail {
            smtp: format!("{scheme}://localhost:{}", self.port),
            insecure: !secure,
            authorities: file("ca.pem").filter(|_| secure),
            user: secure.then(|| "sekisho".to_owned()),
            password_file: file("password").filter(|_| secure),
            from: "みほん銀行 <no-reply@mihonbank.example>".to_owned(),
            templates: None,
            timeout: Period::seconds(20),
        }
    }
}

/// A directory in a folder, with a contract, its administrator and some users.
pub struct Scene {
    folder: TempDir,
    pub directory: Directory,
    pub clock: Clock,
}

pub fn identity(user: &str) -> Identity {
    Identity { contract: ContractId::new("10000000000001").unwrap(), user: UserId::new(user).unwrap() }
}

impl Scene {
    pub async fn new(language: Language) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DirectorySettings::Sqlite(folder.path().join("sekisho.db"));
        let directory = Directory::open(&settings, PATIENCE).await.unwrap();
        let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
        let contract = NewContract {
            id: identity("sato").contract,
            name: "見本商事株式会社\r\nBcc: thief@a.example".to_owned(),
        };
        directory.add_contract(&contract, clock.now()).await.unwrap();
        let scene = Self { folder, directory, clock };
        let mail = Some("sato@mihon-shoji.example".to_owned());
        scene.add("sato", Role::Administrator, mail, language).await;
        scene
    }

    async fn add(&self, user: &str, role: Role, mail: Option<String>, language: Language) {
        let new = NewUser { identity: identity(user), role, mail, language, pin: None };
        self.directory.add_user(&new, self.clock.now()).await.unwrap();
    }

    /// A user who acquires a credential that lasts so many days from now.
    pub async fn acquires(&self, user: &str, nth: u32, days: i64) {
        let now = self.clock.now();
        if self.directory.user(&identity(user), now).await.unwrap().is_none() {
            self.add(user, Role::User, None, Language::Japanese).await;
        }
        let until = now + SignedDuration::from_hours(24 * days);
        self.directory.permit(&identity(user), "staff", until, now).await.unwrap();
        let new = NewCredential {
            credential: Credential {
                identity: identity(user),
                fingerprint: format!("{nth:064x}"),
                serial: format!("{nth:02x}"),
                not_before: now,
                not_after: until,
            },
            issuer: "issuer".to_owned(),
            right: Right::Permit,
            acquired: Some("browser".to_owned()),
        };
        self.directory.issue(&new, now).await.unwrap();
    }

    pub fn notices(&self, mail: &Mail, templates: Templates) -> Notices {
        self.notices_of(self.directory.clone(), mail, templates)
    }

    fn notices_of(&self, directory: Directory, mail: &Mail, templates: Templates) -> Notices {
        Notices::new(NoticeSettings {
            directory,
            mailer: Mailer::open(mail).unwrap_or_else(|(_, problem)| panic!("{problem}")),
            templates,
            clock: self.clock.clone(),
            observer: Box::new(|_| {}),
        })
    }

    pub fn later(&self, by: SignedDuration) {
        self.clock.set(self.clock.now() + by);
    }

    /// All of them, the oldest first.
    pub async fn outbox(&self) -> Vec<Notice> {
        let query = NoticeQuery { limit: 1000, ..NoticeQuery::default() };
        let mut notices = self.directory.notices(&query).await.unwrap();
        notices.reverse();
        notices
    }

    pub async fn states(&self) -> Vec<NoticeState> {
        self.outbox().await.iter().map(|notice| notice.state).collect()
    }
}

/// Head and body of a mail, the body decoded.
fn parts(mail: &Value) -> (String, String) {
    let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap();
    let body = if head.contains("Content-Transfer-Encoding: base64") {
        let bytes = BASE64_STANDARD.decode(body.replace('\n', "")).unwrap();
        String::from_utf8(bytes).unwrap()
    } else if head.contains("Content-Transfer-Encoding: quoted-printable") {
        unquoted(&body.replace("=\n", ""))
    } else {
        body.to_owned()
    };
    (head.to_owned(), body)
}

/// Quoted-printable text (RFC 2045, section 6.7), without its soft line ends.
fn unquoted(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn every_kind_arrives_over_tls_with_its_words_in_both_languages() {
    for (security, language) in
        [(Security::StartTls, Language::Japanese), (Security::Implicit, Language::English)]
    {
        let server = Server::start(security);
        let scene = Scene::new(language).await;
        let notices = scene.notices(&server.settings(), Templates::default());
        scene.acquires("ito", 1, 100).await;
        let (ito, now) = (identity("ito"), scene.clock.now());
        scene.directory.suspend_user(&ito, SuspensionCause::WrongPins, now).await.unwrap();
        scene.directory.set_mail(&identity("sato"), Some("new@mihon-shoji.example"), now).await.unwrap();
        assert_eq!(notices.send_due().await, Ok(4));
        for days in [75, 20] {
            scene.later(SignedDuration::from_hours(24 * days));
            assert_eq!(notices.remind().await, Ok(1));
            assert_eq!(notices.send_due().await, Ok(1));
        }
        let cause = sekisho::domain::RevocationCause::Withdrawn;
        scene.directory.revoke(&ito, cause, "sato", None, scene.clock.now()).await.unwrap();
        assert_eq!(notices.send_due().await, Ok(1));
        assert_eq!(scene.states().await, [NoticeState::Sent; 7]);
        let mails = server.mails();
        let words = match language {
            Language::Japanese => {
                ["取得されました", "利用を中止", "変更されました", "30日以内", "10日以内", "失効"]
            }
            Language::English => {
                ["was acquired", "was suspended", "was changed", "ends soon", "within 10 days", "was revoked"]
            }
        };
        for word in words {
            assert!(
                mails.iter().any(|mail| parts(mail).1.contains(word) || decoded_subject(mail).contains(word)),
                "{word}"
            );
        }
        for mail in &mails {
            let (head, body) = parts(mail);
            assert_eq!((mail["tls"].as_bool(), mail["user"].as_str()), (Some(true), Some("sekisho")));
            assert_eq!(mail["to"].as_array().unwrap().len(), 1);
            assert!(!head.contains("thief") && head.contains("Auto-Submitted: auto-generated"), "{head}");
            assert!(head.contains("Message-ID: <notice-") && head.contains("@mihonbank.example>"), "{head}");
            assert!(body.contains("10000000000001") && body.contains("見本商事株式会社"), "{body}");
            assert!(!body.contains("http") && !body.contains("www."), "{body}");
        }
        // notAfter, as people in Japan read it.
        let expected =
            if language == Language::Japanese { "2026年4月11日 09:00" } else { "11 April 2026, 09:00" };
        assert!(parts(&mails[4]).1.contains(expected), "{}", parts(&mails[4]).1);
    }
}

/// The subject, put together from its encoded words.
fn decoded_subject(mail: &Value) -> String {
    let (head, _) = parts(mail);
    let unfolded = head.replace("\n ", " ");
    let line = unfolded.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned();
    let mut bytes = Vec::new();
    for word in line.split(' ') {
        match word.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?=")) {
            Some(encoded) => bytes.extend(BASE64_STANDARD.decode(encoded).unwrap()),
            None => bytes.extend(format!(" {word}").bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_or_without_tls_gets_nothing() {
    let server = Server::start(Security::StartTls);
    let scene = Scene::new(Language::Japanese).await;
    scene.acquires("ito", 1, 100).await;
    let strange = Ca::new("Somebody else's CA");
    std::fs::write(server.folder.path().join("strange.pem"), strange.pem()).unwrap();
    let authorities = Some(server.folder.path().join("strange.pem"));
    let wrong = Mail { authorities, ..server.settings() };
    assert_eq!(scene.notices(&wrong, Templates::default()).send_due().await, Ok(0));
    let plain = Server::start(Security::None);
    // It offers no STARTTLS: an attacker in between may have taken the offer away.
    let demanding = Mail { insecure: false, ..plain.settings() };
    scene.later(SignedDuration::from_hours(1));
    assert_eq!(scene.notices(&demanding, Templates::default()).send_due().await, Ok(0));
    assert_eq!((server.mails().len(), plain.mails().len()), (0, 0));
    assert_eq!(scene.states().await, [NoticeState::Waiting]);
    scene.later(SignedDuration::from_hours(1));
    assert_eq!(scene.notices(&server.settings(), Templates::default()).send_due().await, Ok(1));
}

#[tokio::test]
async fn what_fails_before_the_point_of_no_return_is_tried_again_and_a_refusal_for_good_is_not() {
    let server = Server::start(Security::None);
    let scene = Scene::new(Language::Japanese).await;
    let notices = scene.notices(&server.settings(), Templates::default());
    scene.acquires("ito", 1, 100).await;
    let faults = ["EHLO 421 no", "MAIL 451 later", "MAIL cut", "RCPT 450 busy", "RCPT cut", "DATA 452 full"];
    for (tries, fault) in (1..).zip(faults) {
        server.fails(fault);
        assert_eq!(notices.send_due().await, Ok(0), "{fault}");
        let outbox = scene.outbox().await;
        assert_eq!((outbox[0].state, outbox[0].attempts), (NoticeState::Waiting, tries), "{fault}");
        assert_eq!(notices.send_due().await, Ok(0), "it isn't due yet");
        scene.later(SignedDuration::from_hours(2));
    }
    server.fails("");
    assert_eq!(notices.send_due().await, Ok(1));
    assert_eq!(server.mails().len(), 1);

    scene.acquires("mori", 2, 100).await;
    server.fails("RCPT 550 no such mailbox");
    assert_eq!(notices.send_due().await, Ok(0));
    let last = scene.outbox().await.pop().unwrap();
    assert_eq!(last.state, NoticeState::Dropped);
    assert!(last.problem.unwrap().contains("no such mailbox"));

    // Three days of failures are enough.
    scene.acquires("kato", 3, 100).await;
    server.fails("RCPT 450 busy");
    let begun = scene.clock.now();
    while scene.outbox().await.pop().unwrap().state == NoticeState::Waiting {
        scene.later(SignedDuration::from_hours(1));
        assert_eq!(notices.send_due().await, Ok(0));
        assert!(scene.clock.now() < begun + SignedDuration::from_hours(80));
    }
    assert!(scene.clock.now() >= begun + SignedDuration::from_hours(72));
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_is_not_sent_again_by_itself() {
    let server = Server::start(Security::None);
    let scene = Scene::new(Language::Japanese).await;
    let notices = scene.notices(&server.settings(), Templates::default());
    scene.acquires("ito", 1, 100).await;
    server.fails("DATA lost");
    assert_eq!(notices.send_due().await, Ok(0));
    server.fails("");
    for _ in 0..100 {
        scene.later(SignedDuration::from_hours(1));
        assert_eq!(notices.send_due().await, Ok(0));
    }
    assert_eq!(server.mails().len(), 1);
    let outbox = scene.outbox().await;
    assert_eq!(outbox[0].state, NoticeState::Uncertain);
    // Bank staff decide; the mail can be told by its Message-ID.
    let now = scene.clock.now();
    assert_eq!(scene.directory.settle_notice(outbox[0].number, true, now).await, Ok(true));
    assert_eq!(notices.send_due().await, Ok(1));
    let id =
        |mail: &Value| parts(mail).0.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned();
    let mails = server.mails();
    assert_eq!(id(&mails[0]), id(&mails[1]));
}

#[tokio::test]
async fn what_arrives_while_the_directory_is_away_is_not_uncertain() {
    let server = Server::start(Security::None);
    let scene = Scene::new(Language::Japanese).await;
    scene.acquires("ito", 10, 100).await;
    let file = scene.folder.path().join("sekisho.db");
    let second = Duration::from_secs(1);
    let hasty = Directory::open(&DirectorySettings::Sqlite(file.clone()), second).await.unwrap();
    let notices = scene.notices_of(hasty, &server.settings(), Templates::default());
    server.fails("DATA wait\n");
    let sending = tokio::spawn(async move { notices.send_due().await });
    while server.mails().is_empty() {
        assert!(!sending.is_finished(), "{:?}", sending.await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Somebody else writes, for longer than a sender waits.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    server.fails("");
    tokio::time::sleep(2 * second).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(sending.await.unwrap(), Ok(1));
    assert_eq!(scene.states().await, [NoticeState::Sent]);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn the_bank_s_own_texts_take_the_place_of_ours() {
    let server = Server::start(Security::None);
    let scene = Scene::new(Language::English).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("acquired.en.txt", "Good news for {{ user_id }}\n\n{{ contract_name }} / {{ serial }}\n");
    write("README", "not a text");
    let templates = Templates::read(folder.path()).unwrap();
    scene.acquires("ito", 10, 100).await;
    assert_eq!(scene.notices(&server.settings(), templates).send_due().await, Ok(1));
    let mails = server.mails();
    assert!(decoded_subject(&mails[0]).contains("Good news for ito"), "{}", parts(&mails[0]).0);
    assert!(parts(&mails[0]).1.contains("/ 0a"));
    write("revoked.en.txt", "See www.mihonbank.example\n");
    let problem = Templates::read(folder.path()).err().unwrap();
    let expected = format!(
        "{}: it holds a link (`www.`): notices have none",
        folder.path().join("revoked.en.txt").display()
    );
    assert_eq!(problem, expected);
    let kinds: Vec<_> = scene.outbox().await.iter().map(|notice| notice.kind).collect();
    assert_eq!(kinds, [NoticeKind::Acquired]);
    let _: (&Path, Timestamp) = (folder.path(), scene.clock.now());
}
