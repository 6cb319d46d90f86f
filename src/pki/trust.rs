//! `Trust`: one immutable snapshot of whom we believe (authorities, revocation lists, the form of the common name).
//!
//! It is loaded whole or not at all, and never empty (T5). How it judges is in `path.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::authority::{Authorities, Authority};
use super::crl::{self, Crl};
use super::pem::{self, FileError};
use super::subject::CommonNameForm;

/// The number of the latest trust. Starts at 1, so that 0 can stand for "none".
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Where a trust is loaded from.
#[derive(Debug, Clone, Copy)]
pub struct TrustSource<'a> {
    /// PEM files with CA certificates.
    pub authorities: &'a [AuthoritySource],
    /// Regular expression for the whole common name, with the groups `contract` and `user`. For the authorities that
    /// have none of their own.
    pub common_name: &'a str,
    /// Files with one CRL each. `None`: revocation is not checked. An empty list does check, and refuses everybody.
    pub crls: Option<&'a [PathBuf]>,
    /// For how long after its nextUpdate a CRL still speaks.
    pub grace: Duration,
}

/// A file with CA certificates.
#[derive(Debug, Clone)]
pub struct AuthoritySource {
    /// PEM.
    pub file: PathBuf,
    /// The form of the common names that these CAs give, if it is one of their own.
    pub common_name: Option<String>,
}

impl From<PathBuf> for AuthoritySource {
    fn from(file: PathBuf) -> Self {
        Self { file, common_name: None }
    }
}

/// Which part of the source is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPart {
    /// The authorities' file of this index.
    Authority(usize),
    /// The regular expression of that file's authorities.
    AuthorityCommonName(usize),
    /// The regular expression.
    CommonName,
    /// The CRL's file of this index.
    Crl(usize),
}

/// One thing that is wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustError {
    /// Where.
    pub part: TrustPart,
    /// What, with the file's name.
    pub message: String,
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TrustError {}

impl TrustError {
    fn of(part: TrustPart, file: &Path, problem: impl Into<String>) -> Self {
        Self { part, message: FileError::new(file, problem).to_string() }
    }
}

/// Whom we believe. Build one per load; share it in an `Arc`.
pub struct Trust {
    generation: u64,
    pub(super) authorities: Arc<Authorities>,
    pub(super) crls: Option<Vec<Arc<Crl>>>,
    pub(super) common_name: CommonNameForm,
    pub(super) grace: Duration,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Trust {
    /// Loads a source whole, or says everything that is wrong with it.
    ///
    /// An authority out of its validity is no error as long as another one is in force: it vouches for nobody (the
    /// judge sees to that, at every moment), and a restart must not fail because of the one that a roll-over left
    /// behind or laid in ahead. Nor is a stale CRL an error: it says nothing, so its CA's clients are refused as
    /// `revocation_unknown`, exactly as if it had gone stale a minute after the start, while others get in.
    pub fn load(source: &TrustSource<'_>, now: Timestamp) -> Result<Self, Vec<TrustError>> {
        let mut errors = Vec::new();
        let common_name = CommonNameForm::new(source.common_name)
            .map_err(|message| errors.push(TrustError { part: TrustPart::CommonName, message }))
            .ok();
        let before = errors.len();
        let authorities = load_authorities(source.authorities, now, &mut errors);
        // A CRL of an authority that could not be read would only add a second error with the same cause, unless it is missing.
        let crls = match (&authorities, source.crls) {
            (Some(authorities), Some(files)) if errors.len() == before => {
                Some(load_crls(files, authorities, now, &mut errors))
            }
            (_, files) => {
                let missing = files.unwrap_or_default().iter().enumerate().filter(|(_, file)| !file.exists());
                errors.extend(missing.map(|(index, file)| {
                    TrustError::of(TrustPart::Crl(index), file, "there is no such file")
                }));
                None
            }
        };
        match (common_name, authorities) {
            (Some(common_name), Some(authorities)) if errors.is_empty() => {
                let (generation, authorities) = (next_generation(), Arc::new(authorities));
                Ok(Self { generation, authorities, crls, common_name, grace: source.grace })
            }
            _ => Err(errors),
        }
    }

    /// Loads what shall take the place of this trust: like [`Trust::load`], and no CRL may fall behind the one that
    /// is in use. The last good one serves until its nextUpdate (T7): neither an older list, which would bring
    /// revoked certificates back, nor a stale one takes its place.
    pub fn successor(&self, source: &TrustSource<'_>, now: Timestamp) -> Result<Self, Vec<TrustError>> {
        let next = Self::load(source, now)?;
        let files = source.crls.unwrap_or_default();
        let in_use = self.crls.iter().flatten().filter(|crl| crl.in_force(now));
        let errors: Vec<_> = in_use
            .filter_map(|old| {
                let new = next.crls.iter().flatten().find(|new| new.is_by_the_same_as(old))?;
                let behind = next.behind(new, old, now)?;
                let index = files.iter().position(|file| origin(file) == *new.origin())?;
                let problem = format!("the revocation list of {:?} is {behind}", new.issuer());
                Some(TrustError::of(TrustPart::Crl(index), &files[index], problem))
            })
            .collect();
        if errors.is_empty() { Ok(next) } else { Err(errors) }
    }

    /// Verifies what came from `origin`: a list in DER of one of the authorities. If it is in use already, byte for byte, it is
    /// found without that work. The error is a phrase that follows "the revocation list".
    pub fn read_list(&self, der: &[u8], origin: &Arc<str>, now: Timestamp) -> Result<Arc<Crl>, String> {
        let digest = crl::digest(der);
        let known = self.crls.iter().flatten().find(|crl| crl.is(&digest) && crl.origin() == origin);
        match known {
            Some(known) => Ok(Arc::clone(known)),
            None => Crl::read(der, Arc::clone(origin), &self.authorities, now).map(Arc::new),
        }
    }

    /// This trust with a list in the place of that CA's old one; `None` if that changes nothing. A list that is older
    /// than the one in use, or stale while that isn't, is an error, unless the one in use came from elsewhere: of two
    /// mirrors, one is behind now and then.
    pub fn with_list(&self, list: &Arc<Crl>, now: Timestamp) -> Result<Option<Self>, String> {
        let Some(mut crls) = self.crls.clone() else { return Ok(None) };
        if !list.is_by_one_of(&self.authorities) {
            return Err(format!("of {:?} comes from none of the authorities", list.issuer()));
        }
        match crls.iter_mut().find(|old| old.is_by_the_same_as(list)) {
            Some(old) if old.is_same_list_as(list) => return Ok(None),
            Some(old) => match self.behind(list, old, now) {
                Some(_) if old.origin() != list.origin() => return Ok(None),
                Some(behind) => return Err(format!("of {:?} is {behind}", list.issuer())),
                None => *old = Arc::clone(list),
            },
            None => crls.push(Arc::clone(list)),
        }
        let (authorities, common_name) = (Arc::clone(&self.authorities), self.common_name.clone());
        Ok(Some(Self {
            generation: next_generation(),
            authorities,
            crls: Some(crls),
            common_name,
            grace: self.grace,
        }))
    }

    /// What speaks against `new` in the place of `old`.
    fn behind(&self, new: &Crl, old: &Crl, now: Timestamp) -> Option<&'static str> {
        let worse = |good: &dyn Fn(&Crl) -> bool| good(old) && !good(new);
        if new.is_older_than(old) {
            Some("older than the one in use")
        } else if worse(&|crl| crl.in_force(now)) || worse(&|crl| crl.speaks(self.grace, now)) {
            Some("stale, while the one in use is not")
        } else {
            None
        }
    }

    /// The number of this trust. Every loaded one has another, greater than those before it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The authorities, for `check` and metrics.
    pub fn authorities(&self) -> &[Authority] {
        self.authorities.all()
    }

    /// The revocation lists, for `check` and metrics. `None` if revocation is not checked.
    pub fn crls(&self) -> Option<&[Arc<Crl>]> {
        self.crls.as_deref()
    }

    /// The authorities of which there is no list at all, though there have to be lists: nobody whom they vouch for gets in.
    pub fn unlisted(&self) -> impl Iterator<Item = &Authority> {
        let lists = self.crls.as_deref();
        self.authorities.all().iter().filter(move |authority| {
            lists.is_some_and(|lists| !lists.iter().any(|list| list.is_by(authority.name(), authority.key())))
        })
    }

    /// For how long after its nextUpdate a list still speaks.
    pub const fn grace(&self) -> Duration {
        self.grace
    }
}

fn next_generation() -> u64 {
    GENERATION.fetch_add(1, Ordering::Relaxed) + 1
}

/// The name of a file as a list's origin.
fn origin(file: &Path) -> Arc<str> {
    file.display().to_string().into()
}

fn load_authorities(
    files: &[AuthoritySource],
    now: Timestamp,
    errors: &mut Vec<TrustError>,
) -> Option<Authorities> {
    let mut all: Vec<Authority> = Vec::new();
    let before = errors.len();
    for (index, AuthoritySource { file, common_name }) in files.iter().enumerate() {
        let part = TrustPart::Authority(index);
        let form = match common_name.as_deref().map(CommonNameForm::new).transpose() {
            Ok(form) => form.map(Arc::new),
            Err(message) => {
                errors.push(TrustError { part: TrustPart::AuthorityCommonName(index), message });
                continue;
            }
        };
        let certificates = match pem::certificates(file) {
            Ok(certificates) => certificates,
            Err(error) => {
                errors.push(TrustError { part, message: error.to_string() });
                continue;
            }
        };
        for (number, certificate) in certificates.into_iter().enumerate() {
            match Authority::read(certificate) {
                Ok(authority) => {
                    let authority = authority.with_common_name(form.clone());
                    if all.iter().any(|other| authority.contradicts(other)) {
                        let problem = format!(
                            "the authority {:?} is listed twice, with different common names",
                            authority.subject()
                        );
                        errors.push(TrustError::of(part, file, problem));
                    }
                    all.push(authority);
                }
                Err(problem) => {
                    errors.push(TrustError::of(
                        part,
                        file,
                        format!("certificate {} in it {problem}", number + 1),
                    ));
                }
            }
        }
    }
    if errors.len() > before {
        return None;
    }
    let problem = match Authorities::new(all) {
        Some(authorities) if authorities.any_in_force(now) => return Some(authorities),
        Some(_) => "none of the authorities is within its validity",
        None if files.is_empty() => "there are no authorities",
        None => "the authorities only vouch for one another: none can be the anchor",
    };
    errors.push(TrustError { part: TrustPart::Authority(0), message: problem.to_owned() });
    None
}

fn load_crls(
    files: &[PathBuf],
    authorities: &Authorities,
    now: Timestamp,
    errors: &mut Vec<TrustError>,
) -> Vec<Arc<Crl>> {
    let mut crls: Vec<Arc<Crl>> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let part = TrustPart::Crl(index);
        let crl = pem::revocation_list(file).map_err(|error| error.to_string()).and_then(|der| {
            Crl::read(&der, origin(file), authorities, now)
                .map(Arc::new)
                .map_err(|problem| FileError::new(file, format!("the revocation list {problem}")).to_string())
        });
        match crl {
            // Two sources of one CA's list (a mirror, a leftover): the newer one counts.
            Ok(crl) => match crls.iter_mut().find(|other| other.is_by_the_same_as(&crl)) {
                Some(other) if other.is_older_than(&crl) => *other = crl,
                Some(_) => {}
                None => crls.push(crl),
            },
            Err(message) => errors.push(TrustError { part, message }),
        }
    }
    crls
}
