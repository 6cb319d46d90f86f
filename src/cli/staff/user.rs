//! `sekisho user`: users are added, looked at, given PINs, suspended and lifted.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::pins::{Maker, TemporaryPin, end_sessions, forget_attempts};
use super::table::{list, or_dash, table};
use super::{
    Answer, Common, Desk, Failure, Who, failed, language, mail, name, no_contract, no_user, not_added, note,
    role,
};
use crate::clock::Clock;
use crate::domain::{ContractId, Identity, Language, Role, SessionEnd, SuspensionCause, UserTag};
use crate::stores::{NewUser, Suspension, User};

/// Add users, look at them, give them PINs, suspend and lift them
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user, with a temporary PIN that is shown once
    Add(New),
    /// Show the users of a contract
    List {
        #[command(flatten)]
        common: Common,
        /// Contract ID
        #[arg(value_name = "CONTRACT", value_parser = ContractId::typed)]
        contract: ContractId,
    },
    /// Show one user
    Show(One),
    /// Give a user a new temporary PIN, which is shown once; a suspension stays
    SetPin(One),
    /// Change where a user's mails go; the old and the new address are told
    SetMail(NewMail),
    /// Lift every suspension of a user and forget their wrong PINs
    Lift(One),
    /// Suspend a user: neither PIN nor certificate gets them in any more
    Suspend(One),
}

#[derive(Debug, Args)]
struct New {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// What they may do: `administrator` or `user`
    #[arg(long, default_value_t = Role::User, value_parser = role)]
    role: Role,
    /// Where mails go
    #[arg(long, value_name = "ADDRESS", value_parser = mail)]
    mail: Option<String>,
    /// What they read: `ja` or `en`
    #[arg(long, default_value_t = Language::Japanese, value_parser = language)]
    language: Language,
    /// Give them no PIN: they use nothing but certificates
    #[arg(long)]
    no_pin: bool,
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
struct NewMail {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    who: Who,
    /// Where mails go from now on
    #[arg(value_name = "ADDRESS", value_parser = mail, required_unless_present = "none")]
    mail: Option<String>,
    /// Nowhere
    #[arg(long, conflicts_with = "mail")]
    none: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments, clock: &Clock) -> ExitCode {
    let command = "user";
    match &arguments.command {
        Command::Add(new) => super::run(command, &new.common, clock, async |desk| add(desk, new).await),
        Command::List { common, contract } => {
            super::run(command, common, clock, async |desk| all(desk, contract).await)
        }
        Command::Show(One { common, who }) => super::run(command, common, clock, async |desk| {
            Shown::of(find(desk, &who.identity()).await?).answer()
        }),
        Command::SetPin(One { common, who }) => {
            super::run(command, common, clock, async |desk| set_pin(desk, &who.identity()).await)
        }
        Command::SetMail(new) => {
            super::run(command, &new.common, clock, async |desk| set_mail(desk, new).await)
        }
        Command::Lift(One { common, who }) => {
            super::run(command, common, clock, async |desk| lift(desk, &who.identity()).await)
        }
        Command::Suspend(One { common, who }) => {
            super::run(command, common, clock, async |desk| suspend(desk, &who.identity()).await)
        }
    }
}

async fn add(desk: &Desk, new: &New) -> Result<Answer, Failure> {
    let identity = new.who.identity();
    let pin = if new.no_pin { None } else { Some(Maker::new(desk)?.random().await?) };
    let user = NewUser {
        identity: identity.clone(),
        role: new.role,
        mail: new.mail.clone(),
        language: new.language,
        pin: pin.as_ref().map(|pin| (pin.hash.clone(), pin.until)),
    };
    let work = desk.stores.directory.add_user(&user, desk.now());
    desk.change("user_added", Some((&identity).into()), Some(new.role.code()), work)
        .await?
        .map_err(|error| not_added(&error, &name(&identity), &identity.contract))?;
    let mut shown = Shown::of(find(desk, &identity).await?);
    shown.temporary_pin = pin;
    shown.answer()
}

async fn all(desk: &Desk, contract: &ContractId) -> Result<Answer, Failure> {
    let directory = &desk.stores.directory;
    if directory.contract(contract).await.map_err(|error| failed(&error))?.is_none() {
        return Err(no_contract(contract));
    }
    let users = directory.users(contract, desk.now()).await.map_err(|error| failed(&error))?;
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            [
                user.identity.user.to_string(),
                user.role.to_string(),
                pin_of(user).to_owned(),
                or_dash(user.credential_until),
                or_dash(user.last_sign_in.map(|last| last.at)),
                suspended(&user.suspensions),
            ]
        })
        .collect();
    let heads = ["USER", "ROLE", "PIN", "CERTIFICATE UNTIL", "LAST SIGN-IN", "SUSPENDED FOR"];
    Answer::new(table(heads, &rows, "There are no users."), &users)
}

async fn set_pin(desk: &Desk, identity: &Identity) -> Result<Answer, Failure> {
    find(desk, identity).await?;
    let pin = Maker::new(desk)?.random().await?;
    let work = desk.stores.directory.set_pin(identity, &pin.hash, Some(pin.until), desk.now());
    desk.change("pin_set", Some(identity.into()), Some("temporary"), work)
        .await?
        .map_err(|error| failed(&error))?;
    let trouble = end_sessions(desk, identity).await.or(forget_attempts(desk, identity).await);
    let mut shown = Shown::of(find(desk, identity).await?);
    if !shown.user.suspensions.is_empty() {
        note("the user is suspended still: `sekisho user lift` ends that");
    }
    shown.temporary_pin = Some(pin);
    Ok(shown.answer()?.but(trouble))
}

async fn set_mail(desk: &Desk, new: &NewMail) -> Result<Answer, Failure> {
    let identity = new.who.identity();
    let work = desk.stores.directory.set_mail(&identity, new.mail.as_deref(), desk.now());
    let changed = desk
        .change("mail_changed", Some((&identity).into()), None, work)
        .await?
        .map_err(|error| failed(&error))?;
    if !changed {
        return Err(no_user(&identity));
    }
    Shown::of(find(desk, &identity).await?).answer()
}

async fn lift(desk: &Desk, identity: &Identity) -> Result<Answer, Failure> {
    find(desk, identity).await?;
    let work = desk.stores.directory.lift_user(identity);
    let lifted =
        desk.change("lifted", Some(identity.into()), None, work).await?.map_err(|error| failed(&error))?;
    let trouble = forget_attempts(desk, identity).await;
    let mut shown = Shown::of(find(desk, identity).await?);
    shown.lifted = Some(lifted.unwrap_or_default());
    Ok(shown.answer()?.but(trouble))
}

async fn suspend(desk: &Desk, identity: &Identity) -> Result<Answer, Failure> {
    find(desk, identity).await?;
    let cause = SuspensionCause::Staff;
    let work = desk.stores.directory.suspend_user(identity, cause, desk.now());
    desk.change("suspended", Some(identity.into()), Some(cause.code()), work)
        .await?
        .map_err(|error| failed(&error))?;
    // Best effort: every gateway sees the suspension in its registry and ends the session by itself.
    if let Ok(state) = &desk.stores.state {
        let _ = state.end_user(&UserTag::of(identity), SessionEnd::Withdrawn, desk.now()).await;
    }
    Shown::of(find(desk, identity).await?).answer()
}

async fn find(desk: &Desk, identity: &Identity) -> Result<User, Failure> {
    let found = desk.stores.directory.user(identity, desk.now()).await.map_err(|error| failed(&error))?;
    found.ok_or_else(|| no_user(identity))
}

/// A user with what was just done to them.
struct Shown {
    user: User,
    temporary_pin: Option<TemporaryPin>,
    lifted: Option<Vec<Suspension>>,
}

/// The same for programs.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    user: &'a User,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporary_pin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<&'a [Suspension]>,
}

impl Shown {
    const fn of(user: User) -> Self {
        Self { user, temporary_pin: None, lifted: None }
    }

    fn answer(&self) -> Result<Answer, Failure> {
        let user = &self.user;
        let mut lines = vec![
            ("contract", user.identity.contract.to_string()),
            ("user", user.identity.user.to_string()),
            ("role", user.role.to_string()),
            ("mail", or_dash(user.mail.as_deref())),
            ("language", user.language.to_string()),
            ("PIN", pin_of(user).to_owned()),
            ("certificate until", or_dash(user.credential_until)),
            ("last sign-in", or_dash(user.last_sign_in.map(|last| format!("{} ({})", last.at, last.method)))),
            ("suspended for", suspended(&user.suspensions)),
            ("added", user.created_at.to_string()),
        ];
        if let Some(lifted) = &self.lifted {
            lines.push(("lifted", suspended(lifted)));
        }
        let pin = self.temporary_pin.as_ref();
        if let Some(TemporaryPin { pin, until, .. }) = pin {
            let shown = format!("{}   (until {until}; it is not shown again)", pin.expose());
            lines.push(("temporary PIN", shown));
        }
        let json =
            Json { user, temporary_pin: pin.map(|pin| pin.pin.expose()), lifted: self.lifted.as_deref() };
        Answer::new(list(&lines), &json)
    }
}

fn pin_of(user: &User) -> &'static str {
    match (user.has_pin, user.pin_temporary_until) {
        (false, _) => "none",
        (true, Some(_)) => "temporary",
        (true, None) => "chosen",
    }
}

fn suspended(suspensions: &[Suspension]) -> String {
    let causes: Vec<_> = suspensions.iter().map(|suspension| suspension.cause.code()).collect();
    if causes.is_empty() { "-".to_owned() } else { causes.join(", ") }
}
