//! The issuer, and its revocation list: published, written to a file, handed to the portal, and believed by this
//! gateway itself where the configuration says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use tokio::sync::watch;

use super::trust::TrustKeeper;
use crate::clock::Clock;
use crate::config::{Config, Document, Problems};
use crate::flows::{ListSettings, RevocationLists};
use crate::ops::{Metrics, seconds};
use crate::pki::development::files;
use crate::pki::{Issuer, IssuerKeySource, IssuerPart, IssuerSettings};
use crate::stores::Directory;

/// How often it is looked whether the list is due. What was revoked reaches the gateways sooner, through their
/// registries: the list is for others.
const LOOK: Duration = Duration::from_secs(1);

/// Opens the issuer that a configuration names, if it names one.
pub fn issuer(document: &Document, now: Timestamp) -> Result<Option<Arc<Issuer>>, Problems> {
    let Document { config, source } = document;
    let Some(settings) = settings(config) else { return Ok(None) };
    Issuer::open(settings, now).map(Arc::new).map(Some).map_err(|errors| {
        let mut problems = source.problems();
        for error in errors {
            let pointer = match error.part {
                IssuerPart::Certificate => "/issuer/certificate",
                IssuerPart::Key => "/issuer/key",
                IssuerPart::Passphrase => "/issuer/passphrase_file",
                IssuerPart::Pkcs11 => "/issuer/pkcs11",
                IssuerPart::Subject => "/issuer",
            };
            problems.push(source.problem(pointer, error.message));
        }
        problems
    })
}

fn settings(config: &Config) -> Option<IssuerSettings> {
    let issuer = config.issuer.as_ref()?;
    let key = match (&issuer.key, &issuer.pkcs11) {
        (_, Some(pkcs11)) => IssuerKeySource::Pkcs11 {
            module: pkcs11.module.clone(),
            token: pkcs11.token.clone(),
            label: pkcs11.label.clone(),
            pin: pkcs11.pin_file.clone(),
        },
        // The configuration's checks demand one of the two.
        (key, None) => {
            IssuerKeySource::File { key: key.clone()?, passphrase: issuer.passphrase_file.clone() }
        }
    };
    Some(IssuerSettings {
        certificate: issuer.certificate.clone(),
        key,
        organization: issuer.organization.clone(),
        unit: issuer.unit.clone(),
        validity: issuer.validity.get(),
        crl_url: issuer.crl.url.clone(),
    })
}

/// What publishes the list of an issuer.
pub fn revocation_lists(config: &Config, directory: &Directory, issuer: &Arc<Issuer>) -> RevocationLists {
    let crl = config.issuer.as_ref().map(|issuer| &issuer.crl);
    RevocationLists::new(ListSettings {
        directory: directory.clone(),
        issuer: Arc::clone(issuer),
        every: crl.map_or(Duration::MAX, |crl| crl.every.get()),
        validity: crl.map_or(Duration::ZERO, |crl| crl.validity.get()),
    })
}

/// Writes a list to its file, whole or not at all.
pub fn write_list(file: &Path, der: &[u8]) -> Result<(), String> {
    // One that is there already isn't written again: whoever watches the file would take that for a change.
    if std::fs::read(file).is_ok_and(|present| present == der) {
        return Ok(());
    }
    files::write_public(file, der).map_err(|error| error.to_string())
}

/// Where the newest list goes.
pub(super) struct Outlets {
    /// The file, if there is to be one.
    pub(super) file: Option<PathBuf>,
    /// For the portal.
    pub(super) shared: Arc<ArcSwapOption<Vec<u8>>>,
    /// Whoever believes this list here, if its file is among the sources of the trust.
    pub(super) keeper: Option<TrustKeeper>,
    pub(super) metrics: Metrics,
}

/// Where this gateway's newest list goes.
pub(super) fn outlets(
    config: &Config,
    shared: &Arc<ArcSwapOption<Vec<u8>>>,
    keeper: Option<&TrustKeeper>,
    metrics: &Metrics,
) -> Outlets {
    let file = config.issuer.as_ref().and_then(|issuer| issuer.crl.file.clone());
    Outlets { shared: Arc::clone(shared), keeper: keeper.cloned(), metrics: metrics.clone(), file }
}

/// Publishes the list whenever it is due, and brings the newest one where it goes, until it is no longer wanted.
pub(super) async fn follow(
    lists: RevocationLists,
    outlets: Outlets,
    clock: Clock,
    mut wanted: watch::Receiver<()>,
) {
    let mut brought = None;
    let mut failing = false;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = wanted.changed() => return,
        }
        let done = match lists.current(clock.now()).await {
            Ok(list) if brought == Some(list.number) => Ok(()),
            Ok(list) => outlets.bring(&list.der, list.next_update).map(|()| brought = Some(list.number)),
            Err(unavailable) => Err(unavailable.to_string()),
        };
        match done {
            Ok(()) => failing = false,
            Err(problem) if !failing => {
                failing = true;
                tracing::error!(problem, "The revocation list can't be published");
            }
            Err(_) => {}
        }
    }
}

impl Outlets {
    fn bring(&self, der: &[u8], next_update: Timestamp) -> Result<(), String> {
        self.shared.store(Some(Arc::new(der.to_vec())));
        self.metrics.revocation_list_next_update.set(seconds(next_update));
        let Some(file) = &self.file else { return Ok(()) };
        write_list(file, der)?;
        self.keeper.as_ref().map_or(Ok(()), |keeper| keeper.reread(file))
    }
}
