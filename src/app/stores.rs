//! From the configuration to open stores, for the gateway and for the commands of bank staff alike.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::plan;
use crate::config::{Config, DirectoryUrl, Document, PinVerifier, Problem, Problems, SignIn, StateUrl};
use crate::domain::{PinRules, Standing};
use crate::flows::{PinSettings, Pins, read_deny_list, read_peppers};
use crate::pki;
use crate::stores::{
    AuditKey, AuditLog, Credential, Directory, DirectorySettings, State, StateSettings, Unavailable,
};

/// The stores that a configuration names, open.
pub struct Stores {
    /// The durable store.
    pub directory: Directory,
    /// The fast store.
    pub state: State,
    /// Where decisions are written down.
    pub audit: Arc<AuditLog>,
    /// Checks and hashes PINs; `None` without `sign_in`.
    pub pins: Option<Pins>,
    /// Rules for new PINs; `None` without `sign_in`.
    pub rules: Option<PinRules>,
}

/// Stores that can't be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The configuration, or a file that it names.
    Config(Problems),
    /// A store that can't be asked now.
    Unavailable(Unavailable),
}

/// The stores as bank staff need them: without the state, most of their work goes on.
pub struct StaffStores {
    /// The durable store.
    pub directory: Directory,
    /// The fast store, if it can be opened.
    pub state: Result<State, Unavailable>,
    /// Where decisions are written down.
    pub audit: Arc<AuditLog>,
    /// Checks and hashes PINs; `None` without `sign_in`.
    pub pins: Option<Pins>,
    /// Rules for new PINs; `None` without `sign_in`.
    pub rules: Option<PinRules>,
}

impl Stores {
    /// Reads what the configuration names and opens the stores. Needs a `directory` and an `audit` in it.
    pub async fn open(document: &Document) -> Result<Self, OpenError> {
        let StaffStores { directory, state, audit, pins, rules } = StaffStores::open(document).await?;
        Ok(Self { directory, state: state.map_err(OpenError::Unavailable)?, audit, pins, rules })
    }
}

impl StaffStores {
    /// The same, where a state that can't be opened is for later.
    pub async fn open(document: &Document) -> Result<Self, OpenError> {
        let Secrets { directory, state, audit_key, pins, rules } =
            Secrets::read(document).map_err(OpenError::Config)?;
        let Config { directory: Some(settings), audit: Some(audit), .. } = &document.config else {
            let mut problems = document.source.problems();
            problems.push(document.source.problem("", "there is no `directory`, or no `audit`"));
            return Err(OpenError::Config(problems));
        };
        let unavailable = OpenError::Unavailable;
        let audit = super::audit::open(audit, audit_key).map_err(unavailable)?;
        Ok(Self {
            directory: Directory::open(&directory, settings.timeout.get()).await.map_err(unavailable)?,
            state: State::open(&state, document.config.state.timeout.get()).await,
            audit: Arc::new(audit),
            pins,
            rules,
        })
    }
}

/// The audit log of a gateway without a directory, if it is to have one: what operators do is written down there.
pub(super) fn audit_log(document: &Document) -> Result<Option<Arc<AuditLog>>, OpenError> {
    let key = Secrets::read(document).map_err(OpenError::Config)?.audit_key;
    let open = |audit| super::audit::open(audit, key).map(Arc::new).map_err(OpenError::Unavailable);
    document.config.audit.as_ref().map(open).transpose()
}

/// Where the fast store is, and how long it may take to answer.
pub(super) fn state(document: &Document) -> Result<(StateSettings, Duration), Problems> {
    Ok((Secrets::read(document)?.state, document.config.state.timeout.get()))
}

/// What the files hold that the stores and the PINs need.
struct Secrets {
    directory: DirectorySettings,
    state: StateSettings,
    audit_key: Option<AuditKey>,
    pins: Option<Pins>,
    rules: Option<PinRules>,
}

/// What checks and hashes PINs, and the rules for new ones, as the files have them now.
pub(super) fn pins(document: &Document) -> Result<(Option<Pins>, Option<PinRules>), Problems> {
    Secrets::read(document).map(|secrets| (secrets.pins, secrets.rules))
}

/// Reads every file that the stores and the PINs need, and says whatever is wrong with them, all at once.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    Secrets::read(document).err().map(|problems| problems.iter().cloned().collect()).unwrap_or_default()
}

impl Secrets {
    fn read(document: &Document) -> Result<Self, Problems> {
        let Document { config, source } = document;
        let mut problems = source.problems();
        let mut problem = |pointer: &str, message: String| problems.push(source.problem(pointer, message));
        let directory = config.directory.as_ref();
        let password = directory.and_then(|directory| directory.password_file.as_deref());
        let directory = match directory.map(|directory| &directory.url) {
            Some(DirectoryUrl::Sqlite(path)) => DirectorySettings::Sqlite(path.clone()),
            Some(DirectoryUrl::Postgres(url)) => DirectorySettings::Postgres {
                url: url.clone(),
                password: secret(password, "/directory/password_file", &mut problem),
            },
            None => DirectorySettings::Sqlite("".into()),
        };
        let state = &config.state;
        let state = match &state.url {
            StateUrl::Embedded(path) => StateSettings::Embedded(path.clone()),
            StateUrl::Redis(url) => StateSettings::Redis {
                url: url.clone(),
                password: secret(state.password_file.as_deref(), "/state/password_file", &mut problem),
                authorities: state.authorities.as_deref().and_then(|file| {
                    fs::read(file)
                        .map_err(|error| {
                            problem("/state/authorities", format!("{}: {error}", file.display()))
                        })
                        .ok()
                }),
                replicas: state.replicas,
            },
        };
        let audit_key = config.audit.as_ref().and_then(|audit| {
            super::audit::audit_key(audit).map_err(|message| problem("/audit/key_file", message)).ok()?
        });
        let (mut pins, mut rules) = (None, None);
        if let Some(sign_in) = &config.sign_in {
            pins = read_pins(sign_in, &mut problem);
            rules = read_rules(sign_in, &mut problem);
        }
        problems.into_result(Self { directory, state, audit_key, pins, rules })
    }
}

fn read_pins(sign_in: &SignIn, problem: &mut impl FnMut(&str, String)) -> Option<Pins> {
    let pin = &sign_in.pin;
    let http = pin.http.clone().filter(|_| pin.verifier == PinVerifier::Http);
    // Where the bank's own system holds the PINs, nothing is hashed here.
    let peppers = match &pin.pepper_file {
        Some(file) if http.is_none() => read_peppers(file),
        _ => Ok(Vec::new()),
    };
    let peppers = peppers.map_err(|message| problem("/sign_in/pin/pepper_file", message)).ok()?;
    let pointer = if http.is_some() { "/sign_in/pin/http" } else { "/sign_in/pin/pepper_file" };
    let settings = PinSettings {
        cost: pin.argon2id,
        peppers,
        concurrency: pin.concurrency.get() as usize,
        waiting: pin.waiting as usize,
        http,
    };
    Pins::new(settings).map_err(|message| problem(pointer, message)).ok()
}

fn read_rules(sign_in: &SignIn, problem: &mut impl FnMut(&str, String)) -> Option<PinRules> {
    let pin = &sign_in.pin;
    let denied = match &pin.deny_list {
        Some(file) => {
            read_deny_list(file).map_err(|message| problem("/sign_in/pin/deny_list", message)).ok()?
        }
        None => Default::default(),
    };
    Some(PinRules { length: usize::from(pin.min_length)..=usize::from(pin.max_length), denied })
}

/// A secret by itself in a file; the line end that editors leave behind isn't part of it.
fn secret(
    file: Option<&Path>,
    pointer: &str,
    problem: &mut impl FnMut(&str, String),
) -> Option<Zeroizing<String>> {
    let file = file?;
    match fs::read_to_string(file).map(Zeroizing::new) {
        Ok(text) => Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => {
            problem(pointer, format!("{}: {error}", file.display()));
            None
        }
    }
}

/// The credential in a certificate's file, with the ID of the key that signed it, if the configuration's trust finds it good now.
pub fn credential(
    document: &Document,
    file: &Path,
    now: Timestamp,
) -> Result<(Credential, Option<String>), String> {
    let plan = plan(document, now).map_err(|problems| format!("\n{problems}"))?;
    let trust = plan.trust.ok_or("there is no `trust` that could say whose certificate this is")?;
    let chain: Vec<CertificateDer<'static>> = pki::certificates(file).map_err(|error| error.to_string())?;
    let judgement = trust.judge(&chain, now);
    match (judgement.standing, judgement.leaf) {
        (Standing::Good(identity), Some(leaf)) => {
            let credential = Credential {
                identity,
                fingerprint: leaf.fingerprint_hex(),
                serial: leaf.serial,
                not_before: leaf.not_before,
                not_after: leaf.not_after,
            };
            Ok((credential, judgement.signer))
        }
        (Standing::Refused(refusal), _) => {
            Err(format!("{}: {} ({})", file.display(), refusal.detail, refusal.reason))
        }
        _ => Err(format!("{} holds no certificate", file.display())),
    }
}
