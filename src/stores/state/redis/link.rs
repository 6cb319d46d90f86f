//! One connection to Redis, made when it is needed and made anew when it broke, and how a question is asked on it.
//!
//! Nobody waits longer than the deadline, and everybody who needs the connection waits for the same attempt to make it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, Script, ServerErrorKind, Value};

use super::connect::{CONNECTING, Connection, Servers};
use crate::stores::Unavailable;

/// What is asked: a script with its keys and arguments.
pub(super) struct Question {
    pub(super) script: &'static Script,
    pub(super) text: &'static str,
    /// Names the question; its answer repeats it.
    pub(super) op: String,
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
    /// Whether it may be asked again when its answer was lost.
    pub(super) repeatable: bool,
}

/// A connection that is always there, or an error in time.
pub(super) struct Link {
    servers: Arc<Servers>,
    timeout: Duration,
    /// How many replicas must have what was written.
    replicas: u32,
    slot: Mutex<Slot>,
}

type Connecting = Shared<BoxFuture<'static, Result<Connection, Unavailable>>>;

#[derive(Default)]
struct Slot {
    /// Which connection this is, so that nobody throws away a newer one than they used.
    number: u64,
    connecting: Option<Connecting>,
}

/// Why there is no answer.
enum Trouble {
    /// There is no connection.
    Unconnected(Unavailable),
    /// Redis, or the way to it.
    Redis(RedisError),
    /// Only so many replicas have it.
    Few(i64),
    /// The answer isn't one to this question.
    Nonsense,
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl Link {
    pub(super) fn new(servers: Arc<Servers>, timeout: Duration, replicas: u32) -> Self {
        Self { servers, timeout, replicas, slot: Mutex::default() }
    }

    /// Asks; the answer comes without the question's name.
    pub(super) async fn ask(&self, question: &Question) -> Result<Vec<Value>, Unavailable> {
        let mut used = None;
        let answer = tokio::time::timeout(self.timeout, self.ask_twice(question, &mut used)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(trouble)) => Err(self.explain(trouble)),
            Err(_) => {
                // Everything behind an answer that doesn't come waits, too.
                if let Some(number) = used {
                    self.discard(number);
                }
                Err(unavailable(format!("no answer within {:?}", self.timeout)))
            }
        }
    }

    async fn ask_twice(&self, question: &Question, used: &mut Option<u64>) -> Result<Vec<Value>, Trouble> {
        let first = self.ask_once(question, used).await;
        let again = match &first {
            // What a replica refuses has not happened. A primary was demoted: ask the next one.
            Err(Trouble::Redis(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                true
            }
            // A server that restarted, or closed an idle connection.
            Err(Trouble::Redis(error)) => question.repeatable && error.is_connection_dropped(),
            _ => false,
        };
        if again { self.ask_once(question, used).await } else { first }
    }

    async fn ask_once(&self, question: &Question, used: &mut Option<u64>) -> Result<Vec<Value>, Trouble> {
        let (number, connecting) = self.current();
        *used = None;
        let mut connection = connecting.await.map_err(|error| {
            self.discard(number);
            Trouble::Unconnected(error)
        })?;
        // A cluster's connection looks after itself: one slow server must not cost the others theirs.
        *used = matches!(connection, Connection::Server(_)).then_some(number);
        let answer = self.run(question, &mut connection).await;
        if let Err(trouble) = &answer
            && spoils(trouble, &connection)
        {
            self.discard(number);
        }
        answer
    }

    async fn run(&self, question: &Question, connection: &mut Connection) -> Result<Vec<Value>, Trouble> {
        let answer = if self.replicas == 0 {
            match question.short().query_async(connection).await {
                Err(error) if lacks_script(&error) => question.long().query_async(connection).await?,
                answer => answer?,
            }
        } else {
            let pipeline = match self.pipeline(question.short()).query_async(connection).await {
                Err(error) if lacks_script(&error) => {
                    self.pipeline(question.long()).query_async(connection).await
                }
                // Pipelines don't follow a slot that moves: a plain question does, and is remembered by its name.
                Err(error) if error.is_cluster_error() => {
                    let _: Value = question.long().query_async(connection).await?;
                    self.pipeline(question.long()).query_async(connection).await
                }
                answer => answer,
            };
            self.acknowledged(pipeline?)?
        };
        question.check(answer).ok_or(Trouble::Nonsense)
    }

    /// The question and a wait for the replicas, in one piece on one connection: WAIT speaks for what its own connection
    /// wrote before.
    fn pipeline(&self, question: Cmd) -> Pipeline {
        let mut pipeline = redis::pipe();
        // It ends before the deadline of whoever asks, also when the script has to be brought first: the answer says how
        // many there were.
        let patience = u64::try_from(self.timeout.as_millis() * 2 / 5).unwrap_or(u64::MAX).max(1);
        pipeline.add_command(question).cmd("WAIT").arg(self.replicas).arg(patience);
        pipeline
    }

    fn acknowledged(&self, answers: Vec<Value>) -> Result<Value, Trouble> {
        let [answer, Value::Int(replicas)] =
            <[Value; 2]>::try_from(answers).map_err(|_| Trouble::Nonsense)?
        else {
            return Err(Trouble::Nonsense);
        };
        // A refusal wrote nothing that could be lost.
        let refused = matches!(&answer, Value::Array(parts) if word(parts) == Some(b"exhausted"));
        if refused || replicas >= i64::from(self.replicas) { Ok(answer) } else { Err(Trouble::Few(replicas)) }
    }

    /// The connection, or the attempt to make one.
    fn current(&self) -> (u64, Connecting) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        // An attempt that failed when nobody waited for it any more is nobody's answer.
        let failed = slot.connecting.as_ref().is_some_and(|made| matches!(made.peek(), Some(Err(_))));
        if slot.connecting.is_none() || failed {
            slot.number += 1;
            slot.connecting = Some(self.connecting());
        }
        (slot.number, slot.connecting.clone().unwrap_or_else(|| self.connecting()))
    }

    /// Connects in a task of its own, which goes on when whoever waits for it gives up.
    fn connecting(&self) -> Connecting {
        let servers = self.servers.clone();
        let task =
            tokio::spawn(
                async move { tokio::time::timeout(CONNECTING, async { servers.connect().await }).await },
            );
        let made = async {
            match task.await {
                Ok(Ok(Ok(connection))) => Ok(connection),
                Ok(Ok(Err(error))) => Err(unavailable(describe(&error))),
                Ok(Err(_)) => Err(unavailable(format!("no connection within {CONNECTING:?}"))),
                Err(_) => Err(unavailable("connecting was given up".to_owned())),
            }
        };
        made.boxed().shared()
    }

    fn discard(&self, number: u64) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.number == number {
            slot.connecting = None;
        }
    }

    fn explain(&self, trouble: Trouble) -> Unavailable {
        match trouble {
            Trouble::Unconnected(error) => error,
            Trouble::Redis(error) => unavailable(describe(&error)),
            Trouble::Few(have) => {
                unavailable(format!("{have} of {} replicas have the attempt", self.replicas))
            }
            Trouble::Nonsense => unavailable("an answer that makes no sense".to_owned()),
        }
    }
}

impl Question {
    /// The script by its hash.
    fn short(&self) -> Cmd {
        self.command("EVALSHA", self.script.get_hash())
    }

    /// The script as text: the server knows it by its hash afterwards.
    fn long(&self) -> Cmd {
        self.command("EVAL", self.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.op).arg(&self.arguments);
        command
    }

    /// What is answered, if it is an answer to this question and not to another one.
    fn check(&self, answer: Value) -> Option<Vec<Value>> {
        let Value::Array(mut parts) = answer else { return None };
        let named = matches!(parts.first(), Some(Value::BulkString(op)) if *op == self.op.as_bytes());
        (named && parts.len() >= 2).then(|| parts.split_off(1))
    }
}

/// The word that an answer begins with, behind the question's name.
fn word(parts: &[Value]) -> Option<&[u8]> {
    match parts.get(1) {
        Some(Value::BulkString(word)) => Some(word),
        _ => None,
    }
}

fn lacks_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether a connection is no good after this.
fn spoils(trouble: &Trouble, connection: &Connection) -> bool {
    let server = matches!(connection, Connection::Server(_));
    match trouble {
        Trouble::Unconnected(_) => false,
        Trouble::Nonsense => true,
        // Perhaps a primary that was cut off, and another one has taken over.
        Trouble::Few(_) => server,
        Trouble::Redis(error) => match error.kind() {
            ErrorKind::Server(kind) => {
                use ServerErrorKind::{BusyLoading, MasterDown, Moved, NoPerm, ReadOnly};
                // A cluster's connection follows a slot by itself: one that lost it learns the slots anew.
                matches!(kind, Moved)
                    || server && matches!(kind, ReadOnly | MasterDown | BusyLoading | NoPerm)
            }
            // `NOAUTH` and its like: the password was changed.
            ErrorKind::Extension => server,
            ErrorKind::ClusterConnectionNotFound => true,
            _ => server,
        },
    }
}

/// What happened, without the server's own words: they may repeat what it was told, the password among it.
fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => error.to_string(),
        _ => {
            match error.code().filter(|code| code.len() < 20 && code.bytes().all(|b| b.is_ascii_uppercase()))
            {
                Some(code) => format!("Redis says {code}"),
                None => error.category().to_owned(),
            }
        }
    }
}

fn unavailable(problem: String) -> Unavailable {
    Unavailable::new("state", format!("Redis: {problem}"))
}
