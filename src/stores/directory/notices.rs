//! Notices: the outbox. A notice is written in the transaction of its reason, one row for each mail address, and
//! claimed by one gateway at a time until it is sent.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::lease::Lease;
use super::values::{identity, language, notice_kind, optional_time, time};
use super::{Directory, Notice, NoticeCounts, NoticeQuery, NoticeState};
use crate::domain::{Identity, NoticeKind};
use crate::stores::Unavailable;

/// What a notice is about, and what makes it that one and no other.
pub(super) struct About<'a> {
    kind: NoticeKind,
    identity: &'a Identity,
    /// The credential's fingerprint, or the change's number.
    occasion: String,
    credential: Option<(&'a str, &'a str, i64)>,
}

impl<'a> About<'a> {
    /// About a credential: its fingerprint, serial number and notAfter.
    pub(super) fn credential(
        kind: NoticeKind,
        identity: &'a Identity,
        fingerprint: &'a str,
        serial: &'a str,
        not_after: i64,
    ) -> Self {
        let credential = Some((fingerprint, serial, not_after));
        Self { kind, identity, occasion: fingerprint.to_owned(), credential }
    }

    /// About a change of a user.
    pub(super) fn change(kind: NoticeKind, identity: &'a Identity, change: i64) -> Self {
        Self { kind, identity, occasion: change.to_string(), credential: None }
    }
}

/// One for every administrator of the contract who has a mail address. An address gets each but once.
pub(super) async fn tell_administrators(
    lease: &mut Lease,
    about: &About<'_>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    insert(lease, about, "role = 'administrator' AND user_id <> $3", "", now).await
}

/// One for the user whom it is about, if they have a mail address.
pub(super) async fn tell_user(
    lease: &mut Lease,
    about: &About<'_>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    insert(lease, about, "user_id = $3", about.identity.user.as_str(), now).await
}

async fn insert(
    lease: &mut Lease,
    about: &About<'_>,
    whom: &'static str,
    user: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let (fingerprint, serial, not_after) = match about.credential {
        Some((fingerprint, serial, not_after)) => (Some(fingerprint), Some(serial), Some(not_after)),
        None => (None, None, None),
    };
    // Whoever writes one has its turn by the change's number, so that no number is given twice.
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO notices (number, occasion, kind, contract_id, user_id, mail, language, fingerprint, serial, \
         not_after, created_at, state, attempts, due_at) \
         SELECT (SELECT COALESCE(MAX(number), 0) FROM notices) + ROW_NUMBER() OVER (ORDER BY user_id), \
         $4 || ':' || $5 || ':' || mail, $4, $1, $2, mail, language, $6, $7, $8, $9, 'waiting', 0, $9 \
         FROM users WHERE contract_id = $1 AND mail IS NOT NULL AND {whom} ON CONFLICT (occasion) DO NOTHING"
    )))
    .bind(about.identity.contract.as_str())
    .bind(about.identity.user.as_str())
    .bind(user)
    .bind(about.kind.code())
    .bind(about.occasion.as_str())
    .bind(fingerprint)
    .bind(serial)
    .bind(not_after)
    .bind(now.as_second())
    .execute(&mut **lease)
    .await
    .map(drop)
}

#[derive(sqlx::FromRow)]
struct Row {
    number: i64,
    kind: String,
    contract_id: String,
    user_id: String,
    mail: String,
    language: String,
    serial: Option<String>,
    not_after: Option<i64>,
    created_at: i64,
    state: String,
    attempts: i64,
    claimed_until: Option<i64>,
    due_at: Option<i64>,
    sent_at: Option<i64>,
    problem: Option<String>,
}

const COLUMNS: &str = "number, kind, contract_id, user_id, mail, language, serial, not_after, created_at, state, \
     attempts, claimed_until, due_at, sent_at, problem";

/// That the credential of a notice `n` is live, and the last of its user's to end.
const STILL_EXPIRES: &str = "EXISTS (SELECT 1 FROM credentials k WHERE k.fingerprint = notices.fingerprint \
     AND k.acquired_at IS NOT NULL AND k.revoked_at IS NULL AND k.retired_at IS NULL AND k.not_after >= $3 \
     AND NOT EXISTS (SELECT 1 FROM credentials l WHERE l.contract_id = k.contract_id AND l.user_id = k.user_id \
     AND l.not_after > k.not_after AND l.acquired_at IS NOT NULL AND l.revoked_at IS NULL AND l.retired_at IS NULL))";

impl Row {
    fn notice(self) -> Result<Notice, Unavailable> {
        let state = match self.state.as_str() {
            "waiting" => NoticeState::Waiting,
            // Who sends it has just begun, or has died without anybody having noticed.
            "sending" | "uncertain" => NoticeState::Uncertain,
            "sent" => NoticeState::Sent,
            _ => NoticeState::Dropped,
        };
        Ok(Notice {
            number: self.number,
            kind: notice_kind(&self.kind)?,
            identity: identity(&self.contract_id, &self.user_id)?,
            mail: self.mail,
            language: language(&self.language)?,
            not_after: optional_time(self.not_after)?,
            serial: self.serial,
            created_at: time(self.created_at)?,
            state,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            claimed_until: optional_time(self.claimed_until)?,
            due_at: optional_time(self.due_at)?,
            sent_at: optional_time(self.sent_at)?,
            problem: self.problem,
        })
    }
}

impl Directory {
    /// Writes the notices of credentials that expire soon: for each live one that has `soon` or less to go (or
    /// `very_soon`: then only that one), and no other of its user that lasts longer, one to every administrator of the
    /// contract with a mail address; once per credential, kind and address for ever. Returns how many were written.
    pub async fn remind(
        &self,
        soon: Duration,
        very_soon: Duration,
        now: Timestamp,
    ) -> Result<u64, Unavailable> {
        let (soon, very_soon) = (later(now, soon), later(now, very_soon));
        let mut written = 0;
        for (kind, from, until) in
            [(NoticeKind::ExpiryVerySoon, now, very_soon), (NoticeKind::ExpirySoon, very_soon, soon)]
        {
            // The end itself belongs to the shorter lead.
            let from = if kind == NoticeKind::ExpirySoon { from.as_second() + 1 } else { from.as_second() };
            written += self.remind_of(kind, from, until.as_second(), now).await?;
        }
        Ok(written)
    }

    async fn remind_of(
        &self,
        kind: NoticeKind,
        from: i64,
        until: i64,
        now: Timestamp,
    ) -> Result<u64, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                // Its turn, like everybody's who writes notices; no registry need hear of it.
                sqlx::query("UPDATE changes SET number = number").execute(&mut *lease).await?;
                let done = sqlx::query(
                    "INSERT INTO notices (number, occasion, kind, contract_id, user_id, mail, language, \
                     fingerprint, serial, not_after, created_at, state, attempts, due_at) \
                     SELECT (SELECT COALESCE(MAX(number), 0) FROM notices) \
                     + ROW_NUMBER() OVER (ORDER BY k.not_after, k.fingerprint, a.user_id), \
                     $1 || ':' || k.fingerprint || ':' || a.mail, $1, k.contract_id, k.user_id, a.mail, \
                     a.language, k.fingerprint, k.serial, k.not_after, $4, 'waiting', 0, $4 \
                     FROM credentials k JOIN users a ON a.contract_id = k.contract_id \
                     AND a.role = 'administrator' AND a.mail IS NOT NULL \
                     WHERE k.not_after >= $2 AND k.not_after <= $3 AND k.acquired_at IS NOT NULL \
                     AND k.revoked_at IS NULL AND k.retired_at IS NULL \
                     AND NOT EXISTS (SELECT 1 FROM credentials l WHERE l.contract_id = k.contract_id \
                     AND l.user_id = k.user_id AND l.not_after > k.not_after AND l.acquired_at IS NOT NULL \
                     AND l.revoked_at IS NULL AND l.retired_at IS NULL) \
                     AND NOT EXISTS (SELECT 1 FROM notices n \
                     WHERE n.occasion = $1 || ':' || k.fingerprint || ':' || a.mail) \
                     ON CONFLICT (occasion) DO NOTHING",
                )
                .bind(kind.code())
                .bind(from)
                .bind(until)
                .bind(now.as_second())
                .execute(&mut *lease)
                .await?;
                lease.commit().await?;
                Ok(done.rows_affected())
            })
            .await
    }

    /// Claims the oldest notice that is due, until `until`: nobody else gets it before. What is about to be sent must then
    /// be said by [`Self::begin_sending`]. One that was being sent when its claim ran out becomes uncertain.
    pub async fn claim_notice(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Notice>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                sqlx::query(
                    "UPDATE notices SET state = 'uncertain', claimed_until = NULL, due_at = NULL, \
                     problem = 'whoever sent it did not come back' \
                     WHERE state = 'sending' AND claimed_until < $1",
                )
                .bind(now.as_second())
                .execute(&mut *lease)
                .await?;
                let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "UPDATE notices SET claimed_until = $2, attempts = attempts + 1 WHERE number = \
                     (SELECT number FROM notices WHERE state = 'waiting' AND due_at <= $1 \
                     AND (claimed_until IS NULL OR claimed_until < $1) ORDER BY due_at, number LIMIT 1) \
                     AND state = 'waiting' AND (claimed_until IS NULL OR claimed_until < $1) RETURNING {COLUMNS}"
                )))
                .bind(now.as_second())
                .bind(until.as_second())
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.into_iter().next().map(Row::notice).transpose()
            })
            .await
    }

    /// The point of no return: the very next thing is that the mail server gets the mail. False if somebody else has
    /// claimed it meanwhile, or its reason is gone (the credential was renewed or revoked): then it mustn't be sent.
    pub async fn begin_sending(&self, notice: &Notice, now: Timestamp) -> Result<bool, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.write().await?;
                let mine = "number = $1 AND attempts = $2 AND state = 'waiting' AND claimed_until >= $3";
                let expires = "kind IN ('expiry_soon', 'expiry_very_soon')";
                let gone = format!("{expires} AND NOT {STILL_EXPIRES}");
                let mut rows = Vec::new();
                for (state, problem, condition) in
                    [("dropped", Some("its reason is gone"), gone.as_str()), ("sending", None, "1 = 1")]
                {
                    let done = sqlx::query(sqlx::AssertSqlSafe(format!(
                        "UPDATE notices SET state = $4, problem = $5 WHERE {mine} AND {condition}"
                    )))
                    .bind(notice.number)
                    .bind(i64::from(notice.attempts))
                    .bind(now.as_second())
                    .bind(state)
                    .bind(problem)
                    .execute(&mut *lease)
                    .await?;
                    rows.push(done.rows_affected());
                }
                lease.commit().await?;
                Ok(rows == [0, 1])
            })
            .await
    }

    /// The mail server has taken it.
    pub async fn notice_sent(&self, notice: &Notice, now: Timestamp) -> Result<(), Unavailable> {
        self.settle(
            "UPDATE notices SET state = 'sent', sent_at = $3, claimed_until = NULL, due_at = NULL, problem = $4 \
             WHERE number = $1 AND attempts = $2 AND state IN ('sending', 'uncertain')",
            notice,
            Some(now),
            None,
        )
        .await
    }

    /// The mail server certainly hasn't taken it: it is due again at `next`, or (`None`) given up.
    pub async fn notice_failed(
        &self,
        notice: &Notice,
        problem: &str,
        next: Option<Timestamp>,
    ) -> Result<(), Unavailable> {
        let statement = match next {
            Some(_) => {
                "UPDATE notices SET state = 'waiting', due_at = $3, claimed_until = NULL, problem = $4 \
                 WHERE number = $1 AND attempts = $2 AND state IN ('waiting', 'sending')"
            }
            None => {
                "UPDATE notices SET state = 'dropped', due_at = $3, claimed_until = NULL, problem = $4 \
                 WHERE number = $1 AND attempts = $2 AND state IN ('waiting', 'sending')"
            }
        };
        self.settle(statement, notice, next, Some(problem)).await
    }

    async fn settle(
        &self,
        statement: &'static str,
        notice: &Notice,
        time: Option<Timestamp>,
        problem: Option<&str>,
    ) -> Result<(), Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                sqlx::query(statement)
                    .bind(notice.number)
                    .bind(i64::from(notice.attempts))
                    .bind(time.map(Timestamp::as_second))
                    .bind(problem)
                    .execute(&mut *lease)
                    .await?;
                lease.done();
                Ok(())
            })
            .await
    }

    /// Notices for a command, the newest first.
    pub async fn notices(&self, query: &NoticeQuery) -> Result<Vec<Notice>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                    "SELECT {COLUMNS} FROM notices WHERE ($1 IS NULL OR contract_id = $1) \
                     AND ($2 = 0 OR state <> 'sent') ORDER BY number DESC LIMIT $3"
                )))
                .bind(query.contract.as_ref().map(crate::domain::ContractId::as_str))
                .bind(i64::from(query.unsent))
                .bind(i64::from(query.limit))
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                rows.into_iter().map(Row::notice).collect()
            })
            .await
    }

    /// One notice of the outbox.
    pub async fn notice(&self, number: i64) -> Result<Option<Notice>, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let found = format!("SELECT {COLUMNS} FROM notices WHERE number = $1");
                let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(found))
                    .bind(number)
                    .fetch_optional(&mut *lease)
                    .await?;
                lease.done();
                row.map(Row::notice).transpose()
            })
            .await
    }

    /// Bank staff decide: an uncertain or dropped notice is due once more (`again`), or done with. False if there is no
    /// such one.
    pub async fn settle_notice(&self, number: i64, again: bool, now: Timestamp) -> Result<bool, Unavailable> {
        let (state, due_at) = if again { ("waiting", Some(now.as_second())) } else { ("dropped", None) };
        self.0
            .bounded(async {
                let mut lease = self.0.lease_to_write().await?;
                let done = sqlx::query(
                    "UPDATE notices SET state = $2, due_at = $3, claimed_until = NULL \
                     WHERE number = $1 AND (state IN ('uncertain', 'dropped') OR (state = 'waiting' AND $2 = 'dropped'))",
                )
                .bind(number)
                .bind(state)
                .bind(due_at)
                .execute(&mut *lease)
                .await?;
                lease.done();
                Ok(done.rows_affected() == 1)
            })
            .await
    }

    /// How many notices there are in which state, and since when the oldest waits, for the metrics.
    pub async fn count_notices(&self) -> Result<NoticeCounts, Unavailable> {
        self.0
            .bounded(async {
                let mut lease = self.0.lease().await?;
                let rows: Vec<(String, i64, i64)> = sqlx::query_as(
                    "SELECT state, COUNT(*), MIN(created_at) FROM notices WHERE state <> 'sent' GROUP BY state",
                )
                .fetch_all(&mut *lease)
                .await?;
                lease.done();
                let mut counts = NoticeCounts::default();
                for (state, count, oldest) in rows {
                    let count = count.unsigned_abs();
                    match state.as_str() {
                        "waiting" => (counts.waiting, counts.oldest) = (count, Some(time(oldest)?)),
                        "sending" | "uncertain" => counts.uncertain += count,
                        _ => counts.dropped = count,
                    }
                }
                Ok(counts)
            })
            .await
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
