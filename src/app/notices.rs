//! Notices: the mailer from the configuration, and the loop that sends.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Document, Mail, Problem};
use crate::flows::{Mailer, MailerPart, NoticeSettings, Notices, Templates};
use crate::ops::Metrics;
use crate::stores::Directory;

/// How often it is looked whether something is to be sent.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked which credentials expire soon, in seconds.
const REMIND: i64 = 600;

/// What is wrong with `mail`, and with the files that it names.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let Some(mail) = &document.config.mail else { return Vec::new() };
    open(mail).err().map(|(pointer, message)| document.source.problem(pointer, message)).into_iter().collect()
}

fn open(mail: &Mail) -> Result<(Mailer, Templates), (&'static str, String)> {
    let mailer = Mailer::open(mail).map_err(|(part, message)| {
        let pointer = match part {
            MailerPart::Smtp => "/mail/smtp",
            MailerPart::Authorities => "/mail/authorities",
            MailerPart::Password => "/mail/password_file",
            MailerPart::From => "/mail/from",
        };
        (pointer, message)
    })?;
    let templates = mail.templates.as_deref().map(Templates::read).transpose();
    Ok((mailer, templates.map_err(|message| ("/mail/templates", message))?.unwrap_or_default()))
}

/// What sends notices; `None` where nothing in the configuration says how.
pub(super) fn notices(
    mail: Option<&Mail>,
    directory: &Directory,
    clock: &Clock,
    metrics: &Metrics,
) -> Option<Notices> {
    // It was looked at with the rest of the configuration.
    let (mailer, templates) = open(mail?).ok()?;
    let (sent, failures) = (metrics.notices_sent.clone(), metrics.notice_failures.clone());
    Some(Notices::new(NoticeSettings {
        directory: directory.clone(),
        mailer,
        templates,
        clock: clock.clone(),
        observer: Box::new(move |kind| match kind {
            Some(kind) => sent.with_label_values(&[kind.code()]).inc(),
            None => failures.inc(),
        }),
    }))
}

/// Sends what is to be sent, until that is no longer wanted; without `notices` only counts it. Never stops in the middle
/// of a mail, whose fate nobody would know then.
pub(super) async fn follow(
    notices: Option<Notices>,
    directory: Directory,
    clock: Clock,
    metrics: Metrics,
    mut wanted: watch::Receiver<()>,
) {
    let mut reminded: Option<Timestamp> = None;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = wanted.changed() => return,
        }
        let now = clock.now();
        if let Some(notices) = &notices {
            if reminded.is_none_or(|last| (now.as_second() - last.as_second()).abs() >= REMIND) {
                match notices.remind().await {
                    Ok(_) => reminded = Some(now),
                    Err(unavailable) => tracing::warn!(%unavailable, "Reminders can't be written"),
                }
            }
            if let Err(unavailable) = notices.send_due().await {
                tracing::warn!(%unavailable, "Notices can't be sent");
            }
        }
        if let Ok(counts) = directory.count_notices().await {
            for (state, count) in
                [("waiting", counts.waiting), ("uncertain", counts.uncertain), ("dropped", counts.dropped)]
            {
                #[expect(clippy::cast_precision_loss, reason = "notices are far fewer than 2^53")]
                metrics.notices.with_label_values(&[state]).set(count as f64);
            }
            let waits = counts.oldest.map_or(0, |oldest| now.as_second() - oldest.as_second());
            metrics.notices_oldest.set(waits.max(0));
        }
    }
}
