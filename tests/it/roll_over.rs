//! The CA's roll-over from G1 to G2, gone through as docs/ca.md has it. Its configuration and its commands are read out of the page:
//! what stands there is what runs here.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use sekisho::app;
use sekisho::clock::Clock;
use sekisho::config;
use sekisho::stores::DirectorySettings;
use x509_parser::parse_x509_certificate;

use crate::acquisition::{begin, fetch_file, password, unpack};
use crate::cli::issuing::read_list;
use crate::handbook::Page;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, Settings, WWW, lay_out};
use crate::support::people::{Browser, CONTRACT, ITO, ROUTES, SUZUKI, TANAKA, now, stores, yaml};
use crate::support::pki::{COMMON_NAME, Ca, Credential};
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::process::{Outcome, SEKISHO, outcome, sekisho};
use crate::support::{eventually, write_secret};

const GOOD: &str = "good";
/// How long a list is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A gate that issues certificates under G1, with G2's key at hand, and the page to go by.
struct House {
    gate: Gate,
    page: Page,
    g2: Ca,
    /// Where the directory is, unless it is SQLite's.
    url: Option<String>,
    _backend: Backend,
}

/// The page's paths and users are those of a gate that is installed; here everything is in one folder, and nobody else's.
fn here(text: &str) -> String {
    text.replace("sudo -u sekisho ", "").replace("/etc/sekisho/", "").replace("/var/lib/sekisho/", "data/")
}

/// A trust in one generation alone.
fn trust(generation: &str) -> String {
    format!(
        "trust:\n  authorities: certs/bank-ca-{generation}.pem\n  registration: required\n  \
         crl: {{ sources: [data/ca-{generation}.crl] }}\n"
    )
}

/// What `sekisho issuer publish` does, at another time than now.
fn publish(folder: &Path, file: &str, at: Timestamp) {
    let document = config::load(&folder.join(file)).unwrap_or_else(|problems| panic!("{problems}"));
    let issuer = app::issuer(&document, at).unwrap_or_else(|problems| panic!("{problems}")).unwrap();
    let lists = app::revocation_lists(&document.config, &stores(folder).directory, &issuer);
    let list = now(lists.current(at)).unwrap();
    let generation = if file == "g2.yaml" { "g2" } else { "g1" };
    app::write_list(&folder.join(format!("data/ca-{generation}.crl")), &list.der).unwrap();
}

/// The name of the CA that signed a certificate.
fn signer(credential: &Credential) -> String {
    let (_, certificate) = parse_x509_certificate(&credential.chain[0]).unwrap();
    certificate.issuer().to_string()
}

fn serial(credential: &Credential) -> String {
    let (_, certificate) = parse_x509_certificate(&credential.chain[0]).unwrap();
    certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl House {
    fn new(clock: Clock) -> Self {
        Self::with_directory(clock, None)
    }

    /// The same with a directory in PostgreSQL at this URL.
    fn with_directory(clock: Clock, url: Option<String>) -> Self {
        let (backend, page) = (Backend::start(), Page::read("docs/ca.md"));
        let [g1, g2] = ["Mihon Bank CA-G1", "Mihon Bank CA-G2"].map(Ca::new);
        let directory = match &url {
            Some(url) => format!("{url}', password_file: 'password"),
            None => "sqlite:data/directory.db".to_owned(),
        };
        let yaml = yaml("").replace("sqlite:data/sekisho.db", &directory);
        let believed = trust("g1") + &issuer(&page, "g1");
        let settings = Settings {
            yaml: &yaml,
            routes: Some(ROUTES),
            trust: Some(&believed),
            people: true,
            clock: clock.clone(),
            ..Settings::default()
        };
        let web = Ca::new("Mihon Bank Web CA");
        let folder = lay_out(&[backend.address], &web, &settings);
        let path = |name: &str| folder.path().join(name);
        ["certs", "secrets", "data"].iter().for_each(|name| fs::create_dir_all(path(name)).unwrap());
        for (generation, ca) in [("g1", &g1), ("g2", &g2)] {
            fs::write(path(&format!("certs/bank-ca-{generation}.pem")), ca.pem()).unwrap();
            write_secret(&path(&format!("secrets/{generation}.key")), ca.key_pem().as_bytes());
        }
        publish(folder.path(), "sekisho.yaml", clock.now());
        let gate = Gate::in_folder_at(folder, web, clock);
        gate.follow();
        Self { gate, page, g2, url, _backend: backend }
    }

    fn folder(&self) -> &Path {
        self.gate.folder.path()
    }

    /// The one block of a step with these words in it.
    #[track_caller]
    fn block(&self, step: u8, words: &str) -> String {
        block(&self.page, step, words)
    }

    /// Has a shell do what stands in the page.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let programs = Path::new(SEKISHO).parent().unwrap().display();
        let script = format!("PATH={programs}:$PATH\n{script}");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60", "sh", "-ec", &script]).current_dir(self.folder());
        outcome(&mut command).good()
    }

    fn sekisho(&self, words: &[&str]) -> Outcome {
        sekisho(self.folder(), words)
    }

    /// Writes the file anew with another `trust` or another `issuer`, which stand before `next` in it.
    fn edit(&self, file: &str, noun: &str, next: &str, with: &str) {
        let text = self.gate.file("sekisho.yaml");
        let begin = text.find(&format!("\n{noun}:")).unwrap() + 1;
        let end = text.find(&format!("\n{next}:")).unwrap() + 1;
        self.gate.write(file, &format!("{}{with}{}", &text[..begin], &text[end..]));
    }

    #[track_caller]
    fn check_and_reload(&self) {
        let block = self.block(2, "systemctl reload");
        let (check, rest) = block.split_once("systemctl reload sekisho").unwrap();
        assert_eq!((self.shell(check).as_str(), rest), ("sekisho.yaml: ok\n", ""));
        assert_eq!(self.gate.reload(), Ok(()));
    }

    #[track_caller]
    fn believe(&self, trust: &str) {
        self.edit("sekisho.yaml", "trust", "issuer", trust);
        self.check_and_reload();
    }

    /// The trust of step 2.
    fn both(&self) -> String {
        self.block(2, "trust:") + "\n  registration: required\n"
    }

    fn step_1(&self) {
        self.edit("g2.yaml", "issuer", "routes", &issuer(&self.page, "g2"));
    }

    #[track_caller]
    fn step_2(&self) {
        self.believe(&self.both());
    }

    #[track_caller]
    fn step_3(&self) {
        fs::copy(self.folder().join("sekisho.yaml"), self.folder().join("g1.yaml")).unwrap();
        self.edit("sekisho.yaml", "issuer", "routes", &issuer(&self.page, "g2"));
        self.check_and_reload();
    }

    /// The timer of step 1 or of step 3, once.
    #[track_caller]
    fn timer(&self, step: u8) {
        self.shell(&self.block(step, "issuer publish"));
    }

    /// The number of the list in a generation's file, and whom it names.
    fn list(&self, generation: &str) -> (u64, Vec<String>) {
        let der = fs::read(self.folder().join(format!("data/ca-{generation}.crl"))).unwrap();
        read_list(self.folder(), &format!("certs/bank-ca-{generation}.pem"), &der)
    }

    /// A metric of the source of a generation's list; none if there is no such line.
    fn crl(&self, name: &str, generation: &str) -> Option<f64> {
        let file = self.folder().join(format!("data/ca-{generation}.crl"));
        let line = format!("sekisho_crl_{name}{{source=\"{}\"}} ", file.display());
        self.gate.metrics().lines().find_map(|it| it.strip_prefix(&line)?.parse().ok())
    }

    /// Gets a user, who is permitted one, a certificate.
    #[track_caller]
    fn acquire(&self, user: (&str, &str)) -> Credential {
        let mut browser = Browser::new(&self.gate);
        begin(&mut browser, user);
        let file = fetch_file(&mut browser, WWW);
        unpack(&file, &password(&mut browser, WWW))
    }

    /// The same, and permits it first.
    #[track_caller]
    fn permitted(&self, user: (&str, &str)) -> Credential {
        self.sekisho(&["credential", "permit", "--config", "sekisho.yaml", CONTRACT, user.0]).good();
        self.acquire(user)
    }

    fn reissue(&self, (user, _): (&str, &str)) {
        self.sekisho(&["credential", "reissue", "--config", "sekisho.yaml", CONTRACT, user]).good();
    }

    /// What a certificate is worth, to a program and to a browser, which shows it only where its CA is named.
    fn standing(&self, credential: &Credential) -> String {
        let ask = |client: &Client| {
            let answer = client.get_with(CERT, "/machine", "Accept: application/json\r\n");
            if answer.status == 200 { GOOD.to_owned() } else { answer.code() }
        };
        let client = self.gate.client();
        let [program, browser] = [client.with(credential), client.choosing(credential)].map(|it| ask(&it));
        match (program.as_str(), browser.as_str()) {
            ("unknown_authority", "absent") => program,
            _ if program == browser => program,
            _ => format!("{program}, and in a browser {browser}"),
        }
    }

    /// Waits until all of them stand like this.
    #[track_caller]
    fn stand(&self, expected: &[(&Credential, &str)]) {
        let mut before = Vec::new();
        let what = expected.iter().map(|(_, standing)| *standing).collect::<Vec<_>>().join(", ");
        eventually(&what, || {
            let found: Vec<_> = expected.iter().map(|(credential, _)| self.standing(credential)).collect();
            if found != before {
                eprintln!("{found:?}");
                before.clone_from(&found);
            }
            found.iter().zip(expected).all(|(found, (_, expected))| found == expected)
        });
    }

    /// What step 5 counts.
    #[track_caller]
    fn count(&self) -> u64 {
        let block = self.block(5, "sha256sum");
        let (key, psql) = block.split_once('\n').unwrap();
        let key = self.shell(key);
        let key = key.split_whitespace().next().unwrap();
        let text = match &self.url {
            Some(url) => {
                let script = format!("export PGPASSWORD='{PASSWORD}' URL='{url}'\n{psql}");
                let text = self.shell(&script.replace("THAT", key));
                text.lines().nth(2).unwrap().to_owned()
            }
            None => self.shell(&self.block(5, "sqlite3").replace("THAT", key)),
        };
        text.split('|').next().unwrap().trim().parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[track_caller]
    fn reconcile(&self, certificates: usize) {
        let told = self.sekisho(&["issuer", "reconcile", "--config", "sekisho.yaml"]).good();
        let expected = format!("Everything that was issued was permitted.\n{certificates} certificates, ");
        assert!(told.starts_with(&expected), "{told}");
    }

    fn unknown(&self) -> f64 {
        self.gate.metric("sekisho_standings_total{standing=\"unknown_authority\"}")
    }
}

/// The one block of a step of the page with these words in it.
#[track_caller]
fn block(page: &Page, step: u8, words: &str) -> String {
    let blocks = page.section(&format!("### {step}. ")).blocks();
    let mut found = blocks.into_iter().filter(|block| block.text.contains(words));
    let block = found.next().unwrap_or_else(|| panic!("step {step} has no {words}"));
    assert!(found.next().is_none(), "step {step} has {words} twice");
    here(&block.text)
}

/// The issuer of step 1, with its key in a file, and G1's in the same way.
fn issuer(page: &Page, generation: &str) -> String {
    let block = block(page, 1, "issuer:");
    let lines = block.lines().map(|line| match line.starts_with("  pkcs11:") {
        true => "  key: secrets/g2.key\n".to_owned(),
        false => format!("{line}\n"),
    });
    let block: String = lines.collect();
    assert!(block.contains("secrets/g2.key"), "{block}");
    match generation {
        // Its certificates can be renewed with the `renew_from` of step 4, and not with the usual one.
        "g1" => block.replace("g2", "g1").replace("G2", "G1") + "  validity: 170d\n",
        _ => block,
    }
}

fn everybody_moves_from_g1_to_g2(house: &House) {
    let [tanaka, ito, suzuki] = [TANAKA, ITO, SUZUKI].map(|user| house.permitted(user));
    // Signed with G2's key by somebody who isn't the gate.
    let forged = house.g2.client(COMMON_NAME);
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unknown_authority")]);
    assert!(signer(&ito).ends_with("OU=Mihon Bank CA-G1"), "{}", signer(&ito));
    assert_eq!(house.count(), 3);

    // 1. Make G2
    house.step_1();
    house.timer(1);
    let first = house.list("g2");
    assert_eq!(first.1, [""; 0]);
    house.timer(1);
    assert_eq!(house.list("g2"), first, "it is signed once");

    // 2. Believe G2
    house.step_2();
    for generation in ["g1", "g2"] {
        assert_eq!(house.crl("stale", generation), Some(0.0), "{generation}");
        assert_eq!(house.crl("entries", generation), Some(0.0), "{generation}");
    }
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unregistered")]);

    // 3. Sign with G2
    house.step_3();
    let against = house.sekisho(&["check", "--config", "sekisho.yaml", "--against", "g1.yaml"]).good();
    assert_eq!(against, "sekisho.yaml: ok, a reload brings all of it about\n");
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, GOOD), (&forged, "unregistered")]);
    let mut anybody = Browser::new(&house.gate);
    let own = fs::read(house.folder().join("data/ca-g2.crl")).unwrap();
    eventually("the portal to hand out G2's list", || anybody.open(WWW, "/sekisho/crl").body == own);
    // The test user of the page: theirs is too young to be renewed.
    house.reissue(SUZUKI);
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, "revoked")]);
    let (number, listed) = house.list("g1");
    assert_eq!(listed, [""; 0], "nobody publishes G1's");
    house.timer(3);
    assert_eq!(house.list("g1"), (number + 1, vec![serial(&suzuki)]));
    eventually("the gate has taken it up", || house.crl("entries", "g1") == Some(1.0));
    house.timer(3);
    assert_eq!(house.list("g1").0, number + 1, "nothing is due");
    assert_eq!(house.list("g2"), first);
    let new_suzuki = house.acquire(SUZUKI);
    assert!(signer(&new_suzuki).ends_with("OU=Mihon Bank CA-G2"), "{}", signer(&new_suzuki));
    house.stand(&[(&tanaka, GOOD), (&ito, GOOD), (&suzuki, "revoked"), (&new_suzuki, GOOD)]);
    house.reconcile(4);
    assert_eq!(house.count(), 2);

    // 4. Let people move
    let mut browser = Browser::with(&house.gate, house.gate.client().choosing(&tanaka));
    let early = browser.open(CERT, "/sekisho/renewal");
    let early = if early.status == 303 { browser.follow(CERT, &early).1 } else { early };
    assert!(early.text().contains("から更新できます"), "{}", early.text());
    let text = house.gate.file("sekisho.yaml");
    house.gate.write("sekisho.yaml", &format!("{text}acquisition: {{ renew_from: 180d }}\n"));
    house.check_and_reload();
    let file = fetch_file(&mut browser, CERT);
    let new_tanaka = unpack(&file, &password(&mut browser, CERT));
    assert!(signer(&new_tanaka).ends_with("OU=Mihon Bank CA-G2"), "{}", signer(&new_tanaka));
    house.stand(&[(&new_tanaka, GOOD), (&tanaka, "retired"), (&ito, GOOD)]);

    // 5. See who still uses G1
    assert_eq!(house.count(), 1);
    let before = house.unknown();
    house.believe(&trust("g2"));
    house.stand(&[(&new_tanaka, GOOD), (&ito, "unknown_authority"), (&new_suzuki, GOOD)]);
    assert!(house.unknown() > before);
    house.step_2();
    house.stand(&[(&new_tanaka, GOOD), (&ito, GOOD), (&new_suzuki, GOOD)]);
    house.reissue(ITO);
    assert_eq!(house.count(), 0);
    let new_ito = house.acquire(ITO);
    house.stand(&[(&new_tanaka, GOOD), (&ito, "revoked"), (&new_ito, GOOD), (&new_suzuki, GOOD)]);
    assert_eq!(house.count(), 0);

    // 6. Stop believing G1
    let halves = [
        ("- certs/bank-ca-g1.pem\n", 78, "comes from none of the authorities"),
        ("data/ca-g1.crl, ", 0, "note: no source has a revocation list of "),
    ];
    for (half, code, told) in halves {
        let both = house.both();
        assert!(both.contains(half), "{both}");
        house.edit("half.yaml", "trust", "issuer", &both.replace(half, ""));
        let checked = house.sekisho(&["check", "--config", "half.yaml"]);
        let said = checked.stdout + &checked.stderr;
        assert!(checked.code == Some(code) && said.contains(told), "{said}");
    }
    house.believe(&trust("g2"));
    let gone = "unknown_authority";
    house.stand(&[(&tanaka, gone), (&ito, gone), (&suzuki, gone)]);
    house.stand(&[(&new_tanaka, GOOD), (&new_ito, GOOD), (&new_suzuki, GOOD), (&forged, "unregistered")]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (None, Some(0.0)));
    // Others may believe G1 still: they find in its list what was revoked last.
    house.timer(3);
    assert_eq!(house.list("g1"), (number + 2, vec![serial(&suzuki), serial(&ito)]));

    // 7. End G1
    for file in ["g1.yaml", "secrets/g1.key", "certs/bank-ca-g1.pem", "data/ca-g1.crl"] {
        fs::remove_file(house.folder().join(file)).unwrap();
    }
    house.check_and_reload();
    house.stand(&[(&new_tanaka, GOOD), (&new_ito, GOOD), (&new_suzuki, GOOD)]);
    house.reconcile(6);
}

#[test]
fn everybody_moves_from_g1_to_g2_as_the_page_says() {
    everybody_moves_from_g1_to_g2(&House::new(Clock::default()));
}

#[test]
fn everybody_moves_from_g1_to_g2_with_a_directory_in_postgresql() {
    let postgres = Postgres::start();
    let DirectorySettings::Postgres { url, .. } = postgres.database() else { unreachable!() };
    everybody_moves_from_g1_to_g2(&House::with_directory(Clock::default(), Some(url)));
}

/// A clock at which a list of now ends today: the commands go by the machine's, which nobody moves.
fn lists_ago() -> (Clock, Timestamp) {
    let today = Clock::default().now();
    // The gate is ahead of the commands: what they sign is in force.
    let later = today.checked_add(SignedDuration::from_mins(30)).unwrap();
    (Clock::manual(today.checked_sub(VALIDITY).unwrap()), later)
}

/// A house at a time when both are believed and G2 signs, with a user of G1's and one of G2's.
fn after_step_3(clock: Clock) -> (House, Credential, Credential) {
    let house = House::new(clock);
    let old = house.permitted(TANAKA);
    house.step_1();
    publish(house.folder(), "g2.yaml", house.gate.clock.now());
    house.step_2();
    house.step_3();
    let new = house.permitted(SUZUKI);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    (house, old, new)
}

#[test]
fn without_its_timer_g1s_clients_are_refused_when_its_last_list_ends() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    clock.set(later);
    house.stand(&[(&old, "revocation_unknown"), (&new, GOOD)]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (Some(1.0), Some(0.0)));
    house.timer(3);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    assert_eq!((house.crl("stale", "g1"), house.crl("stale", "g2")), (Some(0.0), Some(0.0)));
}

#[test]
fn after_step_2_nobody_notices_that_g2_is_not_believed_after_all() {
    let house = House::new(Clock::default());
    let old = house.permitted(TANAKA);
    let forged = house.g2.client(COMMON_NAME);
    house.step_1();
    house.timer(1);
    house.step_2();
    house.stand(&[(&old, GOOD), (&forged, "unregistered")]);
    house.believe(&trust("g1"));
    house.stand(&[(&old, GOOD), (&forged, "unknown_authority")]);
    assert_eq!(house.crl("stale", "g2"), None);
    house.step_2();
    house.stand(&[(&old, GOOD), (&forged, "unregistered")]);
}

#[test]
fn after_step_3_g1_signs_again_and_g2s_list_needs_the_timer() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    house.edit("sekisho.yaml", "issuer", "routes", &issuer(&house.page, "g1"));
    house.check_and_reload();
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
    let ito = house.permitted(ITO);
    assert!(signer(&ito).ends_with("OU=Mihon Bank CA-G1"), "{}", signer(&ito));
    clock.set(later);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, "revocation_unknown")]);
    house.timer(1);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, GOOD)]);
    house.reissue(SUZUKI);
    house.timer(1);
    house.stand(&[(&old, GOOD), (&ito, GOOD), (&new, "revoked")]);
    assert_eq!(house.list("g2").1, [serial(&new)]);
}

/// Long after: its timer was stopped, so its last list has ended.
#[test]
fn after_step_6_g1_is_believed_again_once_it_has_a_list() {
    let (clock, later) = lists_ago();
    let (house, old, new) = after_step_3(clock.clone());
    house.believe(&trust("g2"));
    house.stand(&[(&old, "unknown_authority"), (&new, GOOD)]);
    clock.set(later);
    house.stand(&[(&old, "unknown_authority"), (&new, GOOD)]);
    // The other way round everybody of G1's would be refused until the list is there.
    house.timer(3);
    house.step_2();
    assert_eq!(house.standing(&old), GOOD);
    house.stand(&[(&old, GOOD), (&new, GOOD)]);
}
