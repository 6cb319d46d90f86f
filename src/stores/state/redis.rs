//! The state in Redis: each operation is one script, which is atomic there.
//!
//! Every key of one user has the same hash tag, so that a cluster keeps them in one slot. How a server is reached and
//! asked is `link`'s; here is what is asked, and what the answers mean.

mod connect;
mod link;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Script, Value};
use sha2::{Digest as _, Sha256};

use self::connect::Servers;
use self::link::{Link, Question};
use super::{
    AttemptKey, FoundSession, Lasts, MOST_TICKET_SECRETS, OpenedSession, Opening, Reservation,
    StoredTicketSecret, Throttled, TicketSecretOffer, millis, read_end, read_record,
};
use crate::clock::Clock;
use crate::config::RedisUrl;
use crate::domain::{Pace, SessionEnd, SessionKey, UserTag};
use crate::stores::Unavailable;

/// A script, with what all of them begin with.
struct Program {
    text: &'static str,
    script: LazyLock<Script>,
}

macro_rules! program {
    ($($file:literal),+) => {{
        const TEXT: &str = concat!(include_str!("scripts/common.lua"), $(include_str!(concat!("scripts/", $file, ".lua"))),+);
        Program { text: TEXT, script: LazyLock::new(|| Script::new(TEXT)) }
    }};
}

static PING: Program = program!("ping");
static THROTTLE: Program = program!("throttle");
static SPEND: Program = program!("spend");
static RESERVE: Program = program!("reserve");
static RELEASE: Program = program!("release");
static CLEAR: Program = program!("clear");
static OPEN: Program = program!("sessions", "open");
static USE: Program = program!("sessions", "use");
static END: Program = program!("sessions", "end");
static END_USER: Program = program!("sessions", "end_user");
static PUT: Program = program!("put");
static TAKE: Program = program!("take");
static READ_SECRETS: Program = program!("secrets", "read_secrets");
static OFFER_SECRET: Program = program!("secrets", "offer_secret");

/// Where the ticket secrets are.
const TICKET_SECRETS: &str = "sekisho:{tickets}";

/// The state in Redis.
#[derive(Clone)]
pub(super) struct Redis(Arc<Inner>);

struct Inner {
    link: Link,
    /// Attempts have a connection of their own if replicas must have them: who waits for a replica holds up everything
    /// behind, and sessions must not wait.
    attempts: Option<Link>,
    /// What the machine has for the time. Scripts hold it against Redis' own.
    machine: Clock,
    /// Names questions: random bits of this process, then a number.
    process: String,
    next: AtomicU64,
}

/// The parts of an answer, as texts and numbers.
enum Part {
    Text(String),
    Number(i64),
}

impl Redis {
    pub(super) fn new(
        url: &RedisUrl,
        password: Option<&String>,
        authorities: Option<&[u8]>,
        replicas: u32,
        timeout: Duration,
        machine: Clock,
    ) -> Result<Self, Unavailable> {
        let servers = Arc::new(Servers::new(url, password, authorities, timeout));
        let random = getrandom::u64().map_err(|error| Unavailable::new("state", error))?;
        Ok(Self(Arc::new(Inner {
            link: Link::new(servers.clone(), timeout, 0),
            attempts: (replicas > 0).then(|| Link::new(servers, timeout, replicas)),
            machine,
            process: format!("{random:016x}"),
            next: AtomicU64::new(0),
        })))
    }

    pub(super) async fn ping(&self) -> Result<(), Unavailable> {
        self.done(self.question(&PING, 0, vec!["sekisho:{ping}".to_owned()], Vec::new())).await
    }

    pub(super) async fn throttle(&self, key: &str, pace: Pace, now: i64) -> Result<Throttled, Unavailable> {
        let arguments = vec![pace.interval().to_string(), pace.burst().to_string()];
        let question = self.question(&THROTTLE, now, vec![format!("sekisho:{{throttle:{key}}}")], arguments);
        match self.ask(&question).await?.as_slice() {
            [Part::Text(word)] if word == "allowed" => Ok(Throttled::Allowed),
            [Part::Text(word), Part::Number(micros)] if word == "denied" => u64::try_from(*micros)
                .map(|micros| Throttled::Denied(Duration::from_micros(micros)))
                .map_err(|_| nonsense()),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn spend(
        &self,
        limit: &str,
        pace: Pace,
        spent: &[(&str, u32)],
        now: i64,
    ) -> Result<Vec<i64>, Unavailable> {
        // Who counts at another pace counts for themselves. One limit's keys are in one slot, for one script.
        let tag = format!("sekisho:{{rate:{limit}:{}:{}}}", pace.interval(), pace.burst());
        // No address and no ID stands in Redis as it is.
        let keys = spent.iter().map(|(who, _)| format!("{tag}:{}", digest(who))).collect();
        let mut arguments = vec![pace.interval().to_string(), pace.burst().to_string()];
        arguments.extend(spent.iter().map(|(_, count)| count.to_string()));
        let mut question = self.question(&SPEND, now, keys, arguments);
        // What is counted twice refuses somebody for nothing; what isn't counted is known here all the same.
        question.repeatable = false;
        let dues = self.ask(&question).await?.into_iter().map(|part| match part {
            Part::Number(due) => Ok(due),
            Part::Text(_) => Err(nonsense()),
        });
        let dues = dues.collect::<Result<Vec<_>, _>>()?;
        if dues.len() == spent.len() { Ok(dues) } else { Err(nonsense()) }
    }

    pub(super) async fn reserve_attempt(
        &self,
        key: &AttemptKey,
        limit: u32,
        quiet: i64,
        now: i64,
    ) -> Result<Reservation, Unavailable> {
        let arguments = vec![limit.to_string(), quiet.to_string()];
        let question = self.question(&RESERVE, now, vec![attempts(key)], arguments);
        let link = self.0.attempts.as_ref().unwrap_or(&self.0.link);
        match parts(link.ask(&question).await?)?.as_slice() {
            [Part::Text(word)] if word == "exhausted" => Ok(Reservation::Exhausted),
            [Part::Text(word), Part::Number(count)] if word == "reserved" => u32::try_from(*count)
                .ok()
                .filter(|count| (1..=limit).contains(count))
                .map(Reservation::Reserved)
                .ok_or_else(nonsense),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn release_attempt(&self, key: &AttemptKey, now: i64) -> Result<(), Unavailable> {
        let mut question = self.question(&RELEASE, now, vec![attempts(key)], Vec::new());
        // The second time might take back an attempt of somebody else, made in between.
        question.repeatable = false;
        self.done(question).await
    }

    pub(super) async fn clear_attempts(&self, key: &AttemptKey) -> Result<(), Unavailable> {
        self.done(self.question(&CLEAR, 0, vec![attempts(key)], Vec::new())).await
    }

    pub(super) async fn open_session(
        &self,
        key: &SessionKey,
        opening: &Opening<'_>,
        now: i64,
    ) -> Result<OpenedSession, Unavailable> {
        let mut keys = vec![session(key), current(&key.tag)];
        keys.extend(opening.renews.map(session));
        let arguments = vec![
            key.hash.to_string(),
            opening.record.to_owned(),
            opening.created.to_string(),
            opening.lasts.idle.to_string(),
            opening.lasts.absolute.to_string(),
            u8::from(opening.may_replace).to_string(),
            sessions(&key.tag),
            opening.renews.map(|renewed| renewed.hash.to_string()).unwrap_or_default(),
        ];
        match self.ask(&self.question(&OPEN, now, keys, arguments)).await?.as_slice() {
            [Part::Text(word)] if word == "opened" => Ok(OpenedSession::Opened),
            [Part::Text(word)] if word == "occupied" => Ok(OpenedSession::Occupied),
            [Part::Text(word)] if word == "gone" => Ok(OpenedSession::Gone),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn use_session(
        &self,
        key: &SessionKey,
        lasts: Lasts,
        counts: bool,
        now: i64,
    ) -> Result<FoundSession, Unavailable> {
        let keys = vec![session(key), current(&key.tag)];
        let arguments = vec![
            key.hash.to_string(),
            lasts.idle.to_string(),
            lasts.absolute.to_string(),
            u8::from(counts).to_string(),
        ];
        match self.ask(&self.question(&USE, now, keys, arguments)).await?.as_slice() {
            [Part::Text(word)] if word == "unknown" => Ok(FoundSession::Unknown),
            [Part::Text(word), Part::Text(code)] if word == "over" => read_end(code),
            [Part::Text(word), Part::Text(record)] if word == "live" => read_record(record),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn end_session(
        &self,
        key: &SessionKey,
        end: SessionEnd,
        now: i64,
    ) -> Result<(), Unavailable> {
        self.done(self.question(&END, now, vec![session(key)], vec![end.code().to_owned()])).await
    }

    pub(super) async fn end_user(&self, tag: &UserTag, end: SessionEnd, now: i64) -> Result<(), Unavailable> {
        let arguments = vec![end.code().to_owned(), sessions(tag)];
        self.done(self.question(&END_USER, now, vec![current(tag)], arguments)).await
    }

    pub(super) async fn put_code(
        &self,
        hash: &str,
        value: &str,
        lasts: i64,
        now: i64,
    ) -> Result<(), Unavailable> {
        self.done(self.question(&PUT, now, vec![code(hash)], vec![value.to_owned(), lasts.to_string()])).await
    }

    pub(super) async fn take_code(&self, hash: &str, now: i64) -> Result<Option<String>, Unavailable> {
        let mut question = self.question(&TAKE, now, vec![code(hash)], Vec::new());
        // The second answer would be that there is none.
        question.repeatable = false;
        let mut answer = self.ask(&question).await?;
        match (answer.pop(), answer.pop(), answer.pop()) {
            (Some(Part::Text(word)), None, None) if word == "none" => Ok(None),
            (Some(Part::Text(value)), Some(Part::Text(word)), None) if word == "value" => Ok(Some(value)),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn ticket_secrets(&self, now: i64) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let question = self.question(&READ_SECRETS, now, vec![TICKET_SECRETS.to_owned()], Vec::new());
        secrets(self.ask(&question).await?)
    }

    pub(super) async fn offer_ticket_secret(
        &self,
        offer: &TicketSecretOffer<'_>,
        now: i64,
    ) -> Result<Vec<StoredTicketSecret>, Unavailable> {
        let numbers = [millis(offer.lasts), MOST_TICKET_SECRETS, millis(offer.replaced_last)];
        let mut arguments = vec![offer.secret.id.clone(), offer.secret.sealed.clone()];
        arguments.extend(numbers.map(|number| number.to_string()));
        arguments.push(offer.replaces.len().to_string());
        arguments.extend(offer.replaces.iter().chain(offer.others).cloned());
        let question = self.question(&OFFER_SECRET, now, vec![TICKET_SECRETS.to_owned()], arguments);
        secrets(self.ask(&question).await?)
    }

    fn question(
        &self,
        program: &'static Program,
        now: i64,
        keys: Vec<String>,
        rest: Vec<String>,
    ) -> Question {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let machine = self.0.machine.now().as_millisecond();
        let mut arguments = vec![format!("{now} {machine}")];
        arguments.extend(rest);
        Question {
            script: &program.script,
            text: program.text,
            op: format!("{}-{number}", self.0.process),
            keys,
            arguments,
            repeatable: true,
        }
    }

    async fn ask(&self, question: &Question) -> Result<Vec<Part>, Unavailable> {
        parts(self.0.link.ask(question).await?)
    }

    async fn done(&self, question: Question) -> Result<(), Unavailable> {
        match self.ask(&question).await?.as_slice() {
            [Part::Text(word)] if word == "done" => Ok(()),
            _ => Err(nonsense()),
        }
    }
}

/// Half of a SHA-256, in hexadecimal.
fn digest(text: &str) -> String {
    Sha256::digest(text)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attempts(key: &AttemptKey) -> String {
    format!("sekisho:{{{}}}:attempts:{}", key.tag.as_str(), u8::from(key.proven))
}

/// What the keys of a user's sessions begin with.
fn sessions(tag: &UserTag) -> String {
    format!("sekisho:{{{}}}:session:", tag.as_str())
}

fn session(key: &SessionKey) -> String {
    format!("{}{}", sessions(&key.tag), key.hash)
}

/// Where the hash of the user's current session is.
fn current(tag: &UserTag) -> String {
    format!("sekisho:{{{}}}:current", tag.as_str())
}

fn code(hash: &str) -> String {
    format!("sekisho:{{code:{hash}}}")
}

/// The ticket secrets of an answer: ID and sealed secret of each.
fn secrets(parts: Vec<Part>) -> Result<Vec<StoredTicketSecret>, Unavailable> {
    let mut parts = parts.into_iter();
    if !matches!(parts.next(), Some(Part::Text(word)) if word == "secrets") {
        return Err(nonsense());
    }
    let mut found = Vec::new();
    loop {
        match (parts.next(), parts.next()) {
            (Some(Part::Text(id)), Some(Part::Text(sealed))) => found.push(StoredTicketSecret { id, sealed }),
            (None, _) => return Ok(found),
            _ => return Err(nonsense()),
        }
    }
}

fn parts(values: Vec<Value>) -> Result<Vec<Part>, Unavailable> {
    let part = |value| match value {
        Value::BulkString(text) => String::from_utf8(text).map(Part::Text).map_err(|_| nonsense()),
        Value::Int(number) => Ok(Part::Number(number)),
        _ => Err(nonsense()),
    };
    values.into_iter().map(part).collect()
}

fn nonsense() -> Unavailable {
    Unavailable::new("state", "Redis: an answer that makes no sense")
}
