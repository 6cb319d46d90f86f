//! The demo's people: who they are, their PINs, and how they get into the directory. A second start keeps the PINs, and
//! whatever was changed in the directory meanwhile.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::failure::{DATA, Failure, SOFTWARE, UNAVAILABLE};
use crate::app::{self, OpenError, StartError, Stores};
use crate::cli::serve;
use crate::clock::Clock;
use crate::config::Document;
use crate::domain::{ContractId, Identity, Language, Pin, Role, UserId};
use crate::flows::random_pin;
use crate::pki::development::{Error, files};
use crate::stores::{AddError, NewContract, NewUser, Unavailable};

/// Everybody's contract.
pub(super) const CONTRACT: &str = "10000000000001";
const COMPANY: &str = "見本商事株式会社";
const FILE: &str = "people.json";

/// What is to become of a person's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Good,
    Expired,
    Revoked,
}

/// A person of the demo.
pub(super) struct Person {
    pub(super) user: &'static str,
    pub(super) role: Role,
    /// The name of their certificate's files, and what becomes of it.
    pub(super) certificate: Option<(&'static str, Fate)>,
    /// Whether they may acquire one.
    pub(super) permitted: bool,
}

/// The first's name is the one that a stranger's certificate claims.
pub(super) const PEOPLE: [Person; 6] = [
    Person { user: "tanaka", role: Role::User, certificate: Some(("user", Fate::Good)), permitted: false },
    Person {
        user: "suzuki",
        role: Role::Administrator,
        certificate: Some(("administrator", Fate::Good)),
        permitted: false,
    },
    Person {
        user: "sato",
        role: Role::User,
        certificate: Some(("expired", Fate::Expired)),
        permitted: false,
    },
    Person {
        user: "takahashi",
        role: Role::User,
        certificate: Some(("revoked", Fate::Revoked)),
        permitted: false,
    },
    Person { user: "ito", role: Role::User, certificate: None, permitted: true },
    Person { user: "watanabe", role: Role::User, certificate: None, permitted: false },
];

/// One line of `people.json`.
#[derive(Serialize, Deserialize)]
struct Entry {
    contract: String,
    user: String,
    role: Role,
    pin: Option<String>,
    certificate: Option<String>,
}

/// Writes `people.json`, with the PINs of the last run if there are any.
pub(super) fn write(dir: &Path) -> Result<(), Failure> {
    let known = read(dir).unwrap_or_default();
    let pin_of = |user: &str| {
        let entry = known.iter().find(|entry| entry.user == user);
        entry.and_then(|entry| entry.pin.clone()).filter(|pin| Pin::typed(pin).is_ok())
    };
    let entries = PEOPLE
        .iter()
        .map(|person| {
            let pin = match pin_of(person.user) {
                Some(pin) => pin,
                None => random_pin()
                    .map_err(|error| Failure::new(SOFTWARE, error.to_string()))?
                    .expose()
                    .to_owned(),
            };
            Ok(Entry {
                contract: CONTRACT.to_owned(),
                user: person.user.to_owned(),
                role: person.role,
                pin: Some(pin),
                certificate: person.certificate.map(|(name, _)| name.to_owned()),
            })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let text = serde_json::to_string_pretty(&entries).map_err(|error| Error::Invalid(error.to_string()))?;
    files::write_secret(&dir.join(FILE), format!("{text}\n").as_bytes())?;
    Ok(())
}

fn read(dir: &Path) -> Option<Vec<Entry>> {
    serde_json::from_str(&files::read(&dir.join(FILE)).ok()?).ok()
}

/// Brings everybody who isn't there yet into the directory that `document` names.
pub(super) fn enrol(dir: &Path, document: &Document, clock: &Clock) -> Result<(), Failure> {
    let people = read(dir).ok_or_else(|| Failure::new(DATA, format!("{FILE} can't be read")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
    runtime.block_on(async {
        let stores = Stores::open(document).await.map_err(|error| match error {
            OpenError::Config(problems) => serve::failure(&StartError::Config(problems)),
            OpenError::Unavailable(unavailable) => failed(&unavailable),
        })?;
        let contract = NewContract { id: contract()?, name: COMPANY.to_owned() };
        settle(stores.directory.add_contract(&contract, clock.now()).await)?;
        for entry in &people {
            add(&stores, entry, clock).await?;
        }
        for person in &PEOPLE {
            if let Some((name, Fate::Good)) = person.certificate {
                let (credential, signer) =
                    app::credential(document, &dir.join(format!("clients/{name}.pem")), clock.now())
                        .map_err(|problem| Failure::new(DATA, problem))?;
                settle(stores.directory.add_credential(&credential, signer.as_deref(), clock.now()).await)?;
            }
            if person.permitted {
                permit(document, &stores, person.user, clock).await?;
            }
        }
        Ok(())
    })
}

async fn add(stores: &Stores, entry: &Entry, clock: &Clock) -> Result<(), Failure> {
    let invalid = |what: &str| Failure::new(DATA, format!("{FILE}: {what} of {} is none", entry.user));
    let user = UserId::new(&entry.user).map_err(|_| invalid("the user ID"))?;
    let identity = Identity { contract: contract()?, user };
    let pin = entry.pin.as_ref().ok_or_else(|| invalid("the PIN"))?;
    let pin = Pin::typed(pin).map_err(|_| invalid("the PIN"))?;
    if stores.directory.user(&identity, clock.now()).await.map_err(|error| failed(&error))?.is_some() {
        return Ok(());
    }
    let user = NewUser {
        identity: identity.clone(),
        role: entry.role,
        mail: Some(format!("{}@mihon-shoji.example", entry.user)),
        language: Language::Japanese,
        pin: None,
    };
    settle(stores.directory.add_user(&user, clock.now()).await)?;
    let Some(pins) = &stores.pins else { return Ok(()) };
    let hash = pins.hash(&pin).await.map_err(|_| Failure::new(UNAVAILABLE, "a PIN can't be hashed"))?;
    // Not a temporary one: the demo's people have used theirs for years.
    stores.directory.set_pin(&identity, &hash, None, clock.now()).await.map_err(|error| failed(&error))?;
    Ok(())
}

/// Permits a certificate to somebody who never had one.
async fn permit(document: &Document, stores: &Stores, user: &str, clock: &Clock) -> Result<(), Failure> {
    let user = UserId::new(user).map_err(|error| Failure::new(SOFTWARE, error.to_string()))?;
    let (identity, now) = (Identity { contract: contract()?, user }, clock.now());
    let directory = &stores.directory;
    let had = directory.credential_history(&identity, now).await.map_err(|error| failed(&error))?;
    if had.is_empty() {
        let lasts = SignedDuration::try_from(document.config.acquisition.permit.get());
        let until = now.checked_add(lasts.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
        directory.permit(&identity, "staff:demo", until, now).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What is there already is as good.
fn settle(added: Result<(), AddError>) -> Result<(), Failure> {
    match added {
        Ok(()) | Err(AddError::Exists) => Ok(()),
        Err(AddError::NoContract | AddError::NoUser) => {
            Err(Failure::new(DATA, "the demo's contract is gone"))
        }
        Err(AddError::Unavailable(unavailable)) => Err(failed(&unavailable)),
    }
}

fn failed(unavailable: &Unavailable) -> Failure {
    Failure::new(UNAVAILABLE, unavailable.to_string())
}

fn contract() -> Result<ContractId, Failure> {
    ContractId::new(CONTRACT).map_err(|error| Failure::new(SOFTWARE, error.to_string()))
}
