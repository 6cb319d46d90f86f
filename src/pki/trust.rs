//! `Trust`: one immutable snapshot of whom we believe (authorities, revocation lists, the form of the common name).
//!
//! It is loaded whole or not at all, and never empty (T5). How it judges is in `path.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use super::authority::{Authorities, Authority};
use super::crl::Crl;
use super::pem::{self, FileError};
use super::subject::CommonNameForm;

/// The number of the latest trust. Starts at 1, so that 0 can stand for "none".
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Where a trust is loaded from.
#[derive(Debug, Clone, Copy)]
pub struct TrustSource<'a> {
    /// PEM files with CA certificates.
    pub authorities: &'a [PathBuf],
    /// Regular expression for the whole common name, with the groups `contract` and `user`.
    pub common_name: &'a str,
    /// Files with one CRL each. `None`: revocation is not checked. An empty list does check, and refuses everybody.
    pub crls: Option<&'a [PathBuf]>,
}

/// Which part of the source is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustPart {
    /// The authorities' file of this index.
    Authority(usize),
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
    pub(super) authorities: Authorities,
    pub(super) crls: Option<Vec<Crl>>,
    pub(super) common_name: CommonNameForm,
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
        // A CRL of an authority that could not be read would only add a second error with the same cause.
        let crls = match (&authorities, source.crls) {
            (Some(authorities), Some(files)) if errors.len() == before => {
                Some(load_crls(files, authorities, now, &mut errors))
            }
            _ => None,
        };
        match (common_name, authorities) {
            (Some(common_name), Some(authorities)) if errors.is_empty() => {
                let generation = GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
                Ok(Self { generation, authorities, crls, common_name })
            }
            _ => Err(errors),
        }
    }

    /// Loads what shall take the place of this trust: like [`Trust::load`], and no CRL may fall behind the one that
    /// is in use. The last good one serves until its nextUpdate (T7): neither an older list, which would bring
    /// revoked certificates back, nor a stale one takes its place.
    pub fn successor(&self, source: &TrustSource<'_>, now: Timestamp) -> Result<Self, Vec<TrustError>> {
        let next = Self::load(source, now)?;
        let in_use = self.crls.iter().flatten().filter(|crl| crl.in_force(now));
        let errors: Vec<_> = in_use
            .filter_map(|old| {
                let new = next.crls.iter().flatten().find(|new| new.is_by_the_same_as(old))?;
                let behind = if new.is_older_than(old) {
                    "older than the one in use"
                } else if !new.in_force(now) {
                    "stale, while the one in use is not"
                } else {
                    return None;
                };
                let file = source.crls?.get(new.file())?;
                let problem = format!("the revocation list of {:?} is {behind}", new.issuer());
                Some(TrustError::of(TrustPart::Crl(new.file()), file, problem))
            })
            .collect();
        if errors.is_empty() { Ok(next) } else { Err(errors) }
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
    pub fn crls(&self) -> Option<&[Crl]> {
        self.crls.as_deref()
    }
}

fn load_authorities(files: &[PathBuf], now: Timestamp, errors: &mut Vec<TrustError>) -> Option<Authorities> {
    let mut all = Vec::new();
    let before = errors.len();
    for (index, file) in files.iter().enumerate() {
        let part = TrustPart::Authority(index);
        let certificates = match pem::certificates(file) {
            Ok(certificates) => certificates,
            Err(error) => {
                errors.push(TrustError { part, message: error.to_string() });
                continue;
            }
        };
        for (number, certificate) in certificates.into_iter().enumerate() {
            match Authority::read(certificate) {
                Ok(authority) => all.push(authority),
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
) -> Vec<Crl> {
    let mut crls: Vec<Crl> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let part = TrustPart::Crl(index);
        let crl = pem::revocation_list(file).map_err(|error| error.to_string()).and_then(|der| {
            Crl::read(&der, index, authorities, now)
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
