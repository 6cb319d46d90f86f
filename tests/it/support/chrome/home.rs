//! What a browser finds on its machine: a CA that it trusts, certificates of its person's, and a policy that chooses
//! among them in the person's place.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::run;

/// A home for one Chromium, whose view of `/etc/chromium` is a folder in it: so that no browser sees another's policy.
pub struct Home(TempDir);

impl Home {
    /// One that trusts a CA.
    pub fn trusting(ca: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.path(".pki/nssdb")).unwrap();
        trust(&home.database(), ca);
        let policies = home.path("etc/policies/managed");
        fs::create_dir_all(&policies).unwrap();
        let pattern = r#"{"pattern":"*","filter":{}}"#;
        let policy = serde_json::json!({ "AutoSelectCertificateForUrls": [pattern] });
        fs::write(policies.join("test.json"), policy.to_string()).unwrap();
        home
    }

    /// Gives it a certificate with its key.
    pub fn holding(self, p12: &str, password: &str) -> Self {
        import(&self.database(), p12, password);
        self
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn database(&self) -> String {
        format!("sql:{}", self.path(".pki/nssdb").display())
    }

    /// Chromium in this home. It and all its processes die with the thread that starts it.
    pub fn chromium(&self, words: &[&str]) -> Command {
        let mut command = private(r#"mount --bind "$0" /etc/chromium && exec chromium "$@""#);
        command
            .arg(self.path("etc"))
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args([
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--no-proxy-server",
                "--password-store=basic",
            ])
            .arg("--host-resolver-rules=MAP * 127.0.0.1")
            .arg(format!("--user-data-dir={}", self.path("profile").display()))
            .args(words)
            .env("HOME", self.0.path());
        command
    }
}

/// A shell with a view of the machine, and processes, of its own. Whatever it started ends when the thread does that
/// started it.
pub fn private(script: &str) -> Command {
    let namespace: &[&str] =
        if rustix::process::getuid().is_root() { &["--mount"] } else { &["--mount", "--map-root-user"] };
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]).args(namespace);
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]);
    command
}

/// Makes an NSS database that trusts a CA.
pub fn trust(database: &str, ca: &str) {
    run("certutil", &["-d", database, "-N", "--empty-password"]).good();
    run("certutil", &["-d", database, "-A", "-n", "ca", "-t", "C,,", "-i", ca]).good();
}

/// Adds a certificate with its key to an NSS database.
pub fn import(database: &str, p12: &str, password: &str) {
    run("pk12util", &["-d", database, "-i", p12, "-W", password]).good();
}
