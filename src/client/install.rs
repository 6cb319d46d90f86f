//! Putting a certificate and its key where the system's browsers look, by the tools that the system ships.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::words::Words;
use crate::domain::proof_message;
use crate::pkcs12;

/// A key with its certificate, and those above it.
pub(super) struct Key {
    pub(super) pair: KeyPair,
    pub(super) chain: Vec<CertificateDer<'static>>,
}

impl Key {
    /// Whether the certificate is for this key.
    pub(super) fn is_certified(&self) -> bool {
        x509_parser::parse_x509_certificate(&self.chain[0])
            .is_ok_and(|(_, parsed)| parsed.public_key().raw == self.pair.subject_public_key_info())
    }

    /// The signature that proves that the key is here.
    pub(super) fn proof(&self) -> Result<Vec<u8>, String> {
        let fingerprint: String =
            Sha256::digest(&self.chain[0]).iter().map(|byte| format!("{byte:02x}")).collect();
        self.pair.sign(proof_message(&fingerprint).as_bytes()).map_err(|error| error.to_string())
    }

    /// The name under which people find it.
    fn name(&self) -> String {
        x509_parser::parse_x509_certificate(&self.chain[0])
            .ok()
            .and_then(|(_, parsed)| {
                let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
                Some(name)
            })
            .unwrap_or_else(|| "sekisho".to_owned())
    }
}

/// Key and chain as a file for the system's tool, with its password in another. Both are in a folder of their own that
/// nobody else can read, and gone with it.
struct Package {
    _folder: TempDir,
    file: PathBuf,
    password_file: PathBuf,
    #[cfg_attr(target_os = "linux", expect(dead_code, reason = "Linux's tool reads it from its file"))]
    password: Zeroizing<String>,
}

impl Package {
    fn new(key: &Key) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| failed(&error))?;
        let password: Zeroizing<String> =
            Zeroizing::new(random.iter().map(|byte| format!("{byte:02x}")).collect());
        let folder = tempfile::Builder::new().prefix("sekisho-").tempdir().map_err(|error| failed(&error))?;
        let private = Zeroizing::new(key.pair.serialize_der());
        let chain: Vec<&[u8]> = key.chain.iter().map(AsRef::as_ref).collect();
        let bytes = Zeroizing::new(pkcs12::pack(&private, &chain, &key.name(), &password, false)?);
        let (file, password_file) = (folder.path().join("certificate.p12"), folder.path().join("password"));
        std::fs::write(&file, &*bytes).map_err(|error| failed(&error))?;
        std::fs::write(&password_file, password.as_bytes()).map_err(|error| failed(&error))?;
        Ok(Self { _folder: folder, file, password_file, password })
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        // The disk may keep what is merely unlinked.
        for file in [&self.file, &self.password_file] {
            if let Ok(metadata) = std::fs::metadata(file) {
                let zeros = vec![0; usize::try_from(metadata.len()).unwrap_or_default()];
                let _ = std::fs::write(file, zeros);
            }
        }
    }
}

/// Runs a tool, which may ask its person something.
fn run(command: &mut Command, words: Words) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::inherit()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ({name}: {})", words.t("取り込めませんでした", "It was not installed"), said.trim()))
}

#[cfg(not(any(windows, target_os = "macos")))]
pub(super) use linux::Installer;
#[cfg(target_os = "macos")]
pub(super) use macos::Installer;
#[cfg(windows)]
pub(super) use windows::Installer;

/// The databases of NSS: Chromium's and Chrome's own, and those of Firefox's profiles.
#[cfg(not(any(windows, target_os = "macos")))]
mod linux {
    use super::{Command, Key, Package, Path, PathBuf, Words, run};

    /// Where the certificate goes.
    pub(in super::super) struct Installer {
        databases: Vec<PathBuf>,
        words: Words,
    }

    impl Installer {
        /// Looks for the tools and the databases.
        pub(in super::super) fn find(nss: Option<&Path>, words: Words) -> Result<Self, String> {
            for tool in ["certutil", "pk12util"] {
                if Command::new(tool).arg("-H").output().is_err() {
                    return Err(words
                        .t(
                            "certutilとpk12utilが見つかりません。先にインストールしてください（Debian・Ubuntu：libnss3-tools、Fedora：nss-tools）。取得コードは使用していません。",
                            "certutil and pk12util are missing. Install them first (Debian, Ubuntu: libnss3-tools; Fedora: nss-tools). The code was not used.",
                        )
                        .to_owned());
                }
            }
            let databases = match nss {
                Some(folder) => vec![folder.to_owned()],
                None => usual(words)?,
            };
            for database in &databases {
                make(database, words)?;
            }
            Ok(Self { databases, words })
        }

        /// Imports key and chain into each.
        pub(in super::super) fn install(&self, key: &Key) -> Result<(), String> {
            let package = Package::new(key)?;
            for database in &self.databases {
                let mut command = Command::new("pk12util");
                command.arg("-d").arg(of(database)).arg("-i").arg(&package.file);
                run(command.arg("-w").arg(&package.password_file), self.words)?;
            }
            Ok(())
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a program by itself, which reads its environment")]
    fn usual(words: Words) -> Result<Vec<PathBuf>, String> {
        let home = std::env::var_os("HOME").map(PathBuf::from).ok_or_else(|| {
            words.t("ホームフォルダーが分かりません。", "There is no home folder.").to_owned()
        })?;
        let mut databases = vec![home.join(".pki/nssdb")];
        let firefox = [
            ".mozilla/firefox",
            "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox",
        ];
        for folder in firefox {
            let Ok(profiles) = std::fs::read_dir(home.join(folder)) else { continue };
            let profiles = profiles.flatten().map(|profile| profile.path());
            databases.extend(profiles.filter(|profile| profile.join("cert9.db").exists()));
        }
        Ok(databases)
    }

    fn make(database: &Path, words: Words) -> Result<(), String> {
        if database.join("cert9.db").exists() {
            return Ok(());
        }
        std::fs::create_dir_all(database).map_err(|error| format!("{}: {error}", database.display()))?;
        run(Command::new("certutil").args(["-N", "--empty-password", "-d"]).arg(of(database)), words)
    }

    fn of(database: &Path) -> String {
        format!("sql:{}", database.display())
    }
}

/// The user's own certificate store, by certutil.exe. Written after its documentation; not tried.
#[cfg(windows)]
mod windows {
    use super::{Command, Key, Package, Path, Words, run};

    /// Where the certificate goes.
    pub(in super::super) struct Installer {
        words: Words,
    }

    impl Installer {
        /// The tool is a part of Windows.
        pub(in super::super) fn find(_: Option<&Path>, words: Words) -> Result<Self, String> {
            Ok(Self { words })
        }

        /// Imports key and chain; the key can't be exported again.
        pub(in super::super) fn install(&self, key: &Key) -> Result<(), String> {
            let package = Package::new(key)?;
            let mut command = Command::new("certutil.exe");
            command.args(["-user", "-f", "-p", &package.password, "-importpfx"]);
            run(command.arg(&package.file).arg("NoExport,NoRoot"), self.words)
        }
    }
}

/// The login keychain, by `security`. Written after its documentation; not tried.
#[cfg(target_os = "macos")]
mod macos {
    use super::{Command, Key, Package, Path, Words, run};

    /// Where the certificate goes.
    pub(in super::super) struct Installer {
        words: Words,
    }

    impl Installer {
        /// The tool is a part of macOS.
        pub(in super::super) fn find(_: Option<&Path>, words: Words) -> Result<Self, String> {
            Ok(Self { words })
        }

        /// Imports key and chain; the key can't be exported again.
        pub(in super::super) fn install(&self, key: &Key) -> Result<(), String> {
            let package = Package::new(key)?;
            let mut command = Command::new("/usr/bin/security");
            command.arg("import").arg(&package.file).args(["-f", "pkcs12", "-x", "-P", &package.password]);
            run(&mut command, self.words)
        }
    }
}
