//! A gate with two generations of its CA and the page to go by, and an operator who does what stands there.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use sekisho::app;
use sekisho::clock::Clock;
use sekisho::config;
use x509_parser::parse_x509_certificate;

use crate::acquisition::{begin, fetch_file, password, unpack};
use crate::cli::issuing::read_list;
use crate::handbook::Page;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gate::{CERT, Gate, Settings, WWW, lay_out};
use crate::support::people::{Browser, CONTRACT, ROUTES, now, stores, yaml};
use crate::support::pki::{Ca, Credential};
use crate::support::postgres::PASSWORD;
use crate::support::process::{Outcome, SEKISHO, outcome, sekisho};
use crate::support::{eventually, write_secret};

/// What it is called that somebody gets in.
pub const GOOD: &str = "good";

/// A gate that issues certificates under G1, with G2's key at hand, and the page to go by.
pub struct House {
    pub gate: Gate,
    pub page: Page,
    pub g2: Ca,
    /// Where the directory is, unless it is SQLite's.
    url: Option<String>,
    _backend: Backend,
}

/// The page's paths and users are those of a gate that is installed; here everything is in one folder, and nobody else's.
fn here(text: &str) -> String {
    text.replace("sudo -u sekisho ", "").replace("/etc/sekisho/", "").replace("/var/lib/sekisho/", "data/")
}

/// A trust in one generation alone.
pub fn trust(generation: &str) -> String {
    format!(
        "trust:\n  authorities: certs/bank-ca-{generation}.pem\n  registration: required\n  \
         crl: {{ sources: [data/ca-{generation}.crl] }}\n"
    )
}

/// What `sekisho issuer publish` does, at another time than now.
pub fn publish(folder: &Path, file: &str, at: Timestamp) {
    let document = config::load(&folder.join(file)).unwrap_or_else(|problems| panic!("{problems}"));
    let issuer = app::issuer(&document, at).unwrap_or_else(|problems| panic!("{problems}")).unwrap();
    let lists = app::revocation_lists(&document.config, &stores(folder).directory, &issuer);
    let list = now(lists.current(at)).unwrap();
    let generation = if file == "g2.yaml" { "g2" } else { "g1" };
    app::write_list(&folder.join(format!("data/ca-{generation}.crl")), &list.der).unwrap();
}

/// The name of the CA that signed a certificate.
pub fn signer(credential: &Credential) -> String {
    let (_, certificate) = parse_x509_certificate(&credential.chain[0]).unwrap();
    certificate.issuer().to_string()
}

pub fn serial(credential: &Credential) -> String {
    let (_, certificate) = parse_x509_certificate(&credential.chain[0]).unwrap();
    certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl House {
    pub fn new(clock: Clock) -> Self {
        Self::with_directory(clock, None)
    }

    /// The same with a directory in PostgreSQL at this URL.
    pub fn with_directory(clock: Clock, url: Option<String>) -> Self {
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

    pub fn folder(&self) -> &Path {
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

    pub fn sekisho(&self, words: &[&str]) -> Outcome {
        sekisho(self.folder(), words)
    }

    /// Writes the file anew with another `trust` or another `issuer`, which stand before `next` in it.
    pub fn edit(&self, file: &str, noun: &str, next: &str, with: &str) {
        let text = self.gate.file("sekisho.yaml");
        let begin = text.find(&format!("\n{noun}:")).unwrap() + 1;
        let end = text.find(&format!("\n{next}:")).unwrap() + 1;
        self.gate.write(file, &format!("{}{with}{}", &text[..begin], &text[end..]));
    }

    #[track_caller]
    pub fn check(&self) -> String {
        let block = self.block(2, "systemctl reload");
        let (check, rest) = block.split_once("systemctl reload sekisho").unwrap();
        assert_eq!(rest, "");
        self.shell(check)
    }

    #[track_caller]
    pub fn check_and_reload(&self) {
        let told = self.check();
        // To the commands, lists of a gate that lives in the past have ended.
        let is_good = told == "sekisho.yaml: ok\n"
            || matches!(self.gate.clock, Clock::Manual(_)) && told.starts_with("sekisho.yaml: ok\n");
        assert!(is_good, "{told}");
        assert_eq!(self.gate.reload(), Ok(()));
    }

    #[track_caller]
    pub fn believe(&self, trust: &str) {
        self.edit("sekisho.yaml", "trust", "issuer", trust);
        self.check_and_reload();
    }

    /// The trust of step 2.
    pub fn both(&self) -> String {
        self.block(2, "trust:") + "\n  registration: required\n"
    }

    pub fn step_1(&self) {
        self.edit("g2.yaml", "issuer", "routes", &issuer(&self.page, "g2"));
    }

    #[track_caller]
    pub fn step_2(&self) {
        self.believe(&self.both());
    }

    #[track_caller]
    pub fn step_3(&self) {
        fs::copy(self.folder().join("sekisho.yaml"), self.folder().join("g1.yaml")).unwrap();
        self.edit("sekisho.yaml", "issuer", "routes", &issuer(&self.page, "g2"));
        self.check_and_reload();
    }

    /// The timer of step 1 or of step 3, once.
    #[track_caller]
    pub fn timer(&self, step: u8) {
        self.shell(&self.block(step, "issuer publish"));
    }

    /// The number of the list in a generation's file, and whom it names.
    pub fn list(&self, generation: &str) -> (u64, Vec<String>) {
        let der = fs::read(self.folder().join(format!("data/ca-{generation}.crl"))).unwrap();
        read_list(self.folder(), &format!("certs/bank-ca-{generation}.pem"), &der)
    }

    /// A metric of the source of a generation's list; none if there is no such line.
    pub fn crl(&self, name: &str, generation: &str) -> Option<f64> {
        let file = self.folder().join(format!("data/ca-{generation}.crl"));
        let line = format!("sekisho_crl_{name}{{source=\"{}\"}} ", file.display());
        self.gate.metrics().lines().find_map(|it| it.strip_prefix(&line)?.parse().ok())
    }

    /// Gets a user, who is permitted one, a certificate.
    #[track_caller]
    pub fn acquire(&self, user: (&str, &str)) -> Credential {
        let mut browser = Browser::new(&self.gate);
        begin(&mut browser, user);
        let file = fetch_file(&mut browser, WWW);
        unpack(&file, &password(&mut browser, WWW))
    }

    /// The same, and permits it first.
    #[track_caller]
    pub fn permitted(&self, user: (&str, &str)) -> Credential {
        self.sekisho(&["credential", "permit", "--config", "sekisho.yaml", CONTRACT, user.0]).good();
        self.acquire(user)
    }

    pub fn reissue(&self, (user, _): (&str, &str)) {
        self.sekisho(&["credential", "reissue", "--config", "sekisho.yaml", CONTRACT, user]).good();
    }

    /// What a certificate is worth, to a program and to a browser, which shows it only where its CA is named.
    pub fn standing(&self, credential: &Credential) -> String {
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
    pub fn stand(&self, expected: &[(&Credential, &str)]) {
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
    pub fn count(&self) -> u64 {
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
    pub fn reconcile(&self, certificates: usize) {
        let told = self.sekisho(&["issuer", "reconcile", "--config", "sekisho.yaml"]).good();
        let expected = format!("Everything that was issued was permitted.\n{certificates} certificates, ");
        assert!(told.starts_with(&expected), "{told}");
    }

    pub fn unknown(&self) -> f64 {
        self.gate
            .metric(&format!("sekisho_standings_total{{host=\"{CERT}\",standing=\"unknown_authority\"}}"))
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
pub fn issuer(page: &Page, generation: &str) -> String {
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
