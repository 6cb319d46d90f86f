//! Notices: the outbox. A notice is written in the transaction of its reason, one row for each mail address, and
//! claimed by one gateway at a time until it is sent.

use std::time::Duration;

use jiff::Timestamp;

use super::{Directory, Notice, NoticeCounts, NoticeQuery};
use crate::stores::Unavailable;

impl Directory {
    /// Writes the notices of credentials that expire soon: for each live one that has `lead` or less to go, and no newer live
    /// one beside it, one to every administrator of the contract with a mail address, once per credential, kind and
    /// address for ever. Of two leads that a credential has reached at once (after an outage), only the shorter counts.
    /// Returns how many were written.
    pub async fn remind(
        &self,
        soon: Duration,
        very_soon: Duration,
        now: Timestamp,
    ) -> Result<u64, Unavailable> {
        let _ = (soon, very_soon, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Claims the oldest notice that is due, until `until`: nobody else gets it before. What is about to be sent must then
    /// be said by [`Self::begin_sending`].
    pub async fn claim_notice(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Notice>, Unavailable> {
        let _ = (now, until);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The point of no return: the very next thing is that the mail server gets the mail. False if somebody else has
    /// claimed it meanwhile, or its reason is gone (the credential was renewed or revoked): then it mustn't be sent.
    pub async fn begin_sending(&self, notice: &Notice, now: Timestamp) -> Result<bool, Unavailable> {
        let _ = (notice, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The mail server has taken it.
    pub async fn notice_sent(&self, notice: &Notice, now: Timestamp) -> Result<(), Unavailable> {
        let _ = (notice, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// The mail server certainly hasn't taken it: it is due again at `next`, or (`None`) given up.
    pub async fn notice_failed(
        &self,
        notice: &Notice,
        problem: &str,
        next: Option<Timestamp>,
    ) -> Result<(), Unavailable> {
        let _ = (notice, problem, next);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Notices for a command, the newest first.
    pub async fn notices(&self, query: &NoticeQuery) -> Result<Vec<Notice>, Unavailable> {
        let _ = query;
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// Bank staff decide: an uncertain or failed notice is due once more (`again`), or done with. False if there is no such one.
    pub async fn settle_notice(&self, number: i64, again: bool, now: Timestamp) -> Result<bool, Unavailable> {
        let _ = (number, again, now);
        Err(Unavailable::new("directory", "not built yet"))
    }

    /// How many notices there are in which state, and since when the oldest waits, for the metrics.
    pub async fn count_notices(&self, now: Timestamp) -> Result<NoticeCounts, Unavailable> {
        let _ = now;
        Err(Unavailable::new("directory", "not built yet"))
    }
}
