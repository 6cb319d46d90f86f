//! Sending notices, each once and only once, however many gateways there are and whatever dies in between.
//!
//! A gateway claims a notice, goes through the conversation with the mail server up to the point of no return, and only
//! then says so in the directory and sends the text. What fails before that is certainly not sent, and tried again. When a
//! connection is lost after it, nobody can say whether the mail arrived: SMTP has no way to ask (RFC 5321, section
//! 4.2.5 and 6.1). Such a notice becomes uncertain, and bank staff decide; a second mail to a customer, or none, is
//! nothing that a program should choose.

mod mailer;
mod templates;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;
use crate::domain::NoticeKind;
use crate::stores::{Directory, Notice, Unavailable};

use mailer::{Connection, Trouble};
pub use mailer::{Mailer, MailerPart};
pub use templates::Templates;

/// From so long before its end a credential's administrator is reminded.
const SOON: Duration = Duration::from_secs(30 * 86_400);
/// And once more.
const VERY_SOON: Duration = Duration::from_secs(10 * 86_400);
/// How long a claim lasts. The conversation with the mail server is over by then, or given up.
const CLAIM: SignedDuration = SignedDuration::from_mins(10);
/// How long it is waited before the directory is told again that a notice was sent.
const AGAIN: Duration = Duration::from_secs(1);
/// After so long of failures a notice is given up.
const PATIENCE: SignedDuration = SignedDuration::from_hours(72);
/// The first and the longest time until the next try, in seconds.
const BACK_OFF: (i64, i64) = (60, 3600);

/// What sending is built from.
pub struct NoticeSettings {
    /// The durable store.
    pub directory: Directory,
    /// What speaks to the mail server.
    pub mailer: Mailer,
    /// The texts.
    pub templates: Templates,
    /// The time.
    pub clock: Clock,
    /// Told of every notice that was sent, or (`None`) that wasn't.
    pub observer: Box<dyn Fn(Option<NoticeKind>) + Send + Sync>,
}

/// Sends notices.
pub struct Notices {
    settings: NoticeSettings,
}

impl Notices {
    /// Puts it together.
    pub const fn new(settings: NoticeSettings) -> Self {
        Self { settings }
    }

    /// Writes the notices of credentials that expire soon. How many there were.
    pub async fn remind(&self) -> Result<u64, Unavailable> {
        self.settings.directory.remind(SOON, VERY_SOON, self.now()).await
    }

    /// Sends what is due, one after the other over one connection. How many were sent. Ends when nothing is due, or when
    /// the mail server can't be reached.
    pub async fn send_due(&self) -> Result<u32, Unavailable> {
        let (mut connection, mut sent) = (None, 0);
        loop {
            let now = self.now();
            let until = now.checked_add(CLAIM).unwrap_or(Timestamp::MAX);
            let Some(notice) = self.settings.directory.claim_notice(now, until).await? else { break };
            match self.send(&notice, &mut connection).await? {
                Sent::Yes => sent += 1,
                Sent::No => {}
                Sent::Unreachable => break,
            }
        }
        if let Some(connection) = connection {
            connection.quit().await;
        }
        Ok(sent)
    }

    async fn send(&self, notice: &Notice, connection: &mut Option<Connection>) -> Result<Sent, Unavailable> {
        let Settings { directory, mailer, templates, observer, .. } = &self.settings;
        let contract = directory.contract(&notice.identity.contract).await?;
        let name = contract.map_or_else(String::new, |contract| contract.name);
        let mail = match mailer.compose(notice, &templates.render(notice, &name)) {
            Ok(mail) => mail,
            Err(problem) => {
                observer(None);
                directory.notice_failed(notice, &problem, None).await?;
                return Ok(Sent::No);
            }
        };
        let mut open = match connection.take() {
            Some(open) => open,
            None => match mailer.connect().await {
                Ok(open) => open,
                Err(trouble) => return self.failed(notice, &trouble, true).await,
            },
        };
        if let Err(trouble) = open.prepare(&mail).await {
            let is_refusal = trouble.is_answer;
            if is_refusal && open.reset().await {
                *connection = Some(open);
            }
            return self.failed(notice, &trouble, !is_refusal).await;
        }
        if !directory.begin_sending(notice, self.now()).await? {
            // The server waits for a text that doesn't come; with the connection it forgets that.
            return Ok(Sent::No);
        }
        match open.finish(&mail).await {
            Ok(()) => {
                *connection = Some(open);
                self.sent(notice).await?;
                observer(Some(notice.kind));
                Ok(Sent::Yes)
            }
            Err(trouble) if trouble.is_answer => self.failed(notice, &trouble, false).await,
            Err(trouble) => {
                observer(None);
                tracing::error!(
                    notice = notice.number,
                    problem = trouble.problem,
                    "The mail server was lost while it took a notice: nobody can say whether it arrived"
                );
                Ok(Sent::Unreachable)
            }
        }
    }

    /// It has arrived. Unsaid, that would be uncertain: where the directory is away, it is told as long as the claim lasts.
    async fn sent(&self, notice: &Notice) -> Result<(), Unavailable> {
        loop {
            let now = self.now();
            match self.settings.directory.notice_sent(notice, now).await {
                Err(_) if notice.claimed_until.is_some_and(|until| now < until) => {
                    tokio::time::sleep(AGAIN).await;
                }
                told => return told,
            }
        }
    }

    /// It was certainly not sent.
    async fn failed(
        &self,
        notice: &Notice,
        trouble: &Trouble,
        unreachable: bool,
    ) -> Result<Sent, Unavailable> {
        (self.settings.observer)(None);
        let now = self.now();
        let waited = now.duration_since(notice.created_at);
        let next = (!trouble.is_final && waited < PATIENCE).then(|| later(now, notice.attempts));
        tracing::warn!(notice = notice.number, problem = trouble.problem, "A notice was not sent");
        self.settings.directory.notice_failed(notice, &trouble.problem, next).await?;
        Ok(if unreachable { Sent::Unreachable } else { Sent::No })
    }

    fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }
}

use NoticeSettings as Settings;

/// What became of one notice.
enum Sent {
    Yes,
    No,
    /// There is no mail server to send the next one to.
    Unreachable,
}

/// Twice as long with each try, up to an hour.
fn later(now: Timestamp, attempts: u32) -> Timestamp {
    let (first, longest) = BACK_OFF;
    let seconds = first.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(longest);
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn tries_are_ever_further_apart_up_to_an_hour() {
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let waits = [1, 2, 3, 7, 60].map(|attempts| later(now, attempts).duration_since(now).as_secs());
        assert_eq!(waits, [60, 120, 240, 3600, 3600]);
    }
}
