//! The sources of revocation lists that a configuration names, and what was heard from each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::app::fetch::{FetchSettings, Fetcher, Validators};
use crate::app::lock;
use crate::config::{self, SignedSource};
use crate::pki::development::files;
use crate::pki::{AuthoritySource, Crl, Trust, TrustError, TrustPart, TrustSource};

#[derive(Debug)]
pub(super) struct Sources {
    pub(super) refresh: Duration,
    pub(super) list: Vec<Arc<Source>>,
}

/// One file, or one URL.
#[derive(Debug)]
pub(super) struct Source {
    /// The path or the URL: also the label of its metrics.
    pub(super) origin: Arc<str>,
    pub(super) from: From,
    heard: Mutex<Heard>,
}

#[derive(Debug)]
pub(super) enum From {
    File(PathBuf),
    Url(Url),
}

#[derive(Debug)]
pub(super) struct Url {
    pub(super) url: String,
    pub(super) fetcher: Fetcher,
    /// Where the last good list is kept. `None` only if the configuration has no cache, which its checks refuse.
    copy: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Heard {
    list: Option<Arc<Crl>>,
    validators: Validators,
    /// Of which list there is a copy on disk.
    kept: Option<Arc<Crl>>,
    is_failing: bool,
    is_stale: bool,
    is_without_copy: bool,
}

/// Loads the trust of a configuration; of its URLs, only how they would be asked is tried. What is wrong comes with its
/// place in the file.
pub(in crate::app) fn load(settings: &config::Trust, now: Timestamp) -> Result<Trust, Vec<(String, String)>> {
    let trust = with_source(settings, |source| Trust::load(source, now));
    match (trust, Sources::new(settings)) {
        (trust, Ok(_)) => trust,
        (trust, Err(message)) => {
            let mut errors = trust.err().unwrap_or_default();
            errors.push(("/trust/crl/authorities".to_owned(), message));
            Err(errors)
        }
    }
}

/// Has a trust loaded from the files that the settings name.
pub(super) fn with_source(
    settings: &config::Trust,
    load: impl FnOnce(&TrustSource<'_>) -> Result<Trust, Vec<TrustError>>,
) -> Result<Trust, Vec<(String, String)>> {
    let authorities: Vec<_> = settings
        .authorities
        .as_slice()
        .iter()
        .map(|authorities| AuthoritySource {
            file: authorities.file().to_owned(),
            common_name: authorities.common_name().map(ToString::to_string),
        })
        .collect();
    let sources = settings.crl.iter().flat_map(|crl| &crl.sources).enumerate();
    let (places, files): (Vec<_>, Vec<_>) = sources
        .filter_map(|(index, source)| match source {
            SignedSource::File(file) => Some((index, file.clone())),
            SignedSource::Url(_) => None,
        })
        .unzip();
    let source = TrustSource {
        authorities: &authorities,
        common_name: settings.common_name.as_str(),
        crls: settings.crl.as_ref().map(|_| &*files),
        grace: settings.crl.as_ref().and_then(|crl| crl.grace).map_or(Duration::ZERO, config::Period::get),
    };
    load(&source).map_err(|errors| {
        let placed = |error: TrustError| {
            let pointer = match error.part {
                TrustPart::Authority(index) => format!("/trust/authorities/{index}"),
                TrustPart::AuthorityCommonName(index) => format!("/trust/authorities/{index}/common_name"),
                TrustPart::CommonName => "/trust/common_name".to_owned(),
                TrustPart::Crl(index) => {
                    format!("/trust/crl/sources/{}", places.get(index).copied().unwrap_or_default())
                }
            };
            (pointer, error.message)
        };
        errors.into_iter().map(placed).collect()
    })
}

impl Sources {
    /// Whether none is a URL.
    pub(super) fn are_files(&self) -> bool {
        self.list.iter().all(|source| matches!(source.from, From::File(_)))
    }

    pub(super) fn new(settings: &config::Trust) -> Result<Self, String> {
        let Some(crl) = &settings.crl else { return Ok(Self { refresh: Duration::MAX, list: Vec::new() }) };
        let fetcher = Fetcher::new(&FetchSettings {
            timeout: crl.timeout.get(),
            largest: crl.max_size.bytes(),
            authorities: crl.authorities.as_deref(),
        })?;
        let source = |source: &SignedSource| {
            let from = match source {
                SignedSource::File(path) => From::File(path.clone()),
                SignedSource::Url(url) => From::Url(Url {
                    url: url.clone(),
                    fetcher: fetcher.clone(),
                    copy: crl.cache.as_ref().map(|folder| folder.join(copy_name(url))),
                }),
            };
            Arc::new(Source { origin: source.to_string().into(), from, heard: Mutex::default() })
        };
        Ok(Self { refresh: crl.refresh.get(), list: crl.sources.iter().map(source).collect() })
    }

    /// Whether lists of this origin are fetched.
    pub(super) fn fetch(&self, origin: &Arc<str>) -> bool {
        let is_fetched =
            |source: &Arc<Source>| source.origin == *origin && matches!(source.from, From::Url(_));
        self.list.iter().any(is_fetched)
    }

    pub(super) fn have(&self, origin: &Arc<str>) -> bool {
        self.list.iter().any(|source| source.origin == *origin)
    }
}

impl Source {
    pub(super) fn is_file(&self, file: &Path) -> bool {
        matches!(&self.from, From::File(path) if path == file)
    }

    /// Whether it has not been asked since this configuration is in force.
    pub(super) fn is_to_be_asked(&self) -> bool {
        let heard = lock(&self.heard);
        let has_answered = heard.validators.are_known();
        heard.list.is_none() && !heard.is_failing || matches!(self.from, From::Url(_)) && !has_answered
    }

    /// The last good list that it gave.
    pub(super) fn list(&self) -> Option<Arc<Crl>> {
        lock(&self.heard).list.clone()
    }

    /// What tells the server which list we have.
    pub(super) fn validators(&self) -> Validators {
        lock(&self.heard).validators.clone()
    }

    pub(super) fn heard(&self, list: Arc<Crl>, validators: Validators) {
        let mut heard = lock(&self.heard);
        heard.list = Some(list);
        heard.validators = validators;
    }

    /// Notes whether it fails, and says whether it did before.
    pub(super) fn was_failing(&self, is_failing: bool) -> bool {
        std::mem::replace(&mut lock(&self.heard).is_failing, is_failing)
    }

    /// Notes whether its list is stale, and says whether it was before.
    pub(super) fn was_stale(&self, is_stale: bool) -> bool {
        std::mem::replace(&mut lock(&self.heard).is_stale, is_stale)
    }

    /// Notes whether there is no copy of its list, and says whether there was none before. Without one the server is asked
    /// for the whole list next time: it would only say that we have it.
    pub(super) fn was_without_copy(&self, is_without: bool) -> bool {
        let mut heard = lock(&self.heard);
        if is_without {
            heard.validators = Validators::default();
        }
        std::mem::replace(&mut heard.is_without_copy, is_without)
    }

    /// The copy of the last good list, if there is one.
    pub(super) fn copy(&self) -> Option<Result<Vec<u8>, String>> {
        let From::Url(Url { copy: Some(copy), .. }) = &self.from else { return None };
        match std::fs::read(copy) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => Some(read.map_err(|error| format!("{}: {error}", copy.display()))),
        }
    }

    /// Takes the list that was heard as the one in the copy.
    pub(super) fn is_copied(&self) {
        let mut heard = lock(&self.heard);
        heard.kept = heard.list.clone();
    }

    /// Keeps a copy of the list that was heard, unless there is one.
    pub(super) fn keep_copy(&self, content: &[u8]) -> Result<(), String> {
        let From::Url(Url { copy: Some(copy), .. }) = &self.from else { return Ok(()) };
        let is_kept = {
            let heard = lock(&self.heard);
            heard.list.as_ref().zip(heard.kept.as_ref()).is_some_and(|(new, old)| new.is_same_list_as(old))
        };
        if is_kept {
            return Ok(());
        }
        let written = copy.parent().map_or(Ok(()), files::create_folder);
        written
            .and_then(|()| files::write_public(copy, content))
            .map(|()| self.is_copied())
            .map_err(|error| error.to_string())
    }
}

/// The name of the file with the copy: a digest, since a URL may hold anything.
fn copy_name(url: &str) -> String {
    let digest = Sha256::digest(url);
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.crl")
}
