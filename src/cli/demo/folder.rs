//! The demo's folder: its PKI and `people.json`. A second start keeps what is good and repairs what is not, also
//! after an interruption: every certificate is checked by what its files hold, not by whether they are there.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::super::failure::{CANNOT_CREATE, Failure, SOFTWARE};
use super::people::{self, CONTRACT, Fate, PEOPLE};
use crate::domain::{ContractId, Identity, UserId};
use crate::flows::{new_pepper_line, read_peppers};
use crate::pki::development::{
    Authority, AuthorityName, Error, Existing, FileStem, KeyKind, Password, files, read_whole,
};
use crate::stores::AuditKey;

/// The password of every PKCS#12 file.
pub(super) const PASSWORD: &str = "demo";
/// The host that demands a certificate.
pub(super) const CERTIFICATE_HOST: &str = "cert.localhost";
/// The host that asks for none.
pub(super) const OPEN_HOST: &str = "www.localhost";

/// Says that the folder is a demo's, so that no other CA is ever replaced here.
const MARKER: &str = ".sekisho-demo";
const YEAR: u32 = 365;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Whether the CA of the last run is still the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pki {
    Made,
    Kept,
}

/// Brings the folder into the state that the demo needs.
pub(super) fn prepare(dir: &Path, now: Timestamp) -> Result<Pki, Failure> {
    files::create_folder(dir)?;
    if dir.join("ca.key").exists() && !dir.join(MARKER).exists() {
        let message = format!("{} holds a CA that is not a demo's", dir.display());
        return Err(Failure::new(CANNOT_CREATE, message).hint("`--dir` names another folder"));
    }
    files::write_public(
        &dir.join(MARKER),
        b"Made by `sekisho demo`: its CA may be replaced by a new one.\n",
    )?;
    // Two years old from the start, so that it can have issued a certificate that has expired.
    let (mut authority, pki) = authority(dir, &AuthorityName::default(), now, before(now, 2 * YEAR))?;
    for (host, kind) in [(CERTIFICATE_HOST, KeyKind::EcdsaP256), (OPEN_HOST, KeyKind::Rsa3072)] {
        server(&mut authority, dir, host, kind, now)?;
    }
    for person in &PEOPLE {
        if let Some((name, fate)) = person.certificate {
            client(&mut authority, dir, person.user, name, fate, now)?;
        }
    }
    authority.write_crl(Authority::CRL_DAYS, now)?;
    stranger(dir, now)?;
    issuer(dir, now)?;
    pepper(dir, now)?;
    audit_key(dir)?;
    people::write(dir)?;
    let notices = dir.join("notices.yaml");
    if !notices.exists() {
        files::write_public(&notices, include_bytes!("../../../config/notices.yaml"))?;
    }
    Ok(pki)
}

/// The CA in `folder` if it is whole, has the right name and lasts, else a new one as of `since`.
fn authority(
    folder: &Path,
    name: &AuthorityName,
    now: Timestamp,
    since: Timestamp,
) -> Result<(Authority, Pki), Error> {
    if let Ok(authority) = Authority::open(folder) {
        let lasts =
            now.checked_add(DAY * 2 * YEAR.cast_signed()).is_ok_and(|end| end <= authority.not_after());
        if lasts && authority.name() == name {
            return Ok((authority, Pki::Kept));
        }
    }
    let authority = Authority::create(folder, name, Existing::Replace, since)?;
    Ok((authority, Pki::Made))
}

fn server(
    authority: &mut Authority,
    dir: &Path,
    host: &str,
    kind: KeyKind,
    now: Timestamp,
) -> Result<(), Error> {
    let (folder, name) = (dir.join("servers"), stem(host)?);
    if is_as_wanted(authority, &folder, &name, host, None, Fate::Good, now) {
        return Ok(());
    }
    authority.issue_server(&name, &[host.to_owned()], kind, YEAR, now)?.write(&folder, &name, None)
}

fn client(
    authority: &mut Authority,
    dir: &Path,
    user: &str,
    name: &str,
    fate: Fate,
    now: Timestamp,
) -> Result<(), Error> {
    let (folder, name, password) = (dir.join("clients"), stem(name)?, password()?);
    let common_name = format!("{CONTRACT} {user}");
    if is_as_wanted(authority, &folder, &name, &common_name, Some(&password), fate, now) {
        return Ok(());
    }
    let issued_at = if fate == Fate::Expired { before(now, YEAR + 1) } else { now };
    let credential = authority.issue_client(&name, &identity(user)?, YEAR, issued_at)?;
    credential.write(&folder, &name, Some(&password))?;
    if fate == Fate::Revoked {
        authority.revoke(&credential.issued().serial, now)?;
    }
    Ok(())
}

/// A certificate of another CA that claims to be our user's.
fn stranger(dir: &Path, now: Timestamp) -> Result<(), Error> {
    let name = AuthorityName::new("Yoso Bank, Ltd.", "Yoso Bank CA-G1").map_err(Error::Invalid)?;
    let (mut authority, _) = authority(&dir.join("stranger"), &name, now, now)?;
    client(&mut authority, dir, PEOPLE[0].user, "stranger", Fate::Good, now)?;
    authority.write_crl(Authority::CRL_DAYS, now)?;
    Ok(())
}

/// The CA under which the gate issues certificates: the bank's next generation beside the one before.
fn issuer(dir: &Path, now: Timestamp) -> Result<(), Error> {
    let name = AuthorityName::new(AuthorityName::default().organization(), "Mihon Bank CA-G2");
    // Its revocation list is the gate's from the start on, with numbers of its own: this one must last until then, but no
    // longer than the gate's first one.
    let since = before(now, Authority::CRL_DAYS - 1);
    authority(&dir.join("issuer"), &name.map_err(Error::Invalid)?, now, since).map(drop)
}

/// The folder with the helper program, if it lies beside this program: `cargo build` puts both there.
pub(super) fn helpers(dir: &Path) -> Result<Option<PathBuf>, Failure> {
    let Ok(own) = std::env::current_exe() else { return Ok(None) };
    let Ok(program) = std::fs::read(own.with_file_name("sekisho-client")) else { return Ok(None) };
    let folder = dir.join("helpers");
    files::create_folder(&folder)?;
    let system = format!("sekisho-client-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    files::write_public(&folder.join(system), &program)?;
    Ok(Some(PathBuf::from("helpers")))
}

/// Whether the files are whole, the CA issued them for this name, and they are in the state that is wanted.
fn is_as_wanted(
    authority: &Authority,
    folder: &Path,
    name: &FileStem,
    common_name: &str,
    password: Option<&Password>,
    fate: Fate,
    now: Timestamp,
) -> bool {
    let Ok(serial) = read_whole(folder, name, password) else { return false };
    authority.issued().iter().find(|entry| entry.serial == serial).is_some_and(|entry| {
        let lasts =
            entry.not_before <= now && now.checked_add(DAY * 30).is_ok_and(|soon| soon < entry.not_after);
        let in_state = match fate {
            Fate::Good => lasts && entry.revoked_at.is_none(),
            Fate::Expired => entry.not_after < now && entry.revoked_at.is_none(),
            Fate::Revoked => lasts && entry.revoked_at.is_some(),
        };
        in_state && entry.name == name.as_str() && entry.subject.ends_with(&format!("CN={common_name}"))
    })
}

/// What signs the audit log. Another key would make the log a forgery: the one that is there stays.
fn audit_key(dir: &Path) -> Result<(), Failure> {
    let file = dir.join("secrets/audit.key");
    if !file.exists() {
        let key = AuditKey::generate().map_err(|error| Failure::new(SOFTWARE, error))?;
        files::write_secret(&file, key.as_bytes())?;
    }
    Ok(())
}

/// The pepper of the PINs. A new one would make every PIN wrong: the one that is there stays.
fn pepper(dir: &Path, now: Timestamp) -> Result<(), Failure> {
    let file = dir.join("secrets/pepper");
    if read_peppers(&file).is_err() {
        files::create_folder(&dir.join("secrets"))?;
        let line = new_pepper_line(&now.strftime("%Y%m%d").to_string())
            .map_err(|error| Failure::new(SOFTWARE, error))?;
        files::write_secret(&file, line.as_bytes())?;
        // PINs that were hashed with the one that is gone can't be checked any more.
        match std::fs::remove_dir_all(dir.join("data")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::new(
                    CANNOT_CREATE,
                    format!("the old directory can't be removed: {error}"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn identity(user: &str) -> Result<Identity, Error> {
    let invalid = |error: crate::domain::InvalidId| Error::Invalid(error.to_string());
    Ok(Identity {
        contract: ContractId::new(CONTRACT).map_err(invalid)?,
        user: UserId::new(user).map_err(invalid)?,
    })
}

fn stem(text: &str) -> Result<FileStem, Error> {
    FileStem::new(text).map_err(Error::Invalid)
}

fn password() -> Result<Password, Error> {
    Password::new(PASSWORD).map_err(Error::Invalid)
}

fn before(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(DAY * days.cast_signed()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
